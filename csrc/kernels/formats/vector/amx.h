/* AVX-512 with VNNI and AMX: int8 products of up to 16 rows by the four vectors of a panel in tile registers. A packed
 * panel, [k / 4][4][16][4], is what tiles of the right operand hold: 16 rows of 64 bytes, one for each four k. (Not
 * TDPBF16PS for bfloat16: it adds in a different order from VDPBF16PS.) Only Linux lets
 * a process use them; elsewhere this is its base. */
#ifndef LSTM_FORMATS_AMX_H
#define LSTM_FORMATS_AMX_H

#include <immintrin.h>

#include "../../../compiler.h"
#include "../../vector.h"
#include "avx512_vnni.h"

#define INT8_OF avx512_vnni

#ifdef __linux__
#define HAS_INT8_BLOCKS
#define INT8_BLOCK_ROWS 16
#define TILE_DEPTH 64 /* k of a tile */

/* Tiles 0-3: sums; 4 and 5: left and right operand; 6 and 7: the operands of the remaining depth. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
};

static void begin_int8_blocks(int64_t rows, int64_t depth) {
    const int64_t rest = depth % TILE_DEPTH;
    struct tile_config config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) config.rows[tile] = (uint8_t)rows, config.bytes[tile] = 64;
    config.rows[5] = TILE_DEPTH / 4;
    if (rest) config.bytes[6] = (uint16_t)rest, config.rows[7] = (uint8_t)(rest / 4);
    _tile_loadconfig(&config);
}

static void end_int8_blocks(void) { _tile_release(); }

#define MULTIPLY_BY_PANEL(left_tile, right_tile) \
    _tile_loadd(left_tile, left + k, stride); \
    _tile_loadd(right_tile, right, panel_row); \
    _tile_dpbusd(0, left_tile, right_tile); \
    _tile_loadd(right_tile, right + 64, panel_row); \
    _tile_dpbusd(1, left_tile, right_tile); \
    _tile_loadd(right_tile, right + 128, panel_row); \
    _tile_dpbusd(2, left_tile, right_tile); \
    _tile_loadd(right_tile, right + 192, panel_row); \
    _tile_dpbusd(3, left_tile, right_tile);

static void multiply_int8_block(const int8_number *left, int64_t stride, const int8_t *right, int64_t depth,
                                bits *sums) {
    const int64_t panel_row = 4 * 64;
    int32_t *to = (int32_t *)sums;
    int64_t k = 0;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (; k + TILE_DEPTH <= depth; k += TILE_DEPTH, right += TILE_DEPTH / 4 * panel_row) {
        MULTIPLY_BY_PANEL(4, 5)
    }
    if (k < depth) {
        MULTIPLY_BY_PANEL(6, 7)
    }
    _tile_stored(0, to, panel_row);
    _tile_stored(1, to + 16, panel_row);
    _tile_stored(2, to + 32, panel_row);
    _tile_stored(3, to + 48, panel_row);
}

#endif

#endif
