"""Shared by the fuzzers: the command line, the seeds, the processes, the report.

    python tests/fuzz_bits.py [cases [first seed]] [--seconds S] [--jobs N]

A fuzzer is a list of checks, functions of a seed that raise where something is wrong. Each seed runs in one of `jobs`
processes; each failure is printed with its check and its seed, which alone repeat it: `fuzz_bits.py 1 SEED`.
"""

import argparse
import os
import sys
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

CHUNK = 25  # seeds
MOST_PRINTED = 20  # failures of a check


class Skipped(Exception):
    """A case that cannot be compared; counted."""


def run_chunk(check, seeds, deadline):
    """(cases run, cases skipped, [(seed, message)]). Stops at the deadline."""
    ran, skipped, failures = 0, 0, []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # random options may not make sense together
        for seed in seeds:
            if time.monotonic() > deadline:
                break
            ran += 1
            try:
                check(seed)
            except Skipped:
                skipped += 1
            except AssertionError as error:
                failures.append((seed, str(error).strip() or "assertion failed"))
            except Exception:
                failures.append((seed, traceback.format_exc()))
    return ran, skipped, failures


def run(check, cases, first=0, seconds=float("inf"), jobs=1):
    """Print the failures and a summary; return the numbers of cases and failures."""
    begin = time.monotonic()
    chunks = [range(k, min(k + CHUNK, first + cases)) for k in range(first, first + cases, CHUNK)]
    arguments = [check] * len(chunks), chunks, [begin + seconds] * len(chunks)
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(run_chunk, *arguments))
    else:
        results = list(map(run_chunk, *arguments))
    ran, skipped = (sum(result[k] for result in results) for k in (0, 1))
    failures = [failure for result in results for failure in result[2]]
    for seed, message in failures[:MOST_PRINTED]:
        print(f"{check.__name__}, seed {seed}: {message}")
    took = time.monotonic() - begin
    print(
        f"{check.__name__}: {ran} cases from seed {first}, {len(failures)} failed, {skipped} skipped, "
        f"{took:.0f} s, {ran / max(took, 1e-9):.0f} per second",
        flush=True,
    )
    return ran, len(failures)


def main(*checks, cases=1000):
    """The command line of a fuzzer; the exit status."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="?", type=int, default=cases, help="of each check")
    parser.add_argument("first", nargs="?", type=int, default=0, help="seed")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of each check, at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    a = parser.parse_args()
    return int(sum(run(check, a.cases, a.first, a.seconds, a.jobs)[1] for check in checks) > 0)
