"""Cell variants: validation of their options, and shapes of the parameters of a layer."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from . import _arguments

if TYPE_CHECKING:
    from ._types import Activation

# Activations of the plain cell, for which the kernels are specialized.
PLAIN = {"activation": "tanh", "recurrent_activation": "sigmoid", "cell_activation": "tanh"}

# Initial values of these parameters; all others are uniform.
INITIAL_VALUES = {"norm_ih_weight": 1, "norm_hh_weight": 1, "norm_c_weight": 1, "norm_c_bias": 0, "h_0": 0, "c_0": 0}

NONLINEARITIES = ("tanh", "relu", "identity")


def projection(value: Any, hidden_size: int) -> int:
    """Validate proj_size, which must be smaller than hidden_size."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= int(value) < hidden_size:
        raise ValueError(
            f"proj_size must be an integer from 0 (none) to hidden_size - 1 = {hidden_size - 1}, got {value!r}"
        )
    return int(value)


def clip(name: str, value: Any) -> float | None:
    """Validate a clipping bound, or None."""
    if value is None:
        return None
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < float("inf"):
        raise ValueError(f"{name} must be a positive number or None, got {value!r}")
    return float(value)


def zoneout(value: Any) -> tuple[float, float]:
    """Convert zoneout, one number or a pair, to (zoneout of h, zoneout of c)."""
    if type(value) is float and value == 0:
        return 0.0, 0.0  # fast path: the default, at every training call
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"zoneout must be a number from 0 to 1 or a pair of them (of h, of c), got {value!r}")
    h, c = (_arguments.probability("zoneout", p) for p in pair)
    return h, c


def zoneout_of_lstm(name: str, value: Any) -> float | tuple[float, float]:
    """Validate the option; return it unchanged."""
    zoneout(value)
    return tuple(value) if isinstance(value, list) else value


def nonlinearity(name: str, value: Any) -> str:
    """Validate the nonlinearity of a plain RNN."""
    if value not in NONLINEARITIES:
        raise ValueError(f"{name} must be tanh, relu or identity, got {value!r}")
    return value  # type: ignore[no-any-return]


def activation(name: str, value: Any) -> tuple[str, float, float] | None:
    """Convert an activation to (kind, alpha, beta) for the core; None for the activation of the plain cell."""
    if value == PLAIN[name]:
        return None
    if not isinstance(value, str) and not (
        isinstance(value, (tuple, list))
        and value
        and isinstance(value[0], str)
        and all(isinstance(p, Real) and not isinstance(p, bool) for p in value[1:])
    ):
        raise TypeError(f"{name} must be a name, or (name, alpha) or (name, alpha, beta), got {value!r}")
    from .reference.activations import activation as read

    kind = value if isinstance(value, str) else value[0]
    alpha, beta = (*read(value, name).parameters, 0.0, 0.0)[:2]  # type: ignore[arg-type]  # checked above
    return kind, alpha, beta


def checked_activation(name: str, value: Any) -> Activation:
    """Validate the option; return it unchanged."""
    activation(name, value)
    return value  # type: ignore[no-any-return]


def compute_dtype(name: str, value: Any) -> str | None:
    """Validate the format of the operands of products, or None."""
    if value is not None and value not in ("bfloat16", "bfloat16_amx"):
        raise ValueError(f"{name} must be None, 'bfloat16' or 'bfloat16_amx', got {value!r}")
    return value  # type: ignore[no-any-return]


def layer_shapes(
    *,
    input_size: int,
    hidden_size: int,
    h_size: int,
    num_gates: int,
    has_cell_state: bool,
    bias: bool,
    peepholes: bool = False,
    layer_norm: bool = False,
    learn_initial_state: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the parameters of one layer and direction: PyTorch's first, in its order."""
    H, R, G = hidden_size, h_size, num_gates * hidden_size
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (G, input_size), "weight_hh": (G, R)}
    if bias:
        shapes |= {"bias_ih": (G,), "bias_hh": (G,)}
    if R != H:
        shapes["weight_hr"] = (R, H)
    if peepholes:
        shapes["weight_peephole"] = (3 * H,)
    if layer_norm:
        shapes |= {"norm_ih_weight": (G,), "norm_hh_weight": (G,), "norm_c_weight": (H,), "norm_c_bias": (H,)}
    if learn_initial_state:
        shapes |= {"h_0": (R,), "c_0": (H,)} if has_cell_state else {"h_0": (R,)}
    return shapes
