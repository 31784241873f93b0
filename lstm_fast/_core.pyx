# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, freethreading_compatible=True
"""The binding: typed memoryviews -> argument struct -> C call without the GIL -> status to exception.

Private. The callers (modules.py and functional.py, through _network.py) check shapes and dtypes with messages for people;
the typed memoryviews here refuse what would be unsafe. Usual calls for inference come here at once, _short.pxi, and go that
way when they are not so usual. The C side is declared in _csrc.pxd.
"""
import os
import threading

import numpy

from cpython.buffer cimport (PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release,
                              PyObject_GetBuffer)
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.exc cimport PyErr_Clear
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset

from lstm_fast._csrc cimport *


cdef extern from *:
    """
    /* An exception raised by a signal handler is already set; this hands it on. */
    static int lstm_raise_pending(void) { return -1; }
    #if defined(__clang__)
    #define LSTM_COMPILER __VERSION__
    #else
    #define LSTM_COMPILER "GCC " __VERSION__
    #endif
    """
    int lstm_raise_pending() except -1
    const char *LSTM_COMPILER


cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept
    int lstm_get_buffer "PyObject_GetBuffer"(object exporter, Py_buffer *view, int flags) noexcept


ctypedef fused real:
    float
    double


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

cdef class Block:
    """n uninitialised bytes that begin on a cache line; its address without the price of a memoryview."""
    cdef readonly object data, memory
    cdef void *address
    cdef int64_t n

    def __init__(self, int64_t n, memory=None):
        # memory: an array of n + 64 bytes or more to take them from
        self.memory = numpy.empty(n + 64, numpy.uint8) if memory is None else memory
        cdef unsigned char[::1] view = self.memory
        cdef int64_t skip = -<int64_t><uintptr_t>&view[0] & 63
        self.data = self.memory[skip:skip + n]
        self.address = &view[0] + skip
        self.n = n

    @property
    def nbytes(self):
        return self.n


# Workspaces that no call uses at present. list.pop and list.append are atomic, so threads need no lock.
_spare_workspaces = []
cdef int64_t LARGEST_SPARE = 64 << 20


cdef Block borrow_workspace(int64_t n):
    cdef Block workspace = None
    try:
        workspace = _spare_workspaces.pop()
    except IndexError:
        pass
    return workspace if workspace is not None and workspace.n >= n else Block(n)


cdef int return_workspace(Block workspace) except -1:
    if workspace.n <= LARGEST_SPARE and len(_spare_workspaces) < 4:
        _spare_workspaces.append(workspace)
    return 0


cdef type plain_array = numpy.ndarray  # not a subclass: a masked array means something else

include "_pointers.pxi"
include "_lengths.pxi"


# ---- calls ----------------------------------------------------------------------------------------------------------

cdef c_bool check_signals(void *context) noexcept with gil:
    return PyErr_CheckSignals() != 0


cdef c_bool is_main_thread() except? False:
    return threading.get_ident() == threading.main_thread().ident


cdef int raise_status(lstm_status status) except -1:
    if status == LSTM_TOO_LARGE:
        raise MemoryError("the sizes are too large: more bytes would be needed than 64 bits can count")
    if status == LSTM_INTERRUPTED:
        return lstm_raise_pending()
    return 0


CELLS = {"lstm": LSTM_CELL_LSTM, "tanh": LSTM_CELL_RNN_TANH, "relu": LSTM_CELL_RNN_RELU,
         "identity": LSTM_CELL_RNN_IDENTITY}

ACTIVATIONS = {"tanh": LSTM_TANH, "sigmoid": LSTM_SIGMOID, "relu": LSTM_RELU, "affine": LSTM_AFFINE,
               "leaky_relu": LSTM_LEAKY_RELU, "thresholded_relu": LSTM_THRESHOLDED_RELU, "scaled_tanh": LSTM_SCALED_TANH,
               "hard_sigmoid": LSTM_HARD_SIGMOID, "elu": LSTM_ELU, "softsign": LSTM_SOFTSIGN, "softplus": LSTM_SOFTPLUS}

