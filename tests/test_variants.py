"""Every variant in the kernels: against the reference, complex steps and frozen results of others; bits; refusals."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import _core, reference
from lstm_fast._tape import TrainingOptions
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, expect, make, masks, states, train
from test_reference_golden import ONNX, TORCH, cases, frozen
from tolerances import FEW_GRADIENTS_F32, FORWARD, assert_same_bits, assert_within, forward_error, gradient_error

KINDS = {"lstm": LSTM_OPTIONS, "tanh": RNN_OPTIONS, "relu": RNN_OPTIONS, "identity": RNN_OPTIONS}
STRUCTURES = [
    dict(num_layers=1),
    dict(num_layers=2, bidirectional=True),
    dict(num_layers=1, bidirectional=True),
    dict(num_layers=3),
]
EVERYTHING = set(LSTM_OPTIONS) - {"no_bias", "given_h_0", "given_c_0"}

# Parameters are several times those that training starts with, kinks are near and relu and its kin let states grow, so
# rounding is carried on further than in tests/tolerances.py. Gradients relative to the largest of their array.
TOLERANCE = {np.float64: 1e-11, np.float32: 1e-4}


def random_case(seed):
    """A kind, its options, a structure and sizes, all from the seed."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["lstm", "lstm", "lstm", "lstm", "tanh", "relu"])
    options = {name for name in KINDS[kind] if rng.random() < 0.35}
    sizes = (
        int(rng.integers(0, 8)),
        int(rng.integers(0, 7)),
        int(rng.integers(1, 9)),
        int(rng.choice([1, 2, 3, 7, 8, 9, 15, 17, 33])),
    )
    structure = dict(num_layers=int(rng.integers(1, 4)), bidirectional=bool(rng.random() < 0.4))
    return str(kind), options, sizes, structure


def check(kind, options, sizes, structure, seed, *, dtype=np.float64, recompute_gates=False, num_threads=1):
    T, B, I, H = sizes
    module = make(kind, I, H, options, seed=seed, dtype=dtype, **structure)
    a = draw(np.random.default_rng(seed), module, T, B, options)
    got, tape = train(module, a, recompute_gates=recompute_gates, num_threads=num_threads)
    want = expect(module, a, tape.options)
    assert set(want) <= set(got) and set(got) - set(want) <= {
        "d_h_0",
        "d_c_0",
    }  # the reference has them if h_0 was given
    for name, value in want.items():
        scale = max(1, np.abs(value).max(initial=0))
        assert_within(
            np.abs(got[name] - value).max(initial=0) / scale,
            TOLERANCE[dtype],
            (seed, kind, sorted(options), sizes, structure, name),
        )


pytestmark = pytest.mark.filterwarnings("ignore:dropout acts between layers")


@pytest.mark.parametrize("kind, option", [(kind, option) for kind, options in KINDS.items() for option in options])
def test_each_option_alone_matches_reference(isa, kind, option):
    for seed, structure in enumerate(STRUCTURES):
        check(kind, {option}, (5, 4, 3, 9), structure, seed, recompute_gates=seed % 2 == 1)


@pytest.mark.parametrize("seed", range(150))
def test_random_combinations_match_reference(isa, seed):
    check(*random_case(seed), seed, recompute_gates=seed % 3 == 0)


def test_a_probability_below_that_of_one_word_hits_nothing(isa):
    x = np.random.default_rng(0).standard_normal((5, 4, 3))
    got, want = (lf.LSTM(3, 9, seed=0, dtype=np.float64, zoneout=p).forward(x)[0] for p in (1e-10, 0.0))
    assert_same_bits(got, want)


def test_masks_of_wide_layers_match_reference(isa):  # masks are made 256 numbers at a time
    check(
        "lstm",
        {"dropout", "recurrent_dropout", "zoneout_h", "zoneout_c"},
        (2, 2, 2, 270),
        dict(num_layers=2, bidirectional=True),
        0,
    )


