"""Expensive builds, made once per run by the first worker of pytest-xdist that needs them."""

import os


def once_per_run(tmp_path_factory, name, build):
    """Return the folder that build(folder) filled; other workers wait for it. A failing build fails in each of them."""
    import fcntl  # not available on Windows, where no test builds anything

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder of a worker lies in that of the run
        shared = shared.parent
    folder, finished = shared / f"{name}-once", shared / f"{name}-finished"
    with open(shared / f"{name}-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            folder.mkdir(exist_ok=True)
            build(folder)
            finished.touch()
    return folder
