"""Atomic writes: contents of the file, and leftover temporary files, after errors, signals and kills."""

import os
import signal
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from lstm_fast import _files
from lstm_fast._files import write_atomically
from scripts import run, start

OLD, NEW = b"old" * 1000, b"new" * 2000


def only(folder):
    """The one file in a folder."""
    (name,) = os.listdir(folder)
    return name


# ---- errors and signals --------------------------------------------------------------------------------------------


class Interrupt:
    """Raises KeyboardInterrupt at the n-th bytecode that runs in _files.py, as a signal could."""

    def __init__(self, n):
        self.left = n

    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename != _files.__file__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def trace_once(path):
    """From Python 3.13 on, the first call that asks for bytecodes may not report them."""
    before = sys.gettrace()
    sys.settrace(Interrupt(sys.maxsize))
    try:
        write_atomically(path, NEW)
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that the interrupt left open
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("has_old", [False, True])
def test_interrupts_propagate_and_leave_a_complete_file(tmp_path, has_old):
    path, done, before = tmp_path / "model", False, sys.gettrace()
    trace_once(path)
    n = 0
    while not done:
        n += 1
        if has_old:
            path.write_bytes(OLD)
        else:
            path.unlink(missing_ok=True)
        sys.settrace(Interrupt(n))
        try:
            write_atomically(path, NEW)
            done = True
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert os.listdir(tmp_path) in (["model"], [] if not has_old else ["model"]), n
        assert not path.exists() or path.read_bytes() in (NEW, OLD if has_old else NEW), n
    assert n > 100 and path.read_bytes() == NEW


def test_signals_during_saves_are_keyboard_interrupts(tmp_path):
    """The same with real signals, through lf.weights.save."""
    process = start(
        f"""
        os.chdir({str(tmp_path)!r})
        small = lf.LSTM(1, 2, seed=0)
        lf.weights.save(small, "model")
        print("go")
        for turn in range(60):
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
                while True:
                    lf.weights.save(small, "model")
            except KeyboardInterrupt:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # another signal may arrive during the print
                print(os.listdir("."))
        lf.weights.load("model")
        """
    )
    try:
        assert process.stdout.readline() == "go\n", process.communicate()[1]
        for turn in range(60):
            time.sleep(0.003 + 0.0007 * turn % 0.005)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "['model']\n", process.communicate()[1]
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("step", ["write", "fsync", "replace", "fchmod"])
def test_errors_at_any_step_keep_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "model"
    path.write_bytes(OLD)

    def fail(*_):
        raise OSError(28, "No space left on device")

    if step == "write":
        with pytest.raises(TypeError):
            write_atomically(path, "text")
    else:
        monkeypatch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, NEW)
    assert path.read_bytes() == OLD and only(tmp_path) == "model"


def test_missing_folder_is_reported_with_the_target_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/model'$"):
        write_atomically(tmp_path / "none" / "model", NEW)
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, NEW)


# ---- leftover temporary files --------------------------------------------------------------------------------------


def test_next_save_removes_leftovers_of_a_killed_one(tmp_path):
    script = f"""
    import lstm_fast._files as files
    def replace(*_):
        print("written")
        time.sleep(60)
    os.replace = replace
    files.write_atomically({str(tmp_path / "model")!r}, b"x")
    """
    process = start(script)
    assert process.stdout.readline() == "written\n"
    stray = only(tmp_path)
    write_atomically(tmp_path / "model", OLD)
    assert sorted(os.listdir(tmp_path)) == sorted([stray, "model"]), "a save that runs keeps its file"
    process.kill()
    process.communicate()
    (tmp_path / ".lstm_fast-link.tmp").symlink_to(tmp_path / "model")
    os.mkfifo(tmp_path / ".lstm_fast-pipe.tmp")
    write_atomically(tmp_path / "model", NEW)
    assert not (tmp_path / stray).exists() and (tmp_path / "model").read_bytes() == NEW


def test_concurrent_writers_of_one_file_succeed(tmp_path):
    """No writer ever removes the temporary file of another."""
    path, errors = tmp_path / "model", []

    def write(data):
        try:
            for _ in range(60):
                write_atomically(path, data)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(bytes([k]) * 1000,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and only(tmp_path) == "model" and len(set(path.read_bytes())) == 1


def test_temporary_file_removed_as_a_leftover_is_rewritten(tmp_path, monkeypatch):
    flock, taken = _files.fcntl.flock, []

    def late(file, operation):
        if not taken:
            taken.append(only(tmp_path))
            os.unlink(tmp_path / taken[0])
        flock(file, operation)

    monkeypatch.setattr(_files.fcntl, "flock", late)
    write_atomically(tmp_path / "model", NEW)
    assert taken and only(tmp_path) == "model" and (tmp_path / "model").read_bytes() == NEW


# ---- the target ----------------------------------------------------------------------------------------------------


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there/model")
    for data in (OLD, NEW):  # dangling, then not
        write_atomically(link, data)
        assert link.is_symlink() and os.listdir(tmp_path / "there") == ["model"]
        assert (tmp_path / "there" / "model").read_bytes() == data
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="(?i)symbolic link"):
        write_atomically(tmp_path / "loop", NEW)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o640, 0o755])
def test_existing_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "model"
    path.write_bytes(OLD)
    path.chmod(mode)
    write_atomically(path, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_new_file_mode_follows_the_umask_without_setting_it(tmp_path, monkeypatch):
    def fail(_):
        raise AssertionError("another thread would see this umask")

    for mask in (0o022, 0o077, 0o027):
        before = os.umask(mask)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "umask", fail)
                write_atomically(tmp_path / f"{mask}", NEW)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / f"{mask}").stat().st_mode) == 0o666 & ~mask


def test_private_file_is_private_while_written(tmp_path, monkeypatch):
    path, modes, fsync = tmp_path / "model", [], os.fsync
    path.write_bytes(OLD)
    path.chmod(0o600)

    def look(file):
        modes.append(stat.S_IMODE(os.fstat(file).st_mode))
        fsync(file)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(path, NEW)
    assert modes[0] == 0o600


def test_file_names_of_maximum_length_work(tmp_path):
    for name in ("n" * 250, "n" * 255, "层" * 85):
        write_atomically(tmp_path / name, NEW)
        assert (tmp_path / name).read_bytes() == NEW


def test_write_only_folder():
    """Run as an unprivileged user, since root can read every folder."""
    with tempfile.TemporaryDirectory() as outer:  # not tmp_path, whose parents are private
        blind = Path(outer, "blind")
        blind.mkdir()
        blind.chmod(0o333)
        Path(outer).chmod(0o711)
        run(
            f"""
            import lstm_fast._files as files
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            try:
                os.listdir({str(blind)!r})
            except PermissionError:
                files.write_atomically({str(blind / "model")!r}, b"data")
            else:
                raise AssertionError("the folder can be read")
            """
        )
        blind.chmod(0o700)
        assert only(blind) == "model"


def test_file_and_folder_are_flushed(tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync

    def look(file):
        flushed.append((os.readlink(f"/proc/self/fd/{file}"), (tmp_path / "model").exists()))
        fsync(file)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(tmp_path / "model", NEW)
    (temporary, was_there), folder = flushed
    assert temporary.startswith(str(tmp_path / ".lstm_fast-")) and not was_there, "the data, before the rename"
    assert folder == (str(tmp_path), True), "the folder, after it"


def test_pipes_and_devices_are_written_in_place(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, NEW)
    reader.join(10)
    assert got == [NEW] and stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically(os.devnull, NEW)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
