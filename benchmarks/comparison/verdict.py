"""Derived from the times of a row: ratios, rates, percentage of the limit, and which bars are met."""

from statistics import median, quantiles


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


def needed_share(row, what, bar, reached):
    """The fraction of the limit required to meet a bar; above 1 it is impossible here. None without a limit."""
    share, _ = share_of_limit(row)
    if not share or what == "sgemm":
        return None
    return share * (reached / bar if what == "us" else bar / reached)


def bars(row):
    """(name, bar, reached, is_met) for each bar; reached and is_met are None if something was not measured."""
    values = {
        "peers": ratio(best_peer(row)[1], ours(row)),
        "torch": ratio(seconds(row, row["peers"].get("torch")), ours(row)),
        "own": ratio(seconds(row, row["own"]), ours(row)),
        "sgemm": flops_per_s(row) / row["limits"]["flops_per_s"] if ours(row) and "limits" in row else None,
        "us": ours(row) * 1e6 / (row["T"] if row["kind"] == "block" else 1) if ours(row) else None,
    }
    if values["own"]:
        values["own"] /= row["own_work"]
    verdicts = []
    for what, bar in row["bars"]:
        reached = values[what]
        is_met = None if reached is None else reached <= bar if what == "us" else reached >= bar
        verdicts.append((what, bar, reached, is_met))
    return verdicts
