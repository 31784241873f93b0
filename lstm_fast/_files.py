"""Files that are there as a whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomically(path, data):
    """Bytes: to a temporary file of a unique name beside it, flushed to the disk, renamed, and the folder flushed."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
