/* The register tile: the inner loop of every product.
 *
 *     sums[r][v] = start[r][v] + sum over k of a[r][k] * b[k][v]
 *
 * for a few rows and panels * width vectors of columns. The depth is split into blocks of LSTM_SUM_BLOCK. Each block
 * is one chain of fused multiply-adds in increasing k that begins at zero, and the blocks are added to the start in
 * order. (One chain for the whole depth has nearly twice the rounding error; blocks of 128 are 1 % faster but 6 % less
 * accurate.) The sizes are compile-time constants wherever a tile is inlined, so that the accumulators stay in
 * registers.
 *
 * Tile sizes (vector/<isa>.h): 6 rows x 4 vectors with 32 registers, 3 x 4 with 16. A single row takes several panels
 * at a time: with a latency of 4 cycles and two fused multiply-adds per cycle, at least 8 chains must be in flight.
 * (With 16 registers, 6 rows x 2 vectors in two passes over the depth read half as much of b but were 10-15 %
 * slower.) */
#ifndef LSTM_TILE_H
#define LSTM_TILE_H

#include <stddef.h>

#include "../compiler.h"
#include "../format.h"
#include "../real.h"
#include "table.h"
#include "vector.h"

/* Rows, panels and vectors per panel of a tile. */
struct tile_shape {
    int rows, panels, width;
};

/* Accumulators of the largest tile. */
#define TILE_VECTORS (TILE_ROWS * LSTM_PANEL_VECTORS)

/* ---- operands ---------------------------------------------------------------------------------------------------- */

/* Rows of a: number k of row r is first[apart[r] + k * step]. With gates_per_unit > 1 a row holds gates, in blocks of
 * [gate][VL], and k runs unit by unit and, within a unit, gate by gate, so that the order does not depend on VL. (One
 * pointer per row was 5 % slower: the compiler then increments each of them at every k.) */
struct left_operand {
    const real *first;
    int64_t apart[TILE_ROWS];
    int64_t step;
};

ALWAYS_INLINE struct left_operand left_rows(const int rows, const struct lstm_rows *x, int64_t row) {
    struct left_operand left;
    left.first = x->data + row_offset(x, row);
    left.step = 1;
    UNROLL
    for (int r = 0; r < rows; r++) left.apart[r] = r * x->stride;
    if (UNLIKELY(x->offsets != NULL)) {
        UNROLL
        for (int r = 0; r < rows; r++) left.apart[r] = x->offsets[row + r] - x->offsets[row];
    }
    return left;
}

/* Columns of b in a format: b[k + 1] is `step` numbers after b[k], panels are `panel` numbers apart. Large tiles
 * prefetch what lies `ahead` bytes after each b[k]; 0: nothing. */
struct right_operand {
    const void *data;
    int64_t step, panel, ahead;
};

/* Packed weights of depth k, starting at a panel. A packed panel is [k][width][VL], one contiguous stream. */
ALWAYS_INLINE struct right_operand packed_panel(const struct tile_shape shape, const enum lstm_format format,
                                                const void *packed, int64_t depth, int64_t panel) {
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL, step = shape.width * VL;
    const int64_t bytes = lstm_format_bytes(format, sizeof(real));
    return (struct right_operand){
        .data = (const char *)packed + column * depth * bytes, .step = step, .panel = depth * step};
}

/* Tiles with enough arithmetic for each k to prefetch at no cost. */
ALWAYS_INLINE bool may_prefetch(const struct tile_shape shape, const enum lstm_format format) {
    return 3 * shape.rows > 2 * TILE_ROWS && shape.width == LSTM_PANEL_VECTORS && format == LSTM_FORMAT_REAL;
}

/* The tiles of a panel of `depth` prefetch the panel that comes next, one line of each k per tile, if the b of all
 * panels exceeds the L2: otherwise the first tile of each panel waits for L3 (12-15 % of a forward pass of H = 1024,
 * B = 32). Smaller b are excluded because the prefetches cost 2 % there. */
#define PREFETCHED_BYTES ((int64_t)4 << 20)
ALWAYS_INLINE void prefetch_next_panel(struct right_operand *right, int64_t depth, int64_t n_columns, int64_t row,
                                       bool descending) {
    const int64_t bytes = sizeof(real), row_bytes = right->step * bytes;
    const int64_t line = row / TILE_ROWS * 64, panel_bytes = depth * row_bytes;
    if (UNLIKELY(depth * n_columns * bytes > PREFETCHED_BYTES) && line < row_bytes)
        right->ahead = line + (descending ? -panel_bytes : panel_bytes);
}

/* A vector of weights as `real`. Widening is exact, so the sums equal those of real weights with the same values. */
ALWAYS_INLINE vec load_weights(const enum lstm_format format, const char *p) {
#ifndef LSTM_DOUBLE
    if (format == LSTM_FORMAT_FLOAT16) return load_half((const uint16_t *)p);
#endif
    (void)format;
    return load((const real *)p);
}

/* ---- the inner loop ---------------------------------------------------------------------------------------------- */

