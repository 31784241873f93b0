/* int8 sums in the tile registers of AMX: up to 16 rows by the four vectors of a panel. The packed panel [k / 4][4][16][4]
 * is what a tile of the right operand holds: 16 rows of 64 bytes, one for each four k. */
#ifndef LSTM_FORMATS_AMX_H
#define LSTM_FORMATS_AMX_H

#include "../compiler.h"
#include "../format.h"
#include "../kernels/table.h"
#include "tile.h"
#include "vector.h"

#ifdef HAS_AMX
#include <immintrin.h>

#define AMX_ROWS 16
#define AMX_FEWEST_ROWS 4 /* fewer take the vectors of VNNI */
#define AMX_DEPTH 64      /* k of a tile */

/* Tiles 0-3: sums; 4 and 5: left and right; 6 and 7: those of what is left of the depth. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
};

static void configure_tiles(int64_t rows, int64_t rest) {
    struct tile_config config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) config.rows[tile] = (uint8_t)rows, config.bytes[tile] = 64;
    config.rows[5] = AMX_DEPTH / 4;
    if (rest) config.bytes[6] = (uint16_t)rest, config.rows[7] = (uint8_t)(rest / 4);
    _tile_loadconfig(&config);
}

/* Rows [row, row + rows) of a panel, rows as configured, to sums: (rows, LSTM_PANEL_VECTORS, VL). */
static void multiply_tiles(const struct format_block *b, int64_t row, int64_t rows, int64_t panel, int32_t *sums) {
    const int64_t stride = lstm_operand_stride(b->depth), depth = lstm_format_depth(LSTM_FORMAT_INT8, b->depth);
    const int64_t column = panel * LSTM_PANEL_VECTORS * VL, row_bytes = LSTM_PANEL_VECTORS * 64;
    const uint8_t *left = (const uint8_t *)b->left + row * stride;
    const int8_t *right = (const int8_t *)b->right + column * depth;
    (void)rows;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    int64_t k = 0;
    for (; k + AMX_DEPTH <= depth; k += AMX_DEPTH, right += AMX_DEPTH / 4 * row_bytes) {
        _tile_loadd(4, left + k, stride);
        _tile_loadd(5, right, row_bytes);
        _tile_dpbusd(0, 4, 5);
        _tile_loadd(5, right + 64, row_bytes);
        _tile_dpbusd(1, 4, 5);
        _tile_loadd(5, right + 128, row_bytes);
        _tile_dpbusd(2, 4, 5);
        _tile_loadd(5, right + 192, row_bytes);
        _tile_dpbusd(3, 4, 5);
    }
    if (k < depth) {
        _tile_loadd(6, left + k, stride);
        _tile_loadd(7, right, row_bytes);
        _tile_dpbusd(0, 6, 7);
        _tile_loadd(7, right + 64, row_bytes);
        _tile_dpbusd(1, 6, 7);
        _tile_loadd(7, right + 128, row_bytes);
        _tile_dpbusd(2, 6, 7);
        _tile_loadd(7, right + 192, row_bytes);
        _tile_dpbusd(3, 6, 7);
    }
    _tile_stored(0, sums, row_bytes);
    _tile_stored(1, sums + VL, row_bytes);
    _tile_stored(2, sums + 2 * VL, row_bytes);
    _tile_stored(3, sums + 3 * VL, row_bytes);
}

/* What becomes of the sums of rows [row, row + rows) and one panel, LSTM_PANEL_VECTORS vectors each. */
typedef void panel_function(const void *context, int64_t row, int64_t panel, int rows, const vec *sums);

/* Sums of rows [0, n_rows) and panels [panel_begin, panel_end) of INT8. start: of row 0 and panel 0; first NULL: zero. */
static void multiply_in_tiles(const struct format_block *b, int64_t n_rows, int64_t panel_begin, int64_t panel_end,
                              struct sums start, panel_function *then, const void *context) {
    const int64_t rest = lstm_format_depth(LSTM_FORMAT_INT8, b->depth) % AMX_DEPTH;
    const int32_t *corrections = (const int32_t *)(b->groups->scale + b->n_columns);
    int64_t done = 0;
    for (int64_t rows = AMX_ROWS; done < n_rows; done += (n_rows - done) / rows * rows) {
        if (n_rows - done < rows) rows = n_rows - done;
        configure_tiles(rows, rest);
        for (int64_t panel = panel_begin; panel < panel_end; panel++)
            for (int64_t row = done; row + rows <= n_rows; row += rows) {
                bits products[AMX_ROWS * LSTM_PANEL_VECTORS];
                vec sums[AMX_ROWS * LSTM_PANEL_VECTORS];
                multiply_tiles(b, row, rows, panel, (int32_t *)products);
                for (int v = 0; v < LSTM_PANEL_VECTORS; v++) {
                    const int64_t column = (panel * LSTM_PANEL_VECTORS + v) * VL;
                    const vec scale = load(b->groups->scale + column);
                    const bits correction = *(const unaligned_bits *)(corrections + column);
                    for (int64_t r = 0; r < rows; r++) {
                        const int64_t k = r * LSTM_PANEL_VECTORS + v;
                        sums[k] = scaled_sum(
                            products[k] + correction, scale, b->row_scale ? b->row_scale + row + r : NULL,
                            start.first ? load(start.first + (row + r) * start.stride + column) : broadcast(0));
                    }
                }
                then(context, row, panel, (int)rows, sums);
            }
        _tile_release();
    }
}

#endif
#endif
