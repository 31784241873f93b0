"""One step of one LSTM layer and its derivative.

    i = sigmoid(pre_i)
    f = sigmoid(pre_f)
    g = tanh(pre_g)
    o = sigmoid(pre_o)
    c = f * c_prev + i * g
    h = o * tanh(c)

(Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000.) To read the code as this plain LSTM, skip the calls of
norm, peep, clip, project and zoneout: they belong to variants and return their first argument, or for zoneout the new
state, when the variant is off.
"""

from typing import NamedTuple

import numpy as np

from ._types import Array
from .activations import Activation
from .gates import split_gates
from .operations import (
    clip,
    clip_backward,
    input_product,
    input_product_backward,
    norm,
    norm_backward,
    peep,
    peep_backward,
    project,
    project_backward,
    split_peepholes,
    zoneout,
    zoneout_backward,
)


class Parameters(NamedTuple):
    """The parameters of a layer, or their gradients, in the order of lstm_forward; None if absent."""

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None
    bias_hh: Array | None
    weight_hr: Array | None
    weight_peephole: Array | None
    norm_ih_weight: Array | None
    norm_hh_weight: Array | None
    norm_c_weight: Array | None
    norm_c_bias: Array | None


class Cell(NamedTuple):
    """The options of a cell, in the order of lstm_forward."""

    coupled_gates: bool
    cell_clip: float | None
    gate_clip: float | None
    activation: Activation
    recurrent_activation: Activation
    cell_activation: Activation


class Masks(NamedTuple):
    """The random masks of one step: (B,R), (B,R), (B,H)."""

    recurrent: Array | None
    zoneout_h: Array | None
    zoneout_c: Array | None


class Step(NamedTuple):
    """The arguments, intermediate values and results of one step, for step_backward."""

    x: Array
    c_prev: Array
    masks: Masks
    h_masked: Array  # h_prev after recurrent dropout, the input of W_hh
    a_x: Array  # x W_ih^T
    a_h: Array  # h_masked W_hh^T
    pre_i: Array  # pre-activations, after peepholes and clipping
    pre_f: Array
    pre_g: Array
    pre_o: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c_new: Array  # before zoneout
    tanh_c: Array
    unprojected: Array  # o * tanh(c), of size H
    c: Array
    h: Array


