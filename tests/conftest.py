"""Fixtures, and the check that no instruction set which this machine has is left untested."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "csrc"))  # units.py
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))  # wheels.py

# Only the reference uses NumPy's matrix products here; they are so small that waking threads would take longer.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# PyTorch is installed for the tests anyway; Keras' NumPy backend needs JAX.
os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import pytest
from units import isas

import lstm_fast
from explain_browser import browser, show  # noqa: F401  (fixtures)
from lstm_fast import _core
from optional import light
from optional import make_module as pytest_pycollect_makemodule  # noqa: F401

signal.signal(signal.SIGINT, signal.default_int_handler)  # SIGINT is ignored in background jobs of a shell


def processor_flags():
    """Words of the flags (x86) or Features (Arm) lines of /proc/cpuinfo: features enabled by the system."""
    cpuinfo = Path("/proc/cpuinfo")  # (wine shows this file too: not what Windows lets programs use)
    lines = cpuinfo.read_text().splitlines() if sys.platform == "linux" and cpuinfo.exists() else []
    words = {word for line in lines if line.startswith(("flags", "Features")) for word in line.split(":")[1].split()}
    return {word.replace("_", "") for word in words}  # avx512_vnni: the compiler's name is avx512vnni


def expected_isas():
    """Instruction sets of csrc/isas.h that this processor supports."""
    flags = processor_flags()
    return {isa.name for isa in isas() if {word.replace("_", "") for word in isa.features} <= flags}


# These start compilers and other long processes: first, so that no worker of pytest-xdist is left alone with one.
LONGEST = ("test_c_driver", "test_package", "test_stubs", "test_mutants", "test_compilers")


def pytest_collection_modifyitems(config, items):
    every = int(os.environ.get("LSTM_FAST_TEST_EVERY", 1))  # tools/machines.py: under an emulator, not all of them
    config.hook.pytest_deselected(items=[item for number, item in enumerate(items) if number % every])
    items[:] = items[::every]
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_sessionstart(session):
    missing = expected_isas() - set(_core.available_isas())
    if missing:
        pytest.exit(
            f"lstm_fast does not offer {', '.join(sorted(missing))}, which this processor has: the tests would "
            f"leave it out (compiled: {', '.join(_core.compiled_isas())})",
            returncode=1,
        )


@pytest.fixture
def few_steps(monkeypatch):
    """Fail after 2000 steps of training: an overflow in the lengths of series may make an epoch of billions."""
    from lstm_fast.train import Trainer

    train_batch, n_steps = Trainer._train_batch, [0]

    def counted(*arguments):
        n_steps[0] += 1
        assert n_steps[0] <= 2000, "a test trains for more than 2000 steps"
        train_batch(*arguments)

    monkeypatch.setattr(Trainer, "_train_batch", counted)


@pytest.fixture
def isa_is_restored():
    yield
    _core.use_isa(os.environ.get("LSTM_FAST_ISA") or None)


# Those with float32 and float64 kernels: the others differ from their base only in the low-precision formats.
BASES = [name for name in _core.available_isas() if _core.base_isa(name) == name]


@pytest.fixture(params=BASES)
def isa(request, isa_is_restored):
    """Weights packed during the test use this instruction set; earlier ones keep theirs."""
    assert _core.use_isa(request.param) == _core.isa() == request.param
    return request.param


@pytest.fixture(params=light(BASES, BASES[-1:]))
def some_isa(request, isa_is_restored):
    """Like isa, but only the fastest in the light suite: for properties that do not depend on the kernels."""
    assert _core.use_isa(request.param) == request.param
    return request.param


@pytest.fixture(params=_core.available_isas())
def any_isa(request, isa_is_restored):
    """All instruction sets, for the low-precision formats."""
    assert _core.use_isa(request.param) == request.param
    return request.param


@pytest.fixture
def each_isa(isa_is_restored):
    """Return an iterator over the instruction sets of `isa`, which selects each in turn.

    For tests whose expected result takes longer to compute than the results of all of them, so that it is computed
    once, in one worker.
    """
    return lambda: map(_core.use_isa, BASES)


@pytest.fixture
def isas_with_fma(isa_is_restored):
    """Iterator that selects each instruction set with fused multiply-add; all match the reference bitwise.

    For tests whose expected result takes longer to compute than the result of each of them.
    """
    names = [name for name in _core.available_isas() if name != "portable"]
    if not names:
        pytest.skip("no fused multiply-add")
    return map(_core.use_isa, names)


@pytest.fixture(autouse=True)
def num_threads_is_restored():
    before = lstm_fast.get_num_threads()
    yield
    lstm_fast.set_num_threads(before)


@pytest.fixture
def poison(monkeypatch):
    """Fill memory of np.empty (results, tapes, packed weights, workspaces) with NaN."""
    empty = np.empty

    def poisoned(*args, **kwargs):
        array = empty(*args, **kwargs)
        if array.dtype.kind in "fu":
            array.reshape(-1).view(np.uint8)[...] = 0xFF
        return array

    def poisoned_like(prototype, *args, **kwargs):
        return poisoned(prototype.shape, *(args or (kwargs.pop("dtype", prototype.dtype),)), **kwargs)

    monkeypatch.setattr(np, "empty", poisoned)
    monkeypatch.setattr(np, "empty_like", poisoned_like)
    _core.testing.spare_workspaces.clear()
    yield
    _core.testing.spare_workspaces.clear()
