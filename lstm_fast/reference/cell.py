"""One step of one LSTM layer: the six lines, with every variant in its place, and the chain rule through them.

What a cell does not have is None, and norm, peep, clip, project and zoneout then return their argument as it is: read
over them to see the plain LSTM.
"""

from collections import namedtuple

import numpy as np

NORM_EPSILON = 1e-5  # haste's, and PyTorch's LayerNorm

# The parameters of a layer, in the order of lstm_forward, and what kind of cell it is; masks have no time axis here.
Weights = namedtuple(
    "Weights",
    "weight_ih weight_hh bias_ih bias_hh weight_hr weight_peephole "
    "norm_ih_weight norm_hh_weight norm_c_weight norm_c_bias",
)
Cell = namedtuple("Cell", "coupled_gates cell_clip gate_clip activation recurrent_activation cell_activation")
Masks = namedtuple("Masks", "recurrent zoneout_h zoneout_c")
# What a step took and made. h_seen is h_prev as W_hh sees it, c_new is c before zoneout, m is h before the projection.
Step = namedtuple("Step", "x c_prev masks h_seen a_x a_h pre_i pre_f pre_g pre_o i f g o c_new tanh_c m c h")


def step_forward(x, h_prev, c_prev, w, cell, masks):
    """A Step from x (B,I), h_prev (B,R), c_prev (B,H), Weights, Cell and Masks."""
    sigmoid, tanh, tanh_of_c = activations(cell)
    b_ih, b_hh = (0 if bias is None else bias for bias in (w.bias_ih, w.bias_hh))
    p_i, p_f, p_o = peephole_parts(w)
    h_seen = h_prev if masks.recurrent is None else h_prev * masks.recurrent
    a_x = x @ w.weight_ih.T
    a_h = h_seen @ w.weight_hh.T
    pre = norm(a_x, w.norm_ih_weight) + b_ih + norm(a_h, w.norm_hh_weight) + b_hh
    pre_i, pre_f, pre_g, pre_o = np.split(pre, 4, axis=1)
    pre_i, pre_f = peep(pre_i, p_i, c_prev), peep(pre_f, p_f, c_prev)
    i = sigmoid(clip(pre_i, cell.gate_clip))
    f = 1 - i if cell.coupled_gates else sigmoid(clip(pre_f, cell.gate_clip))
    g = tanh(clip(pre_g, cell.gate_clip))
    c_new = clip(f * c_prev + i * g, cell.cell_clip)
    pre_o = peep(pre_o, p_o, c_new)
    o = sigmoid(clip(pre_o, cell.gate_clip))
    tanh_c = tanh_of_c(norm(c_new, w.norm_c_weight, w.norm_c_bias))  # gate_clip ends at the gates, as in ONNX Runtime
    m = o * tanh_c
    h_new = project(m, w.weight_hr)
    c, h = zoneout(c_prev, c_new, masks.zoneout_c), zoneout(h_prev, h_new, masks.zoneout_h)
    return Step(x, c_prev, masks, h_seen, a_x, a_h, pre_i, pre_f, pre_g, pre_o, i, f, g, o, c_new, tanh_c, m, c, h)


