"""Merges the results of several runs on one machine."""

# What tells one row from another.
_IDENTITY = "regime", "kind", "format", "layers", "T", "B", "I", "H", "ours", "own"


def _check(runs):
    """All runs must have the same processor, number of threads and versions."""
    first = runs[0]["host"]
    for other in (run["host"] for run in runs[1:]):
        versions = first["versions"].keys() & other["versions"].keys()
        for name in ("cpu", "num_threads"):
            if first[name] != other[name]:
                raise SystemExit(f"runs must have the same {name}, got {first[name]!r} and {other[name]!r}")
        for name in versions:
            if first["versions"][name] != other["versions"][name]:
                raise SystemExit(
                    f"runs must have the same {name}, got {first['versions'][name]} and {other['versions'][name]}"
                )


def join(runs):
    """The merged results. If a row was measured again, the later result is used."""
    _check(runs)
    rows, peers, missing, versions = {}, [], {}, {}
    for run in runs:
        rows |= {tuple(row.get(name) for name in _IDENTITY): row for row in run["rows"]}
        peers += [peer for peer in run["settings"]["peers"] if peer not in peers]
        missing |= run["settings"]["missing"]
        versions |= run["host"]["versions"]
    regimes = list(dict.fromkeys(row["regime"] for row in rows.values()))
    settings = {
        "peers": peers,
        "missing": {peer: problem for peer, problem in missing.items() if peer not in peers},
        "is_quick": any(run["settings"]["is_quick"] for run in runs),
        "only": regimes,
        "shapes": None,
        "n_left_out": max(run["settings"]["n_left_out"] for run in runs),
        "minutes": round(sum(run["settings"]["minutes"] for run in runs), 1),
    }
    return {
        "host": {**runs[-1]["host"], "versions": versions},
        "rows": sorted(rows.values(), key=lambda row: regimes.index(row["regime"])),
        "settings": settings,
    }
