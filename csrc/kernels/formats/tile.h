/* The register tile of the interleaved formats, see kernels/tile.h.
 *
 * BFLOAT16: a sum is one chain of float32 fused multiply-adds that begins at its start; within each pair of k, the odd
 * one comes first. (With 8-bit significands, blocked sums would not reduce the error.)
 *
 * BFLOAT16_AMX: the operands are the same, but a sum consists of blocks (LSTM_AMX_BLOCK), as TDPBF16PS computes them.
 *
 * INT8: int32 sums are exact. The result is start + sum * scale, a fused multiply-add, or start + (sum * scale) *
 * row_scale if the rows of the left operand have scales too. With 16 bits, sum is 256 times the sum of the upper
 * parts plus the sum of the lower parts, which is computed first and stored where the result goes. */
#ifndef LSTM_FORMATS_TILE_H
#define LSTM_FORMATS_TILE_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "../tile.h"
#include "vector.h"

/* The operands of a tile. Panels of weights are `panel` numbers apart. */
struct bfloat16_operands {
    const bfloat16_number *left;
    const uint16_t *right;
    int64_t left_stride, left_step, depth, panel; /* left_step: to the next pair of left numbers */
};

/* Which part of the left operand is multiplied. */
enum int8_part { WHOLE, LOWER, UPPER };

struct int8_operands {
    const int8_number *left;
    const int8_t *right;
    int64_t left_stride, depth, panel;
    const float *scale, *row_scale; /* first column of the tile; first row of the tile, or NULL */
    const int32_t *correction;
    enum int8_part part;
    struct sums lower; /* the result of LOWER, which UPPER reads */
};

ALWAYS_INLINE void bfloat16_tile(const struct tile_shape shape, struct bfloat16_operands p, struct sums start,
                                 struct sums sums) {
    const int n = shape.panels * shape.width;
    vec acc[TILE_VECTORS];
    UNROLL
    for (int r = 0; r < shape.rows; r++) {
        UNROLL
        for (int v = 0; v < n; v++) acc[r * n + v] = load(start.first + r * start.stride + v * VL);
    }
    for (int64_t k = 0; k < p.depth; k += 2, p.left += p.left_step, p.right += 2 * shape.width * VL) {
        __typeof__(bfloat16_left(p.left)) left[TILE_ROWS];
        UNROLL
        for (int r = 0; r < shape.rows; r++) left[r] = bfloat16_left(p.left + r * p.left_stride);
        UNROLL
        for (int v = 0; v < n; v++) {
            const uint16_t *at = p.right + v / shape.width * p.panel + v % shape.width * 2 * VL;
            const __typeof__(bfloat16_right(at)) right = bfloat16_right(at);
            UNROLL
            for (int r = 0; r < shape.rows; r++) acc[r * n + v] = multiply_bfloat16(left[r], right, acc[r * n + v]);
        }
    }
    UNROLL
    for (int r = 0; r < shape.rows; r++) {
        UNROLL
        for (int v = 0; v < n; v++) store(sums.first + r * sums.stride + v * VL, acc[r * n + v]);
    }
}

/* One chain from zero over the even or the odd numbers of n pairs of k. */
ALWAYS_INLINE void chain_of_block(const struct tile_shape shape, const struct bfloat16_operands *p, int64_t n,
                                  const bool is_odd, vec *acc) {
    const int width = shape.panels * shape.width;
    const bfloat16_number *left = p->left;
    const uint16_t *right = p->right;
    UNROLL
    for (int k = 0; k < shape.rows * width; k++) acc[k] = broadcast(0);
    for (int64_t k = 0; k < n; k++, left += p->left_step, right += 2 * shape.width * VL) {
        vec a[TILE_ROWS];
        UNROLL
        for (int r = 0; r < shape.rows; r++) a[r] = number_of_pair(bfloat16_left(left + r * p->left_stride), is_odd);
        UNROLL
        for (int v = 0; v < width; v++) {
            const uint16_t *at = right + v / shape.width * p->panel + v % shape.width * 2 * VL;
            const vec b = number_of_pair(bfloat16_right(at), is_odd);
            UNROLL
            for (int r = 0; r < shape.rows; r++) acc[r * width + v] = vfma(a[r], b, acc[r * width + v]);
        }
    }
}

