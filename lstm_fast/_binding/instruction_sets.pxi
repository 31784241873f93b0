# Instruction sets and threads: what this build has, what this machine can run, what new weights compute with.

cdef extern from *:
    """
    #if defined(__clang__)
    #define LSTM_COMPILER __VERSION__
    #else
    #define LSTM_COMPILER "GCC " __VERSION__
    #endif
    """
    const char *LSTM_COMPILER

cdef const lstm_isa *current_isa = NULL
cdef const lstm_isa *narrower_isa = NULL  # for models of few units, unless an instruction set was asked for by name


cdef list isa_names(c_bool supported_only):
    cdef int k = 0
    names = []
    while lstm_isas[k].name != NULL:
        if not supported_only or lstm_isas[k].is_supported():
            names.append((<bytes>lstm_isas[k].name).decode())
        k += 1
    return names


def compiled_isas():
    """Names of the instruction sets in this build, slowest first."""
    return isa_names(False)


def available_isas():
    """Names of the instruction sets that this processor and operating system support."""
    return isa_names(True)


def base_isa(name):
    """The instruction set whose float32 and float64 kernels `name` uses; `name` itself if it has its own."""
    cdef int k = 0
    while lstm_isas[k].name != NULL:
        if (<bytes>lstm_isas[k].name).decode() == name:
            return (<bytes>lstm_isas[k].base).decode()
        k += 1
    raise ValueError(f"name must be one of {', '.join(compiled_isas())}, got {name!r}")


def use_isa(name=None):
    """Weights packed from now on compute with this instruction set; None: with the fastest, which is one of narrower
    vectors for few units. Returns its name."""
    global current_isa, narrower_isa
    cdef int k = 0
    available, is_chosen = available_isas(), name is not None
    if not is_chosen:
        name = (<bytes>lstm_best_isa().name).decode()
    if name not in available:
        state = "not on this machine" if name in compiled_isas() else "unknown"
        raise ValueError(f"LSTM_FAST_ISA must be one of {', '.join(available)} here, got {name!r} ({state})")
    while (<bytes>lstm_isas[k].name).decode() != name:
        k += 1
    current_isa = &lstm_isas[k]
    narrower_isa = NULL
    if not is_chosen:
        narrower_isa = lstm_narrower_isa(current_isa)
    return name


cdef const lstm_isa *isa_of(const lstm_model *m) noexcept:
    """The instruction set of new weights."""
    cdef int64_t row_bytes = m.hidden_size * (4 if m.dtype == LSTM_F32 else 8)
    if narrower_isa == NULL or m.format not in (LSTM_FORMAT_REAL, LSTM_FORMAT_FLOAT16):
        return current_isa
    return narrower_isa if row_bytes <= narrower_isa.vector_bytes else current_isa


def isa():
    """Name of the instruction set in use."""
    return (<bytes>current_isa.name).decode()


BACKENDS = {"openmp": LSTM_OPENMP, "pthreads": LSTM_POOL, "none": LSTM_SERIAL}


def use_threads(name=None):
    """Select what starts threads. Without a name: OpenMP if this build has it."""
    if name is not None and (name not in BACKENDS or not lstm_use_backend(BACKENDS[name])):
        state = "not in this build" if name in BACKENDS else "unknown"
        raise ValueError(f"LSTM_FAST_THREADS must be one of openmp, pthreads, none, got {name!r} ({state})")


def threads():
    """What starts threads: "openmp", "pthreads" or "none"."""
    return next(name for name, backend in BACKENDS.items() if backend == lstm_get_backend())


def has_openmp():
    """Whether this build has OpenMP."""
    return bool(lstm_has_openmp())


def max_threads():
    """The smaller of OMP_NUM_THREADS and the processors of this process; with OpenMP, 1 in a child made by fork."""
    return lstm_max_threads()


def compiler():
    """Name and version of the compiler of this build."""
    return (<bytes>LSTM_COMPILER).decode()


use_isa(os.environ.get("LSTM_FAST_ISA") or None)
use_threads(os.environ.get("LSTM_FAST_THREADS") or None)
lstm_watch_forks()
