"""The processors that all processes run on. For some frameworks this is the only way to limit their threads."""

import os
from contextlib import suppress


def chosen(n):
    """n of the processors that this process may use, on different cores where possible, counting from the last one."""
    by_core = {}
    for cpu in sorted(os.sched_getaffinity(0), reverse=True):
        core = str(cpu)
        with suppress(OSError), open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as f:
            core = f.read()
        by_core.setdefault(core, []).append(cpu)
    cores_first = sorted((k, -cpu) for cpus in by_core.values() for k, cpu in enumerate(cpus))
    return {-cpu for _, cpu in cores_first[:n]}


def use(n):
    """Restrict this process to chosen(n), where the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, chosen(n))
