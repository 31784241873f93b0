/* All tiles of a block of rows and panels: the table of tile functions, and the loop over them. */
#ifndef LSTM_TILES_H
#define LSTM_TILES_H

#include <stddef.h>

#include "../compiler.h"
#include "table.h"
#include "tile.h"
#include "vector.h"

/* A tile function, and a table of one per shape, [rows - 1][slot]. Slots from 1 to LSTM_PANEL_VECTORS take one panel of
 * that width. */
typedef void tile_function(const void *block, int64_t row, int64_t panel);
enum {
    TILE_FULL,                          /* TILE_PANELS(rows) full panels */
    TILE_PAIR = LSTM_PANEL_VECTORS + 1, /* two full panels of one row */
    TILE_TRIPLE,                        /* three; NULL in most tables */
    N_TILE_SLOTS
};
typedef tile_function *tile_table[TILE_ROWS][N_TILE_SLOTS];

/* clang-format off */
/* TILE_TABLE(body, table) instantiates the inlined body(shape, block, row, panel) for every shape and collects the
 * instances. TILE_FULL_TABLE is for bodies whose panels are always full, and TILE_TRIPLE_TABLE for that one of them
 * which also takes three panels of one row: everywhere, this would be 2 % of the library. (Macros, as each instance
 * needs a name.) */
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
    {[TILE_FULL] = body##_##rows##_0, [1] = body##_##rows##_1, [2] = body##_##rows##_2, [3] = body##_##rows##_3, \
     [4] = body##_##rows##_4, [TILE_PAIR] = rows == 1 ? body##_pair : NULL},
#define TILE_FULL_FUNCTIONS(body, rows) TILE_FUNCTION(body, rows, 0) TILE_FUNCTION(body, rows, 4)
#define TILE_FULL_ENTRIES(body, rows) \
    {[TILE_FULL] = body##_##rows##_0, [4] = body##_##rows##_4, [TILE_PAIR] = rows == 1 ? body##_pair : NULL},
#define TILE_TRIPLE_ENTRIES(body, rows) \
    {[TILE_FULL] = body##_##rows##_0, [4] = body##_##rows##_4, [TILE_PAIR] = rows == 1 ? body##_pair : NULL, \
     [TILE_TRIPLE] = rows == 1 ? body##_triple : NULL},

#if TILE_ROWS == 6
#define FOR_EACH_TILE_ROWS(DO, x) DO(x, 1) DO(x, 2) DO(x, 3) DO(x, 4) DO(x, 5) DO(x, 6)
#elif TILE_ROWS == 3
#define FOR_EACH_TILE_ROWS(DO, x) DO(x, 1) DO(x, 2) DO(x, 3)
#else
#error "FOR_EACH_TILE_ROWS has no list for this TILE_ROWS"
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
                    : panels_of_next_tile(n_rows, n_panels, full, table[0][TILE_TRIPLE] != NULL);
        const int64_t panel = descending ? panel_begin + left - taken : panel_begin + done;
        const int64_t width = panel_width(panel, n_vectors);
        const int64_t most = n_rows <= 2 ? TILE_PANELS(n_rows) : 1;
        const int64_t shape = taken == 1 ? width : taken >= most ? TILE_FULL : taken == 2 ? TILE_PAIR : TILE_TRIPLE;
        for (int64_t row = row_begin, rows; row < row_end; row += rows) {
            const int64_t rows_left = row_end - row, tiles = (rows_left + TILE_ROWS - 1) / TILE_ROWS;
            rows = (rows_left + tiles - 1) / tiles;
            table[rows - 1][shape](block, row, panel);
        }
    }
}

#endif
