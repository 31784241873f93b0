# Hooks for tests, under one name: lstm_fast._core.testing. They do not affect public calls.

class testing:
    """Hooks for the tests of lstm_fast."""

    SPLITS = {"best": LSTM_SPLIT_BEST, "rows": LSTM_SPLIT_ROWS, "directions": LSTM_SPLIT_DIRECTIONS,
              "units": LSTM_SPLIT_UNITS, "layers": LSTM_SPLIT_LAYERS}

    @staticmethod
    def use_split(name="best"):
        """Set how threads share the work of calls. All except "best" use all threads, however little the work."""
        global current_split
        current_split = testing.SPLITS[name]

    @staticmethod
    def use_lanes(c_bool used=True):
        """Set whether fleets of few units run with a model in each lane of a vector."""
        global lanes_are_used
        lanes_are_used = used

    @staticmethod
    def split_of(Weights weights not None, int64_t T, int64_t B, int n_threads, c_bool is_backward=False):
        """How a call would be shared: (split, threads, nanoseconds by the model)."""
        cdef lstm_call call
        memset(&call, 0, sizeof(call))
        weights.begin(&call, T, B, None, n_threads)
        cdef lstm_team team = lstm_plan_team(&call, is_backward, lstm_has_stages(&call))
        name = next(name for name, split in testing.SPLITS.items() if split == team.split)
        return name, team.n_threads, lstm_team_ns(&call, is_backward, team)

    @staticmethod
    def activate(spec, x, c_bool slope=False):
        """Apply an activation (name, alpha, beta) to a contiguous float32 or float64 array, exactly as the cells do.

        slope: compute the derivative instead, where x is the activation's output."""
        cdef char code = dtype_code(x.dtype)
        cdef int64_t n
        cdef const void *source = numbers("x", x, code, False, &n)
        y = numpy.empty(x.shape, x.dtype)
        cdef void *to = numbers("y", y, code, True, &n)
        cdef const lstm_isa *isa_now = current_isa
        cdef lstm_activation activation = activation_of(spec)
        with nogil:
            lstm_activate(isa_now, LSTM_F32 if code == c'f' else LSTM_F64, activation, slope, n, source, to)
        return y


testing.spare_workspaces = spare_workspaces
