"""Layers and directions: the output of each layer, both directions side by side, is the input of the next."""

from collections import namedtuple

import numpy as np

from . import _sequence
from .cell import Weights
from .lstm import lstm_backward, lstm_forward
from .rnn import rnn_backward, rnn_forward

# One tape per layer and direction; orders are the steps of each direction as _sequence.time_order gives them.
StackTape = namedtuple("StackTape", "tapes is_lstm orders masks output h_n c_n")
DIRECTIONS = (("", 1), ("_reverse", -1))  # suffix of the parameters' names, step through time
# Each array argument of a layer that is a parameter, and its name in a stack, where a suffix such as _l0 follows.
PARAMETERS = {name: name for name in Weights._fields} | {"learned_h_0": "h_0", "learned_c_0": "c_0"}


def stack_forward(
    x,
    h_0,
    c_0,
    parameters,
    *,
    num_layers,
    bidirectional,
    masks=None,
    nonlinearity="tanh",
    lengths=None,
    resets=None,
    recurrent_masks=None,
    zoneout_h_masks=None,
    zoneout_c_masks=None,
    **variant,
):
    """Layers and directions of lstm_forward or, if weight_hh_l0 is square, of rnn_forward.

    Parameters
    ----------
    x : ndarray of shape (T,B,I)
    h_0, c_0 : ndarray of shape (L*D,B,R), (L*D,B,H), layer by layer, forward before reverse, or None
        For an RNN c_0 is None.
    parameters : dict of weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ..._l0_reverse, ..._l1, ...
        Likewise the other weights of lstm_forward, if any; its learned_h_0 and learned_c_0 are h_0_l0 and c_0_l0.
    masks : L-1 arrays of shape (T,B,D*R) that multiply the output of each layer but the last, or None
    nonlinearity : key of NONLINEARITIES, for an RNN
    lengths, resets : as in lstm_forward
        The reverse direction begins at the end of each sequence and starts anew at the same boundaries: if resets[t],
        that is after step t and before t - 1.
    recurrent_masks, zoneout_h_masks, zoneout_c_masks : L*D arrays as in lstm_forward, or None
    variant : the other keyword arguments of lstm_forward, the same for all layers and directions

    Returns
    -------
    output, h_n, c_n : ndarray of shape (T,B,D*R), (L*D,B,R), (L*D,B,H), the last None for an RNN
    tape : StackTape, for stack_backward
    """
    (T, B), (rows, columns) = np.shape(x)[:2], np.shape(parameters["weight_hh_l0"])
    is_lstm = rows != columns
    if c_0 is not None and not is_lstm:
        raise ValueError("`c_0` must be None for a plain RNN")
    masks = [1] * num_layers if masks is None else [1, *masks]  # of the input of each layer
    directions = DIRECTIONS if bidirectional else DIRECTIONS[:1]
    orders = [_sequence.time_order(lengths, T, B, step < 0) for _, step in directions]
    output, h_n, c_n, tapes = np.asarray(x), [], [], []
    for layer in range(num_layers):
        layer_input, outputs = output * masks[layer], []
        for order, (suffix, step) in zip(orders, directions):
            k, key = len(tapes), f"_l{layer}{suffix}"
            a = {"bias_ih": None, "bias_hh": None, "x": _sequence.in_order(layer_input, order), "h_0": _kth(h_0, k)}
            a |= {argument: parameters[name + key] for argument, name in PARAMETERS.items() if name + key in parameters}
            a |= dict(
                lengths=lengths,
                resets=_sequence.resets_in_order(resets, lengths, order, step < 0),
                recurrent_mask=_kth(recurrent_masks, k),
                zoneout_h_mask=_sequence.in_order(_kth(zoneout_h_masks, k), order),
            )
            if is_lstm:
                zoneout_c_mask = _sequence.in_order(_kth(zoneout_c_masks, k), order)
                output, h, c, tape = lstm_forward(**a, c_0=_kth(c_0, k), zoneout_c_mask=zoneout_c_mask, **variant)
                c_n.append(c)
            else:
                output, h, tape = rnn_forward(**a, nonlinearity=nonlinearity, **variant)
            h_n.append(h)
            tapes.append(tape)
            outputs.append(_sequence.in_order(output, order))
        output = np.concatenate(outputs, axis=2)
    h_n, c_n = np.stack(h_n), np.stack(c_n) if is_lstm else None
    return output, h_n, c_n, StackTape(tapes, is_lstm, orders, masks, output, h_n, c_n)


def stack_backward(tape, d_output, d_h_n=None, d_c_n=None):
    """Gradients of stack_forward: d_x, d_h_0, d_c_0 and a dict under the parameters' names.

    d_h_0 is None if h_0 was, and so is d_c_0.
    """
    d_layer, d_h = _sequence.or_zeros(d_output, "d_output", tape.output), _sequence.or_zeros(d_h_n, "d_h_n", tape.h_n)
    d_c = _sequence.or_zeros(d_c_n, "d_c_n", tape.c_n) if tape.is_lstm else None
    d_states, d_parameters, D = {"d_h_0": [], "d_c_0": []}, {}, len(tape.orders)
    for layer in reversed(range(len(tape.masks))):
        d_outputs, d_layer = np.split(d_layer, D, axis=2), 0
        for direction, order in enumerate(tape.orders):
            k, key = layer * D + direction, f"_l{layer}{DIRECTIONS[direction][0]}"
            d_out = _sequence.in_order(d_outputs[direction], order)
            if tape.is_lstm:
                d = lstm_backward(tape.tapes[k], d_out, d_h[k], d_c[k])._asdict()
            else:
                d = rnn_backward(tape.tapes[k], d_out, d_h[k])._asdict()
            d_layer = d_layer + _sequence.in_order(d["d_x"], order) * tape.masks[layer]
            d_parameters |= {
                name + key: d["d_" + argument]
                for argument, name in PARAMETERS.items()
                if d.get("d_" + argument) is not None
            }
            for name in d_states:
                d_states[name].insert(direction, d.get(name))
    d_h_0, d_c_0 = (None if ds[0] is None else np.stack(ds) for ds in d_states.values())
    return d_layer, d_h_0, d_c_0, d_parameters


def _kth(arrays, k):
    """What belongs to layer and direction k = layer * D + direction."""
    return None if arrays is None else arrays[k]
