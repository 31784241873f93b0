/* AVX-512 with VNNI, BF16 and AMX: int8 and bfloat16 products of up to 16 rows by the four vectors of a panel in tile
 * registers. In both formats a packed panel, [k / n][4][16][n], is what tiles of the right operand hold: 16
 * rows of 64 bytes, one for each n adjacent k. (TDPBF16PS cannot compute the sums of BFLOAT16, which have the order of
 * VDPBF16PS.) Only Linux lets a process use tiles; elsewhere it has the kernels of its base. Tried without gain: blocks
 * of 32 rows by two vectors; prefetching the weights; three tiles for the right operand; storing products without a
 * copy. */
#ifndef LSTM_FORMATS_AMX_H
#define LSTM_FORMATS_AMX_H

#include <immintrin.h>

#include "../../../compiler.h"
#include "../../tile.h"
#include "../../vector.h"
#include "avx512_bf16.h"

#define BFLOAT16_OF avx512

#ifdef __linux__
#define HAS_BLOCKS
#define BLOCK_ROWS 16
#define BLOCK_BYTES 64

/* Tiles 0-3: sums; 4 and 5: left and right operand; 6 and 7: the operands of the remaining depth. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* bytes of a row */
    uint8_t rows[16];
};

static void begin_blocks(int64_t rows, int64_t rest) {
    struct tile_config config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) config.rows[tile] = (uint8_t)rows, config.bytes[tile] = BLOCK_BYTES;
    config.rows[5] = BLOCK_BYTES / 4;
    if (rest) config.bytes[6] = (uint16_t)rest, config.rows[7] = (uint8_t)(rest / 4);
    _tile_loadconfig(&config);
}

static void end_blocks(void) { _tile_release(); }

/* Macros, as the numbers of tiles must be literals. */
#define FOUR_TILES(do, at, stride) \
    do (0, at, stride); \
    do (1, at + 16, stride); \
    do (2, at + 32, stride); \
    do (3, at + 48, stride);

#define MULTIPLY_BY_PANEL(multiply, left_tile, right_tile) \
    _tile_loadd(left_tile, left + k, stride); \
    _tile_loadd(right_tile, right, panel_row); \
    multiply(0, left_tile, right_tile); \
    _tile_loadd(right_tile, right + 64, panel_row); \
    multiply(1, left_tile, right_tile); \
    _tile_loadd(right_tile, right + 128, panel_row); \
    multiply(2, left_tile, right_tile); \
    _tile_loadd(right_tile, right + 192, panel_row); \
    multiply(3, left_tile, right_tile);

/* Adds all products to tiles 0-3. */
#define ADD_PRODUCTS(multiply) \
    const int64_t panel_row = 4 * 64; \
    int64_t k = 0; \
    for (; k + BLOCK_BYTES <= depth; k += BLOCK_BYTES, right += BLOCK_BYTES / 4 * panel_row) { \
        MULTIPLY_BY_PANEL(multiply, 4, 5) \
    } \
    if (k < depth) { \
        MULTIPLY_BY_PANEL(multiply, 6, 7) \
    }

static void start_block(struct sums start) {
    if (start.first) {
        FOUR_TILES(_tile_loadd, start.first, start.stride * (int64_t)sizeof(float))
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
}

static void add_int8_products(const char *left, int64_t stride, const char *right, int64_t depth) {
    ADD_PRODUCTS(_tile_dpbusd)
}

static void add_bfloat16_products(const char *left, int64_t stride, const char *right, int64_t depth) {
    ADD_PRODUCTS(_tile_dpbf16ps)
}

static void store_block(void *sums) { FOUR_TILES(_tile_stored, (float *)sums, 4 * 64) }

#endif

#endif
