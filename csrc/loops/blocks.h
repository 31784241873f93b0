/* Blocks: the rows and panels of one kernel call. */
#ifndef LSTM_BLOCKS_H
#define LSTM_BLOCKS_H

#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "sequences.h"

static inline const struct lstm_kernels *kernels_of(const struct lstm_call *call) {
    return call->isa->kernels[REAL_DTYPE];
}

static inline const struct lstm_format_kernels *format_kernels_of(const struct lstm_call *call) {
    return call->isa->formats;
}

typedef void product_kernel(const struct lstm_product *);
static inline product_kernel *product_of(const struct lstm_call *call, enum lstm_format format, bool looks_up) {
    if (looks_up) return kernels_of(call)->look_up;
    return lstm_is_interleaved(format) ? format_kernels_of(call)->product : kernels_of(call)->product;
}

typedef void step_kernel(const struct lstm_step *);
static inline step_kernel *step_of(const struct lstm_call *call, enum lstm_format format) {
    return lstm_is_interleaved(format) ? format_kernels_of(call)->step : kernels_of(call)->step;
}

typedef void step_backward_kernel(const struct lstm_step_backward *);
static inline step_backward_kernel *step_backward_of(const struct lstm_call *call, bool has_product) {
    return has_product && lstm_is_interleaved(call->model.format) ? format_kernels_of(call)->step_backward
                                                                  : kernels_of(call)->step_backward;
}

/* How many of n rows a kernel call in this format may take. */
static inline int64_t most_rows(enum lstm_format format, int64_t n) {
    return lstm_is_interleaved(format) && n > LSTM_OPERAND_ROWS ? LSTM_OPERAND_ROWS : n;
}

/* Panels of n columns. */
static inline int64_t n_panels(const struct lstm_dims *d, int64_t n_columns) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    return (n_columns + panel - 1) / panel;
}

/* How many of n items, of `flops` each, one kernel call takes, so that it ends soon enough to check for interruption.
 * Panels are divided first, rows only if one panel is too much: a panel is read once for all rows of a call (dividing
 * rows first made H = 1024, B = 32 two and a half times slower). Tried without gain: splitting deep panels into parts
 * of 64 or 16 KiB (0-20 % slower). */
#define FLOPS_PER_BLOCK ((int64_t)1 << 26)
static inline int64_t block_size(int64_t n, int64_t flops) {
    const int64_t most = FLOPS_PER_BLOCK / (flops > 0 ? flops : 1);
    return most < 1 ? 1 : most < n ? most : n;
}

/* A product over panels [panel_begin, panel_end), block by block. False: interrupted. */
static bool run_product(struct lstm_worker *worker, const struct lstm_call *call, const struct lstm_dims *d,
                        struct lstm_product p) {
    const int64_t n_rows = p.n_rows, panel_begin = p.panel_begin, panel_end = p.panel_end;
    const int64_t depth = p.looks_up ? 1 : p.depth;
    const int64_t panel_flops = 2 * depth * p.gates_per_unit * LSTM_PANEL_VECTORS * d->vector;
    const int64_t rows_step = most_rows(p.format, block_size(n_rows, panel_flops));
    const int64_t panel_step = block_size(panel_end - panel_begin, panel_flops * rows_step);
    const struct lstm_rows a = p.a, y = p.y;
    for (int64_t row = 0; row < n_rows; row += rows_step)
        for (int64_t panel = panel_begin; panel < panel_end; panel += panel_step) {
            p.n_rows = n_rows - row < rows_step ? n_rows - row : rows_step;
            p.a = skip_rows(a, row);
            p.y = skip_rows(y, row);
            p.panel_begin = panel;
            p.panel_end = panel_end - panel < panel_step ? panel_end : panel + panel_step;
            product_of(call, p.format, p.looks_up)(&p);
            if (lstm_cancelled(worker, panel_flops * (p.panel_end - panel) * p.n_rows)) return false;
        }
    return true;
}

#endif
