/* Products of blocks of rows, for instruction sets with matrix instructions. */
#ifndef LSTM_FORMATS_BLOCKS_H
#define LSTM_FORMATS_BLOCKS_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "tile.h"
#include "vector.h"

#ifdef HAS_BLOCKS

/* Consumes the sums of rows [row, row + rows) and one panel, LSTM_PANEL_VECTORS vectors each. */
typedef void panel_function(const void *context, int64_t row, int64_t panel, int rows, const vec *sums);

/* The INT8 sums of one panel and rows [row, row + n_rows) from their products. */
static void scale_products(const struct format_block *b, int64_t row, int64_t n_rows, int64_t panel, struct sums start,
                           const bits *products, vec *sums) {
    const int32_t *corrections = (const int32_t *)(b->format_args->scale + b->n_columns);
    for (int v = 0; v < LSTM_PANEL_VECTORS; v++) {
        const int64_t column = (panel * LSTM_PANEL_VECTORS + v) * VL;
        const vec scale = load(b->format_args->scale + column);
        const bits correction = *(const unaligned_bits *)(corrections + column);
        for (int64_t r = 0; r < n_rows; r++) {
            const int64_t k = r * LSTM_PANEL_VECTORS + v;
            sums[k] = scaled_sum(b->part, products[k] + correction, scale, b->row_scale ? b->row_scale + row + r : NULL,
                                 b->lower.first + (row + r) * b->lower.stride + column,
                                 load(start.first + r * start.stride + v * VL));
        }
    }
}

static int64_t depth_in_bytes(const struct format_block *b) {
    return b->depth * (b->format == LSTM_FORMAT_INT8 ? 1 : 2);
}

/* The products of rows from `row` on and a panel, added to those before them. */
static void add_products(const struct format_block *b, int64_t row, int64_t panel) {
    const int64_t bytes = b->format == LSTM_FORMAT_INT8 ? 1 : 2, stride = b->left_stride * bytes;
    const int64_t depth = depth_in_bytes(b), panel_bytes = depth * LSTM_PANEL_VECTORS * VL;
    (b->format == LSTM_FORMAT_INT8 ? add_int8_products : add_bfloat16_products)(
        (const char *)b->left + row * stride, stride, (const char *)b->right + panel * panel_bytes, depth);
}

/* The sums of rows [0, n_rows) and panels [panel_begin, panel_end), with the products of one or, in BFLOAT16_AMX, two
 * matrices. start: of row 0 and panel 0; first NULL: zero. */
static void multiply_in_blocks(const struct format_block *b, int n_matrices, int64_t n_rows, int64_t panel_begin,
                               int64_t panel_end, struct sums start, panel_function *then, const void *context) {
    const bool is_int8 = b->format == LSTM_FORMAT_INT8;
    int64_t done = 0, rest = 0;
    for (int k = 0; k < n_matrices; k++) rest |= depth_in_bytes(b + k) % BLOCK_BYTES;
    for (int64_t rows = BLOCK_ROWS; done < n_rows; done += (n_rows - done) / rows * rows) {
        if (n_rows - done < rows) rows = n_rows - done;
        begin_blocks(rows, rest);
        for (int64_t panel = panel_begin; panel < panel_end; panel++)
            for (int64_t row = done; row + rows <= n_rows; row += rows) {
                const int64_t at = row * start.stride + panel * LSTM_PANEL_VECTORS * VL;
                const struct sums from = start.first ? (struct sums){start.first + at, start.stride} : zero_sums();
                vec sums[BLOCK_ROWS * LSTM_PANEL_VECTORS];
                bits products[BLOCK_ROWS * LSTM_PANEL_VECTORS];
                start_block(is_int8 ? (struct sums){0} : from);
                for (int k = 0; k < n_matrices; k++) add_products(b + k, row, panel);
                store_block(is_int8 ? (void *)products : sums);
                if (is_int8) scale_products(b, row, rows, panel, from, products, sums);
                then(context, row, panel, (int)rows, sums);
            }
        end_blocks();
    }
}

#endif
#endif