def step_backward(step, d_h, d_c, w, cell):
    """The chain rule through a Step, from d_h (B,R) and d_c (B,H): d_x, d_h_prev, d_c_prev and those of Weights."""
    x, c_prev, masks, h_seen, a_x, a_h, pre_i, pre_f, pre_g, pre_o, i, f, g, o, c_new, tanh_c, m, _, _ = step
    sigmoid, tanh, tanh_of_c = activations(cell)
    p_i, p_f, p_o = peephole_parts(w)

    d_h_prev, d_h_new = zoneout_backward(d_h, masks.zoneout_h)
    d_c_prev, d_c_new = zoneout_backward(d_c, masks.zoneout_c)
    d_m, d_weight_hr = project_backward(d_h_new, m, w.weight_hr)
    d_o = d_m * tanh_c
    d_norm_c = tanh_of_c.backward(d_m * o, tanh_c)
    d_c_h, d_norm_c_weight = norm_backward(d_norm_c, c_new, w.norm_c_weight)
    d_norm_c_bias = None if w.norm_c_bias is None else d_norm_c.sum(axis=0)
    d_pre_o = clip_backward(sigmoid.backward(d_o, o), pre_o, cell.gate_clip)
    d_c_o, d_p_o = peep_backward(d_pre_o, p_o, c_new)
    d_c_sum = clip_backward(d_c_new + d_c_h + d_c_o, c_new, cell.cell_clip)

    d_i, d_f, d_g = d_c_sum * g, d_c_sum * c_prev, d_c_sum * i
    if cell.coupled_gates:
        d_i, d_pre_f = d_i - d_f, np.zeros_like(d_f)
    else:
        d_pre_f = clip_backward(sigmoid.backward(d_f, f), pre_f, cell.gate_clip)
    d_pre_i = clip_backward(sigmoid.backward(d_i, i), pre_i, cell.gate_clip)
    d_pre_g = clip_backward(tanh.backward(d_g, g), pre_g, cell.gate_clip)
    d_c_i, d_p_i = peep_backward(d_pre_i, p_i, c_prev)
    d_c_f, d_p_f = peep_backward(d_pre_f, p_f, c_prev)
    d_c_prev = d_c_prev + d_c_sum * f + d_c_i + d_c_f

    d_pre = np.concatenate([d_pre_i, d_pre_f, d_pre_g, d_pre_o], axis=1)
    d_a_x, d_norm_ih_weight = norm_backward(d_pre, a_x, w.norm_ih_weight)
    d_a_h, d_norm_hh_weight = norm_backward(d_pre, a_h, w.norm_hh_weight)
    d_x, d_h_seen = d_a_x @ w.weight_ih, d_a_h @ w.weight_hh
    d_h_prev = d_h_prev + (d_h_seen if masks.recurrent is None else d_h_seen * masks.recurrent)
    d_bias = d_pre.sum(axis=0)
    d_weight_peephole = None if w.weight_peephole is None else np.concatenate([d_p_i, d_p_f, d_p_o])
    d_w = Weights(
        d_a_x.T @ x,
        d_a_h.T @ h_seen,
        d_bias,
        d_bias,
        d_weight_hr,
        d_weight_peephole,
        d_norm_ih_weight,
        d_norm_hh_weight,
        d_norm_c_weight,
        d_norm_c_bias,
    )
    return d_x, d_h_prev, d_c_prev, d_w


def activations(cell):
    """The cell's three activations, called below by the names of the plain LSTM's."""
    return cell.recurrent_activation, cell.activation, cell.cell_activation


def clip(z, bound):
    """z within [-bound, bound]."""
    return z if bound is None else np.where(z.real < -bound, -bound, np.where(z.real > bound, bound, z))


def clip_backward(d, z, bound):
    """Nothing flows where z, clipped or not, has reached the bound."""
    return d if bound is None else np.where(np.abs(z.real) >= bound, 0, d)


def peephole_parts(w):
    return (None, None, None) if w.weight_peephole is None else np.split(w.weight_peephole, 3)


def peep(pre, p, c):
    return pre if p is None else pre + p * c


def peep_backward(d_pre, p, c):
    """d_c and d_p."""
    return (0, None) if p is None else (d_pre * p, (d_pre * c).sum(axis=0))


def project(m, weight_hr):
    return m if weight_hr is None else m @ weight_hr.T


def project_backward(d_h, m, weight_hr):
    """d_m and d_weight_hr."""
    return (d_h, None) if weight_hr is None else (d_h @ weight_hr, d_h.T @ m)


def zoneout(old, new, mask):
    """The old value where the mask is 1 (Krueger et al. 2017, "Zoneout")."""
    return new if mask is None else np.where(mask != 0, old, new)


def zoneout_backward(d, mask):
    """d_old and d_new."""
    return (0, d) if mask is None else (np.where(mask != 0, d, 0), np.where(mask != 0, 0, d))


def standardise(a):
    """Rows of a with mean 0 and variance 1, and the standard deviations that they were divided by."""
    centred = a - a.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + NORM_EPSILON)
    return centred / deviation, deviation


def norm(a, weight, bias=None):
    """Layer normalisation over the columns (Ba et al. 2016)."""
    if weight is None:
        return a
    n, _ = standardise(a)
    return n * weight + (0 if bias is None else bias)


def norm_backward(d, a, weight):
    """d_a and d_weight."""
    if weight is None:
        return d, None
    n, deviation = standardise(a)
    d_n = d * weight
    d_a = (d_n - d_n.mean(axis=1, keepdims=True) - n * (d_n * n).mean(axis=1, keepdims=True)) / deviation
    return d_a, (d * n).sum(axis=0)
