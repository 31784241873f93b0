"""Atomic file writes, and reads of regular files."""

import os
import secrets
import stat
import sys
import time
from contextlib import suppress
from typing import BinaryIO, TypeAlias

from ._errors import FormatError

if sys.platform != "win32":
    import fcntl

# Temporary files are named for the package, not for their target, whose name may already have the maximum length.
PREFIX, SUFFIX = ".lstm_fast-", ".tmp"

AnyPath: TypeAlias = str | os.PathLike[str]


def open_regular(path: AnyPath) -> BinaryIO:
    """Open a file for reading. A pipe, which would block, or a device, which may never end, is a FormatError."""
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise FormatError(f"{os.fspath(path)} must be a regular file, got a pipe or a device")


def _open_at_once(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no such pipes


def write_atomically(path: AnyPath, data: bytes | bytearray) -> None:
    """Write a file atomically: at any time, its name refers to either the old content or the new.

    The bytes go to a temporary file in the same folder, are flushed to the disk and renamed. A symbolic link is
    followed; an existing file keeps its mode and owner. Temporary files of saves that were killed are removed.
    """
    try:
        before = os.stat(path)
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(path, "wb") as file:  # a pipe or a device is written to, not replaced; a folder raises
            file.write(data)
        return
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    _remove_strays(folder)
    while not _write_and_rename(os.path.join(folder, f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"), target, data, before):
        pass
    _sync(folder)


def _write_and_rename(temporary: str, target: str, data: bytes | bytearray, before: os.stat_result | None) -> bool:
    """False if another process removed the temporary file, which it could between its creation and its lock."""
    mode = 0o666 if before is None else 0o600  # a private file is private while it is written, too
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if not _lock(file):
                return False
            file.write(data)
            file.flush()
            if before is not None:
                _set_owner_and_mode(file.fileno(), before)
            os.fsync(file.fileno())
            if sys.platform != "win32":
                os.replace(temporary, target)  # the file is still open: its lock holds until it has its name
        if sys.platform == "win32":
            return _replace_when_closed(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = target
        raise
    return True


def _replace_when_closed(temporary: str, target: str) -> bool:
    """Rename on Windows, where no file is replaced that another process has open: wait up to a second for it.

    False if another process removed the temporary file, which it could since that was closed.
    """
    for is_last in [*[False] * 99, True]:
        try:
            os.replace(temporary, target)
            return True
        except FileNotFoundError:
            return False
        except PermissionError:
            if is_last:
                raise
            time.sleep(0.01)
    return True


def _lock(file: BinaryIO) -> bool:
    """Keep other processes from removing a file; False if one has. Windows removes no open file."""
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        return os.fstat(file.fileno()).st_nlink > 0
    return True


def _set_owner_and_mode(file: int, before: os.stat_result) -> None:
    if sys.platform != "win32":
        for uid, gid in ((before.st_uid, -1), (-1, before.st_gid)):
            with suppress(PermissionError):
                os.fchown(file, uid, gid)
        os.fchmod(file, stat.S_IMODE(before.st_mode))


def _remove_strays(folder: str) -> None:
    """Remove the temporary files that no process has locked."""
    with suppress(OSError), os.scandir(folder) as entries:  # a folder that may be written to, but not read
        strays = [entry.path for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)]
        for stray in strays:
            with suppress(OSError):
                _remove_unlocked(stray)


def _remove_unlocked(stray: str) -> None:
    if sys.platform != "win32":
        with open(os.open(stray, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(stray)
    else:
        os.unlink(stray)


def _sync(folder: str) -> None:
    """Flush a folder, so that a rename survives a power failure.

    Errors are ignored, since the file is whole already: some folders cannot be opened, some file systems flush none.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
