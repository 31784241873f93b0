"""Keras 3: its LSTM layers and files as an lf.LSTM, and back.

    configs.py      configurations: the layers of a model, the cells of a layer
    layers.py       a layer, by its configuration and weights, as an LSTM
    export.py       an LSTM as a layer; masks as lengths
    hdf5.py         datasets as arrays, groups without links
    weights_h5.py   .weights.h5
    legacy_h5.py    .h5: whole models, and weights alone as they were before Keras 2.13
    files.py        .keras files, and which of these formats a file has

Each file uses only those above it. Keras itself is imported by to_layer alone, h5py only to read a file.

Notes
-----
Sequences are batch-first, (B, T, features), as in Keras. The LSTM returns the whole sequence and the last state:

* return_sequences=True: output
* return_sequences=False: h_n[-1]; for a Bidirectional layer np.concatenate([h_n[-2], h_n[-1]], axis=-1)
* return_state=True: h_n and c_n, by direction
* mask: lengths=lf.keras.lengths(mask); the output is 0 in the padding (zero_output_for_mask=True)
* stateful=True: pass the state of one call to the next, or use lstm.stream()
* merge_mode=None: output[..., :H] and output[..., H:]

Refused, with the reason: other activations, go_backwards outside of Bidirectional, merge_mode "sum", "mul" and "ave",
directions or stacked cells of different sizes or activations. Dropout of a layer's inputs acts in training only and is
not carried over; recurrent_dropout is. unit_forget_bias is an initialization.
"""

from .export import lengths, to_layer
from .files import load, names
from .layers import from_layer

__all__ = ["load", "names", "from_layer", "to_layer", "lengths"]
