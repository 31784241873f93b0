"""Training in bfloat16, layers and directions: as in stack.py, with the layers of bfloat16_layer.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array
from .bfloat16_layer import BFloat16Tape, lstm_backward_bfloat16, lstm_tape_bfloat16
from .float32 import add, multiply
from .stack import DIRECTIONS, PARAMETERS


class BFloat16StackTape(NamedTuple):
    """Intermediate results that stack_tape_bfloat16 records for stack_backward_bfloat16.

    Parameters
    ----------
    tapes : list of BFloat16Tape
        One for each layer and direction, forward before reverse.
    orders : list of ndarray of int, shape (T,B)
        The steps of each sequence in the order in which each direction visits them.
    masks : list of ndarray or None
        Factors applied to the input of each layer; None without dropout.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> parameters = LSTM(3, 2, num_layers=2, seed=0).parameters()
    >>> *_, tape = reference.stack_tape_bfloat16(
    ...     np.ones((5, 1, 3)), None, None, parameters, num_layers=2, bidirectional=False
    ... )
    >>> len(tape.tapes)
    2
    """

    tapes: list[BFloat16Tape]
    orders: list[Array]
    masks: list[Any]


def stack_tape_bfloat16(
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    parameters: Mapping[str, ArrayLike],
    *,
    num_layers: int,
    bidirectional: bool,
    masks: Sequence[ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    recurrent_masks: Sequence[ArrayLike] | None = None,
    zoneout_h_masks: Sequence[ArrayLike] | None = None,
    zoneout_c_masks: Sequence[ArrayLike] | None = None,
    **variant: Any,
) -> tuple[Array, Array, Array, BFloat16StackTape]:
    """Run a stack of LSTM layers and directions in bfloat16, for training.

    Parameters
    ----------
    x, h_0, c_0 : array_like
        As in `stack_forward`, like all following arguments; symbols stand for one-hot vectors.
    parameters : mapping of str to array_like
        Weights.
    num_layers : int
        L.
    bidirectional : bool
        D = 2.
    masks : sequence of L-1 array_like, optional
        Dropout.
    lengths, resets : array_like, optional
        Lengths of sequences, starts of episodes.
    recurrent_masks, zoneout_h_masks, zoneout_c_masks : sequence of L*D array_like, optional
        Recurrent dropout and zoneout.
    **variant
        The other keyword arguments of `lstm_tape_bfloat16`, format among them, the same for all layers and directions.

    Returns
    -------
    output : ndarray of float32, shape (T,B,D*R)
        h of the last layer at every step.
    h_n, c_n : ndarray of float32, shape (L*D,B,R), (L*D,B,H)
        Final states.
    tape : BFloat16StackTape
        For `stack_backward_bfloat16`.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, num_layers=2, seed=0), np.ones((5, 1, 3), np.float32)
    >>> output, h_n, c_n, tape = reference.stack_tape_bfloat16(
    ...     x, None, None, lstm.parameters(), num_layers=2, bidirectional=False
    ... )
    >>> bool(0 < np.abs(output - lstm(x)[0]).max() < 5e-3)
    True
    """
    (T, B), n_inputs = np.shape(x)[:2], np.shape(parameters["weight_ih_l0"])[1]
    output: Array = np.asarray(_sequence.one_hot(x, n_inputs, lengths), np.float32)
    input_masks = [None] * num_layers if masks is None else [None, *(np.asarray(mask, np.float32) for mask in masks)]
    directions = DIRECTIONS if bidirectional else DIRECTIONS[:1]
    orders = [_sequence.time_order(lengths, T, B, step < 0) for _, step in directions]
    of_directions: dict[str, Any] = {"recurrent_mask": recurrent_masks, "h_0": h_0, "c_0": c_0}
    of_steps: dict[str, Any] = {"zoneout_h_mask": zoneout_h_masks, "zoneout_c_mask": zoneout_c_masks}
    h_n: list[Array] = []
    c_n: list[Array] = []
    tapes: list[BFloat16Tape] = []
    for layer in range(num_layers):
        layer_input, outputs = output if layer == 0 else _masked(output, input_masks[layer]), []
        for order, (suffix, step) in zip(orders, directions):
            k, key = len(tapes), f"_l{layer}{suffix}"
            a: dict[str, Any] = {"bias_ih": None, "bias_hh": None} | variant
            a |= {argument: parameters[name + key] for argument, name in PARAMETERS.items() if name + key in parameters}
            a |= {name: None if values is None else np.asarray(values[k]) for name, values in of_directions.items()}
            a |= {name: _sequence.reorder(values and values[k], order) for name, values in of_steps.items()}
            a |= {
                "x": _sequence.reorder(layer_input, order),
                "lengths": lengths,
                "resets": _sequence.reorder_resets(resets, lengths, order, step < 0),
            }
            h_of_layer, h, c, tape = lstm_tape_bfloat16(**a)
            outputs.append(h_of_layer[order, np.arange(B)])  # the order is its own inverse
            h_n.append(h)
            c_n.append(c)
            tapes.append(tape)
        output = np.concatenate(outputs, axis=2)
    return output, np.stack(h_n), np.stack(c_n), BFloat16StackTape(tapes, orders, input_masks)


def stack_backward_bfloat16(
    tape: BFloat16StackTape,
    d_output: ArrayLike | None,
    d_h_n: ArrayLike | None = None,
    d_c_n: ArrayLike | None = None,
) -> tuple[Array, Array | None, Array | None, dict[str, Array]]:
    """Backpropagate through a stack in bfloat16.

    Parameters
    ----------
    tape : BFloat16StackTape
        From `stack_tape_bfloat16`.
    d_output : array_like of shape (T,B,D*R), or None
        Gradient of the loss with respect to output; None means zero.
    d_h_n, d_c_n : array_like of shape (L*D,B,R), (L*D,B,H), optional
        Gradient of the loss with respect to the final states; None means zero.

    Returns
    -------
    d_x : ndarray of float32, shape (T,B,I)
        Gradient with respect to the input.
    d_h_0, d_c_0 : ndarray of float32, shape (L*D,B,R), (L*D,B,H), or None
        Gradient with respect to the initial states; None for one that was learned.
    d_parameters : dict of str to ndarray of float32
        Gradients under the names of the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> parameters = LSTM(3, 2, seed=0).parameters()
    >>> output, _, _, tape = reference.stack_tape_bfloat16(
    ...     np.ones((5, 1, 3)), None, None, parameters, num_layers=1, bidirectional=False
    ... )
    >>> d_x, d_h_0, d_c_0, d_parameters = reference.stack_backward_bfloat16(tape, np.ones_like(output))
    >>> d_x.shape, d_h_0.shape, list(d_parameters)
    ((5, 1, 3), (1, 1, 2), ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0'])
    """
    D, states = len(tape.orders), (d_h_n, d_c_n)
    d_layer: Array | None = None if d_output is None else np.asarray(d_output, np.float32)
    d_initial: tuple[list[Any], list[Any]] = [], []
    d_parameters: dict[str, Array] = {}
    for layer in reversed(range(len(tape.masks))):
        d_outputs: Sequence[Any] = [None] * D if d_layer is None else np.split(d_layer, D, axis=2)
        d_inputs = []
        for direction, order in enumerate(tape.orders):
            k, key = layer * D + direction, f"_l{layer}{DIRECTIONS[direction][0]}"
            d_of_states = [None if d is None else np.asarray(d)[k] for d in states]
            d_of_output = _sequence.reorder(d_outputs[direction], order)
            d = lstm_backward_bfloat16(tape.tapes[k], d_of_output, *d_of_states)._asdict()
            d_inputs.append(d["d_x"][order, np.arange(order.shape[1])])
            d_parameters |= {
                name + key: d["d_" + argument]
                for argument, name in PARAMETERS.items()
                if d["d_" + argument] is not None
            }
            for name, of_state in zip(("d_h_0", "d_c_0"), d_initial):
                of_state.insert(direction, d[name])
        d_layer = d_inputs[0] if D == 1 else add(*d_inputs)
        d_layer = _masked(d_layer, tape.masks[layer])
    d_h_0, d_c_0 = (None if of[0] is None else np.stack(of) for of in d_initial)
    assert d_layer is not None
    return d_layer, d_h_0, d_c_0, d_parameters


def _masked(z: Array, mask: Array | None) -> Array:
    return z if mask is None else multiply(z, mask)
