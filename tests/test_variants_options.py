"""Cell variants: norms of gradients, masks, traces, tapes without gates, validation and parameters."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import reference
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, make, train
from tolerances import assert_same_bits

KINDS = {"lstm": LSTM_OPTIONS, "tanh": RNN_OPTIONS, "relu": RNN_OPTIONS, "identity": RNN_OPTIONS}


def all_bits(got, want, case):
    for name in want:
        assert_same_bits(got[name], want[name], (case, name))


@pytest.mark.parametrize(
    "options", [(), ("projection", "layer_norm", "zoneout_h", "zoneout_c", "recurrent_dropout"), ("lengths",)]
)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_norms_match_gradients_at_each_step(isa, options, bidirectional):
    module = make("lstm", 3, 9, options, bidirectional=bidirectional)
    a = draw(np.random.default_rng(0), module, 6, 4, options)
    plain, tape = train(module, a)
    module.__dict__["_training_options"] = lambda *_: tape.options
    got, _ = train(module, a, record_norms=True)
    all_bits(got, plain, "asking changes nothing")
    if options != ():
        return
    # A sequence cut after step t, with the gradient that reaches that step as the gradient of its last state.
    d_h, d_c = (a["d_h_n"][0], a["d_c_n"][0])
    for t in range(5, -1, -1):
        d_h = d_h + a["d_output"][t, :, :9]
        np.testing.assert_allclose(got["d_h_norms"][0, 0, t], np.linalg.norm(d_h, axis=1), rtol=1e-12)
        np.testing.assert_allclose(got["d_c_norms"][0, 0, t], np.linalg.norm(d_c, axis=1), rtol=1e-12)
        one = lf.LSTM(3, 9, dtype=np.float64)
        one.load_state_dict({name: value for name, value in module.parameters().items() if "reverse" not in name})
        before = [np.zeros((1, 4, 9))] * 2 if t == 0 else one(a["x"][:t])[1]
        *_, tape = one.forward(a["x"][t : t + 1], tuple(before))
        step = one.backward(tape, None, (d_h[None], d_c[None]))
        d_h, d_c = step.d_h_0[0], step.d_c_0[0]


def test_rnn_norms_vanish_with_its_gradient():
    module = lf.RNN(2, 5, dtype=np.float64, seed=0)
    *_, tape = module.forward(np.ones((40, 1, 2)))
    d_output = np.zeros((40, 1, 5))
    d_output[-1] = 1
    norms = module.backward(tape, d_output, record_norms=True).d_h_norms[0, 0, :, 0]
    assert norms.shape == (40,) and norms[-1] == np.sqrt(5) and (np.diff(norms) > 0).all() and norms[0] < 1e-6


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_masks_have_their_probability(p):
    """h of a layer with zoneout; 10000 elements: within 4 standard deviations."""
    module = lf.LSTM(1, 500, zoneout=(p, 0), seed=0)
    x = np.random.default_rng(0).standard_normal((20, 1, 1))
    output, _, _ = module.forward(x)
    kept = (output[1:] == output[:-1]).mean() if p < 1 else (output == 0).mean()
    assert abs(kept - p) <= 4 * np.sqrt(p * (1 - p) / output[1:].size) + 1e-12


def test_masks_differ_between_calls_and_are_reproducible():
    x = np.ones((4, 2, 3))
    for option in (dict(zoneout=0.5), dict(recurrent_dropout=0.5), dict(zoneout=(0.0, 0.5))):
        one, again = lf.LSTM(3, 8, seed=5, **option), lf.LSTM(3, 8, seed=5, **option)
        first, second = one.forward(x)[0], one.forward(x)[0]
        assert not np.array_equal(first, second)
        assert_same_bits(again.forward(x)[0], first)
        assert_same_bits(one.forward(x, training=False)[0], one(x)[0])  # inference is unaffected


@pytest.mark.parametrize("seed", range(8))
def test_trace_matches_reference(isa, seed):
    options = {name for name in LSTM_OPTIONS if np.random.default_rng(seed).random() < 0.5} - {
        "dropout",
        "given_h_0",
        "given_c_0",
    }
    module = make("lstm", 3, 9, options, seed=seed)
    a = draw(np.random.default_rng(seed), module, 6, 4, options)
    trace = module.trace(a["x"], lengths=a["lengths"], resets=a["resets"])
    own = {name.removesuffix("_l0"): value for name, value in module.parameters().items()}
    own |= {"learned_" + name: own.pop(name) for name in ("h_0", "c_0") if name in own}
    arguments = dict.fromkeys(("h_0", "c_0", "bias_ih", "bias_hh")) | own
    cell = {
        name: getattr(module, name)
        for name in ("coupled_gates", "cell_clip", "gate_clip", "activation", "recurrent_activation", "cell_activation")
    }
    *_, tape = reference.lstm_forward(a["x"], **arguments, lengths=a["lengths"], resets=a["resets"], **cell)
    for name in "ifgoch":
        got, want = getattr(trace, name)[0, 0], getattr(tape, name)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12, err_msg=name)


def test_tape_without_gates_takes_a_third_of_the_memory():
    lstm = lf.LSTM(16, 64, seed=0)
    x = np.ones((50, 8, 16), np.float32)
    full, small = (lstm.forward(x, recompute_gates=flag)[2].nbytes for flag in (False, True))
    assert 2.9 < full / small < 3.1 and small >= 2 * 50 * 8 * 64 * 4


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        (dict(proj_size=5), ValueError, "proj_size must be an integer from 0 (none) to hidden_size - 1 = 4, got 5"),
        (dict(proj_size=-1), ValueError, "proj_size must be"),
        (dict(proj_size=True), ValueError, "proj_size must be"),
        (dict(proj_size=2.0), ValueError, "proj_size must be"),
        (dict(cell_clip=0), ValueError, "cell_clip must be a positive number or None, got 0"),
        (dict(gate_clip=-1), ValueError, "gate_clip must be a positive number or None, got -1"),
        (dict(gate_clip=float("inf")), ValueError, "gate_clip must be"),
        (dict(cell_clip=float("nan")), ValueError, "cell_clip must be"),
        (dict(peepholes=1), TypeError, "peepholes must be True or False, got 1"),
        (dict(layer_norm=None), TypeError, "layer_norm must be True or False, got None"),
        (dict(coupled_gates="yes"), TypeError, "coupled_gates must be True or False, got 'yes'"),
        (dict(activation="gelu"), ValueError, "activation"),
        (dict(activation=3), TypeError, "activation must be a name"),
        (dict(recurrent_activation=("relu", 1.0)), ValueError, "recurrent_activation"),
        (dict(cell_activation=("elu", -1.0)), ValueError, "cell_activation"),
        (dict(cell_activation=("elu", "1")), TypeError, "cell_activation must be a name"),
        (dict(recurrent_dropout=1.5), ValueError, "recurrent_dropout must be a number from 0 to 1, got 1.5"),
        (dict(zoneout=-0.1), ValueError, "zoneout must be a number from 0 to 1, got -0.1"),
        (dict(zoneout=(0.1, 0.2, 0.3)), ValueError, "zoneout must be a number from 0 to 1 or a pair"),
        (dict(learn_initial_state=0), TypeError, "learn_initial_state must be True or False, got 0"),
        (dict(coupled_gates=True, forget_bias=1.0), ValueError, "forget_bias must be None with coupled_gates=True"),
        (dict(bias=False, forget_bias=1.0), ValueError, "forget_bias must be None with bias=False"),
    ],
)
def test_invalid_options_raise(arguments, error, words):
    with pytest.raises(error) as info:
        lf.LSTM(3, 5, **arguments)
    assert words in str(info.value)


def test_rnn_raises_on_a_pair_for_zoneout():
    with pytest.raises(ValueError, match="zoneout must be a number from 0 to 1, got"):
        lf.RNN(3, 5, zoneout=(0.1, 0.2))


def test_options_are_attributes_and_appear_in_the_repr():
    module = lf.LSTM(3, 5, proj_size=2, peepholes=True, cell_clip=3, activation=("elu", 0.5), zoneout=(0.1, 0.0))
    assert (
        repr(module)
        == "LSTM(3, 5, proj_size=2, peepholes=True, cell_clip=3.0, activation=('elu', 0.5), zoneout=(0.1, 0.0))"
    )
    assert (module.gate_clip, module.recurrent_activation, module.learn_initial_state) == (None, "sigmoid", False)


def test_names_and_initial_values_of_parameters():
    module = lf.LSTM(
        3, 5, 2, bidirectional=True, proj_size=2, peepholes=True, layer_norm=True, learn_initial_state=True
    )
    one = {
        "weight_ih": (20, 4),
        "weight_hh": (20, 2),
        "bias_ih": (20,),
        "bias_hh": (20,),
        "weight_hr": (2, 5),
        "weight_peephole": (15,),
        "norm_ih_weight": (20,),
        "norm_hh_weight": (20,),
        "norm_c_weight": (5,),
        "norm_c_bias": (5,),
        "h_0": (2,),
        "c_0": (5,),
    }
    assert {name: p.shape for name, p in module.parameters().items()} == {
        name + suffix: (20, 3) if name + suffix[:3] == "weight_ih_l0" else shape
        for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
        for name, shape in one.items()
    }
    p = module.parameters()
    assert (p["norm_hh_weight_l1"] == 1).all() and (p["norm_c_weight_l0"] == 1).all() and not p["norm_c_bias_l0"].any()
    assert not p["h_0_l0"].any() and not p["c_0_l1_reverse"].any() and p["weight_peephole_l0"].all()


def test_cell_has_the_options_of_one_step():
    options = dict(peepholes=True, layer_norm=True, cell_clip=1.0, activation="softsign")
    cell, lstm = lf.LSTMCell(3, 5, seed=0, **options), lf.LSTM(3, 5, seed=0, **options)
    x, state = np.ones((2, 3)), (np.ones((2, 5)), np.ones((2, 5)))
    h, c = cell(x, state)
    _, (h_n, c_n) = lstm(x[None], (state[0][None], state[1][None]))
    assert_same_bits(h, h_n[0])
    assert_same_bits(c, c_n[0])
