/* int8 products of blocks of rows, for instruction sets with matrix instructions. */
#ifndef LSTM_FORMATS_INT8_BLOCKS_H
#define LSTM_FORMATS_INT8_BLOCKS_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "tile.h"
#include "vector.h"

#ifdef HAS_INT8_BLOCKS

/* Consumes the sums of rows [row, row + rows) and one panel, LSTM_PANEL_VECTORS vectors each. */
typedef void panel_function(const void *context, int64_t row, int64_t panel, int rows, const vec *sums);

/* INT8 sums of rows [0, n_rows) and panels [panel_begin, panel_end). start: of row 0 and panel 0; first NULL: zero. */
static void multiply_in_blocks(const struct format_block *b, int64_t n_rows, int64_t panel_begin, int64_t panel_end,
                               struct sums start, panel_function *then, const void *context) {
    const int64_t depth = b->depth, stride = b->left_stride;
    const int32_t *corrections = (const int32_t *)(b->groups->scale + b->n_columns);
    int64_t done = 0;
    for (int64_t rows = INT8_BLOCK_ROWS; done < n_rows; done += (n_rows - done) / rows * rows) {
        if (n_rows - done < rows) rows = n_rows - done;
        begin_int8_blocks(rows, depth);
        for (int64_t panel = panel_begin; panel < panel_end; panel++)
            for (int64_t row = done; row + rows <= n_rows; row += rows) {
                bits products[INT8_BLOCK_ROWS * LSTM_PANEL_VECTORS];
                vec sums[INT8_BLOCK_ROWS * LSTM_PANEL_VECTORS];
                multiply_int8_block((const int8_number *)b->left + row * stride, stride,
                                    (const int8_t *)b->right + panel * LSTM_PANEL_VECTORS * VL * depth, depth,
                                    products);
                for (int v = 0; v < LSTM_PANEL_VECTORS; v++) {
                    const int64_t column = (panel * LSTM_PANEL_VECTORS + v) * VL;
                    const vec scale = load(b->groups->scale + column);
                    const bits correction = *(const unaligned_bits *)(corrections + column);
                    for (int64_t r = 0; r < rows; r++) {
                        const int64_t k = r * LSTM_PANEL_VECTORS + v;
                        sums[k] = scaled_sum(
                            b->part, products[k] + correction, scale, b->row_scale ? b->row_scale + row + r : NULL,
                            b->lower.first + (row + r) * b->lower.stride + column,
                            start.first ? load(start.first + (row + r) * start.stride + column) : broadcast(0));
                    }
                }
                then(context, row, panel, (int)rows, sums);
            }
        end_int8_blocks();
    }
}

#endif
#endif
