"""Random masks that depend on the seed and the place of an element alone: not on threads, batch splits or platform.

Each element takes one 32-bit word of Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
with the two halves of the seed as key, low half first. Element (t,b,f) takes word f % 4 of the counter
(f // 4, b, t, stream), where t is the index in time, in either direction; the stream says what the mask is for:

    dropout between layers    layer
    recurrent dropout         layer * D + direction + 1 * 2^28    (t = 0: one mask for all steps)
    zoneout of h              layer * D + direction + 2 * 2^28
    zoneout of c              layer * D + direction + 3 * 2^28
"""

import numpy as np

KINDS = {"recurrent": 1 << 28, "h": 2 << 28, "c": 3 << 28}


def philox4x32(counter, key):
    """Philox4x32-10: words (...,4) of 32 bits from four counter words, each an array or a number, and two key words."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in counter))
    for r in range(10):
        k0, k1 = np.uint64(key[0] + r * 0x9E3779B9) & low, np.uint64(key[1] + r * 0xBB67AE85) & low
        product_0, product_1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (product_1 >> high) ^ c1 ^ k0, product_1 & low, (product_0 >> high) ^ c3 ^ k1, product_0 & low
    return np.stack([c0, c1, c2, c3], axis=-1)


def dropout_mask(seed, layer, shape, p, dtype):
    """Mask (T,B,F) for the output of a layer: 0 with probability p, else 1 / (1 - p).

    An element is kept if its word is at least floor(p * 2**32).
    """
    return _scaled(_is_hit(seed, layer, shape, p), p, dtype)


def recurrent_dropout_mask(seed, index, shape, p, dtype):
    """Mask (B,R) for h_prev in the recurrent product of every step: 0 with probability p, else 1 / (1 - p).

    index is layer * D + direction, the place of the state in h_n. An element is kept if its word is at least
    floor(p * 2**32).
    """
    return _scaled(_is_hit(seed, index + KINDS["recurrent"], (1, *shape), p)[0], p, dtype)


def zoneout_mask(seed, index, shape, p, dtype, state):
    """Mask (T,B,F) for the state "h" or "c": 1, for keep the old value, with probability p, else 0.

    index is layer * D + direction, the place of the state in h_n. An element is 1 if its word is less than
    floor(p * 2**32).
    """
    return _is_hit(seed, index + KINDS[state], shape, p).astype(dtype)


def _is_hit(seed, stream, shape, p):
    """Whether the word of each element is less than floor(p * 2**32): true with probability p."""
    (T, B, F), p, seed = shape, float(p), int(seed)
    counter = (np.arange((F + 3) // 4), np.arange(B)[:, None], np.arange(T)[:, None, None], stream)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    return words.reshape(T, B, (F + 3) // 4 * 4)[:, :, :F] < np.uint64(p * 2**32)


def _scaled(is_dropped, p, dtype):
    return np.where(is_dropped, 0, 1 / (1 - p) if p < 1 else 0).astype(dtype)
