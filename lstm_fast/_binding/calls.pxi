# Common to all calls: thresholds, signals, status to exception, the flag of objects limited to one thread at a time.

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
    """
    int lstm_raise_pending() except -1
    bint lstm_claim(int *flag)
    void lstm_release(int *flag)

cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept

cdef lstm_split current_split = LSTM_SPLIT_BEST  # see testing.pxi


class SlowPath(ValueError):
    """The fast path does not cover these arguments. Functions that return None then make their caller take the slow
    path, which converts the arguments or explains what is wrong."""


# Calls with fewer multiplications are too short to check for signals, or to release the GIL.
cdef double INTERRUPTIBLE_WORK = 1e6, SHORT_WORK = 37500


cdef inline double work(const lstm_model *m, double n_rows) noexcept:
    """Multiplications per gate in n_rows steps."""
    return n_rows * m.num_layers * m.hidden_size * (numbers_of_x(m) + m.hidden_size)


cdef inline c_bool is_interruptible(const lstm_model *m, double n_rows) noexcept:
    return work(m, n_rows) > INTERRUPTIBLE_WORK


cdef inline c_bool is_short_call(const lstm_model *m, int64_t n_rows) noexcept:
    return work(m, n_rows) < SHORT_WORK


# A signal handler's exception stays pending from here until raise_status(), which must directly follow the call: no
# Python API may be used in between. Borrowed memory is returned in a `finally`.
cdef c_bool check_signals(void *context) noexcept with gil:
    return PyErr_CheckSignals() != 0


cdef c_bool is_main_thread() except? False:
    return threading.get_ident() == threading.main_thread().ident


cdef int warn_of_missing_threads() except -1:
    """Once per process."""
    if lstm_threads_were_missing():
        warnings.warn("the system has no more threads to give (limits of the process or of its memory, OMP_STACKSIZE): "
                      "lstm_fast computes with fewer, to the same bits", RuntimeWarning, stacklevel=2)
    return 0


cdef int raise_status(lstm_status status) except -1:
    if status == LSTM_TOO_LARGE:
        raise MemoryError("the sizes overflow 64 bits")
    if status == LSTM_INTERRUPTED:
        return lstm_raise_pending()
    return warn_of_missing_threads()


cdef int run_forward(lstm_forward_args *a, c_bool is_short) except -1:
    """Runs a call whose other arguments are set, with a borrowed workspace. is_short: keep the GIL."""
    cdef int64_t n = 0
    cdef lstm_status status
    cdef Block workspace
    raise_status(lstm_forward_bytes(&a.call, a.tape != NULL, &n))
    workspace = borrow_workspace(n)
    a.workspace = workspace.address
    try:
        if is_short:
            status = lstm_forward(a)
        else:
            with nogil:
                status = lstm_forward(a)
        raise_status(status)
    finally:
        return_workspace(workspace)
    return 0
