"""Whether this process has asked Linux for AMX's tile registers, which libraries do before they use them."""

import ctypes
import platform
import sys

ARCH_GET_XCOMP_PERM, SYS_ARCH_PRCTL, XTILEDATA = 0x1022, 158, 18


def may_use_amx():
    """True if this process may use AMX; a fresh process may not."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    permitted = ctypes.c_ulong(0)
    failed = ctypes.CDLL(None).syscall(SYS_ARCH_PRCTL, ARCH_GET_XCOMP_PERM, ctypes.byref(permitted))
    return not failed and bool(permitted.value >> XTILEDATA & 1)
