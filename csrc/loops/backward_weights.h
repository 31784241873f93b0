/* Backward over a chunk, part 3 (backward.h): the weight gradients. The rows of a product are numbered backward, from
 * the last (step, batch row) of the chunk on: k = 0 is its last row. */
#ifndef LSTM_BACKWARD_WEIGHTS_H
#define LSTM_BACKWARD_WEIGHTS_H

#include <string.h>

#include "../format.h"
#include "../kernels/table.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"
#include "backward_pass.h"
#include "blocks.h"
#include "pack.h"
#include "sequences.h"

/* ---- left operands, packed in tiles ------------------------------------------------------------------------------ */

/* Packs n rows of a tile in pairs, for interleaved formats: (n / 2, tile_rows, 2), with zeros in the columns after
 * `present`; an odd n is padded with a row of zeros. */
static inline void pack_tile_of_pairs(int64_t n, const real *const *rows, int64_t column, int64_t tile_rows,
                                      int64_t present, real *to) {
    for (int64_t k = 0; k < n; k += 2, to += 2 * tile_rows) {
        const real *even = rows[k] + column, *odd = k + 1 < n ? rows[k + 1] + column : NULL;
        for (int64_t r = 0; r < present; r++) to[2 * r] = even[r], to[2 * r + 1] = odd ? odd[r] : 0;
        for (int64_t r = 2 * present; r < 2 * tile_rows; r++) to[r] = 0;
    }
}

/* The rows of a left operand: the first of these three that is not NULL. */
struct left_source {
    const real *chunk;   /* rows of the chunk, one after the other */
    const real *initial; /* rows of the previous step; before step 0, this array (B, n_columns) in batch order */
    const struct directed_sequence *x;
    int64_t n_columns;
};

/* Rows last_row, last_row - 1, ... of the chunk that begins at step `begin`. */
struct chunk_rows {
    int64_t begin, last_row, depth;
};

/* Rows of a packed tile. */
static int64_t left_tile_rows(const struct lstm_call *call) {
    const int64_t block_rows = format_kernels_of(call)->block_rows;
    return block_rows && call->model.format == LSTM_FORMAT_BFLOAT16_AMX ? block_rows : kernels_of(call)->tile_rows;
}

/* Packs some tiles of rows that are all given. */
static void pack_tiles(const struct lstm_call *call, const struct lstm_left_rows *s) {
    const int64_t tile_rows = kernels_of(call)->tile_rows, depth = lstm_format_depth(call->model.format, s->depth);
    const bool in_pairs = lstm_is_interleaved(call->model.format);
    for (int64_t tile = s->tile_begin; tile < s->tile_end; tile++) {
        const int64_t column = tile * tile_rows, left = s->n_columns - column;
        real *at = s->to + (tile * depth + s->k) * tile_rows;
        const int64_t present = left < tile_rows ? left : tile_rows;
        if (in_pairs && tile_rows == 6 && present == 6)
            pack_tile_of_pairs(s->n, s->rows, column, 6, 6, at);
        else if (in_pairs)
            pack_tile_of_pairs(s->n, s->rows, column, tile_rows, present, at);
        else
            pack_tile(s->n, s->rows, column, tile_rows, present, at);
    }
}

/* Packs a worker's tiles of the source, a few rows at a time for locality of the writes. (Each worker packing its own
 * rows instead, which are in its cache, was up to 2 % slower on two threads.) */
