"""The shapes that are timed, each with its reason. One list for every benchmark."""

from collections import namedtuple

Case = namedtuple("Case", "T B I H reason")

CASES = [
    Case(1, 1, 1, 1, "the teaching example: nothing but the cost of a call"),
    Case(1, 1, 64, 64, "one new sample of a small served model"),
    Case(1, 1, 256, 256, "one step whose weights (2 MiB) just leave L2"),
    Case(100, 1, 16, 32, "a sensor: everything stays in L1"),
    Case(100, 1, 64, 64, "one sequence, weights in L2"),
    Case(100, 1, 256, 256, "one sequence, bound by reading the weights"),
    Case(1000, 1, 8, 20, "a long series and an odd size: no vector length divides 20"),
    Case(100, 32, 16, 32, "a small batch: the cell update is a third of the time"),
    Case(100, 32, 64, 64, "the usual small training job"),
    Case(100, 32, 128, 128, "products dominate"),
    Case(100, 32, 256, 256, "weights no longer in L2"),
    Case(50, 32, 512, 512, "weights stream from L3"),
    Case(100, 256, 30, 50, "many rows, sizes of no particular shape"),
]


def case_id(case):
    return f"T{case.T}-B{case.B}-I{case.I}-H{case.H}"


def forward_flops(case):
    """Multiplications and additions of the products of one LSTM layer: 2 * 4H * (I + H) a step and sequence."""
    return 8 * case.H * (case.I + case.H) * case.T * case.B
