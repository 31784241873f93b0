/* The register tile: the inner loop of every product.
 *
 *     sums[r][v] = start[r][v] + sum over k of a[r][k] * b[k][v]
 *
 * for a few rows and panels * width vectors of columns. The depth is split into blocks of LSTM_SUM_BLOCK k. Each block
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

/* Columns of b in a format: b[k + 1] is `step` numbers after b[k], panels are `panel` numbers apart. */
struct right_operand {
    const void *data;
    int64_t step, panel;
};

/* Packed weights of depth k, starting at a panel. A packed panel is [k][width][VL], one contiguous stream. */
ALWAYS_INLINE struct right_operand packed_panel(const struct tile_shape shape, const enum lstm_format format,
                                                const void *packed, int64_t depth, int64_t panel) {
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL, step = shape.width * VL;
    const int64_t bytes = lstm_format_bytes(format, sizeof(real));
    return (struct right_operand){(const char *)packed + column * depth * bytes, step, depth * step};
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

/* One k: a_k is the number of row 0, b_k the vector 0. */
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
        if (shape.rows == 2) HOLD(right); /* 20 % faster; with three rows unnecessary, and 5 % slower backward */
        UNROLL
        for (int r = 0; r < shape.rows; r++) acc[r * n + v] = vfma(left[r], right, acc[r * n + v]);
    }
}

/* A block: a chain that begins at zero, of `depth` numbers or, with gates_per_unit > 1, units. (Unrolled by two,
 * because the loop overhead takes issue slots, which are scarce when the other hardware thread of the core is busy:
 * 5-18 % faster there, no difference otherwise. Unrolling by four is no faster and makes the library a quarter
 * larger.) */
ALWAYS_INLINE void multiply_block(const struct tile_shape shape, const enum lstm_format format,
                                  const int gates_per_unit, int64_t depth, struct left_operand left,
                                  struct right_operand right, vec *acc) {
    const int64_t b_step = right.step * lstm_format_bytes(format, sizeof(real));
    const real *a = left.first;
    const char *b = right.data;
    UNROLL
    for (int k = 0; k < shape.rows * shape.panels * shape.width; k++) acc[k] = broadcast((real)0);
    if (gates_per_unit == 1) {
        UNROLL_BY(2)
        for (int64_t k = 0; k < depth; k++, b += b_step)
            multiply_one_k(shape, format, a + k * left.step, left.apart, b, right.panel, acc);
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
            multiply_block(shape, format, gates_per_unit, per_block, left, right, acc);
        else
            multiply_block(shape, format, gates_per_unit, block, left, right, acc);
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

/* ---- all tiles of a block ---------------------------------------------------------------------------------------- */

/* A tile function, and a table of one per shape: [rows - 1][0] takes TILE_PANELS(rows) full panels, [rows - 1][width]
 * one panel of that width, [0][TILE_PAIR] two full panels of one row and [0][TILE_PAIR + 1] three; this one is NULL in
 * most tables. */
typedef void tile_function(const void *block, int64_t row, int64_t panel);
typedef tile_function *tile_table[TILE_ROWS][LSTM_PANEL_VECTORS + 3];
#define TILE_PAIR (LSTM_PANEL_VECTORS + 1)

/* clang-format off */
/* TILE_TABLE(body, table) instantiates the inlined body(shape, block, row, panel) for every shape and collects the
 * instances. TILE_FULL_TABLE is for bodies whose panels are always full, and TILE_TRIPLE_TABLE for that one of them
 * which also takes three panels of one row: everywhere, this would be 2 % of the library. */
#define TILE_TABLE(body, table) \
    FOR_EACH_TILE_ROWS(TILE_FUNCTIONS, body) TILE_ROW_FUNCTION(body, pair, 2) \
    static const tile_table table = {FOR_EACH_TILE_ROWS(TILE_ENTRIES, body)};
#define TILE_FULL_TABLE(body, table) \
    FOR_EACH_TILE_ROWS(TILE_FULL_FUNCTIONS, body) TILE_ROW_FUNCTION(body, pair, 2) \
    static const tile_table table = {FOR_EACH_TILE_ROWS(TILE_FULL_ENTRIES, body)};
#if PAIRS_BELOW
#define TILE_TRIPLE_TABLE(body, table) \
    FOR_EACH_TILE_ROWS(TILE_FULL_FUNCTIONS, body) TILE_ROW_FUNCTION(body, pair, 2) TILE_ROW_FUNCTION(body, triple, 3) \
    static const tile_table table = {FOR_EACH_TILE_ROWS(TILE_TRIPLE_ENTRIES, body)};
#else
#define TILE_TRIPLE_TABLE TILE_FULL_TABLE
#endif

#define TILE_FUNCTION(body, rows, n) \
    static void body##_##rows##_##n(const void *block, int64_t row, int64_t panel) { \
        const struct tile_shape shape = {rows, n ? 1 : TILE_PANELS(rows), n ? n : LSTM_PANEL_VECTORS}; \
        body(shape, block, row, panel); \
    }
#define TILE_ROW_FUNCTION(body, name, panels) \
    static void body##_##name(const void *block, int64_t row, int64_t panel) { \
        const struct tile_shape shape = {1, panels, LSTM_PANEL_VECTORS}; \
        body(shape, block, row, panel); \
    }