/* One chain at a time, so that its accumulators stay in registers. */
ALWAYS_INLINE void bfloat16_amx_tile(const struct tile_shape shape, struct bfloat16_operands p, struct sums start,
                                     struct sums sums) {
    const int n = shape.panels * shape.width;
    for (int64_t k = 0; k < p.depth; k += LSTM_AMX_BLOCK) {
        const int64_t pairs = (p.depth - k < LSTM_AMX_BLOCK ? p.depth - k : LSTM_AMX_BLOCK) / 2;
        vec even[TILE_VECTORS], odd[TILE_VECTORS];
        chain_of_block(shape, &p, pairs, false, even);
        chain_of_block(shape, &p, pairs, true, odd);
        for (int r = 0; r < shape.rows; r++)
            for (int v = 0; v < n; v++)
                store(sums.first + r * sums.stride + v * VL,
                      load(start.first + r * start.stride + v * VL) + (even[r * n + v] + odd[r * n + v]));
        start = sums;
        p.left += pairs * p.left_step;
        p.right += pairs * 2 * shape.width * VL;
    }
}

/* lower: the sum of the lower parts, used by UPPER. */
ALWAYS_INLINE vec scaled_sum(enum int8_part part, bits sum, vec scale, const float *row_scale, const real *lower,
                             vec start) {
    vec products = __builtin_convertvector(sum, vec);
    if (part == LOWER) return products;
    if (part == UPPER) products = vfma(products, broadcast(256), load(lower));
    return row_scale ? vfma(products * scale, broadcast(*row_scale), start) : vfma(products, scale, start);
}

ALWAYS_INLINE void int8_tile(const struct tile_shape shape, struct int8_operands p, struct sums start,
                             struct sums sums) {
    const int n = shape.panels * shape.width;
    bits acc[TILE_VECTORS];
    UNROLL
    for (int v = 0; v < n; v++) {
        UNROLL
        for (int r = 0; r < shape.rows; r++) acc[r * n + v] = *(const unaligned_bits *)(p.correction + v * VL);
    }
    for (int64_t k = 0; k < p.depth;
         k += INT8_INTERLEAVE, p.left += INT8_INTERLEAVE, p.right += INT8_INTERLEAVE * shape.width * VL) {
        bits left[TILE_ROWS];
        UNROLL
        for (int r = 0; r < shape.rows; r++) left[r] = int8_left(p.left + r * p.left_stride);
        UNROLL
        for (int v = 0; v < n; v++) {
            bits right = int8_right(p.right + v / shape.width * p.panel + v % shape.width * INT8_INTERLEAVE * VL);
            if (shape.rows > 1) right = (bits)hold((vec)right);
            UNROLL
            for (int r = 0; r < shape.rows; r++) acc[r * n + v] = multiply_int8(left[r], right, acc[r * n + v]);
        }
    }
    UNROLL
    for (int v = 0; v < n; v++) {
        const vec scale = load(p.scale + v * VL);
        UNROLL
        for (int r = 0; r < shape.rows; r++) {
            const vec from = load(start.first + r * start.stride + v * VL);
            store(sums.first + r * sums.stride + v * VL,
                  scaled_sum(p.part, acc[r * n + v], scale, p.row_scale ? p.row_scale + r : NULL,
                             p.lower.first + r * p.lower.stride + v * VL, from));
        }
    }
}

/* One matrix and its rounded left operand: what all tiles of a step or a product share. */
struct format_block {
    enum lstm_format format;
    const void *left, *right;
    int64_t left_stride, depth, n_columns; /* depth: rounded up to whole interleaves */
    const struct lstm_format_args *format_args;
    const float *row_scale;
    enum int8_part part;
    struct sums lower; /* row 0, panel 0 */
};

ALWAYS_INLINE void multiply_format_tile(const struct tile_shape shape, const enum lstm_format format,
                                        const struct format_block *b, int64_t row, int64_t panel, struct sums start,
                                        struct sums sums) {
    const int64_t depth = b->depth, stride = b->left_stride;
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL;
    if (format == LSTM_FORMAT_INT8) {
        const float *scale = b->format_args->scale;
        const struct int8_operands p = {.left = (const int8_number *)b->left + row * stride,
                                        .right = (const int8_t *)b->right + column * depth,
                                        .left_stride = stride,
                                        .depth = depth,
                                        .panel = depth * LSTM_PANEL_VECTORS * VL,
                                        .scale = scale + column,
                                        .row_scale = b->row_scale ? b->row_scale + row : NULL,
                                        .correction = (const int32_t *)(scale + b->n_columns) + column,
                                        .part = b->part,
                                        .lower = {b->lower.first + row * b->lower.stride + column, b->lower.stride}};
        int8_tile(shape, p, start, sums);
    } else {
        const struct bfloat16_operands p = {.left = (const bfloat16_number *)b->left + row * stride,
                                            .right = (const uint16_t *)b->right + column * depth,
                                            .left_stride = stride,
                                            .left_step = 2,
                                            .depth = depth,
                                            .panel = depth * LSTM_PANEL_VECTORS * VL};
        if (format == LSTM_FORMAT_BFLOAT16_AMX)
            bfloat16_amx_tile(shape, p, start, sums);
        else
            bfloat16_tile(shape, p, start, sums);
    }
}

#endif