def step_forward(x: Array, h_prev: Array, c_prev: Array, w: Parameters, cell: Cell, masks: Masks) -> Step:
    """One step from x (B,I), or symbols (B,), h_prev (B,R) and c_prev (B,H)."""
    # Under the names of the plain LSTM's activations, whatever they are.
    sigmoid, tanh, tanh_of_c = cell.recurrent_activation, cell.activation, cell.cell_activation
    b_ih, b_hh = (0 if bias is None else bias for bias in (w.bias_ih, w.bias_hh))
    p_i, p_f, p_o = split_peepholes(w.weight_peephole)

    h_masked = h_prev if masks.recurrent is None else h_prev * masks.recurrent
    a_x = input_product(x, w.weight_ih)
    a_h = h_masked @ w.weight_hh.T
    pre = norm(a_x, w.norm_ih_weight) + b_ih + norm(a_h, w.norm_hh_weight) + b_hh
    pre_i, pre_f, pre_g, pre_o = split_gates(pre)
    pre_i = clip(peep(pre_i, p_i, c_prev), cell.gate_clip)
    pre_f = clip(peep(pre_f, p_f, c_prev), cell.gate_clip)
    pre_g = clip(pre_g, cell.gate_clip)

    i = sigmoid(pre_i)
    f = 1 - i if cell.coupled_gates else sigmoid(pre_f)
    g = tanh(pre_g)
    c = f * c_prev + i * g

    c = clip(c, cell.cell_clip)
    pre_o = clip(peep(pre_o, p_o, c), cell.gate_clip)
    o = sigmoid(pre_o)
    tanh_c = tanh_of_c(norm(c, w.norm_c_weight, w.norm_c_bias))  # gate_clip does not apply to c, as in ONNX Runtime
    unprojected = o * tanh_c
    h = project(unprojected, w.weight_hr)

    return Step(
        x,
        c_prev,
        masks,
        h_masked,
        a_x,
        a_h,
        pre_i,
        pre_f,
        pre_g,
        pre_o,
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


def step_backward(
    step: Step, d_h: Array, d_c: Array, w: Parameters, cell: Cell
) -> tuple[Array | None, Array, Array, Parameters]:
    """The chain rule through a step: d_x, d_h_prev, d_c_prev and the gradients of w, from d_h (B,R) and d_c (B,H)."""
    masks, c_prev, c_new, tanh_c = step.masks, step.c_prev, step.c_new, step.tanh_c
    i, f, g, o = step.i, step.f, step.g, step.o
    sigmoid, tanh, tanh_of_c = cell.recurrent_activation, cell.activation, cell.cell_activation
    p_i, p_f, p_o = split_peepholes(w.weight_peephole)

    d_h_old, d_h_new = zoneout_backward(d_h, masks.zoneout_h)
    d_c_old, d_c_new = zoneout_backward(d_c, masks.zoneout_c)
    d_unprojected, d_weight_hr = project_backward(d_h_new, step.unprojected, w.weight_hr)
    d_o = d_unprojected * tanh_c
    d_norm_c = tanh_of_c.backward(d_unprojected * o, tanh_c)
    d_c_h, d_norm_c_weight = norm_backward(d_norm_c, c_new, w.norm_c_weight)
    d_norm_c_bias = None if w.norm_c_bias is None else d_norm_c.sum(axis=0)
    d_pre_o = clip_backward(sigmoid.backward(d_o, o), step.pre_o, cell.gate_clip)
    d_c_o, d_p_o = peep_backward(d_pre_o, p_o, c_new)
    d_c_sum = clip_backward(d_c_new + d_c_h + d_c_o, c_new, cell.cell_clip)

    d_i, d_f, d_g = d_c_sum * g, d_c_sum * c_prev, d_c_sum * i
    if cell.coupled_gates:
        d_i, d_pre_f = d_i - d_f, np.zeros_like(d_f)
    else:
        d_pre_f = clip_backward(sigmoid.backward(d_f, f), step.pre_f, cell.gate_clip)
    d_pre_i = clip_backward(sigmoid.backward(d_i, i), step.pre_i, cell.gate_clip)
    d_pre_g = clip_backward(tanh.backward(d_g, g), step.pre_g, cell.gate_clip)
    d_c_i, d_p_i = peep_backward(d_pre_i, p_i, c_prev)
    d_c_f, d_p_f = peep_backward(d_pre_f, p_f, c_prev)
    d_c_prev = d_c_old + d_c_sum * f + d_c_i + d_c_f

    d_pre = np.concatenate([d_pre_i, d_pre_f, d_pre_g, d_pre_o], axis=1)  # the order of split_gates
    d_a_x, d_norm_ih_weight = norm_backward(d_pre, step.a_x, w.norm_ih_weight)
    d_a_h, d_norm_hh_weight = norm_backward(d_pre, step.a_h, w.norm_hh_weight)
    d_x, d_weight_ih = input_product_backward(d_a_x, step.x, w.weight_ih)
    d_h_masked = d_a_h @ w.weight_hh
    d_h_prev = d_h_old + (d_h_masked if masks.recurrent is None else d_h_masked * masks.recurrent)
    d_bias = d_pre.sum(axis=0)
    d_peepholes = [d_p for d_p in (d_p_i, d_p_f, d_p_o) if d_p is not None]
    d_w = Parameters(
        d_weight_ih,
        d_a_h.T @ step.h_masked,
        d_bias,
        d_bias,
        d_weight_hr,
        np.concatenate(d_peepholes) if d_peepholes else None,
        d_norm_ih_weight,
        d_norm_hh_weight,
        d_norm_c_weight,
        d_norm_c_bias,
    )
    return d_x, d_h_prev, d_c_prev, d_w
