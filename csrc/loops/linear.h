/* A linear layer over n rows, y = x W^T + b: the readout of a network in training, computed with the same kernels. Its
 * sums do not depend on the number of threads, which a BLAS does not guarantee. */
#ifndef LSTM_LINEAR_H
#define LSTM_LINEAR_H

#include <string.h>

#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../sizes.h"
#include "../split.h"
#include "../threads.h"
#include "blocks.h"
#include "pack.h"
#include "sequences.h"

struct linear_run {
    const struct lstm_linear *args;
    struct lstm_dims outputs;              /* dims of the matrix whose columns are the outputs */
    real *packed, *packed_backward, *bias; /* the weights */
    real *left, *right, *sums;             /* operands and sums of the weight gradients */
};

/* The worker's rows of a product. */
static void linear_product(struct lstm_worker *worker, const struct linear_run *run, struct lstm_product p) {
    int64_t begin, end;
    lstm_share(worker, run->args->n, &begin, &end);
    p.n_rows = end - begin;
    p.a = skip_rows(p.a, begin);
    p.y = skip_rows(p.y, begin);
    if (p.n_rows) run_product(worker, &run->args->call, &run->outputs, p);
}

/* Packs the worker's share of the operands of rows [k, k + depth): x as the left operand in tiles, d_y as the right
 * operand in padded rows. */
static void pack_operands(struct lstm_worker *worker, const struct linear_run *run, int64_t k, int64_t depth) {
    const struct lstm_linear *a = run->args;
    const int64_t I = a->n_inputs, O = a->n_outputs, tile_rows = kernels_of(&a->call)->tile_rows;
    const int64_t width = run->outputs.gates_width;
    const real *x = a->x, *d_y = a->d_y;
    int64_t row, row_end, tile, tile_end;
    lstm_share(worker, depth, &row, &row_end);
    if (k == 0) memset(run->right + row * width, 0, (size_t)((row_end - row) * width) * sizeof(real));
    for (; row < row_end; row++)
        if (O == 1)
            run->right[row * width] = d_y[k + row]; /* (a call of memcpy takes longer) */
        else
            memcpy(run->right + row * width, d_y + (k + row) * O, (size_t)O * sizeof(real));
    lstm_share(worker, (I + tile_rows - 1) / tile_rows, &tile, &tile_end);
    for (int64_t r = 0, n; r < depth; r += n) {
        const real *rows[PACK_ROWS];
        for (n = 0; n < PACK_ROWS && r + n < depth; n++) rows[n] = x + (k + r + n) * I;
        for (int64_t j = tile; j < tile_end; j++) {
            const int64_t column = j * tile_rows;
            pack_tile(n, rows, column, tile_rows, at_most(I - column, tile_rows),
                      run->left + (j * depth + r) * tile_rows);
        }
    }
}

/* d_weight and d_bias. False: interrupted. */
static bool linear_gradients(struct lstm_worker *worker, const struct linear_run *run) {
    const struct lstm_linear *a = run->args;
    const int64_t I = a->n_inputs, O = a->n_outputs, width = run->outputs.gates_width, vector = run->outputs.vector;
    int64_t panel_begin, panel_end;
    lstm_share(worker, n_panels(&run->outputs, width), &panel_begin, &panel_end);
    for (int64_t k = 0, depth; k < a->n; k += depth) {
        depth = a->n - k < LSTM_GRADIENT_ROWS ? a->n - k : LSTM_GRADIENT_ROWS;
        pack_operands(worker, run, k, depth);
        if (!lstm_barrier(worker)) return false;
        const struct lstm_outer_sum sums[] = {{run->left, I, run->sums, NULL}, {NULL, 1, run->sums + I * width, NULL}};
        const struct lstm_outer outer = {.depth = depth,
                                         .n_vectors = width / vector,
                                         .panel_begin = panel_begin,
                                         .panel_end = panel_end,
                                         .b = run->right,
                                         .b_stride = width,
                                         .sums = sums,
                                         .n_sums = a->d_bias ? 2 : 1,
                                         .add = k > 0};
        kernels_of(&a->call)->outer(&outer);
        lstm_cancelled(worker, 2 * depth * I * (panel_end - panel_begin) * LSTM_PANEL_VECTORS * vector);
        if (!lstm_barrier(worker)) return false;
    }
    unpack_columns(&run->outputs, worker, O, I, a->n ? run->sums : NULL, a->d_weight);
    if (a->d_bias) unpack_columns(&run->outputs, worker, O, 1, a->n ? run->sums + I * width : NULL, a->d_bias);
    return true;
}

static void linear_worker(struct lstm_worker *worker, void *arguments) {
    const struct linear_run *run = arguments;
    const struct lstm_linear *a = run->args;
    const struct lstm_dims *d = &run->outputs;
    const int64_t I = a->n_inputs, O = a->n_outputs;
    if (!a->d_y) {
        if (worker->rank == 0) {
            pack_columns(d, O, I, LSTM_FORMAT_REAL, a->weight, run->packed);
            pack_row(d, O, a->bias, run->bias);
        }
        const struct lstm_product y = {.depth = I,
                                       .n_columns = O,
                                       .panel_end = n_panels(d, O),
                                       .gates_per_unit = 1,
                                       .a = {(real *)a->x, I, NULL},
                                       .b = run->packed,
                                       .bias = run->bias,
                                       .y = {a->y, O, NULL}};
        if (lstm_barrier(worker)) linear_product(worker, run, y);
        return;
    }
    if (worker->rank == 0) pack_rows(d, O, I, a->weight, run->packed_backward);
    const struct lstm_product d_x = {.depth = O,
                                     .n_columns = I,
                                     .panel_end = n_panels(d, I),
                                     .gates_per_unit = 1,
                                     .a = {(real *)a->d_y, O, NULL},
                                     .b = run->packed_backward,
                                     .y = {a->d_x, I, NULL}};
    if (lstm_barrier(worker) && linear_gradients(worker, run)) linear_product(worker, run, d_x);
}

static enum lstm_status linear(const struct lstm_linear *a) {
    struct lstm_linear_plan plan;
    const enum lstm_status status = lstm_plan_linear(a, &plan);
    if (status) return status;
    char *at = a->workspace;
    const int64_t vector = a->call.isa->vector_bytes / (int64_t)sizeof(real);
    const struct lstm_dims d = {.vector = vector};
    struct linear_run run = {.args = a,
                             .outputs = without_gates(&d, (a->n_outputs + vector - 1) / vector * vector),
                             .packed = (real *)(at + plan.packed),
                             .packed_backward = (real *)(at + plan.packed_backward),
                             .bias = (real *)(at + plan.bias),
                             .left = (real *)(at + plan.left),
                             .right = (real *)(at + plan.right),
                             .sums = (real *)(at + plan.sums)};
    const double flops = 2.0 * (a->d_y ? 2 : 1) * (double)a->n * (double)a->n_inputs * (double)a->n_outputs;
    const int n_threads = lstm_worthwhile_threads(a->call.isa, a->call.model.dtype, flops, a->call.n_threads);
    return lstm_parallel(&a->call, n_threads, linear_worker, &run);
}

#endif
