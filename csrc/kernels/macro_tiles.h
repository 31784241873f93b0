/* Macro tiles: the tiles of a step whose sums go to the cell together. */
#ifndef LSTM_MACRO_TILES_H
#define LSTM_MACRO_TILES_H

#include <stddef.h>

#include "../compiler.h"
#include "../real.h"
#include "table.h"
#include "tile.h"
#include "tiles.h"
#include "vector.h"

/* Rows and panels whose sums go to the cell together, at most MACRO_TILE_VECTORS vectors of units: 5-8 % faster steps
 * at H = 32 and 64 than running the cell after each tile of 3 rows (12 and 48 vectors are about as good). A single row
 * is not collected: its next tile, bound by reading weights, overlaps with the cell (collecting cost 6-9 % up to H =
 * 64). Tried: splitting deep panels into parts that stay in L1, with the sums kept in the macro tile (-3 to 3 % for
 * H >= 128); prefetching the next panel of weights that fit the L2 (2-10 % slower); for one row, prefetching 4 or 8 KB
 * of the next tile before the cell, or a few steps ahead within a tile (no gain, and 5-13 % slower: the load ports are
 * the limit). */
#define MACRO_TILE_VECTORS 24
struct macro_tile {
    const struct lstm_step *step;
    int64_t row, panel, panels;
    vec *sums; /* (rows, panels, LSTM_GATES) */
};

/* Prefetches the lines of h that a macro tile will write and, at the first panel of a step, the rows of x that the next
 * one will read. This helps when the order of rows is unpredictable and they do not fit the L2 (1-6 % of a step of
 * 270 rows of H = 64; nothing for a hundred rows or fewer). The empty asm statement keeps GCC from dropping a loop that
 * only prefetches. */
static void prefetch_rows(const struct lstm_step *s, const struct macro_tile *macro, int64_t end, bool is_first) {
    const int64_t line = 64 / (int64_t)sizeof(real), unit = macro->panel * VL;
    if (is_first || unit % line == (s->descending ? line - VL : 0))
        for (int64_t r = macro->row; r < end; r++) {
            __builtin_prefetch(s->h.data + s->h.offsets[r] + unit, 1);
            __asm__ volatile("");
        }
    for (int64_t r = end; is_first && s->x.offsets && r < end + MACRO_TILE_VECTORS && r < s->n_rows; r++)
        for (int64_t k = 0; k < s->input_size; k += line) {
            __builtin_prefetch(s->x.data + s->x.offsets[r] + k);
            __asm__ volatile("");
        }
}

ALWAYS_INLINE void step_in_macro_tiles(const tile_table table, const struct lstm_step *s, lstm_update *update) {
    vec sums[MACRO_TILE_VECTORS * LSTM_GATES];
    struct macro_tile macro = {.step = s, .sums = sums};
    const int64_t n_columns = s->panel_end * LSTM_PANEL_VECTORS;
    const int64_t n_macros = (s->n_rows + MACRO_TILE_VECTORS - 1) / MACRO_TILE_VECTORS,
                  even = (s->n_rows + n_macros - 1) / n_macros;
    const int64_t tiles = (even + TILE_ROWS - 1) / TILE_ROWS;
    const int64_t most_rows = n_macros == 1 ? even : tiles * TILE_ROWS, most_panels = MACRO_TILE_VECTORS / most_rows;
    for (int64_t left = s->panel_end - s->panel_begin, done = 0; left > 0; left -= macro.panels, done += macro.panels) {
        macro.panels = left < most_panels ? left : most_panels;
        macro.panel = s->panel_begin + (s->descending ? left - macro.panels : done);
        for (int64_t rows; macro.row < s->n_rows; macro.row += rows) {
            const int64_t left_rows = s->n_rows - macro.row;
            rows = left_rows < most_rows ? left_rows : most_rows;
            if (left_rows == most_rows + 1)
                rows = most_rows - 1; /* leave no single row, whose tiles are not collected */
            if (s->h.offsets && s->n_rows > 4 * MACRO_TILE_VECTORS)
                prefetch_rows(s, &macro, macro.row + rows, done == 0);
            for_each_tile(table, &macro, macro.row, macro.row + rows, macro.panel, macro.panel + macro.panels,
                          s->descending, n_columns);
            update(s, macro.row, macro.panel, (int)rows, (int)macro.panels, sums);
        }
        macro.row = 0;
    }
}

#endif
