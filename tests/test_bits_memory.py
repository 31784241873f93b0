"""The same bits for any layout and alignment of the arguments; NaN and overflow stay in their sequence."""

import functools
import itertools

import numpy as np
import pytest

from module_cases import DTYPES, KINDS, STRUCTURES, draw, infer, make, train
from test_bits import PER_SEQUENCE, assert_all_same_bits
from tolerances import assert_same_bits


def at_offset(array, n_bytes):
    """A copy that begins n_bytes after the start of a cache line."""
    memory = np.zeros(array.nbytes + 128, np.uint8)
    begin = -memory.ctypes.data % 64 + n_bytes
    copy = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    assert copy.ctypes.data % 64 == n_bytes % 64
    copy[...] = array
    return copy


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_alignment(isa, dtype):
    lstm = make("lstm", 5, 17, num_layers=2, bidirectional=True, dtype=dtype)
    a = draw(np.random.default_rng(64), lstm, 3, 4)
    want, _ = train(lstm, a)
    for n_bytes in range(64):
        got, _ = train(lstm, {name: at_offset(value, n_bytes) for name, value in a.items()})
        assert_all_same_bits(got, want, f"offset {n_bytes}")


def reversed_in_memory(array):
    backing = np.ascontiguousarray(array[::-1, ::-1, ::-1])
    return backing[::-1, ::-1, ::-1]


def spread_out(array, axis):
    """Every third element of a larger array of NaN along one axis."""
    wide = np.full([3 * n if k == axis else n for k, n in enumerate(array.shape)], np.nan, array.dtype)
    view = wide[tuple(slice(1, None, 3) if k == axis else slice(None) for k in range(3))]
    view[...] = array
    return view


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": reversed_in_memory,
    "batch_first_in_memory": lambda array: np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1),
    "features_first_in_memory": lambda array: np.ascontiguousarray(array.transpose(2, 0, 1)).transpose(1, 2, 0),
    "read_only": read_only,
    "big_endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "subclass": lambda array: array.view(type("Subclass", (np.ndarray,), {})),
    **{f"spread_out_along_axis_{axis}": functools.partial(spread_out, axis=axis) for axis in range(3)},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_affects_neither_bits_nor_inputs(isa, layout, dtype):
    for kind, (T, B), structure in itertools.product(("lstm", "tanh"), ((5, 4), (1, 1), (40, 1)), STRUCTURES[:2]):
        module = make(kind, 5, 17, dtype=dtype, **structure)
        a = draw(np.random.default_rng([T, B]), module, T, B)
        want, _ = train(module, a)
        changed = {name: LAYOUTS[layout](value) for name, value in a.items()}
        assert_all_same_bits(train(module, changed)[0], want, f"{kind} T={T} B={B} {structure}")
        assert_all_same_bits(infer(module, changed), infer(module, a), f"{kind} T={T} B={B} {structure}")
        for name in a:
            np.testing.assert_array_equal(changed[name], a[name], err_msg=name)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 1, 2)], ids=str)
def test_broadcast_arguments_give_the_same_bits(isa, axes):
    lstm = make("lstm", 5, 9, num_layers=2, dtype=np.float32)
    a = draw(np.random.default_rng(5), lstm, 6, 4)
    first = tuple(slice(0, 1) if k in axes else slice(None) for k in range(3))
    broadcast = {name: np.broadcast_to(value[first], value.shape) for name, value in a.items()}
    want, _ = train(lstm, {name: value.copy() for name, value in broadcast.items()})
    assert_all_same_bits(train(lstm, broadcast)[0], want, axes)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_overflow_stay_in_their_sequence(isa, kind):
    for dtype, structure, poison in itertools.product(DTYPES, STRUCTURES[:2], (np.nan, np.inf, -np.inf, 1e38)):
        module = make(kind, 5, 17, dtype=dtype, **structure)
        a = draw(np.random.default_rng(17), module, 6, 7)
        want, _ = train(module, a)
        others = np.arange(7) != 3
        for argument in a:
            poisoned = {name: value.copy() for name, value in a.items()}
            poisoned[argument][:, 3] = poison
            got, _ = train(module, poisoned)
            for name in PER_SEQUENCE.keys() & got.keys():
                assert_same_bits(got[name][:, others], want[name][:, others], f"{name}, {poison} in {argument}")
            if poison is np.nan and argument in ("x", "h_0", "c_0"):
                assert np.isnan(got["output"][:, 3]).all(), argument


@pytest.mark.parametrize("kind", KINDS)
def test_nan_propagates_to_every_later_step_and_to_no_earlier_one(isa, kind):
    for dtype in DTYPES:
        module = make(kind, 5, 17, num_layers=2, dtype=dtype)
        a = draw(np.random.default_rng(17), module, 6, 3)
        want = infer(module, a)["output"]
        a["x"][2, 1, 4] = np.nan
        got = infer(module, a)["output"]
        assert_same_bits(got[:2], want[:2])
        assert np.isnan(got[2:, 1]).all()
