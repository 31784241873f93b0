# Instruction sets and OpenMP: those of this build, those that this machine supports, the one for new weights.

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
    """Use this instruction set for weights packed from now on; None: the fastest. Returns its name."""
    global current_isa
    cdef int k = 0
    available = available_isas()
    if name is None:
        name = (<bytes>lstm_best_isa().name).decode()
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


def has_openmp():
    """Whether this build can use threads."""
    return bool(lstm_has_openmp())


def max_threads():
    """The smaller of OpenMP's number of threads and the processors of this process; 1 in a forked child."""
    return lstm_max_threads()


def compiler():
    """Name and version of the compiler of this build."""
    return (<bytes>LSTM_COMPILER).decode()


use_isa(os.environ.get("LSTM_FAST_ISA") or None)
lstm_watch_forks()
