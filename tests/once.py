"""What takes long to build: once in a run, by whichever worker of pytest-xdist needs it first."""

import os


def once_per_run(tmp_path_factory, name, build):
    """The folder that build(folder) filled; the other workers wait for it. A build that fails fails in each of them."""
    import fcntl  # not on Windows, where nothing is built in tests

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a folder of its own in that of the run
        shared = shared.parent
    folder, finished = shared / f"{name}-once", shared / f"{name}-finished"
    with open(shared / f"{name}-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            folder.mkdir(exist_ok=True)
            build(folder)
            finished.touch()
    return folder