/* One step over k. a_k: its number of row 0; b_k: its vector 0. */
ALWAYS_INLINE void multiply_one_k(const struct tile_shape shape, const enum lstm_format format, const real *a_k,
                                  const int64_t *apart, const char *b_k, int64_t panel_step, vec *acc) {
    const int n = shape.panels * shape.width;
    const int64_t bytes = lstm_format_bytes(format, sizeof(real));
    vec left[TILE_ROWS];
    UNROLL
    for (int r = 0; r < shape.rows; r++) left[r] = broadcast(a_k[apart[r]]);
    UNROLL
    for (int v = 0; v < n; v++) {
        vec right = load_weights(format, b_k + ((v / shape.width) * panel_step + (v % shape.width) * VL) * bytes);
        if (shape.rows == 2) right = hold(right); /* 20 % faster; three rows: unnecessary, 5 % slower backward */
        UNROLL
        for (int r = 0; r < shape.rows; r++) acc[r * n + v] = vfma(left[r], right, acc[r * n + v]);
    }
}

/* A block: a chain that begins at zero, of `depth` numbers or, with gates_per_unit > 1, units. (Unrolled by two,
 * because the loop overhead takes issue slots, which are scarce when the other hardware thread of the core is busy:
 * 5-18 % faster there, no difference otherwise. Unrolling by four is no faster and makes the library a quarter
 * larger.) */
ALWAYS_INLINE void multiply_block(const struct tile_shape shape, const enum lstm_format format,
                                  const int gates_per_unit, const bool prefetches, int64_t depth,
                                  struct left_operand left, struct right_operand right, vec *acc) {
    const int64_t b_step = right.step * lstm_format_bytes(format, sizeof(real));
    const real *a = left.first;
    const char *b = right.data;
    UNROLL
    for (int k = 0; k < shape.rows * shape.panels * shape.width; k++) acc[k] = broadcast((real)0);
    if (gates_per_unit == 1) {
        UNROLL_BY(2)
        for (int64_t k = 0; k < depth; k++, b += b_step) {
            if (prefetches) __builtin_prefetch(b + right.ahead, 0, 2);
            multiply_one_k(shape, format, a + k * left.step, left.apart, b, right.panel, acc);
        }
        return;
    }
    for (int64_t done = 0; done < depth; done += VL, a += gates_per_unit * VL) {
        const int64_t n_units = depth - done < VL ? depth - done : VL;
        for (int64_t k = 0; k < n_units; k++) {
            UNROLL
            for (int gate = 0; gate < gates_per_unit; gate++, b += b_step)
                multiply_one_k(shape, format, a + gate * VL + k * left.step, left.apart, b, right.panel, acc);
        }
    }
}

/* Vectors of sums in memory: row r begins at first + r * stride (stride in elements; 0: the same for all rows). */
struct sums {
    real *first;
    int64_t stride;
};

/* A start of zero. (A constant in memory instead of a special case in every tile.) */
ALWAYS_INLINE struct sums zero_sums(void) {
    static const vec zeros[TILE_VECTORS];
    return (struct sums){(real *)zeros, 0};
}

/* The sums of a tile, one row after the other. */
ALWAYS_INLINE struct sums sums_of_tile(const struct tile_shape shape, vec *sums) {
    return (struct sums){(real *)sums, shape.panels * shape.width * VL};
}

/* Prefetches a start, which is needed once the first block is complete. (Otherwise the tile stalls there: 3 % of a step
 * of one row, 2 % of a step of many.) */
ALWAYS_INLINE void prefetch_sums(const struct tile_shape shape, struct sums start) {
    UNROLL
    for (int r = 0; r < shape.rows; r++) {
        UNROLL
        for (int v = 0; v < shape.panels * shape.width; v++)
            __builtin_prefetch(start.first + r * start.stride + v * VL);
    }
}

/* sums = start + the whole product, block by block. The start may be the sums. (Only `sums` is in memory: if the
 * accumulators had an address, the compiler would spill all of them around every loop, 8 % of a step of one row at
 * H = 64.) */
ALWAYS_INLINE void multiply_tile(const struct tile_shape shape, const enum lstm_format format, const int gates_per_unit,
                                 int64_t depth, struct left_operand left, struct right_operand right, struct sums start,
                                 struct sums sums) {
    const int n = shape.panels * shape.width;
    const int64_t per_block = LSTM_SUM_BLOCK / gates_per_unit, b_bytes = lstm_format_bytes(format, sizeof(real));
    int64_t left_over = depth;
    do {
        vec acc[TILE_VECTORS];
        const int64_t block = left_over < per_block ? left_over : per_block;
        if (shape.rows == 1 && block == per_block) /* a constant: 1-3 % of a step of one row */
            multiply_block(shape, format, gates_per_unit, false, per_block, left, right, acc);
        else if (may_prefetch(shape, format) && right.ahead)
            multiply_block(shape, format, gates_per_unit, true, block, left, right, acc);
        else
            multiply_block(shape, format, gates_per_unit, false, block, left, right, acc);
        UNROLL
        for (int r = 0; r < shape.rows; r++) {
            UNROLL
            for (int v = 0; v < n; v++)
                store(sums.first + r * sums.stride + v * VL,
                      load(start.first + r * start.stride + v * VL) + acc[r * n + v]);
        }
        start = sums;
        left.first += block * gates_per_unit * left.step;
        right.data = (const char *)right.data + block * gates_per_unit * right.step * b_bytes;
        left_over -= block;
    } while (left_over > 0);
}

#endif
