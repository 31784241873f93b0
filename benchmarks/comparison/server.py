"""The process of one framework: python -m comparison.server FRAMEWORK N_THREADS, in the folder benchmarks/.

It answers each line of JSON on stdin with one on stdout: {"do": "prepare", "slot": name, ...} makes the jobs, checks them and
keeps the fastest; {"do": "time", "slot": name, "seconds": s} is one round of it; forget drops them all; limits and answers are
for limits.py. Anything that goes wrong is answered as {"problem": text}.
"""

import json
import os
import sys
from importlib import import_module
from itertools import repeat
from statistics import median
from time import perf_counter

import numpy as np

from . import processors
from .frameworks.common import Unsupported

SAMPLE_SECONDS = 100e-6  # shorter calls are timed several at once
CHOICE_SECONDS = 0.03  # of timing each way, before the fastest is kept
TOLERANCES = {"float16": 2e-3}


class Server:
    def __init__(self, framework):
        self.framework, self.jobs = framework, {}

    def prepare(self, slot, data, answers, kind, number, T, B):
        data = _shortened(dict(np.load(data)), T, B)
        answers = {
            name: np.load(f"{answers}-{name}.npy", mmap_mode="r")
            for name in (("output", "d_x", "d_weight_hh") if kind == "training" else ("output",))
        }
        if T or B:
            answers = {"output": answers["output"][:T, :B]}  # sums over all rows are not those of fewer
        start = perf_counter()
        ways, found, jobs, problems = self.framework.ways(kind, data, number), {}, {}, []
        for name, make in ways.items():
            try:
                jobs[name] = job = make()
                error = _error(job.read(), answers)
                if not error <= TOLERANCES.get(number, 1e-4):
                    raise ArithmeticError(f"wrong by {error:.1e}")
                found[name] = self._time_calls(job.run, CHOICE_SECONDS if len(ways) > 1 else 0), error
            except Exception as problem:
                problems.append(f"{name}: {_said(problem)}")
        if not found:
            return {"problem": "; ".join(problems)}
        way = min(found, key=lambda name: found[name][0])
        if getattr(self.framework, "last_way_counts", False) and len(jobs) > 1:
            jobs[way] = ways[way]()
            jobs[way].read()
        seconds = found[way][0]
        self.jobs[slot] = jobs[way], max(1, round(SAMPLE_SECONDS / seconds))
        return {
            "way": way,
            "error": found[way][1],
            "seconds": seconds,
            "problems": problems,
            "prepare_seconds": round(perf_counter() - start, 3),
        }

    @staticmethod
    def _time_calls(run, seconds):
        """Median after a call to warm up; at least two calls, or the one if it is long."""
        times, end = [_sample(run, 1)], perf_counter() + seconds
        while times[0] < 0.3 and (len(times) < 3 or perf_counter() < end):
            times.append(_sample(run, 1))
        return median(times[1:] or times)

    def forget(self):
        self.jobs.clear()
        return {}

    def time(self, slot, seconds):
        job, n_calls = self.jobs[slot]  # all of it is kept: run may use memory that only read refers to
        samples, end = [], perf_counter() + seconds
        while not samples or perf_counter() < end:
            samples.append(_sample(job.run, n_calls))
        return {"seconds": median(samples), "n_samples": len(samples)}

    def limits(self, **what):
        return self.framework.limits(**what)

    def answers(self, data, answers, kind):
        for name, array in self.framework.answers(kind, dict(np.load(data))).items():
            np.save(f"{answers}-{name}.npy", array)
        return {}


def _shortened(data, T, B):
    return {
        name: np.ascontiguousarray(array[:T, :B]) if name in ("x", "d_output") else array
        for name, array in data.items()
    }


def _sample(run, n_calls):
    start = perf_counter()
    for _ in repeat(None, n_calls):
        run()
    return (perf_counter() - start) / n_calls


def _error(results, answers):
    """The largest deviation, relative to the largest number where that is above 1. NaN stays NaN."""
    return max(
        float(np.max(np.abs(np.asarray(results[name]) - answer))) / max(1.0, float(np.max(np.abs(answer))))
        for name, answer in answers.items()
    )


def _said(problem):
    lines = str(problem).strip().splitlines() or [""]
    said = lines[0][:160]
    return said if isinstance(problem, (Unsupported, ArithmeticError)) else f"{type(problem).__name__}: {said}"


def main(name, n_threads):
    answer_to = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what frameworks print goes the way of errors

    def answer(value):
        answer_to.write(json.dumps(value) + "\n")

    try:
        processors.use(int(n_threads))
        server = Server(import_module(f".frameworks.{name}", __package__).Framework(int(n_threads)))
        answer({"versions": {**server.framework.versions(), "python": sys.version.split()[0]}})
    except Exception as problem:
        answer({"problem": "not installed" if isinstance(problem, ModuleNotFoundError) else _said(problem)})
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(getattr(server, request.pop("do"))(**request))
        except Exception as problem:
            answer({"problem": _said(problem)})


if __name__ == "__main__":
    main(*sys.argv[1:])
