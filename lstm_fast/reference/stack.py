"""Layers and directions: the output of each layer, both directions concatenated, is the input of the next."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array
from .cell import Parameters
from .lstm import lstm_backward, lstm_forward
from .rnn import rnn_backward, rnn_forward
from .tapes import LSTMTape, RNNTape

DIRECTIONS = (("", 1), ("_reverse", -1))  # suffix of the parameters' names, step through time
# The array arguments of a layer that are parameters, and their names in a stack, to which a suffix such as _l0 is
# added.
PARAMETERS = {name: name for name in Parameters._fields} | {"learned_h_0": "h_0", "learned_c_0": "c_0"}


class StackTape(NamedTuple):
    """Intermediate results that stack_forward records for stack_backward.

    Parameters
    ----------
    tapes : list of LSTMTape or of RNNTape
        One for each layer and direction, forward before reverse.
    is_lstm : bool
        Whether the layers are LSTMs.
    orders : list of ndarray of int, shape (T,B)
        The steps of each sequence in the order in which each direction visits them.
    masks : list of ndarray or of int
        Factors applied to the input of each layer; 1 without dropout.
    output, h_n, c_n : ndarray or None
        The results; c_n is None for a plain RNN.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm = LSTM(3, 2, num_layers=2, bidirectional=True, seed=0)
    >>> *_, tape = reference.stack_forward(
    ...     np.ones((5, 1, 3)), None, None, lstm.parameters(), num_layers=2, bidirectional=True
    ... )
    >>> len(tape.tapes)
    4
    """

    tapes: list[LSTMTape] | list[RNNTape]
    is_lstm: bool
    orders: list[Array]
    masks: list[Any]
    output: Array
    h_n: Array
    c_n: Array | None


def stack_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    parameters: Mapping[str, ArrayLike],
    *,
    num_layers: int,
    bidirectional: bool,
    masks: Sequence[ArrayLike] | None = None,
    nonlinearity: str = "tanh",
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    recurrent_masks: Sequence[ArrayLike] | None = None,
    zoneout_h_masks: Sequence[ArrayLike] | None = None,
    zoneout_c_masks: Sequence[ArrayLike] | None = None,
    **variant: Any,
) -> tuple[Array, Array, Array | None, StackTape]:
    """Run a stack of layers and directions: LSTMs or, if weight_hh_l0 is square, plain RNNs.

    Parameters
    ----------
    x : array_like of shape (T,B,I), or of int of shape (T,B)
        Input; symbols as in lstm_forward.
    h_0, c_0 : array_like of shape (L*D,B,R), (L*D,B,H), or None
        Initial states, layer by layer, forward before reverse. c_0 must be None for an RNN.
    parameters : mapping of str to array_like
        PyTorch's names: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ..._l0_reverse, ..._l1, ..., and likewise
        the optional weights of lstm_forward. learned_h_0 and learned_c_0 are called h_0_l0 and c_0_l0.
    num_layers : int
        L, the number of layers.
    bidirectional : bool
        Whether each layer has a reverse direction: D = 2.
    masks : sequence of L-1 array_like of shape (T,B,D*R), optional
        Dropout: multiplies the output of each layer except the last.
    nonlinearity : {"tanh", "relu", "identity"}, default "tanh"
        A key of NONLINEARITIES, for an RNN.
    lengths : array_like of int, shape (B,), optional
        As in lstm_forward. The reverse direction begins at the last valid step of each sequence.
    resets : array_like of bool, shape (T,B), optional
        As in lstm_forward. The reverse direction restarts at the same boundaries: if resets[t], after step t and before
        step t - 1.
    recurrent_masks, zoneout_h_masks, zoneout_c_masks : sequence of L*D array_like, optional
        As in lstm_forward, for each layer and direction.
    **variant
        The other keyword arguments of lstm_forward, the same for all layers and directions.

    Returns
    -------
    output : ndarray of shape (T,B,D*R)
        h of the last layer at every step.
    h_n, c_n : ndarray of shape (L*D,B,R), (L*D,B,H)
        Final states; c_n is None for an RNN.
    tape : StackTape
        Argument of stack_backward.

    Raises
    ------
    ValueError
        As in lstm_forward and rnn_forward, and if c_0 is given for an RNN.

    Notes
    -----
    Shapes, names and the order of layers and directions are PyTorch's.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 2, num_layers=2, bidirectional=True, seed=0), np.ones((5, 1, 3))
    >>> output, h_n, c_n, tape = reference.stack_forward(
    ...     x, None, None, lstm.parameters(), num_layers=2, bidirectional=True
    ... )
    >>> output.shape, h_n.shape
    ((5, 1, 4), (4, 1, 2))
    >>> bool(np.allclose(output, lstm(x)[0], atol=1e-6))
    True
    """
    (T, B), (rows, columns) = np.shape(x)[:2], np.shape(parameters["weight_hh_l0"])
    is_lstm = rows != columns
    if c_0 is not None and not is_lstm:
        raise ValueError("`c_0` must be None for a plain RNN")
    input_masks: list[Any] = [1] * num_layers if masks is None else [1, *masks]
    directions = DIRECTIONS if bidirectional else DIRECTIONS[:1]
    orders = [_sequence.time_order(lengths, T, B, step < 0) for _, step in directions]
    output: Array = np.asarray(x)
    h_n: list[Array] = []
    c_n: list[Array] = []
    tapes: list[Any] = []
    for layer in range(num_layers):
        layer_input, outputs = output * input_masks[layer], []
        for order, (suffix, step) in zip(orders, directions):
            k, key = len(tapes), f"_l{layer}{suffix}"
            a: dict[str, Any] = {
                "x": _sequence.reorder(layer_input, order),
                "h_0": _item(h_0, k),
                "bias_ih": None,
                "bias_hh": None,
                "lengths": lengths,
                "resets": _sequence.reorder_resets(resets, lengths, order, step < 0),
                "recurrent_mask": _item(recurrent_masks, k),
                "zoneout_h_mask": _sequence.reorder(_item(zoneout_h_masks, k), order),
            }
            a |= {argument: parameters[name + key] for argument, name in PARAMETERS.items() if name + key in parameters}
            if is_lstm:
                zoneout_c_mask = _sequence.reorder(_item(zoneout_c_masks, k), order)
                output, h, c, tape = lstm_forward(**a, c_0=_item(c_0, k), zoneout_c_mask=zoneout_c_mask, **variant)
                c_n.append(c)
                tapes.append(tape)
            else:
                output, h, rnn_tape = rnn_forward(**a, nonlinearity=nonlinearity, **variant)
                tapes.append(rnn_tape)
            h_n.append(h)
            outputs.append(output[order, np.arange(B)])  # the order is its own inverse
        output = np.concatenate(outputs, axis=2)
    last_h, last_c = np.stack(h_n), np.stack(c_n) if is_lstm else None
    return output, last_h, last_c, StackTape(tapes, is_lstm, orders, input_masks, output, last_h, last_c)


def stack_backward(
    tape: StackTape, d_output: ArrayLike | None, d_h_n: ArrayLike | None = None, d_c_n: ArrayLike | None = None
) -> tuple[Array | None, Array | None, Array | None, dict[str, Array]]:
    """Apply the chain rule through a stack, from the last layer to the first.

    Parameters
    ----------
    tape : StackTape
        From stack_forward. It can be used any number of times.
    d_output : array_like of shape (T,B,D*R), or None
        Gradient of the loss with respect to output; None means zero.
    d_h_n, d_c_n : array_like of shape (L*D,B,R), (L*D,B,H), optional
        Gradient of the loss with respect to the final states; None means zero.

    Returns
    -------
    d_x : ndarray of shape (T,B,I), or None
        Gradient with respect to x; None for symbols.
    d_h_0, d_c_0 : ndarray of shape (L*D,B,R), (L*D,B,H), or None
        Gradient with respect to the initial states; None for a state that was None.
    d_parameters : dict of str to ndarray
        Gradients under the names of the parameters.

    Raises
    ------
    ValueError
        If the shape of a gradient differs from that of its result.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 2, seed=0), np.ones((5, 1, 3))
    >>> *_, tape = reference.stack_forward(x, None, None, lstm.parameters(), num_layers=1, bidirectional=False)
    >>> d_x, d_h_0, d_c_0, d_parameters = reference.stack_backward(tape, np.ones((5, 1, 2)))
    >>> d_x.shape, d_h_0, list(d_parameters)
    ((5, 1, 3), None, ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0'])
    """
    d_layer: Array | None = _sequence.or_zeros(d_output, "d_output", tape.output)
    d_h = _sequence.or_zeros(d_h_n, "d_h_n", tape.h_n)
    d_c = None if tape.c_n is None else _sequence.or_zeros(d_c_n, "d_c_n", tape.c_n)
    d_states: dict[str, list[Any]] = {"d_h_0": [], "d_c_0": []}
    d_parameters: dict[str, Array] = {}
    D = len(tape.orders)
    for layer in reversed(range(len(tape.masks))):
        assert d_layer is not None  # only the first layer reads symbols
        d_outputs: list[Array] = np.split(d_layer, D, axis=2)
        d_inputs: list[Array] = []
        for direction, order in enumerate(tape.orders):
            k, key = layer * D + direction, f"_l{layer}{DIRECTIONS[direction][0]}"
            d_out, one_tape = _sequence.reorder(d_outputs[direction], order), tape.tapes[k]
            if isinstance(one_tape, LSTMTape):
                d = lstm_backward(one_tape, d_out, d_h[k], _item(d_c, k))._asdict()
            else:
                d = rnn_backward(one_tape, d_out, d_h[k])._asdict()
            if d["d_x"] is not None:
                d_inputs.append(d["d_x"][order, np.arange(order.shape[1])] * tape.masks[layer])
            d_parameters |= {
                name + key: d["d_" + argument]
                for argument, name in PARAMETERS.items()
                if d.get("d_" + argument) is not None
            }
            for name in d_states:
                d_states[name].insert(direction, d.get(name))
        d_layer = sum(d_inputs[1:], start=0 + d_inputs[0]) if d_inputs else None
    d_h_0, d_c_0 = (None if ds[0] is None else np.stack(ds) for ds in d_states.values())
    return d_layer, d_h_0, d_c_0, d_parameters


def _item(arrays: Any, k: int) -> Any:
    """Return the item for layer and direction k = layer * D + direction; None stays None."""
    return None if arrays is None else arrays[k]
