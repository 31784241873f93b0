/* Sequences as the loops traverse them.
 *
 * Internally, batch rows are sorted by length, longest first, and step s of a row is its s-th in the order of the
 * direction. At every step the active rows then come first, in both directions, and kernels process only these. The
 * caller's arrays (x, output, their gradients) are accessed in place, through an offset per row. (Copies in the order
 * of steps cost 1-2 % at H = 64. Rows in random order are 2-8 % slower than sorted ones: their memory accesses are not
 * sequential.) */
#ifndef LSTM_SEQUENCES_H
#define LSTM_SEQUENCES_H

#include <string.h>

#include "../compiler.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../real.h"
#include "../threads.h"

/* ---- rows of the batch ------------------------------------------------------------------------------------------- */

/* The batch row of sorted row r. */
static inline int64_t batch_row(const struct lstm_call *call, int64_t r) { return call->rows ? call->rows[r] : r; }

/* The length of sorted row r, and the greatest length; 0 without rows. */
static inline int64_t row_length(const struct lstm_call *call, int64_t r) {
    return call->lengths ? call->lengths[r] : call->T;
}
static inline int64_t longest_length(const struct lstm_call *call) { return call->B ? row_length(call, 0) : 0; }

/* Of the sorted rows [begin, end), [begin, active_end) are active at a step. */
static inline int64_t active_end(const struct lstm_call *call, int64_t step, int64_t begin, int64_t end) {
    while (call->lengths && end > begin && call->lengths[end - 1] <= step) end--;
    return end;
}

/* A worker's share of the rows, balanced by the number of steps. */
static void share_rows(const struct lstm_call *call, const struct lstm_worker *worker, int64_t *begin, int64_t *end) {
    lstm_share(worker, call->B, begin, end);
    if (!call->lengths || worker->size == 1) return;
    double total = 0, after = 0;
    for (int64_t r = 0; r < call->B; r++) total += (double)call->lengths[r];
    *begin = *end = call->B;
    for (int64_t r = call->B - 1; r >= 0; r--) {
        after += (double)call->lengths[r]; /* steps of row r and all rows after it */
        if (after <= total * (worker->size - worker->rank) / worker->size) *begin = r;
        if (after <= total * (worker->size - worker->rank - 1) / worker->size) *end = r;
    }
    if (worker->rank == 0) *begin = 0;
    if (worker->rank == worker->size - 1) *end = call->B;
}

/* Time t of sorted row r in one of the caller's arrays. */
static inline real *caller_row(const struct lstm_call *call, const struct lstm_sequence *x, int64_t t, int64_t r) {
    const int64_t offset = call->packed_rows ? (call->packed_rows[t] + r) * x->row_stride
                                             : t * x->step_stride + batch_row(call, r) * x->row_stride;
    return (real *)x->data + offset;
}

/* The caller's x, whose strides count numbers, as the loops read it, in units of `real`. Each row of symbols is one
 * int64_t, at the address of its `real`. */
static inline struct lstm_sequence input_sequence(const struct lstm_call *call, struct lstm_sequence x) {
    const int64_t width = call->model.index_input ? (int64_t)(sizeof(int64_t) / sizeof(real)) : 1;
    return (struct lstm_sequence){x.data, x.step_stride * width, x.row_stride * width};
}

/* Zeroes the padding of sorted rows [begin, end), n numbers per step. */
static void clear_padding(const struct lstm_call *call, const struct lstm_sequence *x, int64_t n, int64_t begin,
                          int64_t end) {
    if (!call->lengths || call->packed_rows || !x->data || begin == end) return;
    for (int64_t t = call->lengths[end - 1], active = end; t < call->T; t++) {
        active = active_end(call, t, begin, active);
        for (int64_t r = active; r < end; r++) memset(caller_row(call, x, t, r), 0, (size_t)n * sizeof(real));
    }
}