@pytest.mark.parametrize(
    "activation",
    [
        "tanh",
        "sigmoid",
        "relu",
        ("affine", 0.7, 0.2),
        "leaky_relu",
        ("thresholded_relu", 0.2),
        ("scaled_tanh", 1.3, 0.6),
        "hard_sigmoid",
        ("elu", 0.8),
        "softsign",
        "softplus",
    ],
)
@pytest.mark.parametrize("place", ["activation", "recurrent_activation", "cell_activation"])
def test_every_activation_in_every_place_matches_reference(isa, place, activation):
    module = lf.LSTM(3, 9, dtype=np.float64, seed=1, gate_clip=0.7, **{place: activation})
    a = draw(np.random.default_rng(2), module, 6, 3, ())
    got, tape = train(module, a)
    for name, value in expect(module, a, tape.options).items():
        assert_within(gradient_error(got[name], value, np.float64), 1e-12, name)


@pytest.mark.parametrize(
    "options",
    [
        dict(peepholes=True),
        dict(proj_size=20),
        dict(coupled_gates=True),
        dict(cell_clip=0.3),
        dict(gate_clip=0.5),
        dict(activation="softsign"),
        dict(recurrent_activation="hard_sigmoid"),
        dict(cell_activation=("elu", 0.8)),
        dict(zoneout=(0.2, 0.3)),
        dict(recurrent_dropout=0.2),
        dict(learn_initial_state=True),
        dict(layer_norm=True),
    ],
    ids=lambda options: next(iter(options)),
)
def test_float32_is_near_float64(isa, options):
    """With initial parameters: the tolerances of the plain cell, doubled for forward, because single units may reach a
    bound on one side of a comparison only. A norm divides by deviations of about a tenth: ten times."""
    module = lf.LSTM(16, 33, dtype=np.float32, seed=3, **options)
    a = draw(np.random.default_rng(4), module, 40, 5, {"given_h_0", "given_c_0"})
    got, tape = train(module, a)
    for name, value in expect(module, a, tape.options).items():
        is_forward = name in ("output", "h_n", "c_n")
        error = forward_error(got[name], value) if is_forward else gradient_error(got[name], value, np.float32)
        limit = 2 * FORWARD[np.float32] if is_forward else FEW_GRADIENTS_F32
        assert_within(error, limit * (10 if "layer_norm" in options else 1), (options, name))


# ---- gradients, without the reference's backward -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_gradients_are_those_of_complex_steps(seed):
    """The derivative along a random direction of everything at once, from one complex evaluation of the definition."""
    rng = np.random.default_rng(seed)
    kind = "lstm" if seed % 4 else "tanh"
    options = (
        {name for name in KINDS[kind] if rng.random() < 0.4}
        | {"given_h_0"}
        | ({"given_c_0"} if kind == "lstm" else set())
    )
    module = make(kind, 3, 7, options, seed=seed, num_layers=1 + seed % 2, bidirectional=seed % 3 == 0)
    a = draw(rng, module, 5, 3, options)
    got, tape = train(module, a, recompute_gates=seed % 2 == 0)
    arguments = {name: a[name] for name in ("x", "h_0", "c_0") if a.get(name) is not None} | module.parameters()
    directions = {name: rng.standard_normal(value.shape) for name, value in arguments.items()}
    complexes = {name: value + 1e-30j * directions[name] for name, value in arguments.items()}
    options = {"num_layers": module.num_layers, "bidirectional": module.bidirectional} | masks(
        module, tape.options, 5, 3
    )
    if kind == "lstm":
        options |= {
            name: getattr(module, name)
            for name in (
                "coupled_gates",
                "cell_clip",
                "gate_clip",
                "activation",
                "recurrent_activation",
                "cell_activation",
            )
        }
    *results, _ = reference.stack_forward(
        complexes["x"],
        complexes.get("h_0"),
        complexes.get("c_0"),
        complexes,
        lengths=a["lengths"],
        resets=a["resets"],
        **options,
    )
    incoming = a["d_output"], a["d_h_n"], a.get("d_c_n")
    want = sum((value.imag * d).sum() for value, d in zip(results, incoming) if d is not None) / 1e-30
    assert_within(
        abs(sum((got["d_" + name] * direction).sum() for name, direction in directions.items()) - want),
        1e-10 * sum(np.abs(got["d_" + name] * direction).sum() for name, direction in directions.items()) + 1e-12,
        sorted(options),
    )


# ---- frozen results of PyTorch and ONNX Runtime ----------------------------------------------------------------------


