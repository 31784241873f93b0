"""Keras 3: its LSTM layers and files as an lf.LSTM, and back.

    files.py    .keras, .weights.h5 and .h5 files, with h5py and zipfile alone
    configs.py  what a configuration says: layers of a model, cells of a layer
    layers.py   configuration and weights of a layer to an LSTM; an LSTM to a layer; masks to lengths

Keras itself is imported by to_layer alone. Sequences are batch-first, (B, T, features), as in Keras; the LSTM gives the whole
sequence and the last state, so that

    return_sequences=True     is  output
    return_sequences=False    is  h_n[-1]; of a Bidirectional layer np.concatenate([h_n[-2], h_n[-1]], axis=-1)
    return_state=True         is  h_n, c_n, by direction
    mask                      is  lengths=lf.keras.lengths(mask); behind the ends the output is 0 (zero_output_for_mask=True)
    stateful=True             is  the state of one call given to the next, or lstm.stream()
    merge_mode=None           is  output[..., :H] and output[..., H:]

Refused by name: other activations, go_backwards outside of Bidirectional, merge_mode "sum", "mul" and "ave", directions or
stacked cells of different sizes or activations. Dropout of a layer's inputs is a matter of training and not carried over;
recurrent_dropout is. unit_forget_bias is an initialisation.
"""

from .files import load, names
from .layers import from_layer, lengths, to_layer

__all__ = ["load", "names", "from_layer", "to_layer", "lengths"]
