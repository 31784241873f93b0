/* Sequences of different lengths.
 *
 * Inside, batch rows are in the order of lengths, the longest first ("sorted"), and step s of a row is its s-th in the
 * order of its direction: so at every step the rows that run are the first ones, in both directions, and kernels see
 * nothing else. What crosses the border (x, output, states, gradients) is copied row by row; `placed` finds the place. */

/* Where sorted row r has its step s in an array in the order of time. */
struct NAME(placed) {
    REAL *data;
    int64_t step_stride, row_stride;
    const int64_t *rows;    /* of the batch, or NULL: the array is sorted itself */
    const int64_t *lengths; /* of the reverse direction, which begins at the end of each row; forward: NULL */
};

static struct NAME(placed) NAME(place)(const struct lstm_call *call, const struct lstm_sequence *x, int64_t direction,
                                       int64_t column, bool is_callers) {
    REAL *data = (REAL *)x->data + column;
    if (direction && !call->lengths) /* all begin at the last step */
        return (struct NAME(placed)){data + (call->T - 1) * x->step_stride, -x->step_stride, x->row_stride, NULL, NULL};
    return (struct NAME(placed)){data, x->step_stride, x->row_stride, is_callers ? call->rows : NULL,
                                 direction ? call->lengths : NULL};
}

static inline REAL *NAME(place_of)(const struct NAME(placed) *x, int64_t step, int64_t r) {
    return x->data + (x->lengths ? x->lengths[r] - 1 - step : step) * x->step_stride + (x->rows ? x->rows[r] : r) * x->row_stride;
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
    for (int64_t r = begin; call->lengths && x->data && r < end; r++)
        for (int64_t t = call->lengths[r]; t < call->T; t++)
            memset((REAL *)x->data + t * x->step_stride + NAME(batch_row)(call, r) * x->row_stride, 0, (size_t)n * sizeof(REAL));
}
