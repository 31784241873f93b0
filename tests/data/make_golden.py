"""Freeze PyTorch's results, forward and backward, in golden_torch*.npz, for tests/test_reference_golden.py.

Run once, outside the test suite, from the project's root:

    python -m venv /tmp/venv-torch
    /tmp/venv-torch/bin/pip install torch==2.13.0 numpy
    /tmp/venv-torch/bin/python tests/data/make_golden.py

Each file has the entry "versions" and, for each case, "<case>/config" (JSON) and "<case>/<name>", where <name> is x,
h_0, c_0, a parameter under PyTorch's name, output, h_n, c_n, or the gradient d_<name> of one of these. The loss is
sum(output * d_output) + sum(h_n * d_h_n) + sum(c_n * d_c_n). Every input is drawn from a normal distribution. A case
with lengths went through pack_padded_sequence and back.
"""

import json
import pathlib
import platform

import numpy as np
import torch

T, B, I, H = 5, 3, 4, 6
R, LENGTHS = 4, (3, 5, 1)
SCALE = 0.6  # of the parameters: wide enough to bend every gate
CASES = {
    "lstm": dict(mode="LSTM"),
    "lstm_no_bias": dict(mode="LSTM", bias=False),
    "lstm_2_layers_bidirectional": dict(mode="LSTM", num_layers=2, bidirectional=True),
    "lstm_2_layers_float32": dict(mode="LSTM", num_layers=2, dtype="float32"),
    "rnn_tanh": dict(mode="RNN", nonlinearity="tanh"),
    "rnn_relu_2_layers_bidirectional": dict(mode="RNN", nonlinearity="relu", num_layers=2, bidirectional=True),
}
VARIANT_CASES = {
    "projection": dict(mode="LSTM", proj_size=R),
    "lengths_bidirectional": dict(mode="LSTM", lengths=LENGTHS, bidirectional=True),
    "projection_lengths_2_layers_bidirectional": dict(
        mode="LSTM", proj_size=R, lengths=LENGTHS, num_layers=2, bidirectional=True
    ),
    "rnn_lengths_2_layers_bidirectional": dict(mode="RNN", lengths=LENGTHS, num_layers=2, bidirectional=True),
}
FILES = {"golden_torch.npz": CASES, "golden_torch_variants.npz": VARIANT_CASES}


def run(seed, *, mode, num_layers=1, bidirectional=False, bias=True, dtype="float64", lengths=None, **options):
    """The arrays of one case, by name."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        return torch.tensor(scale * rng.standard_normal(shape), dtype=getattr(torch, dtype))

    module = getattr(torch.nn, mode)(I, H, num_layers, bias=bias, bidirectional=bidirectional, **options)
    module = module.to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(normal(*parameter.shape, scale=SCALE))
    directions = 2 if bidirectional else 1
    state = (num_layers * directions, B, H)
    inputs = {"x": normal(T, B, I), "h_0": normal(*state[:2], options.get("proj_size", H))}
    if mode == "LSTM":
        inputs["c_0"] = normal(*state)
    for tensor in inputs.values():
        tensor.requires_grad_()
    initial = (inputs["h_0"], inputs["c_0"]) if mode == "LSTM" else inputs["h_0"]
    if lengths is None:
        output, last = module(inputs["x"], initial)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(inputs["x"], lengths, enforce_sorted=False)
        packed, last = module(packed, initial)
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, total_length=T)
    results = dict(zip(("output", "h_n", "c_n"), (output, *last) if mode == "LSTM" else (output, last)))
    incoming = {"d_" + name: normal(*tensor.shape) for name, tensor in results.items()}
    torch.autograd.backward(list(results.values()), list(incoming.values()))
    inputs |= dict(module.named_parameters())
    gradients = {"d_" + name: tensor.grad for name, tensor in inputs.items()}
    return {name: tensor.detach().numpy() for name, tensor in (inputs | results | incoming | gradients).items()}


def main():
    torch.set_num_threads(1)
    versions = f"torch {torch.__version__}, numpy {np.__version__}, python {platform.python_version()}"
    for file, cases in FILES.items():
        frozen = {"versions": np.array(versions)}
        for seed, (case, config) in enumerate(cases.items()):
            frozen[f"{case}/config"] = np.array(json.dumps(config))
            frozen |= {f"{case}/{name}": array for name, array in run(seed, **config).items()}
        np.savez_compressed(pathlib.Path(__file__).with_name(file), **frozen)
        print(f"{file}: {len(cases)} cases, {len(frozen)} arrays, {versions}")


if __name__ == "__main__":
    main()
