"""Fixtures of the suite: the number of threads, the input, and the facts recorded with each time."""

import numpy as np
import pytest

import lstm_fast as lf
from cases import forward_flops


def pytest_addoption(parser):
    parser.addoption("--num-threads", type=int, default=1, help="threads per call (default: 1)")


@pytest.fixture
def record(benchmark, request):
    """record(case, passes, function) times a function whose work is `passes` forward passes of the case."""

    def run(case, passes, function):
        with lf.num_threads(request.config.getoption("--num-threads")):
            flops = passes * forward_flops(case)
            benchmark.extra_info.update(
                case._asdict(), flops=flops, isa=lf.info()["isa"], num_threads=lf.get_num_threads()
            )
            benchmark(function)
        if benchmark.stats:  # None when run with --benchmark-disable
            benchmark.extra_info["gflops"] = flops / benchmark.stats.stats.median / 1e9

    return run


@pytest.fixture
def data():
    """data(case) gives x and a gradient of the output in float32, the same in every run."""

    def make(case):
        rng = np.random.default_rng(0)
        return (
            rng.standard_normal((case.T, case.B, case.I), np.float32),
            rng.standard_normal((case.T, case.B, case.H), np.float32),
        )

    return make
