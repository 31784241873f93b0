"""The gradients of the parameters in bfloat16 training: sums over the steps and sequences, in a fixed order.

The rows (t, b) of PRODUCT_ROWS // B steps at a time, starting with the last steps, form one product; a larger batch is
split into several. Rows are numbered backward. Blocks of SUM_BLOCK rows are summed from zero and added in order:

    matrices    one chain of fused multiply-adds over pairs of rows, the odd one first, both operands in bfloat16; in
                bfloat16_amx, the rows of a block are added to the sum so far in that format's own blocks
    vectors     one chain of float32 additions
"""

from collections.abc import Sequence

import numpy as np

from ._types import Array, Rows
from .float32 import add
from .formats import SUM_BLOCK, product_bfloat16, product_bfloat16_amx

PRODUCT_ROWS = 512


def blocks_of_rows(rows: Sequence[Rows], lengths: Array) -> list[list[tuple[int, int]]]:
    """Return the blocks in the order in which they are added, each a list of (step, active row) in order.

    rows: the sequences that are active at each step, longest first, in the order of the batch if equal.
    """
    T, B = int(lengths.max(initial=0)), len(lengths)
    by_length = np.argsort(-lengths, kind="stable")
    chunk = max(1, PRODUCT_ROWS // max(1, B))
    blocks = []
    for end in range(T, 0, -chunk):
        numbered = []
        for t in range(max(0, end - chunk), end):
            active = np.arange(B)[rows[t]]
            numbered += [(t, int(np.flatnonzero(active == b)[0])) for b in by_length if b in active]
        numbered.reverse()
        for begin in range(0, len(numbered), PRODUCT_ROWS):
            product = numbered[begin : begin + PRODUCT_ROWS]
            blocks += [product[k : k + SUM_BLOCK] for k in range(0, len(product), SUM_BLOCK)]
    return blocks


def sum_of_products(
    blocks: list[list[tuple[int, int]]], left: Sequence[Array], right: Sequence[Array], matrix: Array, format: str
) -> Array:
    """Return the sum of left^T right over all rows, with left (B,M) and right (B,N) for each step; a matrix (M,N)."""
    start, total = np.zeros(1, np.float32), np.zeros_like(matrix)
    for n, block in enumerate(blocks):
        a, b = (np.stack([of[t][row] for t, row in block]) for of in (left, right))
        if format == "bfloat16_amx":
            total = product_bfloat16_amx(b.T, total, a.T)
            continue
        of_block = product_bfloat16(b.T, start, a.T)
        total = add(of_block, total) if n else of_block
    return total


def sum_of_vectors(blocks: list[list[tuple[int, int]]], terms: Sequence[Array], vector: Array) -> Array:
    """Return the sum over all rows of the arrays (B,N) of each step; a vector (N,)."""
    total = np.zeros_like(vector)
    for n, block in enumerate(blocks):
        of_block = np.zeros_like(total)
        for t, row in block:
            of_block = add(of_block, terms[t][row])
        total = add(of_block, total) if n else of_block
    return total
