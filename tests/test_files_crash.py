"""Crashes during saves: power loss, by replaying unflushed operations; kill -9; a full disk."""

import builtins
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

import lstm_fast as lf
from lstm_fast import _files
from optional import MUST_HAVE_ALL
from scripts import run, start

OLD, NEW = b"old" * 10, b"new" * 20

# ---- power loss ----------------------------------------------------------------------------------------------------


class Recorder:
    """Replaces `os` and `open` in _files.py and records all file system operations in order."""

    def __init__(self, monkeypatch):
        self.operations, self.names = [], {}
        monkeypatch.setattr(_files, "os", self)
        monkeypatch.setattr(_files, "open", self.open_file, raising=False)

    def __getattr__(self, name):
        return getattr(os, name)

    def open_file(self, path, mode, **options):
        file = builtins.open(path, mode, buffering=0, **options)  # noqa: SIM115
        self.names[file.fileno()] = path
        if "x" in mode:
            self.operations.append(("create", path))
        recorder = self

        class File:
            def write(self, data):
                recorder.operations.append(("write", path, bytes(data)))
                return file.write(data)

            def __getattr__(self, name):
                return getattr(file, name)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

        return File()

    def open(self, path, flags, *mode):
        handle = os.open(path, flags, *mode)
        self.names[handle] = path
        return handle

    def fsync(self, handle):
        self.operations.append(("fsync", self.names[handle]))
        os.fsync(handle)

    def replace(self, old, new):
        self.operations.append(("rename", old, new))
        os.replace(old, new)

    def unlink(self, path):
        self.operations.append(("unlink", path))
        os.unlink(path)


def survivors(operations, folder):
    """Possible states after a crash: each unflushed operation is present or absent, a write possibly in part.

    fsync of a file makes its data and its own creation last, fsync of the folder all creations, renames and removals.
    """
    optional = []
    for k, operation in enumerate(operations):
        later = [one[1] for one in operations[k + 1 :] if one[0] == "fsync"]
        is_data = operation[0] == "write"
        lasts = (operation[1] in later) if is_data or operation[0] == "create" else False
        if operation[0] != "fsync" and not (lasts or (not is_data and folder in later)):
            optional.append(k)
    for lost in itertools.chain.from_iterable(itertools.combinations(optional, n) for n in range(len(optional) + 1)):
        cuts = [k for k in lost if operations[k][0] == "write"]
        for lengths in itertools.product(*[range(0, len(operations[k][2]), 7) for k in cuts]):
            yield set(lost), dict(zip(cuts, lengths))


def replay(operations, lost, lengths, target, before):
    """Content by name after a crash. Data belong to files, not to names, as in a file system."""
    files = {} if before is None else {target: bytearray(before)}
    made = {}
    for k, operation in enumerate(operations):
        if operation[0] == "create":
            made[operation[1]] = bytearray()
            if k not in lost:
                files[operation[1]] = made[operation[1]]
        elif operation[0] == "write":
            data = operation[2][: lengths[k]] if k in lost else operation[2]
            made[operation[1]].extend(data)
        elif operation[0] == "rename" and k not in lost:
            files.pop(operation[1], None)
            files[operation[2]] = made[operation[1]]
        elif operation[0] == "unlink" and k not in lost:
            files.pop(operation[1], None)
    return files


def outcomes(operations, target, before):
    folder, found = os.path.dirname(target), set()
    for n in range(len(operations) + 1):
        for lost, lengths in survivors(operations[:n], folder):
            files = replay(operations[:n], lost, lengths, target, before)
            content = files.get(target)
            found.add(None if content is None else bytes(content))
            assert len(files.keys() - {target}) <= 1, "more than one temporary file"
    return found


