/* The kernel tables: what one instruction set offers, per dtype. Pure functions on blocks of one time step; no
 * threads, no allocation, nothing global but the tables. */
#ifndef LSTM_KERNELS_H
#define LSTM_KERNELS_H

#include "../lstm_fast.h"

/* Whose random words: the seed, and all of a counter but its first number. */
struct lstm_random {
    uint64_t seed;
    uint32_t b, t, stream;
};

/* Random words are made so many at a time. */
#define LSTM_RANDOM_BLOCK 64

#define REAL float
#define NAME(word) word##_f32
#include "kernels_table.h"
#undef REAL
#undef NAME

#define REAL double
#define NAME(word) word##_f64
#include "kernels_table.h"
#undef REAL
#undef NAME

/* No kernel table has larger tile_rows. */
#define LSTM_LARGEST_TILE 8

/* Gates of a cell: 4 for an LSTM, 1 for a plain RNN. */
static inline int64_t lstm_n_gates(enum lstm_cell cell) { return cell == LSTM_CELL_LSTM ? LSTM_GATES : 1; }

#endif