static void pack_left(const struct backward_run *run, const struct backward_pass *p, const struct left_source *from,
                      const struct chunk_rows *rows, real *to) {
    const struct lstm_call *call = &run->args->call;
    const int64_t tile_rows = left_tile_rows(call), begin = rows->begin;
    const bool in_blocks = tile_rows != kernels_of(call)->tile_rows;
    const real *source[PACK_ROWS];
    struct lstm_left_rows packed = {.rows = source, .depth = rows->depth, .n_columns = from->n_columns, .to = to};
    int64_t step = begin, r;
    lstm_share(p->worker, (from->n_columns + tile_rows - 1) / tile_rows, &packed.tile_begin, &packed.tile_end);
    if (packed.tile_begin == packed.tile_end) return;
    while (p->first_row[step + 1 - begin] <= rows->last_row) step++;
    r = rows->last_row - p->first_row[step - begin];
    for (; packed.k < rows->depth || (in_blocks && packed.k % LSTM_AMX_BLOCK); packed.k += PACK_ROWS) {
        for (packed.n = 0; packed.n < PACK_ROWS && packed.k + packed.n < rows->depth; packed.n++) {
            const int64_t k = packed.k + packed.n;
            source[packed.n] = from->chunk      ? from->chunk + (rows->last_row - k) * from->n_columns
                               : !from->initial ? row_at(from->x, step, r)
                               : step == 0      ? from->initial + batch_row(call, r) * from->n_columns
                                                : row_at(from->x, step - 1, r);
            if (r-- == 0 && step-- > begin) r = p->first_row[step + 1 - begin] - p->first_row[step - begin] - 1;
        }
        if (in_blocks)
            format_kernels_of(call)->pack_left(&packed);
        else
            pack_tiles(call, &packed);
    }
    const int64_t of_tile = lstm_format_depth(call->model.format, rows->depth) * tile_rows;
    for (int64_t tile = packed.tile_begin;
         !in_blocks && lstm_is_interleaved(call->model.format) && tile < packed.tile_end; tile++)
        format_kernels_of(call)->round_pairs(call->model.format, of_tile, (float *)to + tile * of_tile);
}

/* ---- symbols in place of a left operand of one-hot rows ---------------------------------------------------------- */

/* The position of row k in the order in which a product adds its rows: interleaved formats add the odd row of each pair
 * first. */
static int64_t place_in_sum(int64_t k, int64_t depth, bool in_pairs) { return in_pairs && (k | 1) < depth ? k ^ 1 : k; }

/* Sorts the rows of each block by symbol, stably (by insertion: there are at most LSTM_SUM_BLOCK). */
static void sort_symbols(const struct backward_run *run, const struct backward_pass *p, const struct chunk_rows *rows,
                         struct lstm_symbol_row *to) {
    const int64_t begin = rows->begin, block = lstm_sum_block(run->args->call.model.format);
    const bool in_pairs = lstm_is_interleaved(run->args->call.model.format);
    int64_t step = begin, r;
    while (p->first_row[step + 1 - begin] <= rows->last_row) step++;
    r = rows->last_row - p->first_row[step - begin];
    for (int64_t k = 0; k < rows->depth; k++) {
        to[place_in_sum(k, rows->depth, in_pairs)] = (struct lstm_symbol_row){
            .symbol = *(const int64_t *)row_at(&p->x, step, r), .row = k % block};
        if (r-- == 0 && step-- > begin) r = p->first_row[step + 1 - begin] - p->first_row[step - begin] - 1;
    }
    for (int64_t k = 1; k < rows->depth; k++) {
        const struct lstm_symbol_row moved = to[k];
        int64_t at = k;
        for (; at % block && to[at - 1].symbol > moved.symbol; at--) to[at] = to[at - 1];
        to[at] = moved;
    }
}

/* ---- sums -----------------------------------------------------------------------------------------------------------
 * y (+)= left^T right over the rows of a chunk; each worker owns some panels of y. Sums with the same right operand are
 * computed together. */

struct right_rows {
    const real *rows;          /* first row of the chunk */
    int64_t stride, n_columns; /* padded */
};

/* The kernel for a sum: sums whose left operand is a row of ones are not rounded to a format. */
typedef void outer_kernel(const struct lstm_outer *);
static outer_kernel *outer_of(const struct lstm_call *call, const struct lstm_outer_sum *sum) {
    return lstm_is_interleaved(call->model.format) && (sum->a || sum->symbols) ? format_kernels_of(call)->outer
                                                                               : kernels_of(call)->outer;
}

/* Computes n sums with the same right operand. False: interrupted. */
static bool add_sums(const struct backward_run *run, const struct backward_pass *p, const struct right_rows *right,
                     const struct lstm_outer_sum *sums, int n_sums, const struct chunk_rows *rows) {
    int64_t panel_begin, panel_end, n_rows = 0;
    for (int j = 0; j < n_sums; j++) n_rows += sums[j].symbols ? 1 : sums[j].n_rows;
    lstm_share(p->worker, n_panels(&run->d, right->n_columns), &panel_begin, &panel_end);
    const int64_t panel_flops = 2 * rows->depth * n_rows * LSTM_PANEL_VECTORS * run->d.vector;
    const int64_t panel_step = block_size(panel_end - panel_begin, panel_flops);
    struct lstm_outer outer = {.format = run->args->call.model.format,
                               .depth = rows->depth,
                               .n_vectors = right->n_columns / run->d.vector,
                               .b = right->rows + rows->last_row * right->stride,
                               .b_stride = -right->stride,
                               .sums = sums,
                               .n_sums = n_sums,
                               .add = !p->is_first_product,
                               .is_shared = p->worker->size > 1};
    for (int64_t panel = panel_begin; panel < panel_end; panel = outer.panel_end) {
        outer.panel_begin = panel;
        outer.panel_end = panel_end - panel < panel_step ? panel_end : panel + panel_step;
        outer_of(&run->args->call, sums)(&outer);
        if (lstm_cancelled(p->worker, panel_flops * (outer.panel_end - panel))) return false;
    }
    return true;
}

