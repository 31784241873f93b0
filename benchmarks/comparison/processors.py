"""Which processors the processes run on: the same for all. Some frameworks have no other setting for their threads."""

import os
from contextlib import suppress


def chosen(n):
    """n of the processors that this process may use, on different cores where possible, from the last one down."""
    by_core = {}
    for cpu in sorted(os.sched_getaffinity(0), reverse=True):
        core = str(cpu)
        with suppress(OSError), open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as f:
            core = f.read()
        by_core.setdefault(core, []).append(cpu)
    by_turn = sorted(((k, -cpu) for cpus in by_core.values() for k, cpu in enumerate(cpus)))
    return {-cpu for _, cpu in by_turn[:n]}


def use(n):
    """Restricts this process to chosen(n), where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, chosen(n))