#define TILE_FUNCTIONS(body, rows) \
    TILE_FUNCTION(body, rows, 0) TILE_FUNCTION(body, rows, 1) TILE_FUNCTION(body, rows, 2) \
    TILE_FUNCTION(body, rows, 3) TILE_FUNCTION(body, rows, 4)
#define TILE_ENTRIES(body, rows) \
    {body##_##rows##_0, body##_##rows##_1, body##_##rows##_2, body##_##rows##_3, body##_##rows##_4, \
     rows == 1 ? body##_pair : NULL},
#define TILE_FULL_FUNCTIONS(body, rows) TILE_FUNCTION(body, rows, 0) TILE_FUNCTION(body, rows, 4)
#define TILE_FULL_ENTRIES(body, rows) \
    {body##_##rows##_0, NULL, NULL, NULL, body##_##rows##_4, rows == 1 ? body##_pair : NULL},
#define TILE_TRIPLE_ENTRIES(body, rows) \
    {body##_##rows##_0, NULL, NULL, NULL, body##_##rows##_4, rows == 1 ? body##_pair : NULL, \
     rows == 1 ? body##_triple : NULL},

#if TILE_ROWS == 6
#define FOR_EACH_TILE_ROWS(DO, x) DO(x, 1) DO(x, 2) DO(x, 3) DO(x, 4) DO(x, 5) DO(x, 6)
#elif TILE_ROWS == 3
#define FOR_EACH_TILE_ROWS(DO, x) DO(x, 1) DO(x, 2) DO(x, 3)
#endif
/* clang-format on */

/* Vectors of panel p of n_vectors: LSTM_PANEL_VECTORS or, in the last, the remainder. */
static inline int64_t panel_width(int64_t p, int64_t n_vectors) {
    const int64_t left = n_vectors - p * LSTM_PANEL_VECTORS;
    return left < LSTM_PANEL_VECTORS ? left : LSTM_PANEL_VECTORS;
}

/* How many of `full` full panels the next tile takes, of n_panels in all. One row takes three (or four) or two, so that
 * no single panel is left over if possible. */
ALWAYS_INLINE int64_t panels_of_next_tile(int64_t n_rows, int64_t n_panels, int64_t full, bool has_triple) {
    int64_t most = n_rows <= 2 ? TILE_PANELS(n_rows) : 1;
    if (n_rows == 1 && full == 3) return most == 3 || has_triple ? 3 : 2;
    if (n_rows == 1 && (full == 2 || (full == 4 && most == 3))) return 2;
    if (n_rows == 1 && n_panels < PAIRS_BELOW) most = 2;
    return full >= most ? most : 1;
}

/* The outer loop runs over panels, the inner one over rows: a panel of weights stays in L1 for all rows. Rows are
 * balanced between tiles: seven are 4 + 3, not 6 + 1.
 *
 * descending: panels from the last to the first. Steps alternate the direction, so that the weights read last are still
 * in the cache; always in the same direction, a cache slightly too small for all of them would never hit. (One row: 7 %
 * at H = 48 and 64, 2-5 % at 128 to 320. Not done across calls of a single step: 0-5 %.) */
static void for_each_tile(const tile_table table, const void *block, int64_t row_begin, int64_t row_end,
                          int64_t panel_begin, int64_t panel_end, bool descending, int64_t n_vectors) {
    const int64_t n_rows = row_end - row_begin, n_panels = panel_end - panel_begin;
    const bool has_narrow = panel_width(panel_end - 1, n_vectors) < LSTM_PANEL_VECTORS; /* the last panel */
    for (int64_t left = n_panels, done = 0, taken; left > 0; left -= taken, done += taken) {
        const int64_t full = left - (has_narrow && !descending);
        taken = descending && has_narrow && done == 0
                    ? 1
                    : panels_of_next_tile(n_rows, n_panels, full, table[0][TILE_PAIR + 1] != NULL);
        const int64_t panel = descending ? panel_begin + left - taken : panel_begin + done;
        const int64_t width = panel_width(panel, n_vectors);
        const int64_t most = n_rows <= 2 ? TILE_PANELS(n_rows) : 1;
        const int64_t shape = taken == 1 ? width : taken < most ? TILE_PAIR + taken - 2 : 0;
        for (int64_t row = row_begin, rows; row < row_end; row += rows) {
            const int64_t rows_left = row_end - row, tiles = (rows_left + TILE_ROWS - 1) / TILE_ROWS;
            rows = (rows_left + tiles - 1) / tiles;
            table[rows - 1][shape](block, row, panel);
        }
    }
}

#endif