def module_of(arrays, config, dtype):
    """The module that a frozen case describes, with its parameters."""
    (H, R), bidirectional = (
        (len(arrays["weight_hh_l0"]), arrays["weight_hh_l0"].shape[1]),
        config.get("bidirectional", False),
    )
    is_lstm = config.get("mode", "LSTM") == "LSTM"
    H = H // 4 if is_lstm else H
    structure = dict(
        num_layers=config.get("num_layers", 1), bias="bias_ih_l0" in arrays, bidirectional=bidirectional, dtype=dtype
    )
    I = arrays["x"].shape[-1]
    if not is_lstm:
        module = lf.RNN(I, H, nonlinearity=config.get("nonlinearity", "tanh"), **structure)
    else:
        names = ("coupled_gates", "gate_clip", "activation", "recurrent_activation", "cell_activation")
        cell = {name: config[name] for name in names if name in config}
        module = lf.LSTM(
            I, H, proj_size=R if R != H else 0, peepholes="weight_peephole_l0" in arrays, **cell, **structure
        )
    module.load_state_dict({name: value for name, value in arrays.items() if name in module.parameters()})
    return module


@pytest.mark.parametrize("file, case", cases(TORCH))
def test_matches_frozen_pytorch(isa, file, case):
    arrays, config = frozen(file, case)
    dtype = np.float32 if config.get("dtype") == "float32" else np.float64
    module = module_of(arrays, config, dtype)
    given = states(module, arrays["h_0"], arrays.get("c_0"))
    output, last, tape = module.forward(arrays["x"], given, lengths=config.get("lengths"), training=False)
    got = {"output": output} | ({"h_n": last[0], "c_n": last[1]} if config["mode"] == "LSTM" else {"h_n": last})
    d = module.backward(tape, arrays["d_output"], states(module, arrays["d_h_n"], arrays.get("d_c_n")))
    got |= {"d_x": d.d_x, "d_h_0": d.d_h_0, "d_c_0": d.d_c_0} | {"d_" + name: value for name, value in d.items()}
    for name in set(arrays) & set(got):
        assert_within(gradient_error(got[name], arrays[name], np.float64), 1e-12 if dtype is np.float64 else 3e-6, name)


@pytest.mark.parametrize("file, case", cases(ONNX))
def test_matches_frozen_onnx_runtime(isa, file, case):
    arrays, config = frozen(file, case)
    module = module_of(arrays, config, np.float32)
    output, (h_n, c_n) = module(arrays["x"], (arrays.get("h_0"), arrays.get("c_0")), lengths=config.get("lengths"))
    for name, got in (("output", output), ("h_n", h_n), ("c_n", c_n)):
        assert_within(gradient_error(got, arrays[name], np.float64), 4e-6, name)


# ---- bits ----------------------------------------------------------------------------------------------------------


