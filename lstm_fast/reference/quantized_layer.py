"""The steps of a layer with the rounding of the kernels, for any format of its products."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array, Rows
from .activations import ActivationSpec
from .float32 import add
from .gates import GATES
from .lstm import MASKS, masks_at
from .quantized_cell import Activate, Layer, Step, bind, step_forward


class LayerTape(NamedTuple):
    """The tape of layer_forward."""

    layer: Layer
    arguments: dict[str, Any]  # the array arguments except the matrices, in float32; None if absent
    rows: list[Rows]  # the sequences that are active at each step
    resets: Array  # bool (T,B), where a sequence restarts
    steps: list[Step]


def layer_forward(
    products: Sequence[Any],
    input_size: int,
    shape_hh: tuple[int, ...],
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    lengths: ArrayLike | None,
    activate: Activate,
    *,
    weight_peephole: ArrayLike | None = None,
    norm_ih_weight: ArrayLike | None = None,
    norm_hh_weight: ArrayLike | None = None,
    norm_c_weight: ArrayLike | None = None,
    norm_c_bias: ArrayLike | None = None,
    coupled_gates: bool = False,
    cell_clip: float | None = None,
    gate_clip: float | None = None,
    activation: ActivationSpec = "tanh",
    recurrent_activation: ActivationSpec = "sigmoid",
    cell_activation: ActivationSpec = "tanh",
    recurrent_mask: ArrayLike | None = None,
    zoneout_h_mask: ArrayLike | None = None,
    zoneout_c_mask: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    learned_h_0: ArrayLike | None = None,
    learned_c_0: ArrayLike | None = None,
) -> tuple[Array, Array, Array, LayerTape]:
    """Run the steps of a layer, as in lstm_forward. products: with W_ih, W_hh and W_hr."""
    (T, B), (G, R) = np.shape(x)[:2], shape_hh
    H = G // len(GATES)
    a = _sequence.read_arrays(
        MASKS,
        x=(x, (T, B, input_size)),
        h_0=(h_0, (B, R)),
        c_0=(c_0, (B, H)),
        bias_ih=(bias_ih, (4 * H,)),
        bias_hh=(bias_hh, (4 * H,)),
        weight_peephole=(weight_peephole, (3 * H,)),
        norm_ih_weight=(norm_ih_weight, (4 * H,)),
        norm_hh_weight=(norm_hh_weight, (4 * H,)),
        norm_c_weight=(norm_c_weight, (H,)),
        norm_c_bias=(norm_c_bias, (H,)),
        learned_h_0=(learned_h_0, (R,)),
        learned_c_0=(learned_c_0, (H,)),
        recurrent_mask=(recurrent_mask, (B, R)),
        zoneout_h_mask=(zoneout_h_mask, (T, B, R)),
        zoneout_c_mask=(zoneout_c_mask, (T, B, H)),
    )
    a = {name: None if array is None else array.astype(np.float32) for name, array in a.items()}
    biases = [np.zeros(4 * H, np.float32) if bias is None else bias for bias in (a["bias_ih"], a["bias_hh"])]
    layer = Layer(
        **dict(zip(("of_x", "of_h", "project"), products)),
        bias=add(*biases),
        **{name: a[name] for name in Layer._fields if name in a},
        coupled_gates=bool(coupled_gates),
        cell_clip=cell_clip and float(np.float32(cell_clip)),
        gate_clip=gate_clip and float(np.float32(gate_clip)),
        activation=bind(activate, activation),
        recurrent_activation=bind(activate, recurrent_activation),
        cell_activation=bind(activate, cell_activation),
    )
    valid = _sequence.valid_steps(lengths, T, B)
    restarts, rows = _sequence.reset_steps(resets, valid), _sequence.active_rows(valid)
    h = _sequence.initial_state(a["h_0"], a["learned_h_0"], (B, R), np.float32)
    c = _sequence.initial_state(a["c_0"], a["learned_c_0"], (B, H), np.float32)
    output, steps = np.zeros((T, B, R), np.float32), []
    for t, on in enumerate(rows):
        h_prev = _sequence.restart(h, restarts[t], a["learned_h_0"])
        c_prev = _sequence.restart(c, restarts[t], a["learned_c_0"])
        step = step_forward(layer, a["x"][t, on], h_prev[on], c_prev[on], masks_at(a, t, on))
        h, c = _sequence.replace_rows(h_prev, on, step.h), _sequence.replace_rows(c_prev, on, step.c)
        output[t, on] = step.h
        steps.append(step)
    return output, h, c, LayerTape(layer, a, rows, restarts, steps)
