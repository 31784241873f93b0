"""The random masks of the reference: Philox's known answers, the counter of each element, frequencies."""

import numpy as np
import pytest

from lstm_fast import reference

# ---- dropout between layers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counter, key, words",
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_matches_random123_known_answers(counter, key, words):
    counter, key, words = ([int(word, 16) for word in text.split()] for text in (counter, key, words))
    assert reference.philox4x32(counter, key).tolist() == words


def test_dropout_mask_takes_each_element_from_its_counter_and_word():
    seed, layer, (T, B, F), p = 0x123456789ABCDEF, 3, (3, 4, 7), 0.3
    mask = reference.dropout_mask(seed, layer, (T, B, F), p, np.float64)
    assert mask.shape == (T, B, F)
    for t, b, f in np.ndindex(T, B, F):
        u = reference.philox4x32((f // 4, b, t, layer), (0x89ABCDEF, 0x1234567))[f % 4]
        assert mask[t, b, f] == (1 / 0.7 if u >= 1288490188 else 0)


def test_dropout_mask_keeps_an_element_when_its_word_equals_the_threshold():
    words = reference.philox4x32((0, 0, 0, 0), (5, 0))
    mask = reference.dropout_mask(5, 0, (1, 1, 4), words[1] / 2**32, np.float64)
    np.testing.assert_array_equal(mask[0, 0] != 0, words >= words[1])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_mask_drops_with_the_given_probability(p):
    mask = reference.dropout_mask(1, 0, (200, 20, 50), p, np.float64)
    deviation = np.sqrt(p * (1 - p) / mask.size)
    assert abs((mask == 0).mean() - p) < 4 * deviation
    assert abs(mask.mean() - 1) < 4 * deviation / (1 - p)
    for axis in range(3):  # neighbors along each axis are independent
        first, second = np.moveaxis(mask, axis, 0)[:-1].ravel(), np.moveaxis(mask, axis, 0)[1:].ravel()
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(first.size)


def test_dropout_mask_depends_on_seed_and_layer_but_not_on_the_shape():
    mask = reference.dropout_mask(7, 0, (5, 6, 9), 0.5, np.float32)
    assert mask.dtype == np.float32 and set(mask.ravel()) == {0.0, 2.0}
    np.testing.assert_array_equal(reference.dropout_mask(7, 0, (3, 2, 6), 0.5, np.float32), mask[:3, :2, :6])
    for seed, layer in ((8, 0), (7 + 2**32, 0), (7, 1)):
        assert (reference.dropout_mask(seed, layer, (5, 6, 9), 0.5, np.float32) != mask).any()


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0), (2, 3, 5)])
def test_dropout_mask_is_constant_when_p_is_0_or_1(shape):
    np.testing.assert_array_equal(reference.dropout_mask(0, 0, shape, 0.0, np.float64), np.ones(shape))
    np.testing.assert_array_equal(reference.dropout_mask(0, 0, shape, 1.0, np.float64), np.zeros(shape))


# ---- recurrent dropout and zoneout ---------------------------------------------------------------------------------

KEY = (0x89ABCDEF, 0x1234567)


def test_recurrent_dropout_mask_takes_each_element_from_its_counter_and_word():
    index, (B, R), p = 5, (4, 7), 0.3
    mask = reference.recurrent_dropout_mask(0x123456789ABCDEF, index, (B, R), p, np.float64)
    assert mask.shape == (B, R)
    for b, f in np.ndindex(B, R):
        u = reference.philox4x32((f // 4, b, 0, index + 2**28), KEY)[f % 4]
        assert mask[b, f] == (1 / 0.7 if u >= 1288490188 else 0)


@pytest.mark.parametrize("state, kind", [("h", 2), ("c", 3)])
def test_zoneout_mask_takes_each_element_from_its_counter_and_word(state, kind):
    index, (T, B, F), p = 5, (3, 4, 7), 0.3
    mask = reference.zoneout_mask(0x123456789ABCDEF, index, (T, B, F), p, np.float32, state)
    assert mask.shape == (T, B, F) and mask.dtype == np.float32
    for t, b, f in np.ndindex(T, B, F):
        u = reference.philox4x32((f // 4, b, t, index + kind * 2**28), KEY)[f % 4]
        assert mask[t, b, f] == (u < 1288490188)


def test_masks_with_the_same_seed_and_index_are_uncorrelated():
    shape, p = (1, 500, 50), 0.5
    masks = [
        reference.dropout_mask(3, 1, shape, p, np.float64),
        reference.recurrent_dropout_mask(3, 1, shape[1:], p, np.float64),
        *(reference.zoneout_mask(3, 1, shape, p, np.float64, state) for state in "hc"),
    ]
    correlations = np.corrcoef([mask.ravel() for mask in masks]) - np.eye(4)
    assert np.abs(correlations).max() < 4 / np.sqrt(500 * 50)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_recurrent_and_zoneout_masks_have_the_given_probability(p):
    dropped = reference.recurrent_dropout_mask(1, 0, (2000, 100), p, np.float64) == 0
    kept = reference.zoneout_mask(1, 0, (200, 20, 50), p, np.float64, "h") == 1
    assert abs(dropped.mean() - p) < 4 * np.sqrt(p * (1 - p) / dropped.size)
    assert abs(kept.mean() - p) < 4 * np.sqrt(p * (1 - p) / kept.size)


@pytest.mark.parametrize("p, recurrent, zoneout", [(0.0, 1, 0), (1.0, 0, 1)])
def test_recurrent_and_zoneout_masks_are_constant_when_p_is_0_or_1(p, recurrent, zoneout):
    mask = reference.recurrent_dropout_mask(0, 0, (2, 5), p, np.float64)
    np.testing.assert_array_equal(mask, np.full((2, 5), recurrent))
    for state in "hc":
        mask = reference.zoneout_mask(0, 0, (3, 2, 5), p, np.float64, state)
        np.testing.assert_array_equal(mask, np.full((3, 2, 5), zoneout))
