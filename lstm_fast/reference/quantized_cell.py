"""One step of an LSTM layer with products in another format: cell.py in float32, each operation rounded once.

The activations are arguments, because those of the kernels are not exact, only within 2 units in the last place.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from ._types import Array
from .activations import ActivationSpec
from .activations import activation as activation_of
from .cell import Masks
from .float32 import add, divide, flush, fma, multiply, square_root, subtract
from .gates import GATES, split_gates
from .operations import NORM_EPSILON, clip, split_peepholes, zoneout

Activate: TypeAlias = Callable[[tuple[str, float, float], Array], Array]
Product: TypeAlias = Callable[[Array, Array], Array]  # (start, x): start + x W^T for one matrix W

SUM_LANES = 16  # in the sum over a row, unit k is added to the partial sum k % SUM_LANES


def exact_activation(spec: tuple[str, float, float], z: Array) -> Array:
    """Apply an activation in float64, and round to float32.

    Parameters
    ----------
    spec : (str, float, float)
        A name in ACTIVATIONS, alpha and beta; 0 for parameters that the activation lacks.
    z : ndarray of float32
        Argument.

    Returns
    -------
    ndarray of float32
        The activation, within half a unit in the last place, apart from the rounding in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> reference.exact_activation(("tanh", 0.0, 0.0), np.float32([0.0, 1.0]))
    array([0.       , 0.7615942], dtype=float32)
    """
    name, *parameters = spec
    function, _, defaults = activation_of(name)
    return flush(function(z.astype(np.float64), *parameters[: len(defaults)]))


class BoundActivation(NamedTuple):
    """An activation with fixed parameters."""

    activate: Activate
    spec: tuple[str, float, float]

    def __call__(self, z: Array) -> Array:
        """The activation of z."""
        return self.activate(self.spec, np.ascontiguousarray(z))


def bind(activate: Activate, spec: ActivationSpec) -> BoundActivation:
    """The activation with its parameters, 0 for absent ones."""
    name = spec if isinstance(spec, str) else str(spec[0])
    alpha, beta = (*activation_of(spec).parameters, 0.0, 0.0)[:2]
    return BoundActivation(activate, (name, alpha, beta))


class Layer(NamedTuple):
    """A layer: its products, parameters and options."""

    of_x: Product
    of_h: Product
    project: Product | None
    bias: Array
    weight_peephole: Array | None
    norm_ih_weight: Array | None
    norm_hh_weight: Array | None
    norm_c_weight: Array | None
    norm_c_bias: Array | None  # either all four are given or none
    coupled_gates: bool
    cell_clip: float | None
    gate_clip: float | None
    activation: BoundActivation
    recurrent_activation: BoundActivation
    cell_activation: BoundActivation


class Step(NamedTuple):
    """The arguments, intermediate values and results of one step, as needed by its derivative."""

    x: Array
    c_prev: Array
    masks: Masks
    h_masked: Array  # h_prev after recurrent dropout, the input of W_hh
    a_x: Array | None  # both products, with layer norm
    a_h: Array | None
    i: Array
    f: Array
    g: Array
    o: Array
    c_new: Array  # before zoneout
    tanh_c: Array
    unprojected: Array  # o * tanh(c), of size H
    c: Array
    h: Array


def step_forward(layer: Layer, x: Array, h_prev: Array, c_prev: Array, masks: Masks) -> Step:
    """One step from x (B,I), h_prev (B,R) and c_prev (B,H)."""
    # Under the names of the plain LSTM's activations, whatever they are.
    sigmoid, tanh, tanh_of_c = layer.recurrent_activation, layer.activation, layer.cell_activation
    p_i, p_f, p_o = split_peepholes(layer.weight_peephole)

    a_x = a_h = None
    h_masked = h_prev if masks.recurrent is None else multiply(h_prev, masks.recurrent)
    if layer.norm_ih_weight is None or layer.norm_hh_weight is None:
        pre = layer.of_h(layer.of_x(layer.bias, x), h_masked)
    else:
        a_x, a_h = (product(np.zeros_like(layer.bias), z) for product, z in ((layer.of_x, x), (layer.of_h, h_masked)))
        pre = fma(standardize(a_x, len(GATES))[0], layer.norm_ih_weight, layer.bias)
        pre = fma(standardize(a_h, len(GATES))[0], layer.norm_hh_weight, pre)
    pre_i, pre_f, pre_g, pre_o = split_gates(pre)
    i = sigmoid(clip(_peep(pre_i, p_i, c_prev), layer.gate_clip))
    f = sigmoid(clip(_peep(pre_f, p_f, c_prev), layer.gate_clip))
    g = tanh(clip(pre_g, layer.gate_clip))
    if layer.coupled_gates:
        f = subtract(np.float32(1), i)
    c = fma(f, c_prev, multiply(i, g))
    c = clip(c, layer.cell_clip)
    o = sigmoid(clip(_peep(pre_o, p_o, c), layer.gate_clip))
    normalized_c = c
    if layer.norm_c_weight is not None and layer.norm_c_bias is not None:
        normalized_c = fma(standardize(c, 1)[0], layer.norm_c_weight, layer.norm_c_bias)
    tanh_c = tanh_of_c(normalized_c)
    unprojected = multiply(o, tanh_c)
    h = unprojected if layer.project is None else layer.project(np.zeros(1, np.float32), unprojected)
    return Step(
        x,
        c_prev,
        masks,
        h_masked,
        a_x,
        a_h,
        i,
        f,
        g,
        o,
        c,
        tanh_c,
        unprojected,
        zoneout(c_prev, c, masks.zoneout_c),
        zoneout(h_prev, h, masks.zoneout_h),
    )


def _peep(pre: Array, p: Array | None, c: Array) -> Array:
    return pre if p is None else fma(p, c, pre)


def standardize(a: Array, n_gates: int) -> tuple[Array, Array]:
    """Rows of n_gates * H numbers shifted to mean 0 and scaled to variance 1, and the factors of that scaling."""
    count = np.float32(a.shape[1])
    centered = subtract(a, divide(sum_of_rows(a, n_gates), count)[:, None])
    variance = add(divide(sum_of_rows(multiply(centered, centered), n_gates), count), np.float32(NORM_EPSILON))
    scale = divide(np.float32(1), square_root(variance))[:, None]
    return multiply(centered, scale), scale


def sum_of_rows(a: Array, n_gates: int) -> Array:
    """The sum of each row. Unit k is added to partial sum k % SUM_LANES, gate by gate; these are added pairwise."""
    B, H = len(a), a.shape[1] // n_gates
    padding = ((0, 0), (0, 0), (0, -H % SUM_LANES))
    units = np.pad(a.reshape(B, n_gates, H), padding).reshape(B, n_gates, -(-H // SUM_LANES), SUM_LANES)
    lanes = np.zeros((B, SUM_LANES), np.float32)
    for k in range(units.shape[2]):
        for gate in range(n_gates):
            lanes = add(lanes, units[:, gate, k])
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = add(lanes[:, :half], lanes[:, half:])
    return lanes[:, 0]
