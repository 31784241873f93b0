"""Derived from the times of a row: ratios, rates, percentage of the limit, and which bars are met."""

from statistics import median, quantiles
from typing import NamedTuple

from .bars import bars_of


def seconds(row, name):
    """The time of an entrant, or None."""
    return row["times"].get(name, {}).get("seconds") if name else None


def ours(row):
    """The time of lstm_fast, or None."""
    return seconds(row, row["ours"])


def best_peer(row):
    """Framework and seconds of the fastest peer, or (None, None)."""
    timed = [(seconds(row, name), peer) for peer, name in row["peers"].items() if seconds(row, name)]
    return (min(timed)[1], min(timed)[0]) if timed else (None, None)


def ratio(other, own):
    """How many times as long the other takes, or None."""
    return other / own if other and own else None


def spread(row):
    """Interquartile range of our rounds divided by their median."""
    rounds = row["times"][row["ours"]]["rounds"]
    low, _, high = quantiles(rounds, n=4)
    return (high - low) / median(rounds)


def flops_per_s(row):
    """The rate that lstm_fast reaches in the matrix products, or None."""
    return row["flops"] / ours(row) if ours(row) else None


def limit(row):
    """The least time that this hardware allows, and what limits it: "flops" or "reads"; (None, None) if not measured.

    The longer of: the arithmetic at the rate of a matrix product; reading the weights at the rate of the cache level
    that they fit in.
    """
    if "limits" not in row:
        return None, None
    by_flops = row["flops"] / row["limits"]["flops_per_s"]
    by_reads = row["limits"]["bytes"] / row["limits"]["bytes_per_s"]
    return max((by_flops, "flops"), (by_reads, "reads"))


def share_of_limit(row):
    least, what = limit(row)
    return (ratio(least, ours(row)), what)


def error(row, name):
    """The error of an entrant against float32 (inference: largest difference of h), or None."""
    return row["times"].get(name, {}).get("error") if name else None


class Verdict(NamedTuple):
    """A bar, the measured value, and the verdict: met, missed, not measured, or the instruction it needs."""

    what: str
    value: float
    reached: float | None
    text: str


AT_MOST = "us", "tail", "gradients", "error"
AHEAD_SHARE = 0.95  # of the limit, above which being level with the best peer is enough


def verdicts(row, host):
    """A Verdict for each bar of the row. host: the facts of the machine it was measured on."""
    return [_verdict(row, host, *bar) for bar in bars_of(row)]


def _verdict(row, host, what, value, needs):
    reached = _reached(row, what)
    if reached is None:
        text = "not measured"
    elif what == "ahead":
        share, _ = share_of_limit(row)
        is_met = reached >= value or (reached >= 1 and (share or 0) >= AHEAD_SHARE)
        text = "met" if is_met else "missed"
    else:
        text = "met" if (reached <= value if what.split("/")[0] in AT_MOST else reached >= value) else "missed"
    if text != "met" and needs and not set(needs) & set(_instructions(host)):
        text = "needs " + " or ".join(name.upper() for name in needs)
    return Verdict(what, value, reached, text)


def _instructions(host):
    """Files written before this list was recorded have only the instruction set of lstm_fast."""
    return host.get("instructions", ["avx512f"] if str(host.get("isa")).startswith("avx512") else [])


def _reached(row, what):
    """The value to be compared with a bar, or None."""
    what, _, peer = what.partition("/")
    result = row["times"].get(row["ours"], {})
    if what in ("peers", "ahead"):
        return ratio(best_peer(row)[1], ours(row))
    if what == "own":
        reached = ratio(seconds(row, row["own"]), ours(row))
        return reached and reached / row["own_work"]
    if what == "sgemm":
        return flops_per_s(row) / row["limits"]["flops_per_s"] if ours(row) and "limits" in row else None
    if what == "limit":
        return share_of_limit(row)[0]
    if what == "us":
        return ours(row) * 1e6 / (row["T"] if row["kind"] == "block" else 1) if ours(row) else None
    if what == "tail":
        return ratio(result.get("p99"), ours(row))
    if what == "gradients":
        return result.get("gradients")
    return ratio(error(row, row["ours"]), error(row, row["peers"].get(peer)))


def needed_share(row, verdict):
    """The fraction of the limit required to meet a bar; above 1 it is impossible here. None without a limit."""
    share, _ = share_of_limit(row)
    if not share or verdict.what not in ("ahead", "peers", "own", "us"):
        return None
    factor = verdict.value / verdict.reached
    return share / factor if verdict.what == "us" else share * factor
