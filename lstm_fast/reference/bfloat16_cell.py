"""The derivative of a step in float32, each operation rounded once, with products of bfloat16 operands.

Operations are in the same order as in the kernels, and multiply-adds in the formulas of cell.py are fused. The left
operands of the products are d_gates, the gradients before the activations, and d_h if there is a projection.
"""

from typing import NamedTuple

import numpy as np

from ._types import Array
from .float32 import add, divide, fma, multiply, subtract
from .float32_slopes import slope
from .formats import PRODUCTS
from .gates import GATES, split_gates
from .operations import split_peepholes, zoneout_backward
from .quantized_cell import BoundActivation, Layer, Step, standardize, sum_of_rows


class Matrices(NamedTuple):
    """The matrices of a layer in float32."""

    weight_ih: Array
    weight_hh: Array
    weight_hr: Array | None


class StepGradients(NamedTuple):
    """The gradients of a step's input and states, and the rows that sum to the gradients of the parameters."""

    d_x: Array
    d_h_prev: Array
    d_c_prev: Array
    d_a_x: Array  # left operands of the gradients of W_ih, W_hh and W_hr; the right operands are in Step
    d_a_h: Array
    d_h_new: Array
    d_gates: Array  # sum to d_bias
    terms: dict[str, Array]  # sum to the gradients of the variants' vectors


def step_backward(step: Step, d_h: Array, d_c: Array, w: Matrices, layer: Layer, format: str) -> StepGradients:
    """The chain rule through a step, from d_h (B,R) and d_c (B,H). format: of the products."""
    masks, c_prev, c, tanh_c = step.masks, step.c_prev, step.c_new, step.tanh_c
    i, f, g, o = step.i, step.f, step.g, step.o
    p_i, p_f, p_o = split_peepholes(layer.weight_peephole)
    terms: dict[str, Array] = {}

    d_h_old, d_h_new = zoneout_backward(d_h, masks.zoneout_h)
    d_c_old, d_c = zoneout_backward(d_c, masks.zoneout_c)
    d_unprojected = d_h_new if w.weight_hr is None else _product(d_h_new, w.weight_hr, format)
    if layer.norm_c_weight is None:
        d_c = fma(multiply(d_unprojected, o), slope(layer.cell_activation.spec, tanh_c), d_c)
    else:
        d_normed = multiply(multiply(d_unprojected, o), slope(layer.cell_activation.spec, tanh_c))
        d_c_of_norm, terms["norm_c_weight"] = _norm_backward(d_normed, c, layer.norm_c_weight, 1)
        d_c, terms["norm_c_bias"] = add(d_c, d_c_of_norm), d_normed

    d_pre_o = multiply(multiply(d_unprojected, tanh_c), _gate_slope(layer, layer.recurrent_activation, o))
    d_c = _peep_backward(d_pre_o, p_o, d_c)
    d_c = d_c if layer.cell_clip is None else _unclipped(-layer.cell_clip, layer.cell_clip, c, d_c)
    if layer.coupled_gates:
        d_i, d_pre_f = subtract(multiply(d_c, g), multiply(d_c, c_prev)), np.zeros_like(f)
    else:
        d_i, d_f = multiply(d_c, g), multiply(d_c, c_prev)
        d_pre_f = multiply(d_f, _gate_slope(layer, layer.recurrent_activation, f))
    d_pre_i = multiply(d_i, _gate_slope(layer, layer.recurrent_activation, i))
    d_pre_g = multiply(multiply(d_c, i), _gate_slope(layer, layer.activation, g))
    d_c_prev = _peep_backward(d_pre_f, p_f, _peep_backward(d_pre_i, p_i, multiply(d_c, f)))
    if layer.weight_peephole is not None:
        peeped = multiply(d_pre_i, c_prev), multiply(d_pre_f, c_prev), multiply(d_pre_o, c)
        terms["weight_peephole"] = np.concatenate(peeped, axis=1)

    d_gates = np.concatenate([d_pre_i, d_pre_f, d_pre_g, d_pre_o], axis=1)  # the order of split_gates
    d_a_x = d_a_h = d_gates
    if layer.norm_ih_weight is not None and layer.norm_hh_weight is not None:
        assert step.a_x is not None and step.a_h is not None
        d_a_x, terms["norm_ih_weight"] = _norm_backward(d_gates, step.a_x, layer.norm_ih_weight, len(GATES))
        d_a_h, terms["norm_hh_weight"] = _norm_backward(d_gates, step.a_h, layer.norm_hh_weight, len(GATES))
    d_x = _product_of_gates(d_a_x, w.weight_ih, format)
    d_h_prev = _product_of_gates(d_a_h, w.weight_hh, format)
    d_h_prev = d_h_prev if masks.recurrent is None else multiply(d_h_prev, masks.recurrent)
    d_h_prev = d_h_prev if masks.zoneout_h is None else add(d_h_prev, d_h_old)
    d_c_prev = d_c_prev if masks.zoneout_c is None else add(d_c_prev, d_c_old)
    return StepGradients(d_x, d_h_prev, d_c_prev, d_a_x, d_a_h, d_h_new, d_gates, terms)


def _product(d: Array, weight: Array, format: str) -> Array:
    """D W with bfloat16 operands: each sum runs from zero over pairs of rows of W, in the order of the format."""
    return PRODUCTS[format](weight.T, np.zeros(1, np.float32), d)


def _product_of_gates(d: Array, weight: Array, format: str) -> Array:
    """D W for rows of gates, one gate after the other: no pair spans two gates."""
    d_gates, rows = split_gates(d), split_gates(weight.T)
    odd = d_gates[0].shape[1] % 2
    d = np.concatenate([np.pad(gate, ((0, 0), (0, odd))) for gate in d_gates], axis=1)
    return _product(d, np.concatenate([np.pad(gate, ((0, 0), (0, odd))) for gate in rows], axis=1).T, format)


def _gate_slope(layer: Layer, activation: BoundActivation, y: Array) -> Array:
    """The slope of a gate with output y; 0 where gate_clip is active, so that y is the smallest or largest value."""
    slopes = slope(activation.spec, y)
    if layer.gate_clip is None:
        return slopes
    low, high = sorted(activation(np.array([-layer.gate_clip, layer.gate_clip], np.float32)))
    return _unclipped(low, high, y, slopes)


def _unclipped(low: float, high: float, y: Array, d: Array) -> Array:
    return np.where((y <= low) | (y >= high), np.float32(0), d)


def _peep_backward(d_pre: Array, p: Array | None, d_c: Array) -> Array:
    """d_c plus the gradient through a peephole."""
    return d_c if p is None else fma(d_pre, p, d_c)


def _norm_backward(d: Array, a: Array, weight: Array, n_gates: int) -> tuple[Array, Array]:
    """d_a and the terms of d_weight, for rows of n_gates * H numbers."""
    n, scale = standardize(a, n_gates)
    d_n, count = multiply(d, weight), np.float32(a.shape[1])
    mean, mean_of_product = (divide(sum_of_rows(terms, n_gates), count)[:, None] for terms in (d_n, multiply(d_n, n)))
    return multiply(subtract(subtract(d_n, mean), multiply(n, mean_of_product)), scale), multiply(d, n)