def all_bits(got, want, case):
    for name in want:
        assert_same_bits(got[name], want[name], (case, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(12))
def test_bits_do_not_depend_on_threads_or_on_recomputed_gates(isa, dtype, seed):
    kind, options, (T, _, I, H), structure = random_case(1000 + seed)
    module = make(kind, I, H, options - {"dropout"}, seed=seed, dtype=dtype, **structure)
    a = draw(np.random.default_rng(seed), module, T + 3, 7, options)
    want, tape = train(module, a)
    try:
        for split in ("best", "rows", "directions", "units"):
            _core.testing.use_split(split)
            for num_threads, recompute_gates in ((1, True), (2, False), (3, True)):
                module.__dict__["_training_options"] = lambda training, recompute_gates, rng, options=tape.options: (
                    options or TrainingOptions()
                )._replace(recompute_gates=recompute_gates)
                got, _ = train(module, a, recompute_gates=recompute_gates, num_threads=num_threads)
                all_bits(got, want, (sorted(options), split, num_threads, recompute_gates))
    finally:
        _core.testing.use_split()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_sequence_alone_gives_the_bits_of_the_batch(isa, dtype):
    options = EVERYTHING - {"recurrent_dropout", "zoneout_h", "zoneout_c", "dropout"}
    module = make("lstm", 3, 9, options, dtype=dtype, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(0), module, 6, 5, options)
    want, _ = train(module, a)
    for b in range(5):
        one = {
            name: value if value is None else value[[b]] if name == "lengths" else value[:, [b]]
            for name, value in a.items()
        }
        got, _ = train(module, one)
        for name in ("output", "h_n", "c_n", "d_x", "d_h_0", "d_c_0"):
            assert_same_bits(got[name], want[name][:, [b]], (b, name))


def test_garbage_in_padding_changes_no_bit(isa):
    module = make("lstm", 3, 9, EVERYTHING - {"dropout"}, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(0), module, 6, 5, EVERYTHING)
    want, tape = train(module, a)
    padding = np.arange(6)[:, None] >= a["lengths"]
    a["x"][padding] = a["d_output"][padding] = np.nan
    a["resets"] = a["resets"] | padding
    module.__dict__["_training_options"] = lambda *_: tape.options
    all_bits(train(module, a)[0], want, "")


@pytest.mark.parametrize("option", [*LSTM_OPTIONS, "all"])
def test_steps_and_blocks_of_a_stream_give_the_bits_of_the_whole(isa, option):
    options = EVERYTHING if option == "all" else {option}
    for dtype in (np.float32, np.float64):
        module = make("lstm", 3, 17, options, dtype=dtype, num_layers=2)
        x = np.random.default_rng(1).standard_normal((9, 4, 3)).astype(dtype)
        want, last = module(x)
        stream = module.stream(4)
        got = np.concatenate(
            [stream.step(x[0])[None], stream.block(x[1:6]), stream.step(x[6])[None], stream.block(x[7:])]
        )
        assert_same_bits(got, want, option)
        for state, end in zip(stream.state, last):
            assert_same_bits(state, end, option)


# ---- resets: truncated back-propagation through time ---------------------------------------------------------------


def test_resets_are_sequences_of_their_own():
    module = make("lstm", 3, 7, {"learned"}, num_layers=2)
    x = np.random.default_rng(0).standard_normal((9, 1, 3))
    resets = np.zeros((9, 1), bool)
    resets[[0, 4]] = True
    output, last = module(x, (np.ones((2, 1, 7)), np.ones((2, 1, 7))), resets=resets)
    (first, _), (second, want) = module(x[:4]), module(x[4:])
    assert_same_bits(output, np.concatenate([first, second]))
    for got, state in zip(last, want):
        assert_same_bits(got, state)


def test_chunks_that_carry_the_state_give_the_bits_of_the_whole():
    module = make("lstm", 3, 7, {"peepholes", "resets", "learned"}, num_layers=2)
    a = draw(np.random.default_rng(0), module, 12, 4, {"resets"})
    want, last = module(a["x"], resets=a["resets"])
    state, parts = None, []
    for begin in (0, 5, 6):
        end = {0: 5, 5: 6, 6: 12}[begin]
        part, state = module(a["x"][begin:end], state, resets=a["resets"][begin:end])
        parts.append(part)
    assert_same_bits(np.concatenate(parts), want)
    assert_same_bits(state[0], last[0])


def test_no_gradient_crosses_a_reset():
    module = make("lstm", 3, 7, {"given_h_0", "given_c_0"})
    a = draw(np.random.default_rng(0), module, 6, 2, {"given_h_0", "given_c_0"})
    a["resets"] = np.zeros((6, 2), bool)
    a["resets"][3, 0] = True
    a["d_output"][:3] = 0
    got, _ = train(module, a)
    assert (
        not got["d_x"][:3, 0].any()
        and not got["d_h_0"][:, 0].any()
        and got["d_x"][:3, 1].all()
        and got["d_x"][3:].all()
    )


def test_resets_come_in_the_layout_of_x():
    for options, turn in ((dict(batch_first=True), lambda a: a.swapaxes(0, 1)), ({}, lambda a: a)):
        module = lf.LSTM(3, 5, seed=0, **options)
        x, resets = np.random.default_rng(0).standard_normal((6, 2, 3)), np.random.default_rng(1).random((6, 2)) < 0.4
        output, _ = module(turn(x), resets=turn(resets))
        assert_same_bits(turn(output), lf.LSTM(3, 5, seed=0)(x, resets=resets)[0])
    unbatched, _ = lf.LSTM(3, 5, seed=0)(x[:, 0], resets=resets[:, 0])
    assert_same_bits(unbatched, output[:, 0])


# ---- norms of gradients, masks, trace ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [(), ("projection", "layer_norm", "zoneout_h", "zoneout_c", "recurrent_dropout"), ("lengths",)]
)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_norms_are_those_of_the_gradients_that_reach_each_step(isa, options, bidirectional):
    module = make("lstm", 3, 9, options, bidirectional=bidirectional)
    a = draw(np.random.default_rng(0), module, 6, 4, options)
    plain, tape = train(module, a)
    module.__dict__["_training_options"] = lambda *_: tape.options
    got, _ = train(module, a, record_norms=True)
    all_bits(got, plain, "asking changes nothing")
    if options != ():
        return
    # A sequence that is cut after step t, with what reaches its end as the gradient of its last state.
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


