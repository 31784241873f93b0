/* Sequences of different lengths.
 *
 * Inside, batch rows are in the order of lengths, the longest first ("sorted"), and step s of a row is its s-th in the
 * order of its direction: so at every step the rows that run are the first ones, in both directions, and kernels see
 * nothing else. What crosses the border (x, output, their gradients) stays where the caller has it: `at` says where each
 * row begins. (Copies in the order of steps took 1-2 % more at H = 64. Rows in a random order cost 2-8 % against sorted ones,
 * as their memory is no stream.) */

/* A sequence in the order in which a direction takes its steps: sorted row r of step s is at
 * data + s * step_stride + (at ? at[r] : r * row_stride), or in a packed one where packed_rows and, of the reverse direction,
 * lengths say. */
struct NAME(directed) {
    REAL *data;
    int64_t step_stride, row_stride;
    const int64_t *at, *packed_rows, *lengths;
    int64_t *room[2]; /* for the places of rows of even and of odd steps */
};

/* Columns from `column` on of a sequence, the caller's (in the order of the batch, or packed) or sorted. room: 2 B numbers, of
 * which those of rows [row_begin, row_end) are written. */
static struct NAME(directed) NAME(direct)(const struct lstm_call *call, const struct lstm_sequence *x, int64_t direction,
                                          int64_t column, bool is_callers, int64_t row_begin, int64_t row_end, int64_t *room) {
    struct NAME(directed) to = {.data = x->data, .step_stride = direction ? -x->step_stride : x->step_stride,
                                .row_stride = x->row_stride};
    const int64_t *rows = is_callers ? call->rows : NULL;
    if (!x->data) return to;
    to.data += column;
    if (is_callers && call->packed_rows) {
        to.step_stride = 0;
        to.packed_rows = call->packed_rows;
        to.lengths = direction ? call->lengths : NULL;
        to.room[0] = room, to.room[1] = room + call->B;
        return to;
    }
    if (direction && !call->lengths) to.data += (call->T - 1) * x->step_stride; /* all begin at the last step */
    if (!call->lengths || (!direction && !rows)) return to;
    for (int64_t r = row_begin; r < row_end; r++)
        room[r] = (direction ? (call->lengths[r] - 1) * x->step_stride : 0) + (rows ? rows[r] : r) * x->row_stride;
    to.at = room;
    return to;
}

static inline REAL *NAME(row)(const struct NAME(directed) *x, int64_t step, int64_t r) {
    if (x->packed_rows)
        return x->data + (x->packed_rows[x->lengths ? x->lengths[r] - 1 - step : step] + r) * x->row_stride;
    return x->data + step * x->step_stride + (x->at ? x->at[r] : r * x->row_stride);
}

static __attribute__((noinline)) struct NAME(lstm_rows) NAME(packed_rows)(const struct NAME(directed) *x, int64_t step,
                                                                         int64_t row, int64_t end) {
    if (!x->lengths) return (struct NAME(lstm_rows)){NAME(row)(x, step, row), x->row_stride, NULL};
    int64_t *at = x->room[step & 1];
    for (int64_t r = row; r < end; r++) at[r] = NAME(row)(x, step, r) - x->data;
    return (struct NAME(lstm_rows)){x->data, x->row_stride, at + row};
}

/* Rows [row, end) of a step, as kernels take them, until those of the step after next. */
static inline struct NAME(lstm_rows) NAME(rows)(const struct NAME(directed) *x, int64_t step, int64_t row, int64_t end) {
    if (x->packed_rows) return NAME(packed_rows)(x, step, row, end);
    return (struct NAME(lstm_rows)){x->data + step * x->step_stride + (x->at ? 0 : row * x->row_stride), x->row_stride,
                                    x->at ? x->at + row : NULL};
}

/* The same n rows on. */
static inline struct NAME(lstm_rows) NAME(rows_after)(struct NAME(lstm_rows) x, int64_t n) {
    return (struct NAME(lstm_rows)){x.data + (x.at ? 0 : n * x.stride), x.stride, x.at ? x.at + n : NULL};
}

/* End of those of the sorted rows [begin, end) that run at a step. */
static inline int64_t NAME(running)(const struct lstm_call *call, int64_t step, int64_t begin, int64_t end) {
    while (call->lengths && end > begin && call->lengths[end - 1] <= step) end--;
    return end;
}

/* Where the caller has time t of a sorted row. */
static inline REAL *NAME(callers_row)(const struct lstm_call *call, const struct lstm_sequence *x, int64_t t, int64_t r) {
    const int64_t at = call->packed_rows ? (call->packed_rows[t] + r) * x->row_stride
                                         : t * x->step_stride + (call->rows ? call->rows[r] : r) * x->row_stride;
    return (REAL *)x->data + at;
}

/* The batch row of a sorted one. */
static inline int64_t NAME(batch_row)(const struct lstm_call *call, int64_t r) { return call->rows ? call->rows[r] : r; }

/* Steps of the longest sequence, none if there is none; steps of row r. */
static inline int64_t NAME(n_steps)(const struct lstm_call *call) { return !call->B ? 0 : call->lengths ? call->lengths[0] : call->T; }
static inline int64_t NAME(length)(const struct lstm_call *call,
                                   int64_t r) { return call->lengths ? call->lengths[r] : call->T; }

/* A member's share of the rows: as many steps as the others', as far as that goes. */
static void NAME(share_rows)(const struct lstm_call *call, const struct lstm_member *m, int64_t *begin, int64_t *end) {
    lstm_share(m, call->B, begin, end);
    if (!call->lengths || m->size == 1) return;
    double total = 0, before = 0;
    for (int64_t r = 0; r < call->B; r++) total += (double)call->lengths[r];
    *begin = *end = call->B;
    for (int64_t r = call->B - 1; r >= 0; r--) {
        before += (double)call->lengths[r]; /* of rows r and after */
        if (before <= total * (m->size - m->rank) / m->size) *begin = r;
        if (before <= total * (m->size - m->rank - 1) / m->size) *end = r;
    }
    if (m->rank == 0) *begin = 0;
    if (m->rank == m->size - 1) *end = call->B;
}

/* Zeros behind the ends of sorted rows [begin, end), n numbers a step. */
static void NAME(clear_padding)(const struct lstm_call *call, const struct lstm_sequence *x, int64_t n, int64_t begin,
                                int64_t end) {
    if (!call->lengths || call->packed_rows || !x->data || begin == end) return;
    for (int64_t t = call->lengths[end - 1], running = end; t < call->T; t++) {
        running = NAME(running)(call, t, begin, running);
        for (int64_t r = running; r < end; r++)
            memset(NAME(callers_row)(call, x, t, r), 0, (size_t)n * sizeof(REAL));
    }
}
