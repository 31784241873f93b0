"""What a cell can have beside the plain LSTM's six lines: arguments checked, parameters named, sense made of combinations."""

from numbers import Integral, Real

import numpy as np

from . import _arguments

# The plain cell's activation of each argument; what is given as these is not a variant.
PLAIN = {"activation": "tanh", "recurrent_activation": "sigmoid", "cell_activation": "tanh"}


def projection(value, hidden_size):
    if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= value < hidden_size:
        raise ValueError(
            f"proj_size must be an integer from 0 (none) to hidden_size - 1 = {hidden_size - 1}, got {value!r}"
        )
    return int(value)


def clip(name, value):
    """A bound, or None."""
    if value is not None and (not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < float("inf")):
        raise ValueError(f"{name} must be a positive number or None, got {value!r}")
    return None if value is None else float(value)


def zoneout(value, has_c):
    """(of h, of c) from one number for both, or from a pair."""
    if type(value) is float and value == 0:
        return 0.0, 0.0  # as usual, at every call
    pair = tuple(value) if isinstance(value, (tuple, list)) and has_c else (value, value)
    if len(pair) != 2:
        raise ValueError(f"zoneout must be a number from 0 to 1 or a pair of them (of h, of c), got {value!r}")
    return tuple(_arguments.probability("zoneout", p) for p in pair)


def activation(name, value):
    """(kind, alpha, beta) for the core; None if it is the plain cell's."""
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
    parameters = read(value, name).parameters
    return (kind, *parameters, *(0.0,) * (2 - len(parameters)))


def parameter_shapes(model, input_size):
    """Names and shapes of one layer and direction of a module, PyTorch's first, in its order."""
    H, R, G = model.hidden_size, model.h_size, model._n_gates * model.hidden_size
    shapes = {"weight_ih": (G, input_size), "weight_hh": (G, R)}
    if model.bias:
        shapes |= {"bias_ih": (G,), "bias_hh": (G,)}
    if R != H:
        shapes["weight_hr"] = (R, H)
    if getattr(model, "peepholes", False):
        shapes["weight_peephole"] = (3 * H,)
    if getattr(model, "layer_norm", False):
        shapes |= {"norm_ih_weight": (G,), "norm_hh_weight": (G,), "norm_c_weight": (H,), "norm_c_bias": (H,)}
    if model.learn_initial_state:
        shapes |= {"h_0": (R,), "c_0": (H,)} if model._has_c else {"h_0": (R,)}
    return shapes


# Where these parameters start; the others are uniform.
STARTS = {"norm_ih_weight": 1, "norm_hh_weight": 1, "norm_c_weight": 1, "norm_c_bias": 0, "h_0": 0, "c_0": 0}


def read_resets(value, T, B, batch_first=False, is_unbatched=False):
    """resets for the core: uint8 (T, B), or None where there is none."""
    if value is None:
        return None
    resets = np.asarray(value)
    words, shape = ("(T,)", (T,)) if is_unbatched else ("(B, T)", (B, T)) if batch_first else ("(T, B)", (T, B))
    if resets.dtype != bool or resets.shape != shape:
        raise ValueError(f"resets must be boolean of shape {words} = {shape}, got {resets.dtype} {resets.shape}")
    if not resets.any():
        return None
    resets = resets.reshape(T, B) if is_unbatched else resets.T if batch_first else resets
    return np.ascontiguousarray(resets, np.uint8)
