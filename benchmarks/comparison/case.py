"""A row of the table: a shape, the frameworks that run it, and its number of operations."""

from typing import NamedTuple

# Formats whose error is reported. bfloat16-amx: sums in the order of AMX. int8-inputs16 and int8-inputs: also x of the
# first layer has 16 or 8 bits.
FEWER_BITS = "bfloat16", "bfloat16-amx", "int8", "int8-inputs16", "int8-inputs"
IN_PEERS = {
    "float16": "float32",
    "bfloat16-amx": "bfloat16",
    "int8-inputs16": "int8",
    "int8-inputs": "int8",
}  # formats of peers compared with each of ours


class Entrant(NamedTuple):
    """A framework with its settings."""

    framework: str
    threads: int | None = None  # None: --num-threads
    isa: str | None = None  # None: the best one
    format: str = "float32"  # float64, float32, or a format of the weights; in training the compute_dtype
    T: int | None = None  # where they differ from the shape
    B: int | None = None


class Case(NamedTuple):
    """A row of the table. Its bars are in bars.py.

    kind: step (one step from Python, the state carried), block (T steps in one call on a stream), forward, or training
    (forward and backward). own: the baseline, another entrant of lstm_fast to compare with. peers: True for all, or
    names. is_busy: another process keeps one core busy. layers: the second and later ones read H features.
    """

    regime: str
    kind: str
    T: int
    B: int
    I: int
    H: int
    reason: str
    entrant: Entrant = Entrant("lstm_fast")
    own: Entrant | None = None
    peers: bool | tuple = True
    is_busy: bool = False
    layers: int = 1

    @property
    def has_tail(self):
        """Whether single calls are timed, for the 99th percentile."""
        return self.regime == "stack"


def peers_of(case, peers):
    """The peers that a case is compared with."""
    return [peer for peer in peers if case.peers is True or peer in (case.peers or ())]


def flops(case):
    """Floating-point operations of the matrix products; a training step counts as three forward passes."""
    inputs = case.I + case.H + 2 * case.H * (case.layers - 1)
    return 8 * case.H * inputs * case.T * case.B * (3 if case.kind == "training" else 1)


def weight_bytes(case):
    """Bytes of the weights that each step reads, and bytes that a whole call reads at least.

    Over a sequence the products with weight_ih can be computed for many steps at once; those with weight_hh cannot.
    """
    format = case.entrant.format.partition("-")[0]
    size = {"int8": 1, "bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}[format]
    hh = 4 * case.H * case.H * size * case.layers
    ih = 4 * case.H * (case.I + case.H * (case.layers - 1)) * size
    if case.kind == "step":
        return hh + ih, hh + ih
    passes = 2 if case.kind == "training" else 1
    return hh, passes * (hh * case.T + ih)
