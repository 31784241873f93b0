"""Every variant in the kernels: against the reference, complex steps and stored results of other libraries."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import reference
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, expect, make, masks, states, train
from optional import light
from test_reference_golden import ONNX, TORCH, cases, frozen
from tolerances import FEW_GRADIENTS_F32, FORWARD, assert_same_bits, assert_within, forward_error, gradient_error

KINDS = {"lstm": LSTM_OPTIONS, "tanh": RNN_OPTIONS, "relu": RNN_OPTIONS, "identity": RNN_OPTIONS}
STRUCTURES = [
    dict(num_layers=1),
    dict(num_layers=2, bidirectional=True),
    dict(num_layers=1, bidirectional=True),
    dict(num_layers=3),
]

# Parameters are several times larger than initial ones, values are near kinks, and states grow with relu and similar
# activations, so rounding errors propagate further than in tests/tolerances.py. Gradients: relative to the largest.
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


@pytest.mark.parametrize(
    "kind, option", [(kind, option) for kind, options in KINDS.items() for option in (*options, "index_input")]
)
def test_each_option_alone_matches_reference(isa, kind, option):
    for seed, structure in enumerate(STRUCTURES):
        check(kind, {option}, (5, 4, 3, 9), structure, seed, recompute_gates=seed % 2 == 1)


@pytest.mark.parametrize("seed", light(range(150), range(0, 150, 3)))
def test_random_combinations_match_reference(isa, seed):
    kind, options, sizes, structure = random_case(seed)
    if seed % 5 == 0:
        options |= {"index_input"}
    check(kind, options, sizes, structure, seed, recompute_gates=seed % 3 == 0)


def test_a_probability_below_the_resolution_drops_nothing(isa):
    x = np.random.default_rng(0).standard_normal((5, 4, 3))
    got, want = (lf.LSTM(3, 9, seed=0, dtype=np.float64, zoneout=p).forward(x)[0] for p in (1e-10, 0.0))
    assert_same_bits(got, want)


def test_masks_of_wide_layers_match_reference(isa):  # masks are generated 256 numbers at a time
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
    """With initial parameters: the tolerances of the plain cell, doubled for forward, because a unit may reach a bound
    in one precision and not in the other; ten times with layer norm, which divides by deviations of about 0.1. The
    median of three draws: in one of them a deviation may happen to be near 0."""
    errors = {}
    for seed in (3, 4, 5):
        module = lf.LSTM(16, 33, dtype=np.float32, seed=seed, **options)
        a = draw(np.random.default_rng(seed + 1), module, 40, 5, {"given_h_0", "given_c_0"})
        got, tape = train(module, a)
        for name, value in expect(module, a, tape.options).items():
            is_forward = name in ("output", "h_n", "c_n")
            error = forward_error(got[name], value) if is_forward else gradient_error(got[name], value, np.float32)
            limit = 2 * FORWARD[np.float32] if is_forward else FEW_GRADIENTS_F32
            errors.setdefault((name, limit), []).append(error)
    for (name, limit), several in errors.items():
        assert_within(np.median(several), limit * (10 if "layer_norm" in options else 1), (options, name))


# ---- gradients, without the reference's backward ----


@pytest.mark.parametrize("seed", range(40))
def test_gradients_match_complex_steps(seed):
    """The derivative along a random direction of all arguments, by one complex step in the reference."""
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


# ---- stored results of PyTorch and ONNX Runtime ----


def module_of(arrays, config, dtype):
    """The module of a stored case, with its parameters."""
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
def test_matches_stored_pytorch_results(isa, file, case):
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
def test_matches_stored_onnx_runtime_results(isa, file, case):
    arrays, config = frozen(file, case)
    module = module_of(arrays, config, np.float32)
    output, (h_n, c_n) = module(arrays["x"], (arrays.get("h_0"), arrays.get("c_0")), lengths=config.get("lengths"))
    for name, got in (("output", output), ("h_n", h_n), ("c_n", c_n)):
        assert_within(gradient_error(got, arrays[name], np.float64), 4e-6, name)
