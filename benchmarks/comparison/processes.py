"""Starts the process of a framework and sends it requests, each with a timeout."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic

FOLDER = Path(__file__).resolve().parent.parent
BUSY = """from comparison import processors
processors.use(1)
while True:
    pass"""
START_SECONDS, ANSWER_SECONDS = 90, 120
UNSET = "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LSTM_FAST_ISA", "MKL_DYNAMIC", "OMP_DYNAMIC", "GOMP_SPINCOUNT"


def _environment(n_threads, isa):
    """The same environment for all, except for the instruction set of lstm_fast."""
    names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment.update(
        dict.fromkeys(names, str(n_threads)),
        TF_CPP_MIN_LOG_LEVEL="3",
        JAX_PLATFORMS="cpu",
        CUDA_VISIBLE_DEVICES="-1",
        PYTHONWARNINGS="ignore",
        OPENBLAS_THREAD_TIMEOUT="10",  # or its threads would spin into the round of the next framework
    )
    return {**environment, "LSTM_FAST_ISA": isa} if isa else environment


class Child:
    """The process of one framework with its threads and instruction set: started on demand, restarted after a crash."""

    def __init__(self, framework, python, n_threads, isa=None):
        self.framework, self.n_threads, self.isa = framework, n_threads, isa
        self._command = [python, "-m", "comparison.server", framework, str(n_threads)]
        self._process, self._buffer, self._errors = None, b"", None
        self.versions, self.is_missing = {}, None  # is_missing: the reason why it cannot be started

    def start(self):
        """Start the process if necessary; return None, or the reason why it does not start."""
        if self._process or self.is_missing:
            return self.is_missing
        self._errors, self._buffer = tempfile.TemporaryFile(), b""  # noqa: SIM115  (closed by close)
        try:
            self._process = subprocess.Popen(
                self._command,
                cwd=FOLDER,
                env=_environment(self.n_threads, self.isa),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as problem:
            self.is_missing = str(problem)
            return self.is_missing
        answer = self._receive(START_SECONDS)
        self.versions = answer.get("versions", {})
        if "problem" in answer:
            self.is_missing = answer["problem"]
            self.close()
        return self.is_missing

    def ask(self, do, **what):
        """Send a request and return the answer, a dict; it has the key "problem" if the request failed."""
        if self.start():
            return {"problem": self.is_missing}
        try:
            self._process.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return self._died()
        return self._receive(ANSWER_SECONDS)

    def _receive(self, seconds):
        end = monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0, end - monotonic())):
                    self.close(kill=True)
                    return {"problem": f"no answer in {seconds} s"}
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    return self._died()
                self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def _died(self):
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines() or [""]
        self.close()
        return {"problem": f"its process ended with code {code}: {lines[-1][:160]}"}

    def close(self, kill=False):
        if not self._process:
            return
        if kill:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        self._process = None


class Children:
    """The processes by framework, threads, instruction set and format."""

    def __init__(self, pythons):
        self._pythons, self._children = pythons, {}

    def of(self, framework, n_threads, isa=None, format=None):
        """The process of a framework; each format has a separate one, so that amx.py can tell which format uses AMX."""
        key = framework, n_threads, isa, format
        if key not in self._children:
            python = self._pythons.get(framework, sys.executable)
            self._children[key] = Child(framework, python, n_threads, isa)
        return self._children[key]

    def versions(self):
        versions = {}
        for child in self._children.values():
            for name, value in child.versions.items():
                versions.setdefault(f"python of {child.framework}" if name == "python" else name, value)
        return versions

    def missing(self):
        return {child.framework: child.is_missing for child in self._children.values() if child.is_missing}

    def close(self, n_threads=None):
        for child in self._children.values():
            if n_threads is None or child.n_threads == n_threads:
                child.close()


class BusyCore:
    """Context manager: a process that keeps one of the cores in use busy."""

    def __enter__(self):
        self._process = subprocess.Popen([sys.executable, "-c", BUSY], cwd=FOLDER)

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