# Parameters of one layer and direction, in the order in which Weights takes their arrays and gradients and in which they lie
# in lstm_weights and lstm_weight_gradients.
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_peephole", "norm_ih_weight", "norm_hh_weight",
              "norm_c_weight", "norm_c_bias", "h_0", "c_0")


cdef int check_parameters(of) except -1:
    if len(of) != len(PARAMETERS):
        raise ValueError("a layer and direction must have one entry for each of PARAMETERS")
    return 0


cdef lstm_activation activation_of(spec) except *:
    """(name, alpha, beta); None: the plain cell's."""
    cdef lstm_activation a
    a.kind, a.alpha, a.beta = LSTM_DEFAULT, 0, 0
    if spec is not None:
        name, alpha, beta = spec
        a.kind, a.alpha, a.beta = ACTIVATIONS[name], alpha, beta
    return a


# ---- networks ------------------------------------------------------------------------------------------------------

cdef class Weights:
    """One immutable version of a network's weights, packed for one instruction set.

    arrays: L * D tuples of arrays or None in the order of PARAMETERS, C order, never written again; flat: the array of which all
    are views, if there is one. Matrices of float16 are kept so and computed with in float32; all others have the dtype in any
    case, and there is no backward. A cell that is more than the plain one says so by `options`: members of lstm_model.
    Packed for forward at once and for backward at the first backward. Any number of threads may use one object.
    """
    cdef lstm_model model
    cdef const lstm_isa *isa
    cdef readonly object arrays, flat, dtype, cell
    cdef Block packed_forward, packed_backward
    cdef object lock

    def __init__(self, cell, dtype, int64_t input_size, int64_t hidden_size, int64_t num_layers,
                 int64_t num_directions, arrays, *, flat=None, int64_t proj_size=0, c_bool peepholes=False,
                 c_bool layer_norm=False, c_bool coupled_gates=False, double cell_clip=0, double gate_clip=0,
                 activation=None, recurrent_activation=None, cell_activation=None):
        self.dtype = numpy.dtype(dtype)
        self.cell = cell
        self.model.cell = CELLS[cell]
        self.model.dtype = LSTM_F32 if self.dtype == numpy.float32 else LSTM_F64
        self.model.input_size = input_size
        self.model.hidden_size = hidden_size
        self.model.num_layers = num_layers
        self.model.num_directions = num_directions
        self.model.proj_size, self.model.peepholes, self.model.layer_norm = proj_size, peepholes, layer_norm
        self.model.coupled_gates, self.model.cell_clip, self.model.gate_clip = coupled_gates, cell_clip, gate_clip
        self.model.activation, self.model.cell_activation = activation_of(activation), activation_of(cell_activation)
        self.model.recurrent_activation = activation_of(recurrent_activation)
        self.isa = current_isa
        self.arrays, self.flat = list(arrays), flat
        self.model.initial_state = self.arrays[0][PARAMETERS.index("h_0")] is not None
        self.model.half_weights = self.arrays[0][0].dtype == numpy.float16
        if self.model.half_weights and (cell != "lstm" or self.dtype != numpy.float32):
            raise ValueError("weights of float16 need an LSTM of dtype float32")
        self.lock = threading.Lock()
        self.packed_forward = self.pack(False)

    cdef c_bool is_f32(self) noexcept:
        return self.model.dtype == LSTM_F32

    cdef const void *parameter(self, array) except? NULL:
        cdef const uint16_t[::1] half
        if array is None or not self.model.half_weights or array.ndim == 1:
            return state(array, self.is_f32(), False)
        half = array.reshape(-1).view(numpy.uint16)
        return <const void *>&half[0]

    cdef Block pack(self, c_bool backward):
        cdef int64_t n = 0
        cdef void *to
        cdef const void **pointers = <const void **>malloc(len(self.arrays) * sizeof(lstm_weights))
        if pointers == NULL:
            raise MemoryError()
        try:
            for of in self.arrays:
                check_parameters(of)
                for array in of:
                    pointers[n] = self.parameter(array)
                    n += 1
            raise_status(lstm_packed_bytes(&self.model, self.isa, backward, &n))
            packed = Block(n)
            to = packed.address
            with nogil:
                lstm_pack(&self.model, self.isa, backward, <const lstm_weights *>pointers, to)
        finally:
            free(pointers)
        return packed

    cdef int read_gradients(self, gradients, void **pointers) except -1:
        """Where each of the gradients, as backward takes them, is to go."""
        cdef const char *parameters = NULL
        cdef char *flat = NULL
        cdef int64_t n = 0
        if self.flat is None:
            if len(gradients) != len(self.arrays):
                raise ValueError("gradients must have one entry for each layer and direction")
            for of in gradients:
                check_parameters(of)
        else:
            if gradients.shape != self.flat.shape:
                raise ValueError("gradients must have the shape of the flat parameters")
            parameters, flat = <const char *>state(self.flat, self.is_f32(), False), <char *>state(gradients, self.is_f32(), True)
        for of in self.arrays if flat != NULL else gradients:
            for array in of:
                pointers[n] = <void *>state(array, self.is_f32(), flat == NULL)
                if flat != NULL and pointers[n] != NULL:
                    pointers[n] = flat + (<const char *>pointers[n] - parameters)
                n += 1
        return 0

    cdef lstm_call call(self, int64_t T, int64_t B, run, int num_threads) except *:
        """run: None, or what a training call has beside its arrays, _network.Run."""
        cdef lstm_call c
        c.model, c.isa, c.T, c.B, c.n_threads, c.split = self.model, self.isa, T, B, num_threads, current_split
        # Only the main thread hears signals, and a call of a few million operations is over before one could matter.
        cdef double work = <double>T * B * self.model.num_layers * self.model.hidden_size
        c.interrupted = NULL
        if work * (self.model.input_size + self.model.hidden_size) > 1e6 and is_main_thread():
            c.interrupted = check_signals
        c.interrupted_context = NULL
        c.lengths, c.rows, c.packed_rows, c.resets = NULL, NULL, NULL, NULL
        c.recompute_gates, c.dropout, c.recurrent_dropout, c.zoneout_h, c.zoneout_c, c.seed = False, 0, 0, 0, 0, 0
        if run is not None:
            c.dropout, c.recurrent_dropout, c.zoneout_h, c.zoneout_c, c.seed, c.recompute_gates = run
        return c

    @property
    def hidden_size(self):
        return self.model.hidden_size

    @property
    def h_size(self):
        """R: P with a projection, else H."""
        return self.model.proj_size or self.model.hidden_size

    @property
    def num_directions(self):
        return self.model.num_directions

    @property
    def n_states(self):
        return self.model.num_layers * self.model.num_directions

    @property
    def has_c(self):
        return self.model.cell == LSTM_CELL_LSTM

    def tape_bytes(self, T, B, run=None):
        """Size of the Block for what backward needs of T steps of B sequences."""
        cdef lstm_call call = self.call(T, B, run, 1)
        cdef int64_t n = 0
        raise_status(lstm_tape_bytes(&call, &n))
        return n

    def forward(self, x, h_0, c_0, output, h_n, c_n, Block tape, int num_threads, run=None, order=None, resets=None):
        """x (T, B, I), output (T, B, D * R), states (L * D, B, R or H); tape of tape_bytes, or None for inference.

        order: None, or int64 arrays (lengths, rows): lengths that do not rise, 0 to T, and the batch row of each. Or (lengths,
        None, packed_rows): x and output are packed, (1, n, I or D * R), step t being their rows from packed_rows[t] on.
        resets: None, or uint8 (T, B).
        """
        cdef lstm_forward_args a
        cdef int64_t n = 0
        cdef c_bool is_f32 = self.is_f32()
        cdef lstm_status status
        T, B = steps_of(x, order)
        a.call = self.call(T, B, run, num_threads)
        read_order(order, x, &a.call)
        read_resets(resets, &a.call)
        a.x = sequence(x, is_f32, False)
        a.output = sequence(output, is_f32, True)
        a.h_0, a.c_0 = state(h_0, is_f32, False), state(c_0, is_f32, False)
        a.h_n, a.c_n = state(h_n, is_f32, True), state(c_n, is_f32, True)
        a.packed, a.tape = self.packed_forward.address, NULL if tape is None else tape.address
        raise_status(lstm_forward_bytes(&a.call, tape is not None, &n))
        cdef Block workspace = borrow_workspace(n)
        a.workspace = workspace.address
        with nogil:
            status = lstm_forward(&a)
        return_workspace(workspace)
        raise_status(status)

    def backward(self, Block tape not None, x, h_0, c_0, d_output, d_h_n, d_c_n, d_x, d_h_0, d_c_0, gradients, int num_threads,
                 run=None, order=None, resets=None, d_h_norms=None, d_c_norms=None):
        """gradients: L * D tuples in the order of PARAMETERS, None for what there is not, or, if there is a flat array of the
        parameters, one like it; d_output, d_h_n, d_c_n, d_x may be None."""
        cdef lstm_backward_args a
        cdef int64_t n = 0
        cdef c_bool is_f32 = self.is_f32()
        cdef lstm_status status
        cdef Block packed
        if self.model.half_weights:
            raise TypeError("weights of float16 are for inference: there is no backward")
        with self.lock:
            if self.packed_backward is None:
                self.packed_backward = self.pack(True)
            packed = self.packed_backward
        T, B = steps_of(x, order)
        a.call = self.call(T, B, run, num_threads)
        read_order(order, x, &a.call)
        read_resets(resets, &a.call)
        a.x, a.h_0, a.c_0 = sequence(x, is_f32, False), state(h_0, is_f32, False), state(c_0, is_f32, False)
        a.d_output = sequence(d_output, is_f32, False)
        a.d_h_n, a.d_c_n = state(d_h_n, is_f32, False), state(d_c_n, is_f32, False)
        a.d_x = sequence(d_x, is_f32, True)
        a.d_h_0, a.d_c_0 = state(d_h_0, is_f32, True), state(d_c_0, is_f32, True)
        a.d_h_norms, a.d_c_norms = norms(d_h_norms, &a.call), norms(d_c_norms, &a.call)
        a.packed, a.packed_forward, a.tape = packed.address, self.packed_forward.address, tape.address
        raise_status(lstm_backward_bytes(&a.call, &n))
        cdef Block workspace = borrow_workspace(n)
        a.workspace = workspace.address
        cdef void **pointers = <void **>malloc(len(self.arrays) * sizeof(lstm_weight_gradients))
        if pointers == NULL:
            raise MemoryError()
        try:
            self.read_gradients(gradients, pointers)
            a.d_weights = <lstm_weight_gradients *>pointers
            with nogil:
                status = lstm_backward(&a)
        finally:
            free(pointers)
        return_workspace(workspace)
        raise_status(status)

    def look(self, Block tape not None, int64_t T, int64_t B, int64_t layer, int64_t direction, run=None):
        """Views of a tape, not a lean one: gates (T, B, 4, H) and c (T + 1, B, H) in the order of steps, h (T, B, D * R) in
        time's."""
        cdef lstm_call call = self.call(T, B, run, 1)
        cdef int64_t H = self.model.hidden_size, D = self.model.num_directions
        cdef int64_t V = self.isa.vector_bytes // self.dtype.itemsize, R = self.model.proj_size or H
        blocks = (H + V - 1) // V

        def view(offset, *shape):
            n = self.dtype.itemsize
            for size in shape:
                n *= size
            return tape.data[offset:offset + n].view(self.dtype).reshape(shape)

        gates = view(lstm_tape_gates(&call, layer, direction), T, B, blocks, 4, V)
        gates = gates.swapaxes(2, 3).reshape(T, B, 4, blocks * V)[..., :H]
        c = view(lstm_tape_c(&call, layer, direction), T + 1, B, blocks * V)[..., :H]
        return gates, c, view(lstm_tape_h(&call, layer), T, B, D * R)


include "_short.pxi"
include "_stepper.pxi"
include "_tensors.pxi"
include "_training.pxi"
include "_activations.pxi"
