"""Keras 3: convert LSTM layers and model files to lf.LSTM and back.

    configs.py      configurations: the layers of a model, the cells of a layer
    layers.py       build an LSTM from the configuration and weights of a layer
    export.py       build a layer from an LSTM; convert masks to lengths
    hdf5.py         read datasets and groups; links are not followed
    weights_h5.py   .weights.h5
    legacy_h5.py    .h5: whole models, and weights in the format used before Keras 2.13
    files.py        .keras files; detection of the format

Each file uses only those above it. Only to_layer imports Keras itself, and h5py is only imported to read a file.

Notes
-----
Sequences are batch-first, (B, T, features), as in Keras. The LSTM returns the whole sequence and the last state:

* return_sequences=True: output
* return_sequences=False: h_n[-1]; for a Bidirectional layer np.concatenate([h_n[-2], h_n[-1]], axis=-1)
* return_state=True: h_n and c_n, by direction
* mask: lengths=lf.keras.lengths(mask); the output is 0 in the padding (zero_output_for_mask=True)
* stateful=True: pass the state of one call to the next, or use lstm.stream()
* merge_mode=None: output[..., :H] and output[..., H:]

Not supported (the error names the reason): other activations, go_backwards outside Bidirectional, merge_mode "sum",
"mul" and "ave", and directions or stacked cells of different sizes or activations. Input dropout, which only affects
training, is ignored; recurrent_dropout is converted. unit_forget_bias only affects initialization.
"""

from .export import lengths, to_layer
from .files import load, names
from .layers import from_layer

__all__ = ["load", "names", "from_layer", "to_layer", "lengths"]
