"""Differential fuzzing: thousands of random configurations against the reference, PyTorch and ONNX Runtime.

    python tests/fuzz.py [cases [first seed]] [--seconds S] [--jobs N]

Each case draws kind, options, layers, directions, sizes, lengths, resets, dtype, threads and instruction set from its
seed. It is compared with the NumPy reference and, where they are installed and have the options, with PyTorch
(gradients too) and ONNX Runtime. Mismatches are printed with seed and configuration, and the exit status is 1.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

import lstm_fast as lf  # noqa: E402
from fuzzing import Skipped, main  # noqa: E402
from lstm_fast import _core  # noqa: E402
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, expect, make, states, train  # noqa: E402

try:
    import torch
except ImportError:
    torch = None
try:
    import onnx
    import onnxruntime
except ImportError:
    onnxruntime = None

TOLERANCE = {np.float64: 1e-10, np.float32: 3e-4}  # as in test_variants.py, with room for thousands of cases
ROUNDINGS = 20  # random roundings that estimate the effect of rounding on the result
KINDS = ("lstm", "lstm", "lstm", "tanh", "relu")
SIZES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 33, 65)
ONNX_NAMES = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}


class Case:
    """The configuration drawn from a seed."""

    def __init__(self, seed, kinds=KINDS, only=None, dtype=None):
        rng = np.random.default_rng(seed)
        self.seed, self.kind = seed, str(rng.choice(kinds))
        names = LSTM_OPTIONS if self.kind == "lstm" else RNN_OPTIONS
        share = rng.choice([0.1, 0.35, 0.8])
        self.options = {name for name in names if rng.random() < share and (only is None or name in only)}
        self.dtype = dtype or (np.float32, np.float64)[rng.integers(2)]
        self.T, self.B = int(rng.integers(0, 9)), int(rng.integers(0, 9))
        self.I, self.H = int(rng.choice(SIZES)), int(rng.choice(SIZES))
        self.structure = dict(num_layers=int(rng.integers(1, 4)), bidirectional=bool(rng.random() < 0.4))
        self.recompute_gates, self.num_threads = bool(rng.random() < 0.4), int(rng.integers(1, 4))
        if rng.random() < 0.2 and (only is None or "index_input" in only):
            self.options.add("index_input")
        self.isa, self.split = str(rng.choice(_core.available_isas())), str(rng.choice(list(_core.testing.SPLITS)))

    def __repr__(self):
        return (
            f"seed {self.seed}: {self.kind} {sorted(self.options)} T={self.T} B={self.B} I={self.I} H={self.H} "
            f"{self.structure} {self.dtype.__name__} recompute_gates={self.recompute_gates} threads={self.num_threads} "
            f"{self.isa} {self.split}"
        )

    def module(self):
        return make(self.kind, self.I, self.H, self.options, seed=self.seed, dtype=self.dtype, **self.structure)

    def run(self):
        """The module, its arguments, results and tape."""
        _core.use_isa(self.isa)
        _core.testing.use_split(self.split)
        module = self.module()
        a = draw(np.random.default_rng(self.seed), module, self.T, self.B, self.options)
        return module, a, *train(module, a, recompute_gates=self.recompute_gates, num_threads=self.num_threads)


def difference(got, want):
    """Largest difference, relative to the largest number if that is above 1."""
    return np.abs(got - want).max(initial=0) / max(1, np.abs(want).max(initial=0))


def condition_error(case, module, a, run):
    """The largest error that rounding the arrays to the dtype can cause, from a few random roundings.

    Layer norm of few units amplifies rounding, and at a kink (a clip, relu) either side may be taken: a correct
    computation may be this far from the exact result, and no tolerance holds for all configurations.
    """
    rng, eps = np.random.default_rng(case.seed), np.finfo(case.dtype).eps
    exact, errors = expect(module, a, run), []
    for _ in range(ROUNDINGS):
        rounded = expect(module, a, run, jitter=lambda v: v * (1 + rng.uniform(-eps, eps, v.shape)))
        errors += [difference(rounded[name], value) for name, value in exact.items()]
    return max(errors)


def compare(case, got, want, other, tolerance, allowance=lambda: 0.0):
    """Raise AssertionError where results differ by more than the tolerance plus the allowance, computed if needed."""
    if any(not np.abs(value).max(initial=0) < 1e6 for value in want.values()):
        raise Skipped  # the state grew too large for float32: unbounded activations, fed back by peepholes
    if all(difference(got[name], value) <= tolerance for name, value in want.items()):
        return
    tolerance += allowance()
    for name, value in want.items():
        error = difference(got[name], value)
        if not error <= tolerance:
            raise AssertionError(
                f"{name} differs from {other} by {error:.2g} of its largest number, allowed {tolerance:.2g}\n    {case}"
            )


def against_reference(seed):
    """Compare with the reference: all options."""
    case = Case(seed)
    module, a, got, tape = case.run()
    want = expect(module, a, tape.options)
    allowance = lambda: 10 * condition_error(case, module, a, tape.options)  # noqa: E731
    compare(case, got, want, "the reference", TOLERANCE[case.dtype], allowance)


def against_torch(seed):
    """Compare with PyTorch: projection, lengths, layers, directions. It supports neither length 0 nor empty input."""
    case = Case(
        seed,
        ("lstm", "lstm", "tanh", "relu"),
        {"projection", "no_bias", "given_h_0", "given_c_0", "lengths"},
        np.float64,
    )
    case.T, case.B = max(case.T, 1), max(case.B, 1)
    if len(case.options & {"given_h_0", "given_c_0"}) == 1:
        case.options -= {"given_h_0", "given_c_0"}
    module = case.module()
    a = draw(np.random.default_rng(seed), module, case.T, case.B, case.options)
    if a["lengths"] is not None:
        a["lengths"] = np.maximum(a["lengths"], 1)
    _core.use_isa(case.isa)
    got, _ = train(case.module(), a, recompute_gates=case.recompute_gates, num_threads=case.num_threads)
    options = dict(
        num_layers=module.num_layers, bidirectional=module.bidirectional, bias=module.bias, dtype=torch.float64
    )
    if case.kind == "lstm":
        peer = torch.nn.LSTM(module.input_size, module.hidden_size, proj_size=module.proj_size, **options)
    else:
        peer = torch.nn.RNN(module.input_size, module.hidden_size, nonlinearity=case.kind, **options)
    peer.load_state_dict({name: torch.tensor(value) for name, value in module.parameters().items()})
    x = torch.tensor(a["x"], requires_grad=True)
    given = (
        None
        if a["h_0"] is None
        else states(module, *(torch.tensor(a[name]) if a.get(name) is not None else None for name in ("h_0", "c_0")))
    )
    if a["lengths"] is None:
        output, last = peer(x, given)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(a["lengths"]), enforce_sorted=False)
        output, last = peer(packed, given)
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=case.T)
    h_n, c_n = last if case.kind == "lstm" else (last, None)
    loss = (output * torch.tensor(a["d_output"])).sum() + (h_n * torch.tensor(a["d_h_n"])).sum()
    if c_n is not None:
        loss = loss + (c_n * torch.tensor(a["d_c_n"])).sum()
    loss.backward()
    want = {"output": output, "h_n": h_n, "d_x": x.grad} | ({"c_n": c_n} if c_n is not None else {})
    want |= {"d_" + name: p.grad for name, p in peer.named_parameters()}
    compare(case, got, {name: value.detach().numpy() for name, value in want.items()}, "PyTorch", 1e-10)


def against_onnxruntime(seed):
    """Compare with ONNX Runtime: most options; one layer, float32, forward only."""
    case = Case(
        seed,
        ("lstm",),
        {
            "peepholes",
            "coupled_gates",
            "gate_clip",
            "activation",
            "recurrent_activation",
            "cell_activation",
            "lengths",
            "given_h_0",
            "given_c_0",
        },
        np.float32,
    )
    case.T, case.B, case.structure["num_layers"] = max(case.T, 1), max(case.B, 1), 1
    _core.use_isa(case.isa)
    module = case.module()
    a = draw(np.random.default_rng(seed), module, case.T, case.B, case.options)
    if a["lengths"] is not None:  # for length 0 ONNX Runtime returns zero states, whatever the initial states are
        for name in ("h_0", "c_0"):
            if a[name] is not None:
                a[name][:, a["lengths"] == 0] = 0
    D, H = 1 + module.bidirectional, module.hidden_size
    suffixes = ("_l0", "_l0_reverse")[:D]
    p = module.parameters()

    def rows(array, gates):
        blocks = dict(zip("ifgo" if len(array) == 4 * H else "ifo", array.reshape(-1, H, *array.shape[1:])))
        return np.concatenate([blocks[gate] for gate in gates])

    def stacked(*names, gates="iofg"):
        return np.stack([np.concatenate([rows(p[name + suffix], gates) for name in names]) for suffix in suffixes])

    inputs = {
        "X": a["x"],
        "W": stacked("weight_ih"),
        "R": stacked("weight_hh"),
        "B": stacked("bias_ih", "bias_hh"),
        "sequence_lens": None if a["lengths"] is None else a["lengths"].astype(np.int32),
        "initial_h": a["h_0"],
        "initial_c": a["c_0"],
        "P": stacked("weight_peephole", gates="iof") if module.peepholes else None,
    }
    specs = [
        spec if isinstance(spec, tuple) else (spec,)
        for spec in (module.recurrent_activation, module.activation, module.cell_activation)
    ] * D
    specs = [(name, *lf.reference.activation((name, *given)).parameters) for name, *given in specs]
    attributes = {
        "direction": "bidirectional" if D == 2 else "forward",
        "input_forget": int(module.coupled_gates),
        "activations": [ONNX_NAMES[name] for name, *_ in specs],
    }
    attributes |= {"clip": module.gate_clip} if module.gate_clip else {}
    values = {
        "activation_alpha": [spec[1] for spec in specs if len(spec) > 1],
        "activation_beta": [spec[2] for spec in specs if len(spec) > 2],
    }
    given = {name: value for name, value in inputs.items() if value is not None}
    node = onnx.helper.make_node(
        "LSTM",
        [name if name in given else "" for name in inputs],
        ["Y", "Y_h", "Y_c"],
        hidden_size=H,
        **attributes,
        **{name: value for name, value in values.items() if value},
    )
    types = {"float32": onnx.TensorProto.FLOAT, "int32": onnx.TensorProto.INT32}
    takes = [onnx.helper.make_tensor_value_info(name, types[str(v.dtype)], v.shape) for name, v in given.items()]
    gives = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("Y", "Y_h", "Y_c")]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "lstm", takes, gives),
        ir_version=10,
        opset_imports=[onnx.helper.make_opsetid("", 22)],
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, h_n, c_n = session.run(None, given)
    output, last = module(a["x"], (a["h_0"], a["c_0"]), lengths=a["lengths"], num_threads=case.num_threads)
    got = {"output": output, "h_n": last[0], "c_n": last[1]}
    want = {"output": np.concatenate(list(np.moveaxis(y, 1, 0)), axis=-1), "h_n": h_n, "c_n": c_n}
    allowance = lambda: 10 * condition_error(case, module, a, train(module, a)[1].options)  # noqa: E731
    compare(case, got, want, "ONNX Runtime", 3e-4, allowance)


if __name__ == "__main__":
    peers = [check for check, peer in ((against_torch, torch), (against_onnxruntime, onnxruntime)) if peer]
    sys.exit(main(against_reference, *peers))
