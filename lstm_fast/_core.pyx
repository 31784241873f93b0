# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, freethreading_compatible=True
"""The binding: typed memoryviews -> argument struct -> C call without the GIL -> status to exception.

Private. The callers (modules.py and functional.py, through _network.py) check shapes and dtypes with messages for people.
Whatever they say, nothing here reads or writes outside the arrays it is given: each shape is checked against the model that
the weights were packed for. Plain inference takes the fast path in _short.pxi, and falls back to those callers. The C side is
declared in _csrc.pxd.
"""
import os
import threading

import numpy

cimport cython
from cpython.buffer cimport (PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo,
                              PyBuffer_Release)
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

from lstm_fast._csrc cimport *


cdef extern from *:
    """
    /* The exception that a signal handler raised is already set. */
    static int lstm_raise_pending(void) { return -1; }
    /* A flag that one thread holds at a time. With a GIL nothing runs between the test and the assignment. */
    #ifdef Py_GIL_DISABLED
    #define lstm_claim(flag) (!__atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE))
    #define lstm_release(flag) __atomic_store_n(flag, 0, __ATOMIC_RELEASE)
    #else
    #define lstm_claim(flag) (*(flag) ? 0 : (*(flag) = 1))
    #define lstm_release(flag) (*(flag) = 0)
    #endif
    #if defined(__clang__)
    #define LSTM_COMPILER __VERSION__
    #else
    #define LSTM_COMPILER "GCC " __VERSION__
    #endif
    """
    int lstm_raise_pending() except -1
    bint lstm_claim(int *flag)
    void lstm_release(int *flag)
    const char *LSTM_COMPILER


cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept
    int lstm_get_buffer "PyObject_GetBuffer"(object exporter, Py_buffer *view, int flags) noexcept


# ---- instruction sets ----------------------------------------------------------------------------------------------

cdef const lstm_isa *current_isa = NULL


cdef list _isa_names(c_bool supported_only):
    cdef int k = 0
    names = []
    while lstm_isas[k].name != NULL:
        if not supported_only or lstm_isas[k].is_supported():
            names.append((<bytes>lstm_isas[k].name).decode())
        k += 1
    return names


def compiled_isas():
    """Names of the instruction sets in this build, slowest first."""
    return _isa_names(False)


def available_isas():
    """Those that this processor and operating system can run."""
    return _isa_names(True)


def use_isa(name=None):
    """Weights made from now on compute with this instruction set (None: the fastest). Returns its name."""
    global current_isa
    cdef int k = 0
    available = available_isas()
    if name is None:
        name = available[len(available) - 1]
    if name not in available:
        state = "not on this machine" if name in compiled_isas() else "unknown"
        raise ValueError(f"LSTM_FAST_ISA must be one of {', '.join(available)} here, got {name!r} ({state})")
    while (<bytes>lstm_isas[k].name).decode() != name:
        k += 1
    current_isa = &lstm_isas[k]
    return name


def isa():
    """Name of the instruction set in use."""
    return (<bytes>current_isa.name).decode()


use_isa(os.environ.get("LSTM_FAST_ISA") or None)
lstm_watch_forks()


# ---- threads -------------------------------------------------------------------------------------------------------

SPLITS = {"best": LSTM_SPLIT_BEST, "rows": LSTM_SPLIT_ROWS, "directions": LSTM_SPLIT_DIRECTIONS, "units": LSTM_SPLIT_UNITS}
cdef lstm_split current_split = LSTM_SPLIT_BEST


def use_split(name="best"):
    """For tests: how the threads of a call share it. All but "best" use all threads, however little there is to do."""
    global current_split
    current_split = SPLITS[name]


def has_openmp():
    return bool(lstm_has_openmp())


def max_threads():
    """Threads that OpenMP would use; 1 in a child made by fork."""
    return lstm_max_threads()


def compiler():
    return (<bytes>LSTM_COMPILER).decode()


# ---- memory --------------------------------------------------------------------------------------------------------

cdef type plain_array = numpy.ndarray  # not a subclass: a masked array means something else

include "_pointers.pxi"


cdef class Block:
    """n uninitialised bytes that begin on a cache line; its address without the cost of a memoryview.

    memory: an array of uint8 to take them from, which has room for them after its first multiple of 64.
    """
    cdef readonly object data, memory
    cdef void *address
    cdef int64_t n

    def __cinit__(self, int64_t n, memory=None):
        cdef Memory a
        if not 0 <= n <= <int64_t>1 << 62:
            raise MemoryError(f"cannot allocate {n} bytes")
        if memory is None:
            memory = numpy.empty(n + 64, numpy.uint8)
        elif type(memory) is not plain_array:
            raise TypeError(f"memory must be an ndarray, got {type(memory).__name__}")
        if not read_buffer(memory, b'B', PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE, &a) or a.ndim != 1:
            raise ValueError("memory must be a contiguous writeable array of uint8")
        cdef int64_t skip = -<int64_t><uintptr_t>a.data & 63
        if a.shape[0] < skip + n:
            raise ValueError(f"memory must hold {n} bytes after its first multiple of 64, got {a.shape[0] - skip}")
        self.memory, self.data = memory, memory[skip:skip + n]
        self.address, self.n = <char *>a.data + skip, n

    @property
    def nbytes(self):
        return self.n


# Workspaces that no call uses at present. list.pop and list.append are atomic, so threads need no lock, and neither a fork
# nor a signal handler can meet one that is held.
cdef list spare_workspaces = []
_spare_workspaces = spare_workspaces
cdef int64_t LARGEST_SPARE = 64 << 20


cdef Block borrow_workspace(int64_t n):
    cdef Block workspace = None
    try:
        if spare_workspaces:
            workspace = spare_workspaces.pop()
    except IndexError:  # another thread took it
        pass
    return workspace if workspace is not None and workspace.n >= n else Block(n)


cdef int return_workspace(Block workspace) except -1:
    try:
        if workspace.n <= LARGEST_SPARE and len(spare_workspaces) < 4:
            spare_workspaces.append(workspace)
    except MemoryError:  # the next call allocates one
        pass
    return 0


include "_lengths.pxi"


# ---- calls ----------------------------------------------------------------------------------------------------------

# A signal handler's exception stays pending from here until raise_status(), which comes first after the call: no Python API
# may be called in between. What the call borrowed is given back in a `finally`.
cdef c_bool check_signals(void *context) noexcept with gil:
    return PyErr_CheckSignals() != 0


# A call of a few million operations is over before a signal could matter.
cdef double INTERRUPTIBLE_WORK = 1e6


cdef c_bool is_interruptible(const lstm_model *m, int64_t T, int64_t B) noexcept:
    return <double>T * B * m.num_layers * m.hidden_size * (m.input_size + m.hidden_size) > INTERRUPTIBLE_WORK


# One that is over before the GIL could be given away keeps it.
cdef c_bool is_short_call(const lstm_model *m, int64_t n_rows) noexcept:
    return 8.0 * n_rows * m.num_layers * m.hidden_size * (m.input_size + m.hidden_size) < 3e5


cdef c_bool is_main_thread() except? False:
    return threading.get_ident() == threading.main_thread().ident


cdef int raise_status(lstm_status status) except -1:
    if status == LSTM_TOO_LARGE:
        raise MemoryError("the sizes overflow 64 bits")
    if status == LSTM_INTERRUPTED:
        return lstm_raise_pending()
    return 0


include "_weights.pxi"
include "_short.pxi"
include "_stepper.pxi"
include "_tensors.pxi"
include "_training.pxi"
include "_activations.pxi"
