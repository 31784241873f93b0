/* The product with one-hot rows, as a look-up: y = bias + the row of a table for each symbol.
 *
 * The result is bitwise equal to the product (tile.h). A one-hot row adds zeros to the sum, before its symbol and, in
 * whole blocks, after it; these change only zeros: -0 becomes +0. (The zeros of the sum itself, and of an infinite
 * weight of another symbol, are left out: the product would be NaN.) */
#ifndef LSTM_KERNELS_LOOK_UP_H
#define LSTM_KERNELS_LOOK_UP_H

#include "../format.h"
#include "../real.h"
#include "table.h"
#include "vector.h"

static void look_up(const struct lstm_product *s) {
    const int64_t begin = s->panel_begin * LSTM_PANEL_VECTORS * VL, last = s->panel_end * LSTM_PANEL_VECTORS * VL;
    const int64_t end = last < s->n_columns ? last : s->n_columns, last_block = (s->depth - 1) / LSTM_SUM_BLOCK;
    const int row_bits = s->format_args.row_bits; /* bits of one-hot rows in INT8, whose scale is the scale of 1 */
    const vec zero = broadcast(0), scale = broadcast(row_bits ? 1 / (real)lstm_largest_integer(row_bits) : 1);
    for (int64_t r = 0; r < s->n_rows; r++) {
        const int64_t symbol = *(const int64_t *)(s->a.data + row_offset(&s->a, r));
        const real *row = (const real *)s->b + symbol * s->n_columns;
        const bool has_more_blocks = !row_bits && symbol / LSTM_SUM_BLOCK < last_block;
        real *y = s->y.data + row_offset(&s->y, r);
        for (int64_t c = begin; c < end; c += VL) {
            vec sum = zero;
            if (s->bias) sum += load(s->bias + c);
            sum = vfma(load(row + c), scale, sum);
            if (has_more_blocks) sum += zero;
            store(y + c, sum);
        }
    }
}

#endif
