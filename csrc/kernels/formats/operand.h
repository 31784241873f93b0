/* The left operand rounded to its format: rows of lstm_operand_stride numbers in the workspace of a kernel call. */
#ifndef LSTM_FORMATS_OPERAND_H
#define LSTM_FORMATS_OPERAND_H

#include "../../compiler.h"
#include "../../format.h"
#include "../table.h"
#include "vector.h"

static void round_rows_bfloat16(const struct lstm_rows *rows, int64_t n_rows, int64_t depth, bfloat16_number *to) {
    const int64_t stride = lstm_operand_stride(depth);
    for (int64_t r = 0; r < n_rows; r++, to += stride) {
        const float *from = rows->data + row_offset(rows, r);
        for (int64_t k = 0; k < depth; k += VL) round_bfloat16(to + k, load_lanes(from + k, depth - k));
        if (depth % 2) to[depth] = 0;
    }
}

/* Rows of gates of H units, stored gate by gate (lstm_gates_depth). */
static void round_gates_bfloat16(const struct lstm_rows *rows, int64_t n_rows, int64_t H, bfloat16_number *to) {
    const int64_t units = (H + 1) & -2, stride = lstm_operand_stride(LSTM_GATES * units + LSTM_OPERAND_SLACK);
    for (int64_t r = 0; r < n_rows; r++, to += stride) {
        const float *from = rows->data + row_offset(rows, r);
        for (int gate = 0; gate < LSTM_GATES; gate++) {
            bfloat16_number *part = to + gate * units;
            for (int64_t unit = 0; unit < H; unit += VL)
                round_bfloat16(part + unit, load(from + unit * LSTM_GATES + gate * VL));
            if (H % 2) part[H] = 0;
        }
    }
}

/* Adding this number rounds to an integer, ties to even, which is then in the low bits of the sum. */
#define WHOLE_NUMBERS 0x1.8p23f

ALWAYS_INLINE bits whole_numbers(vec v) {
    return (bits)(v + broadcast(WHOLE_NUMBERS)) - (bits)broadcast(WHOLE_NUMBERS);
}

/* q = v * factor rounded to integers. False if v contains a NaN. */
ALWAYS_INLINE bool round_row_int8(const float *from, int64_t depth, float factor, int8_number *to) {
    bits is_nan = {0};
    for (int64_t k = 0; k < depth; k += VL) {
        const vec v = load_lanes(from + k, depth - k) * broadcast(factor);
        is_nan |= v != v;
        store_int8(to + k, whole_numbers(v));
    }
    bool has_nan = false;
    UNROLL
    for (int lane = 0; lane < VL; lane++) has_nan |= is_nan[lane] != 0;
    return !has_nan;
}

/* The largest magnitude; NaN propagates. */
static float largest_magnitude(const float *from, int64_t depth) {
    vec largest = broadcast(0);
    bits is_nan = {0};
    for (int64_t k = 0; k < depth; k += VL) {
        const vec v = load_lanes(from + k, depth - k);
        is_nan |= v != v;
        largest = at_least(largest, (vec)((bits)v & INT32_MAX));
    }
    float a = 0;
    for (int lane = 0; lane < VL; lane++) {
        if (is_nan[lane]) return __builtin_nanf("");
        a = largest[lane] > a ? largest[lane] : a;
    }
    return a;
}

/* Rows of numbers in [-1, 1], multiplied by 127. False if one is NaN. */
static bool round_rows_int8(const struct lstm_rows *rows, int64_t n_rows, int64_t depth, int8_number *to) {
    bool are_numbers = true;
    for (int64_t r = 0; r < n_rows; r++, to += lstm_operand_stride(depth))
        are_numbers &= round_row_int8(rows->data + row_offset(rows, r), depth, 127, to);
    return are_numbers;
}

/* Rows with one scale each, written to `scales`: NaN if a row is not finite. 16 bits: q = 256 upper + lower; the upper
 * parts of all rows are stored first, then the lower ones. */
static void round_rows_by_scale(const struct lstm_rows *rows, int64_t n_rows, int64_t depth, int bits_of_row,
                                int8_number *to, float *scales) {
    const int64_t stride = lstm_operand_stride(depth);
    const float most = (float)lstm_largest_integer(bits_of_row);
    for (int64_t r = 0; r < n_rows; r++, to += stride) {
        const float *from = rows->data + row_offset(rows, r), largest = largest_magnitude(from, depth);
        const bool is_finite = largest <= __FLT_MAX__;
        const float factor = is_finite && largest >= 0x1p-100f ? most / largest : 0;
        scales[r] = is_finite ? largest / most : __builtin_nanf("");
        if (bits_of_row == 8) {
            round_row_int8(from, depth, factor, to);
            continue;
        }
        for (int64_t k = 0; k < depth; k += VL) {
            const bits q = whole_numbers(load_lanes(from + k, depth - k) * broadcast(factor)), upper = (q + 128) >> 8;
            store_int8(to + k, upper);
            store_int8(to + n_rows * stride + k, q - upper * 256);
        }
    }
}

/* Sets the sums of rows that contain a NaN to NaN, which integers cannot represent. */
static void spread_nan(const struct lstm_rows *rows, int64_t n_rows, int64_t depth, const struct lstm_rows *sums,
                       int64_t n_columns) {
    for (int64_t r = 0; r < n_rows; r++) {
        float *row = sums->data + row_offset(sums, r);
        if (largest_magnitude(rows->data + row_offset(rows, r), depth) >= 0) continue;
        for (int64_t k = 0; k < n_columns; k++) row[k] = __builtin_nanf("");
    }
}

#endif
