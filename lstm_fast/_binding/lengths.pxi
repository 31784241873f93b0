# Sequences of different lengths, in the order that the core requires: longest first.

cdef struct Order:
    int64_t T, B
    const int64_t *lengths  # all three NULL: every sequence has T steps
    const int64_t *rows
    const int64_t *packed_rows


cdef read_batch_sizes(batch_sizes, int64_t n, Order *order):
    """The order of a packed sequence of n rows from its batch_sizes, an int64 array; returns the array that holds it.
    """
    cdef const int64_t[::1] sizes = batch_sizes.copy()  # a copy cannot be changed by other threads
    cdef int64_t T = sizes.shape[0], t, b, before = 0
    cdef int64_t[::1] memory
    if T < 1 or not 1 <= sizes[0] <= n:
        raise SlowPath
    order.T, order.B = T, sizes[0]
    kept = numpy.empty(order.B + T, numpy.int64)
    memory = kept
    for t in range(T):
        if sizes[t] < 1 or (t and sizes[t] > sizes[t - 1]):
            raise SlowPath
        memory[order.B + t] = before
        before += sizes[t]
        for b in range(sizes[t + 1] if t + 1 < T else 0, sizes[t]):
            memory[b] = t + 1
    if before != n:
        raise SlowPath
    if before < T * order.B:
        order.lengths, order.packed_rows = &memory[0], &memory[order.B]
    return kept


cdef sort_by_length(const int64_t[:] lengths, int64_t T, Order *order):
    """The order of sequences from their lengths, by a stable sort; ValueError unless all are from 0 to T.

    Returns the array that holds it: the given lengths, the sorted ones, the batch row of each, and workspace."""
    cdef int64_t B = lengths.shape[0], b, n, place = 0, after
    cdef c_bool is_sorted = True
    if T < 0:
        raise SlowPath
    kept = numpy.empty(3 * B + T + 1, numpy.int64)
    cdef int64_t[::1] memory = kept
    cdef int64_t *given = &memory[0]  # a copy, which other threads cannot change
    cdef int64_t *starts = given + 3 * B
    memset(starts, 0, (T + 1) * sizeof(int64_t))
    for b in range(B):
        given[b] = lengths[b]
        if not 0 <= given[b] <= T:
            raise SlowPath
        starts[given[b]] += 1
    for n in range(T, -1, -1):
        after = place + starts[n]
        starts[n], place = place, after
    for b in range(B):
        place = starts[given[b]]
        starts[given[b]] += 1
        given[B + place], given[2 * B + place] = given[b], b
        is_sorted = is_sorted and place == b
    order.T, order.B, order.lengths, order.rows = T, B, given + B, NULL if is_sorted else given + 2 * B
    return kept


cdef read_lengths(lengths, int64_t T, int64_t B, Order *order):
    """The order of B sequences of at most T steps from their lengths, an int64 array; returns the array that holds it.
    """
    if type(lengths) is not plain_array:
        raise SlowPath
    kept = sort_by_length(lengths, T, order)
    if order.B != B:
        raise SlowPath
    if order.lengths[B - 1] == T:
        order.lengths = order.rows = NULL
    return kept


def sort_lengths(lengths, int64_t T):
    """The lengths in descending order and the batch row of each, int64; ValueError unless all are from 0 to T."""
    cdef Order order
    kept = sort_by_length(lengths, T, &order)
    return kept[order.B:2 * order.B], kept[2 * order.B:3 * order.B]


cdef own(array):
    """A copy, so that no other thread can change the array between its check and the end of the call."""
    return numpy.array(array, numpy.int64)


cdef read_packed(order, int64_t n, lstm_call *call):
    """Sets the order of a call from (lengths, None, packed_rows), sequences of n rows; returns the arrays that hold it.
    """
    cdef const int64_t[::1] lengths
    cdef const int64_t[::1] packed_rows
    cdef int64_t b, t, before = 0, active = call.B
    kept = own(order[0]), own(order[2])
    lengths, packed_rows = kept
    if (lengths.shape[0] != call.B or packed_rows.shape[0] != call.T or call.T < 1 or call.B < 1 or lengths[0] != call.T
            or lengths[call.B - 1] < 1):
        raise ValueError("a packed sequence must have steps and no empty rows")
    for b in range(1, call.B):
        if lengths[b] > lengths[b - 1]:
            raise ValueError("lengths must not increase")
    for t in range(call.T):
        while lengths[active - 1] <= t:
            active -= 1
        if packed_rows[t] != before:
            raise ValueError(f"packed_rows must match lengths: step {t} starts at row {before}, got {packed_rows[t]}")
        before += active
    if before != n:
        raise ValueError(f"a packed sequence with these lengths has {before} rows, got {n}")
    call.lengths, call.packed_rows = &lengths[0], &packed_rows[0]
    return kept


cdef read_order(order, lstm_call *call):
    """Sets the order of a call from (lengths, rows) or None; returns the arrays that hold it."""
    cdef const int64_t[::1] lengths
    cdef const int64_t[::1] rows
    cdef int64_t b
    cdef c_bool is_sorted = True
    if order is None or call.B == 0:
        return None
    kept = own(order[0]), own(order[1])
    lengths, rows = kept
    if lengths.shape[0] != call.B or rows.shape[0] != call.B or lengths[0] > call.T or lengths[call.B - 1] < 0:
        raise ValueError("lengths and rows must have one entry for each sequence, and no length may exceed the steps")
    for b in range(call.B):
        if not 0 <= rows[b] < call.B or (b > 0 and lengths[b] > lengths[b - 1]):
            raise ValueError(f"lengths must not increase and rows must be indices from 0 to {call.B - 1}, got length "
                             f"{lengths[b]} and row {rows[b]} at position {b}")
        is_sorted = is_sorted and rows[b] == b
    call.lengths, call.rows = &lengths[0], &rows[0]
    if is_sorted:
        call.rows = NULL
    return kept


cdef int check_symbols(const lstm_sequence *x, const lstm_call *c, int64_t n) except -1:
    """Raises unless all symbols of a call are in range. n: rows of a packed sequence. Padding is not read."""
    cdef int64_t r, t, row, steps, T = 1 if c.packed_rows != NULL else c.T
    for r in range(n if c.packed_rows != NULL else c.B):
        row, steps = r, T
        if c.packed_rows == NULL and c.lengths != NULL:
            row, steps = c.rows[r] if c.rows != NULL else r, c.lengths[r]
        for t in range(steps):
            check_symbol((<const int64_t *>x.data)[t * x.step_stride + row * x.row_stride], &c.model)
    return 0


cdef inline int check_symbol(int64_t symbol, const lstm_model *m) except -1:
    if not 0 <= symbol < m.input_size:
        raise ValueError(f"x must hold symbols from 0 to {m.input_size - 1}, got {symbol}")
    return 0
