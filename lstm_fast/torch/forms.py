"""The forms in which callers give sequences and states, and the one that the core takes."""

from collections import namedtuple

Sizes = namedtuple("Sizes", "input_size hidden_size num_layers num_directions bias proj_size")

Form = namedtuple("Form", "axes batch_sizes", defaults=(None,))
Form.__doc__ = """Axes of x and of the output: "TBI", "BTI" (batch first), "TI" (unbatched), "BI" and "I" (of a cell: one
step), or "NI", the data of a PackedSequence with these batch_sizes, a tensor. States are (L * D, B, n), (L * D, n) unbatched,
(B, n) and (n,) of a cell."""


def as_steps(sequence, axes):
    """An array or a tensor in these axes as (T, B, n), a view; not of a PackedSequence."""
    match axes:
        case "TBI":
            return sequence
        case "BTI":
            return sequence.swapaxes(0, 1)
        case "TI":
            return sequence[:, None]
        case "BI":
            return sequence[None]
        case "I":
            return sequence[None, None]


def sequence_shape(axes, T, B, n):
    return tuple({"T": T, "B": B, "I": n}[axis] for axis in axes)


def state_shape(axes, n_states, B, n):
    return {"TI": (n_states, n), "BI": (B, n), "I": (n,)}.get(axes, (n_states, B, n))


def parameter_shapes(sizes):
    """Shapes of all parameters, in PyTorch's order."""
    I, H, L, D, bias, P = sizes
    R = P or H
    return [
        shape
        for k in range(L * D)
        for shape in ((4 * H, I if k < D else D * R), (4 * H, R), *((4 * H,),) * (2 * bias), *((P, H),) * bool(P))
    ]
