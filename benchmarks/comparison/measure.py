"""One shape: the same weights for all frameworks, every result checked, then interleaved rounds and their medians."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import numpy as np

from .case import FEWER_BITS, IN_PEERS, Entrant, flops, peers_of, weight_bytes
from .frameworks.common import layer_names
from .processes import BusyCore

ROUND_SECONDS = 0.03  # for each entrant in each round; at least one call
LONG_ROUND_SECONDS = 1.5  # for all entrants: above this the number of rounds drops to LEAST_ROUNDS
LEAST_ROUNDS = 3
TAIL_SECONDS = 0.15  # for each entrant in each round where single calls are timed: 15,000 calls of 10 us
CHECKED_STEPS, CHECKED_STEPS_OF_FORMATS = 5, 100  # of the kind "step", with the state carried
PAUSE_SECONDS = 0.06  # after a process whose threads may still spin, before the next one runs


def label(entrant):
    """The name of an entrant in the results."""
    parts = [
        entrant.framework,
        entrant.isa,
        entrant.format if entrant.format != "float32" else None,
        f"{entrant.threads} thread{'s' * (entrant.threads > 1)}" if entrant.threads else None,
        f"T={entrant.T}" if entrant.T else None,
        f"B={entrant.B}" if entrant.B else None,
    ]
    return " ".join(part for part in parts if part)


def entrants(case, peers):
    """lstm_fast, its baseline if the case has one, and the peers."""
    format = IN_PEERS.get(case.entrant.format, case.entrant.format)
    return [
        case.entrant,
        *([case.own] if case.own else []),
        *(Entrant(peer, threads=case.entrant.threads, format=format) for peer in peers_of(case, peers)),
    ]


def _write_data(case, path):
    checked = CHECKED_STEPS_OF_FORMATS if case.entrant.format in FEWER_BITS else CHECKED_STEPS
    T = checked if case.kind == "step" else case.T
    rng, (B, I, H) = np.random.default_rng(0), case[3:6]
    bound = H**-0.5

    def normal(*shape):
        return rng.standard_normal(shape, np.float32)

    def uniform(*shape):
        return ((2 * rng.random(shape, np.float32) - 1) * bound).astype(np.float32)

    data = {"x": normal(T, B, I), "d_output": normal(T, B, H)}
    for layer in range(case.layers):
        shapes = (4 * H, H if layer else I), (4 * H, H), (4 * H,), (4 * H,)
        data |= {name: uniform(*shape) for name, shape in zip(layer_names(layer), shapes, strict=True)}
    np.savez(path, **data)


def measure(case, children, peers, num_threads, n_rounds):
    """Measure a shape; return its row of the results: the times of each entrant, or the reason for their absence."""
    start = monotonic()
    named = {label(entrant): entrant for entrant in entrants(case, peers)}
    n_threads = case.entrant.threads or num_threads
    limits = children.of("limits", n_threads)
    with tempfile.TemporaryDirectory() as folder:
        data, answers = str(Path(folder, "data.npz")), str(Path(folder, "answers"))
        _write_data(case, data)
        answered = limits.ask("answers", data=data, answers=answers, kind=case.kind)
        if "problem" in answered:
            return _row(case, named, dict.fromkeys(named, answered), [], num_threads)
        results, running = {}, {}
        for name, entrant in named.items():
            format = entrant.format if entrant.format in FEWER_BITS else None
            child = children.of(entrant.framework, entrant.threads or num_threads, entrant.isa, format)
            results[name] = child.ask(
                "prepare",
                slot=name,
                data=data,
                answers=answers,
                kind=case.kind,
                format=entrant.format,
                T=entrant.T,
                B=entrant.B,
            )
            if "problem" not in results[name]:
                running[name] = child
    if sum(max(ROUND_SECONDS, results[name]["seconds"]) for name in running) > LONG_ROUND_SECONDS:
        n_rounds = min(n_rounds, LEAST_ROUNDS)
    level, _ = weight_bytes(case)
    seconds = TAIL_SECONDS if case.has_tail else ROUND_SECONDS
    has_limits = case.entrant.format not in FEWER_BITS  # NumPy has no matrix product in these
    limits_found = []
    with BusyCore() if case.is_busy else nullcontext():
        for _ in range(n_rounds):
            if has_limits:
                limits_found.append(limits.ask("limits", format=case.entrant.format, n_bytes=level))
            if n_threads > 1:
                sleep(PAUSE_SECONDS)
            for name, child in list(running.items()):
                answer = child.ask("time", slot=name, seconds=seconds, each=case.has_tail)
                if n_threads > 1:
                    sleep(PAUSE_SECONDS)
                if "problem" in answer:
                    results[name] = {"problem": answer["problem"]}
                    del running[name]
                else:
                    results[name].setdefault("rounds", []).append(answer["seconds"])
                    for tail in ("p99", "p999"):
                        if tail in answer:
                            results[name].setdefault(tail, []).append(answer[tail])
    for child in running.values():
        child.ask("forget")
    row = _row(case, named, results, [one for one in limits_found if "problem" not in one], num_threads)
    row["measured_in_seconds"] = round(monotonic() - start, 1)
    return row


COPIED = "way", "error", "gradients", "has_amx", "problems", "prepare_seconds"


def _row(case, named, results, limits_found, num_threads):
    timed = {}
    for name, result in results.items():
        timed[name] = (
            result
            if "problem" in result
            else {
                "seconds": median(result["rounds"]),
                "rounds": result["rounds"],
                **{name: median(result[name]) for name in ("p99", "p999") if name in result},
                **{name: result[name] for name in COPIED if name in result},
            }
        )
    row = {
        "regime": case.regime,
        "kind": case.kind,
        "format": case.entrant.format,
        "layers": case.layers,
        "T": case.T,
        "B": case.B,
        "I": case.I,
        "H": case.H,
        "reason": case.reason,
        "num_threads": case.entrant.threads or num_threads,
        "flops": flops(case),
        "ours": label(case.entrant),
        "own": label(case.own) if case.own else None,
        "own_work": ((case.own.T or case.T) * (case.own.B or case.B) / (case.T * case.B)) if case.own else None,
        "peers": {entrant.framework: name for name, entrant in named.items() if entrant.framework != "lstm_fast"},
        "times": timed,
    }
    if limits_found:
        _, n_bytes = weight_bytes(case)
        rates = {name: median(one[name] for one in limits_found) for name in ("flops_per_s", "bytes_per_s")}
        row["limits"] = {**rates, "bytes": n_bytes, "level_bytes": weight_bytes(case)[0]}
    return row
