"""Results and gradients of training in bfloat16 from the reference, for the networks of option_cases.py."""

from format_cases import OF_CELL
from lstm_fast import _core, reference
from option_cases import masks


def expect(module, a, run, *, activate=_core.testing.activate, format=None):
    """The results and gradients that option_cases.train should give, by default with the library's activations.

    format: None for the module's compute_dtype.
    """
    T, B = a["x"].shape[:2]
    options = {"num_layers": module.num_layers, "bidirectional": module.bidirectional, "activate": activate}
    options |= {name: getattr(module, name) for name in OF_CELL} | masks(module, run, T, B)
    options |= {"lengths": a["lengths"], "resets": a["resets"], "format": format or module.compute_dtype}
    *results, tape = reference.stack_tape_bfloat16(a["x"], a["h_0"], a["c_0"], module.parameters(), **options)
    d_x, d_h_0, d_c_0, d_parameters = reference.stack_backward_bfloat16(tape, a["d_output"], a["d_h_n"], a["d_c_n"])
    want = dict(zip(("output", "h_n", "c_n"), results, strict=True)) | {"d_x": d_x, "d_h_0": d_h_0, "d_c_0": d_c_0}
    want |= {"d_" + name: gradient for name, gradient in d_parameters.items()}
    if module.index_input:
        del want["d_x"]  # of one-hot vectors
    return {name: value for name, value in want.items() if value is not None}


def has_softplus(module):
    """Whether an activation is softplus, whose derivative the reference does not match bitwise."""
    return any(
        "softplus" in (spec if isinstance(spec, tuple) else (spec,)) for spec in map(module.config().get, OF_CELL[3:])
    )
