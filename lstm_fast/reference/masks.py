"""Random masks that depend only on the seed and on an element's position: not on threads, batch splits or platform.

Each element consumes one 32-bit word of Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3"). The key is the seed, low half first. Element (t,b,f) uses word f % 4 of the counter (f // 4, b, t, stream), where t
is the index in time, in either direction, and the stream identifies the purpose of the mask:

    dropout between layers    layer
    recurrent dropout         layer * D + direction + 1 * 2^28    (t = 0: one mask for all steps)
    zoneout of h              layer * D + direction + 2 * 2^28
    zoneout of c              layer * D + direction + 3 * 2^28
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._types import Array

STREAMS = {"recurrent": 1 << 28, "h": 2 << 28, "c": 3 << 28}


def philox4x32(counter: Sequence[ArrayLike], key: Sequence[int]) -> Array:
    """Philox4x32-10, a counter-based random number generator.

    Parameters
    ----------
    counter : sequence of 4 array_like of int
        The four 32-bit words of each counter; broadcast against each other.
    key : sequence of 2 int
        The two 32-bit words of the key.

    Returns
    -------
    ndarray of uint64, shape (...,4)
        Four 32-bit random words for each counter.

    Examples
    --------
    >>> from lstm_fast import reference
    >>> [f"{word:08x}" for word in reference.philox4x32((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in counter))
    for r in range(10):
        k0, k1 = np.uint64(key[0] + r * 0x9E3779B9) & low, np.uint64(key[1] + r * 0xBB67AE85) & low
        product_0, product_1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (product_1 >> high) ^ c1 ^ k0, product_1 & low, (product_0 >> high) ^ c3 ^ k1, product_0 & low
    return np.stack([c0, c1, c2, c3], axis=-1)


def dropout_mask(seed: int, layer: int, shape: tuple[int, int, int], p: float, dtype: DTypeLike) -> Array:
    """Draw the dropout mask for the output of a layer.

    Parameters
    ----------
    seed : int
        64 bits.
    layer : int
        Index of the layer, from 0.
    shape : (T, B, F)
        Steps, sequences, features.
    p : float
        Probability of dropping an element. An element is kept if its word is at least floor(p * 2**32).
    dtype : dtype
        Data type of the mask.

    Returns
    -------
    ndarray of shape (T,B,F)
        0 for dropped elements, else 1 / (1 - p) (inverted dropout, Srivastava et al. 2014).

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> reference.dropout_mask(0, 0, (1, 2, 6), 0.5, np.float32)
    array([[[0., 2., 2., 2., 2., 0.],
            [0., 2., 0., 0., 0., 2.]]], dtype=float32)
    """
    return _scale(_below_p(seed, layer, shape, p), p, dtype)


def recurrent_dropout_mask(seed: int, index: int, shape: tuple[int, int], p: float, dtype: DTypeLike) -> Array:
    """Draw the mask for h_prev in the recurrent product, the same for every step (Gal & Ghahramani 2016).

    Parameters
    ----------
    seed : int
        64 bits.
    index : int
        layer * D + direction, as in h_n.
    shape : (B, R)
        Sequences, size of h.
    p : float
        Probability of dropping an element. An element is kept if its word is at least floor(p * 2**32).
    dtype : dtype
        Data type of the mask.

    Returns
    -------
    ndarray of shape (B,R)
        0 for dropped elements, else 1 / (1 - p).

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> reference.recurrent_dropout_mask(0, 0, (2, 4), 0.5, np.float32)
    array([[0., 2., 0., 2.],
           [2., 0., 2., 2.]], dtype=float32)
    """
    return _scale(_below_p(seed, index + STREAMS["recurrent"], (1, *shape), p)[0], p, dtype)


def zoneout_mask(
    seed: int, index: int, shape: tuple[int, int, int], p: float, dtype: DTypeLike, state: Literal["h", "c"]
) -> Array:
    """Draw the zoneout mask for a state (Krueger et al. 2017).

    Parameters
    ----------
    seed : int
        64 bits.
    index : int
        layer * D + direction, as in h_n.
    shape : (T, B, F)
        Steps, sequences, size of the state.
    p : float
        Probability of keeping the old value. An element is 1 if its word is less than floor(p * 2**32).
    dtype : dtype
        Data type of the mask.
    state : {"h", "c"}
        Which state the mask is for.

    Returns
    -------
    ndarray of shape (T,B,F)
        1 where the state keeps its old value, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> reference.zoneout_mask(0, 0, (1, 2, 4), 0.5, np.float32, "h")
    array([[[0., 0., 0., 1.],
            [0., 0., 0., 0.]]], dtype=float32)
    """
    return _below_p(seed, index + STREAMS[state], shape, p).astype(dtype)


def _below_p(seed: int, stream: int, shape: tuple[int, int, int], p: float) -> Array:
    """Return whether the word of each element is less than floor(p * 2**32): true with probability p."""
    (T, B, F), p, seed = shape, float(p), int(seed)
    counter = (np.arange((F + 3) // 4), np.arange(B)[:, None], np.arange(T)[:, None, None], stream)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    is_below: Array = words.reshape(T, B, (F + 3) // 4 * 4)[:, :, :F] < np.uint64(p * 2**32)
    return is_below


def _scale(is_dropped: Array, p: float, dtype: DTypeLike) -> Array:
    return np.where(is_dropped, 0, 1 / (1 - p) if p < 1 else 0).astype(dtype)