def test_norms_of_a_plain_network_vanish_where_its_gradient_does():
    module = lf.RNN(2, 5, dtype=np.float64, seed=0)
    *_, tape = module.forward(np.ones((40, 1, 2)))
    d_output = np.zeros((40, 1, 5))
    d_output[-1] = 1
    norms = module.backward(tape, d_output, record_norms=True).d_h_norms[0, 0, :, 0]
    assert norms.shape == (40,) and norms[-1] == np.sqrt(5) and (np.diff(norms) > 0).all() and norms[0] < 1e-6


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_masks_have_their_share(p):
    """h of a layer that keeps everything but what zoneout hits; 10000 elements: within 4 standard deviations."""
    module = lf.LSTM(1, 500, zoneout=(p, 0), seed=0)
    x = np.random.default_rng(0).standard_normal((20, 1, 1))
    output, _, _ = module.forward(x)
    kept = (output[1:] == output[:-1]).mean() if p < 1 else (output == 0).mean()
    assert abs(kept - p) <= 4 * np.sqrt(p * (1 - p) / output[1:].size) + 1e-12


def test_calls_draw_new_masks_and_seeds_give_them_again():
    x = np.ones((4, 2, 3))
    for option in (dict(zoneout=0.5), dict(recurrent_dropout=0.5), dict(zoneout=(0.0, 0.5))):
        one, again = lf.LSTM(3, 8, seed=5, **option), lf.LSTM(3, 8, seed=5, **option)
        first, second = one.forward(x)[0], one.forward(x)[0]
        assert not np.array_equal(first, second)
        assert_same_bits(again.forward(x)[0], first)
        assert_same_bits(one.forward(x, training=False)[0], one(x)[0])  # inference is unaffected


@pytest.mark.parametrize("seed", range(8))
def test_trace_is_that_of_the_reference(isa, seed):
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


# ---- recomputed gates ----------------------------------------------------------------------------------------------


def test_a_tape_without_gates_is_a_third():
    lstm = lf.LSTM(16, 64, seed=0)
    x = np.ones((50, 8, 16), np.float32)
    full, small = (lstm.forward(x, recompute_gates=flag)[2].nbytes for flag in (False, True))
    assert 2.9 < full / small < 3.1 and small >= 2 * 50 * 8 * 64 * 4


# ---- refusals ------------------------------------------------------------------------------------------------------


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
def test_constructor_refuses(arguments, error, words):
    with pytest.raises(error) as info:
        lf.LSTM(3, 5, **arguments)
    assert words in str(info.value)


@pytest.mark.parametrize(
    "resets, words",
    [
        (np.zeros((4, 3), int), "resets must be boolean of shape (T, B) = (4, 3), got int64 (4, 3)"),
        (np.zeros((3, 4), bool), "resets must be boolean of shape (T, B) = (4, 3), got bool (3, 4)"),
    ],
)
def test_resets_are_refused(resets, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        lf.LSTM(2, 5)(np.zeros((4, 3, 2)), resets=resets)


def test_rnn_refuses_a_pair_for_zoneout():
    with pytest.raises(ValueError, match="zoneout must be a number from 0 to 1, got"):
        lf.RNN(3, 5, zoneout=(0.1, 0.2))


def test_options_are_attributes_and_stand_in_the_repr():
    module = lf.LSTM(3, 5, proj_size=2, peepholes=True, cell_clip=3, activation=("elu", 0.5), zoneout=(0.1, 0.0))
    assert (
        repr(module)
        == "LSTM(3, 5, proj_size=2, peepholes=True, cell_clip=3.0, activation=('elu', 0.5), zoneout=(0.1, 0.0))"
    )
    assert (module.gate_clip, module.recurrent_activation, module.learn_initial_state) == (None, "sigmoid", False)


def test_parameters_are_named_and_start_as_promised():
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