/* Copies a row of n numbers (from NULL: zeros) and pads it with zeros up to `padded`. */
static inline void fill_row(real *row, int64_t n, int64_t padded, const real *from) {
    if (from && from != row) memcpy(row, from, (size_t)n * sizeof(real));
    if (!from) memset(row, 0, (size_t)n * sizeof(real));
    memset(row + n, 0, (size_t)(padded - n) * sizeof(real));
}

/* ---- steps of a direction ---------------------------------------------------------------------------------------- */

/* A sequence in the order of a direction's steps: sorted row r at step s is at data + s * step_stride +
 * (offsets ? offsets[r] : r * row_stride). The position in a packed sequence follows from packed_rows and, in the
 * reverse direction, lengths. */
struct directed_sequence {
    real *data;
    int64_t step_stride, row_stride;
    const int64_t *offsets, *packed_rows, *lengths;
    int64_t *offsets_of_step[2]; /* packed: space for the offsets of the rows of an even and of an odd step */
};

/* A sequence starting at `column`, either the caller's (in batch order, or packed) or sorted. offsets: space for 2 B
 * offsets, which are written for rows [row_begin, row_end). */
static struct directed_sequence directed_sequence_of(const struct lstm_call *call, const struct lstm_sequence *x,
                                                     int64_t direction, int64_t column, bool is_callers,
                                                     int64_t row_begin, int64_t row_end, int64_t *offsets) {
    struct directed_sequence to = {
        .data = x->data, .step_stride = direction ? -x->step_stride : x->step_stride, .row_stride = x->row_stride};
    const int64_t *rows = is_callers ? call->rows : NULL;
    if (!x->data) return to;
    to.data += column;
    if (is_callers && call->packed_rows) {
        to.step_stride = 0;
        to.packed_rows = call->packed_rows;
        to.lengths = direction ? call->lengths : NULL;
        to.offsets_of_step[0] = offsets, to.offsets_of_step[1] = offsets + call->B;
        return to;
    }
    if (direction && !call->lengths) to.data += (call->T - 1) * x->step_stride; /* all rows begin at the last step */
    if (!call->lengths || (!direction && !rows)) return to;
    for (int64_t r = row_begin; r < row_end; r++)
        offsets[r] = (direction ? (call->lengths[r] - 1) * x->step_stride : 0) + (rows ? rows[r] : r) * x->row_stride;
    to.offsets = offsets;
    return to;
}

static inline real *row_at(const struct directed_sequence *x, int64_t step, int64_t r) {
    if (x->packed_rows)
        return x->data + (x->packed_rows[x->lengths ? x->lengths[r] - 1 - step : step] + r) * x->row_stride;
    return x->data + step * x->step_stride + (x->offsets ? x->offsets[r] : r * x->row_stride);
}

NEVER_INLINE struct lstm_rows packed_rows_at(const struct directed_sequence *x, int64_t step, int64_t row,
                                             int64_t end) {
    if (!x->lengths) return (struct lstm_rows){row_at(x, step, row), x->row_stride, NULL};
    int64_t *offsets = x->offsets_of_step[step & 1];
    for (int64_t r = row; r < end; r++) offsets[r] = row_at(x, step, r) - x->data;
    return (struct lstm_rows){x->data, x->row_stride, offsets + row};
}

/* Rows [row, end) of a step, as kernels take them. Valid until this is called for the step after the next. */
static inline struct lstm_rows rows_at(const struct directed_sequence *x, int64_t step, int64_t row, int64_t end) {
    if (x->packed_rows) return packed_rows_at(x, step, row, end);
    return (struct lstm_rows){x->data + step * x->step_stride + (x->offsets ? 0 : row * x->row_stride), x->row_stride,
                              x->offsets ? x->offsets + row : NULL};
}

/* x without its first n rows. */
static inline struct lstm_rows skip_rows(struct lstm_rows x, int64_t n) {
    return (struct lstm_rows){x.data + (x.offsets ? 0 : n * x.stride), x.stride, x.offsets ? x.offsets + n : NULL};
}

#endif
