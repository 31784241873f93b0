"""The process of one framework: python -m comparison.server FRAMEWORK N_THREADS, in the folder benchmarks/.

It answers each line of JSON on stdin with a line on stdout: {"do": "prepare", "slot": name, ...} creates the jobs,
checks their results and keeps the fastest; {"do": "time", "slot": name, "seconds": s} runs one round of it; forget
drops all jobs; limits and answers are for limits.py. Errors are answered as {"problem": text}.
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
from .amx import may_use_amx
from .case import FEWER_BITS
from .frameworks.common import Unsupported

SAMPLE_SECONDS = 100e-6  # shorter calls are timed in groups
CHOICE_SECONDS = 0.03  # for timing each way before the fastest is chosen
TOLERANCES = {
    "float16": 2e-3,
    "bfloat16": 5e-2,
    "bfloat16-amx": 5e-2,
    "int8": 2e-1,
    "int8-inputs16": 2e-1,
    "int8-inputs": 2e-1,
}  # else 1e-4


class Server:
    """The jobs of one framework, and the requests as methods."""

    def __init__(self, framework):
        self.framework, self.jobs = framework, {}

    def prepare(self, slot, data, answers, kind, format, T, B):
        """Create a job for each way to run this, check it against the answers, and keep the fastest in the slot."""
        data = _shortened(dict(np.load(data)), T, B)
        answers = {
            name: np.load(f"{answers}-{name}.npy", mmap_mode="r")
            for name in (("output", "d_x", "d_weight_hh") if kind == "training" else ("output",))
        }
        if T or B:
            answers = {"output": answers["output"][:T, :B]}  # d_weight_hh sums over all rows and cannot be shortened
        start = perf_counter()
        ways, found, jobs, problems = self.framework.ways(kind, data, format), {}, {}, []
        for name, make in ways.items():
            try:
                jobs[name] = job = make()
                errors = _errors(job.read(), answers)
                if not max(errors.values()) <= TOLERANCES.get(format, 1e-4):
                    raise ArithmeticError(f"wrong by {max(errors.values()):.1e}")
                found[name] = self._time_calls(job.run, CHOICE_SECONDS if len(ways) > 1 else 0), errors
            except Exception as problem:
                problems.append(f"{name}: {_text_of(problem)}")
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
            **found[way][1],
            **({"has_amx": may_use_amx()} if format in FEWER_BITS else {}),
            "seconds": seconds,
            "problems": problems,
            "prepare_seconds": round(perf_counter() - start, 3),
        }

    @staticmethod
    def _time_calls(run, seconds):
        """Median after a warm-up call; at least two calls, or only the first if it is long."""
        times, end = [_sample(run, 1)], perf_counter() + seconds
        while times[0] < 0.3 and (len(times) < 3 or perf_counter() < end):
            times.append(_sample(run, 1))
        return median(times[1:] or times)

    def forget(self):
        """Drop all jobs."""
        self.jobs.clear()
        return {}

    def time(self, slot, seconds, each=False):
        """One round of the job in the slot; each: single calls are timed, and their percentiles answered too.

        Single calls include reading the clock, about 50 ns.
        """
        job, n_calls = self.jobs[slot]  # the whole job stays alive: run may use memory that only read refers to
        samples, end = [], perf_counter() + seconds
        while not samples or perf_counter() < end:
            samples.append(_sample(job.run, 1 if each else n_calls))
        tail = dict(zip(("p99", "p999"), np.percentile(samples, (99, 99.9)).tolist(), strict=True)) if each else {}
        return {"seconds": median(samples), "n_samples": len(samples), **tail}

    def limits(self, **what):
        """What the hardware allows (limits.py)."""
        return self.framework.limits(**what)

    def answers(self, data, answers, kind):
        """Write the correct results to files (limits.py)."""
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


def _errors(results, answers):
    """error: the largest deviation, relative to the largest value if that is above 1. NaN propagates.

    gradients: the largest norm of a gradient's deviation, relative to the norm of that gradient.
    """
    differences = {name: np.asarray(results[name]) - answer for name, answer in answers.items()}
    largest = [
        float(np.max(np.abs(difference))) / max(1.0, float(np.max(np.abs(answers[name]))))
        for name, difference in differences.items()
    ]
    norms = [
        float(np.linalg.norm(difference)) / float(np.linalg.norm(answers[name]))
        for name, difference in differences.items()
        if name.startswith("d_")
    ]
    return {"error": float(np.max(largest)), **({"gradients": float(np.max(norms))} if norms else {})}


def _text_of(problem):
    first = (str(problem).strip().splitlines() or [""])[0][:160]
    if isinstance(problem, Unsupported):
        return f"not available: {first}"
    return first if isinstance(problem, ArithmeticError) else f"{type(problem).__name__}: {first}"


def main(name, n_threads):
    answer_to = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of the frameworks goes to stderr

    def answer(value):
        answer_to.write(json.dumps(value) + "\n")

    try:
        processors.use(int(n_threads))
        server = Server(import_module(f".frameworks.{name}", __package__).Framework(int(n_threads)))
        answer({"versions": {**server.framework.versions(), "python": sys.version.split()[0]}})
    except Exception as problem:
        answer({"problem": "not installed" if isinstance(problem, ModuleNotFoundError) else _text_of(problem)})
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(getattr(server, request.pop("do"))(**request))
        except Exception as problem:
            answer({"problem": _text_of(problem)})


if __name__ == "__main__":
    main(*sys.argv[1:])