@pytest.mark.parametrize("before", [None, OLD])
def test_power_loss_leaves_the_old_or_the_new_file(tmp_path, monkeypatch, before):
    target = str(tmp_path / "model")
    if before is not None:
        Path(target).write_bytes(before)
    recorder = Recorder(monkeypatch)
    _files.write_atomically(target, NEW)
    kinds = [operation[0] for operation in recorder.operations]
    assert kinds == ["create", "write", "fsync", "rename", "fsync"], kinds
    assert outcomes(recorder.operations, target, before) == {before, NEW}
    # Afterwards the new file survives any crash.
    assert {
        bytes(replay(recorder.operations, lost, lengths, target, before)[target])
        for lost, lengths in survivors(recorder.operations, str(tmp_path))
    } == {NEW}
    # The replay detects a missing flush: without it, the new name may refer to half a file.
    unsafe = [operation for operation in recorder.operations if operation != ("fsync", recorder.operations[0][1])]
    assert len(unsafe) == 4 and outcomes(unsafe, target, before) > {before, NEW}


# ---- kill -9 -------------------------------------------------------------------------------------------------------

SAVES = """
os.chdir({folder!r})
models = [lf.LSTM(2, 30, seed=k) for k in range(2)]
lf.weights.save(models[0], "model")  # imports the modules that save needs
print("go")
for k in range(10**9):
    lf.weights.save(models[k % 2], "model")
"""


class Forked:
    """A process that does as SAVES, without the time that its imports take: for thousands of them."""

    def __init__(self, folder):
        models = [lf.LSTM(2, 30, seed=k) for k in range(2)]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for k in itertools.count():
                    lf.weights.save(models[k % 2], folder / "model")
            finally:
                os._exit(1)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        assert os.WTERMSIG(status) == signal.SIGKILL, f"a save ended with status {status}"


class Started:
    """A new process that runs SAVES."""

    def __init__(self, folder):
        self.process = start(SAVES.format(folder=str(folder)))
        line = self.process.stdout.readline()
        if line != "go\n":
            raise AssertionError((line, self.process.communicate()[1]))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def kill_during_saves(folder, n, rng, begin=Started):
    """Kill n processes that save two models in turn; return (broken files, most leftovers at once, all leftovers)."""
    wanted = {lf.fingerprint(lf.LSTM(2, 30, seed=k)) for k in range(2)}
    broken, most, hits = 0, 0, 0
    for _ in range(n):
        process = begin(folder)
        try:
            time.sleep(rng.uniform(0, 0.01))
        finally:
            process.kill()
        try:
            broken += lf.fingerprint(lf.weights.load(folder / "model")) not in wanted
        except lf.FormatError:
            broken += 1
        now = len([name for name in os.listdir(folder) if name.startswith(_files.PREFIX)])
        most, hits = max(most, now), hits + now
    return broken, most, hits


def test_killed_save_leaves_a_complete_file_and_at_most_one_leftover(tmp_path):
    n, seed = (100 if MUST_HAVE_ALL else 12), 0
    broken, most, hits = kill_during_saves(tmp_path, n, random.Random(seed))
    assert broken == 0 and most == 1 and hits > n / 10, (broken, most, hits)
    lf.weights.save(lf.LSTM(2, 30, seed=0), tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]


# ---- disk full -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 1000, 50_000])
def test_full_disk_leaves_only_the_old_file(tmp_path, limit):
    """At the file size limit, writes fail as on a full disk: first partially, then completely."""
    path = tmp_path / "model"
    lf.weights.save(lf.LSTM(2, 3, seed=0), path)
    before = path.read_bytes()
    run(
        f"""
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        os.chdir({str(tmp_path)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
        for call in (
            lambda: lf.weights.save(lf.LSTM(50, 60, seed=0), "model"),
            lambda: lf.train.SequenceModel(lf.LSTM(50, 60, seed=0), 1).save("model"),
        ):
            try:
                call()
            except OSError:
                continue
            raise AssertionError("it was written")
        """
    )
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model"]


if __name__ == "__main__":  # python tests/test_files_crash.py [N] [SEED]: kill -9 during N saves
    import tempfile

    n, seed = (int(word) for word in (*sys.argv[1:], *("10000", "0")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        lf.weights.save(lf.LSTM(2, 30, seed=0), Path(folder, "model"))
        broken, most, hits = kill_during_saves(Path(folder), n, random.Random(seed), Forked)
    print(f"{n} kills, seed {seed}: {hits} within a save, {broken} files not whole, at most {most} stray at a time")
    sys.exit(broken > 0 or most > 1)
