"""The shapes of the suite, each with the reason for it."""

from typing import NamedTuple


class Case(NamedTuple):
    """Steps, batch, input size, hidden size, and why the shape is timed."""

    T: int
    B: int
    I: int
    H: int
    reason: str


CASES = [
    Case(1, 1, 1, 1, "the teaching example: call overhead only"),
    Case(1, 1, 64, 64, "one new sample in a small served model"),
    Case(1, 1, 256, 256, "one step whose weights (2 MiB) just exceed L2"),
    Case(100, 1, 16, 32, "a sensor: everything fits in L1"),
    Case(100, 1, 64, 64, "one sequence, weights in L2"),
    Case(100, 1, 256, 256, "one sequence, bound by reading the weights"),
    Case(1000, 1, 8, 20, "a long series and an odd size: no vector length divides 20"),
    Case(100, 32, 16, 32, "a small batch: the cell update takes a third of the time"),
    Case(100, 32, 64, 64, "a typical small training job"),
    Case(100, 32, 128, 128, "matrix products dominate"),
    Case(100, 32, 256, 256, "weights exceed L2"),
    Case(50, 32, 512, 512, "weights stream from L3"),
    Case(100, 256, 30, 50, "many rows, sizes that are no power of two"),
]


def case_id(case):
    return f"T{case.T}-B{case.B}-I{case.I}-H{case.H}"


def forward_flops(case):
    """Multiplications and additions in the matrix products of one layer: 2 * 4H * (I + H) per step and sequence."""
    return 8 * case.H * (case.I + case.H) * case.T * case.B
