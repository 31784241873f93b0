"""Tests of a copy of the sources, for mutate_python.py: which of them run a line, and whether they notice its change.

A test file is run once on the unchanged sources; each test's time and the lines of lstm_fast that it runs are noted.
For a change, only tests that run one of its lines are started, cheapest first, until one fails. Each run is a fork of
this process, which has imported what all of them need but nothing of lstm_fast.
"""

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "KERAS_BACKEND": "torch"}

import numpy
import numpy.testing  # noqa: F401
import pytest

FAILED, GREEN = "failed", "green"


class Recorder:
    """A plugin: {test: (seconds, whether it passed, its lines of these sources)}."""

    def __init__(self, sources):
        self.sources, self.tests, self.failed, self.lines = frozenset(map(str, sources)), {}, set(), set()

    def trace(self, frame, event, argument):
        name = frame.f_code.co_filename
        if name not in self.sources:
            return None
        lines = self.lines
        lines.add((name, frame.f_lineno))

        def line(frame, event, argument):
            lines.add((name, frame.f_lineno))
            return line

        return line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.lines, begin = set(), time.monotonic()
        sys.settrace(self.trace)
        threading.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            self.tests[item.nodeid] = time.monotonic() - begin, item.nodeid not in self.failed, self.lines

    def pytest_runtest_logreport(self, report):
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)


class Chosen:
    """A plugin: these tests alone, in this order; which one failed first."""

    def __init__(self, names):
        self.order, self.first = {name: k for k, name in enumerate(names)}, None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = sorted((item for item in items if item.nodeid in self.order), key=lambda i: self.order[i.nodeid])

    def pytest_runtest_logreport(self, report):
        if report.failed and self.first is None:
            self.first = report.nodeid


class Suite:
    """The tests of a folder that holds a copy of the repository; changes are made to its `sources`."""

    def __init__(self, folder, sources):
        self.folder, self.sources, self.recorded = Path(folder), sources, {}
        os.environ |= {"PYTHONPATH": str(folder)}
        own = str(Path(__file__).resolve().parent)
        sys.path[:] = [str(folder), str(self.folder / "tests"), *(path for path in sys.path if path != own)]
        os.chdir(folder)
        sys.dont_write_bytecode = False  # (a file's time tells whether its code is up to date: Suite.write)
        sys.pycache_prefix = str(self.folder / "code")
        self.time = int(time.time()) - 10**6

    def write(self, path, source):
        """Replace a source; its time is another than that of any before, which are compared in whole seconds."""
        path.write_text(source)
        self.time += 2
        os.utime(path, (self.time, self.time))

    def fork(self, plugin, files, patience, result):
        """pytest with a plugin: (its status or None where the time is over, result(plugin) or None)."""
        kept = self.folder / "result"
        kept.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            status = 3
            try:
                with open(os.devnull, "w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
                    os.dup2(null.fileno(), 1)
                    os.dup2(null.fileno(), 2)
                    names = [f"tests/test_{name}.py" for name in files]
                    status = pytest.main(
                        ["-x"] * isinstance(plugin, Chosen)
                        + ["-q", "-n", "0", "-p", "no:cacheprovider", "--continue-on-collection-errors", *names],
                        plugins=[plugin],
                    )
                    kept.write_bytes(pickle.dumps(result(plugin)))
            finally:
                os._exit(int(status))
        end = time.monotonic() + patience
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                found = pickle.loads(kept.read_bytes()) if kept.exists() else None
                return os.waitstatus_to_exitcode(status), found
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None, None

    def record(self, files):
        """Run the tests of these files that were not run before, on the unchanged sources."""
        for name in files:
            if name in self.recorded:
                continue
            recorder = Recorder(self.sources)
            status, tests = self.fork(recorder, [name], 3600, lambda plugin: plugin.tests)
            if tests is None:
                raise SystemExit(f"test_{name}.py ended with status {status}")
            self.recorded[name] = tests

    def running(self, files, path, lines):
        """Green tests of these files that run one of the lines, cheapest first; all of them if lines is None."""
        places = {(str(path), line) for line in lines or ()}
        found = [
            (seconds, test)
            for name in files
            for test, (seconds, is_green, ran) in self.recorded[name].items()
            if is_green and (lines is None or places & ran)
        ]
        return [test for _, test in sorted(found)]

    def judge(self, tests, patience=300):
        """(FAILED or GREEN, by what)"""
        if not tests:
            return GREEN, "no test runs the line"
        files = dict.fromkeys(test.partition("::")[0].removeprefix("tests/test_").removesuffix(".py") for test in tests)
        status, first = self.fork(Chosen(tests), files, patience, lambda plugin: plugin.first)
        if status == 0:
            return GREEN, f"{len(tests)} tests"
        if status == 5:
            raise SystemExit(f"none of {tests} was collected")
        return FAILED, first or ("time over" if status is None else f"pytest: {status}")