/* Adds steps [begin, end) to the weight gradients. Called by all workers together. False: interrupted. */
static bool weight_gradients(const struct backward_run *run, struct backward_pass *p, int64_t begin, int64_t end) {
    const struct lstm_model *model = &run->args->call.model;
    const struct lstm_backward_plan *plan = &run->plan;
    const int64_t H = model->hidden_size, R = run->d.R, I = p->input_size, n_rows = p->first_row[end - begin];
    const int64_t width = run->d.gates_width, stride = plan->d_gates_stride;
    const real *d_gates = p->d_gates;
    const real *d_a_x = model->layer_norm ? backward_workspace(run, plan->d_a_x) : d_gates;
    const real *d_a_h = model->layer_norm ? backward_workspace(run, plan->d_a_h) : d_gates;
    real *packed_x = backward_workspace(run, plan->packed_x), *packed_h = backward_workspace(run, plan->packed_h);
    real *packed_unprojected = backward_workspace(run, plan->packed_unprojected);
    struct lstm_symbol_row *symbols = p->looks_up ? (struct lstm_symbol_row *)packed_x : NULL;
    const struct left_source x = {.x = &p->x, .n_columns = symbols ? 0 : I};
    const struct left_source h_prev = {.x = &p->h, .initial = p->initial_h, .chunk = p->h_effective, .n_columns = R};
    const struct left_source unprojected = {.chunk = backward_workspace(run, plan->unprojected),
                                            .n_columns = model->proj_size ? H : 0};
    const struct right_rows rights[] = {
        {d_a_x, stride, width},
        {d_a_h, stride, width},
        {d_gates, stride, width},
        {p->vector_terms, plan->vector_terms_stride, run->d.vectors.width},
        {backward_workspace(run, plan->d_h_new), plan->d_h_new_stride, model->proj_size ? run->d.R_padded : 0},
    };
    const struct lstm_outer_sum sums[] = {
        {symbols ? NULL : packed_x, I, p->d_weight_ih, symbols},
        {packed_h, R, p->d_weight_hh, NULL},
        {NULL, 1, p->d_bias, NULL},
        {NULL, 1, p->d_vectors, NULL},
        {packed_unprojected, H, p->d_weight_hr, NULL},
    };
    const int n_sums = sizeof sums / sizeof *sums;
    struct chunk_rows rows = {.begin = begin};
    for (int64_t k = 0; k < n_rows; k += rows.depth) {
        rows.depth = n_rows - k < plan->depth ? n_rows - k : plan->depth;
        rows.last_row = n_rows - 1 - k;
        /* All d_gates are complete, and no worker still reads the packed operands of the previous product. */
        if (!lstm_barrier(p->worker)) return false;
        if (symbols && p->worker->rank == 0) sort_symbols(run, p, &rows, symbols);
        pack_left(run, p, &x, &rows, packed_x);
        pack_left(run, p, &h_prev, &rows, packed_h);
        pack_left(run, p, &unprojected, &rows, packed_unprojected);
        if (!lstm_barrier(p->worker)) return false;
        for (int j = 0, n; j < n_sums; j += n) {
            for (n = 1; j + n < n_sums && rights[j + n].rows == rights[j].rows
                        && rights[j + n].n_columns == rights[j].n_columns
                        && outer_of(&run->args->call, sums + j + n) == outer_of(&run->args->call, sums + j);)
                n++;
            if (rights[j].n_columns && !add_sums(run, p, rights + j, sums + j, n, &rows)) break;
        }
        p->is_first_product = false;
    }
    return lstm_barrier(p->worker); /* no worker still reads the d_gates that the next chunk overwrites */
}

#endif
