/* Sequences of different lengths.
 *
 * Inside, batch rows are in the order of lengths, the longest first ("sorted"), and step s of a row is its s-th in the
 * order of its direction: so at every step the rows that run are the first ones, in both directions, and kernels see
 * nothing else. What crosses the border (x, output, their gradients) stays where the caller has it: `at` says where each
 * row begins. (Copies in the order of steps took 1-2 % more at H = 64. Rows in a random order cost 2-8 % against sorted ones,
 * as their memory is no stream; asking for those of the next step or of the next tiles ahead of time won 0-2 % back.) */

/* A sequence in the order in which a direction takes its steps: sorted row r of step s is at
 * data + s * step_stride + (at ? at[r] : r * row_stride). */
struct NAME(directed) {
    REAL *data;
    int64_t step_stride, row_stride;
    const int64_t *at;
};

/* Columns from `column` on of a sequence, the caller's (in the order of the batch) or sorted. at: room for the places of rows
 * [row_begin, row_end). */
static struct NAME(directed) NAME(direct)(const struct lstm_call *call, const struct lstm_sequence *x, int64_t direction,
                                          int64_t column, bool is_callers, int64_t row_begin, int64_t row_end, int64_t *at) {
    struct NAME(directed) to = {x->data, direction ? -x->step_stride : x->step_stride, x->row_stride, NULL};
    const int64_t *rows = is_callers ? call->rows : NULL;
    if (!x->data) return to;
    to.data += column;
    if (direction && !call->lengths) to.data += (call->T - 1) * x->step_stride; /* all begin at the last step */
    if (!call->lengths || (!direction && !rows)) return to;
    for (int64_t r = row_begin; r < row_end; r++)
        at[r] = (direction ? (call->lengths[r] - 1) * x->step_stride : 0) + (rows ? rows[r] : r) * x->row_stride;
    to.at = at;
    return to;
}

static inline REAL *NAME(row)(const struct NAME(directed) *x, int64_t step, int64_t r) {
    return x->data + step * x->step_stride + (x->at ? x->at[r] : r * x->row_stride);
}

/* Rows of a step from `row` on, as kernels take them. */
static inline struct NAME(lstm_rows) NAME(rows)(const struct NAME(directed) *x, int64_t step, int64_t row) {
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

/* The batch row of a sorted one. */
static inline int64_t NAME(batch_row)(const struct lstm_call *call, int64_t r) { return call->rows ? call->rows[r] : r; }

/* Steps of the longest sequence; steps of row r. */
static inline int64_t NAME(n_steps)(const struct lstm_call *call) { return call->lengths ? (call->B ? call->lengths[0] : 0) : call->T; }
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
    if (!call->lengths || !x->data || begin == end) return;
    for (int64_t t = call->lengths[end - 1], running = end; t < call->T; t++) {
        running = NAME(running)(call, t, begin, running);
        for (int64_t r = running; r < end; r++)
            memset((REAL *)x->data + t * x->step_stride + NAME(batch_row)(call, r) * x->row_stride, 0, (size_t)n * sizeof(REAL));
    }
}
