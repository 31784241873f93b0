/* The kernel table: the kernels of one instruction set and one dtype.
 *
 * A kernel is a pure function on a block of one time step, described by a struct: no threads, no allocation, no global
 * state. The loops reach kernels only through `struct lstm_kernels`, whose instances are the only symbols that
 * kernels.c exports. */
#ifndef LSTM_TABLE_H
#define LSTM_TABLE_H

#include "../compiler.h"
#include "../format.h"
#include "../lstm_fast.h"
#include "../real.h"

/* The options of a cell beyond the six lines. NULL means the plain LSTM. */
struct lstm_variant {
    bool is_simple; /* no layer norm and the default activations */
    bool coupled_gates, layer_norm;
    real cell_clip, gate_clip; /* 0: none */
    struct lstm_activation activation, recurrent_activation, cell_activation;
    real gate_low, gate_high, candidate_low, candidate_high; /* backward: activations of -+gate_clip, sorted */
    int64_t H_padded;
    const real *peephole;                                    /* (3, H_padded): i, f, o; or NULL */
    const real *norm_c, *norm_c_bias;                        /* (H_padded), with layer_norm */
    int64_t peephole_terms, norm_c_terms, norm_c_bias_terms; /* offsets in a row of terms, see lstm_step_backward */
};

/* Rows of numbers: row r begins at data + offsets[r] or, if offsets is NULL, at data + r * stride. */
struct lstm_rows {
    real *data;
    int64_t stride;
    const int64_t *offsets;
};

static inline int64_t row_offset(const struct lstm_rows *rows, int64_t r) {
    return UNLIKELY(rows->offsets != NULL) ? rows->offsets[r] : r * rows->stride;
}

/* Further arguments of the kernels in formats/, which take at most LSTM_OPERAND_ROWS rows and, if row_bits is 0,
 * numbers in [-1, 1]. */
struct lstm_format_args {
    const float *scale; /* INT8 only: a row of gates of scales, then one of int32 corrections */
    int row_bits;       /* 8 or 16: bits of the left operand, whose rows have one scale each; 0: no such scales */
    void *operands;     /* workspace for the rounded left operand (format.h) */
};

/* One time step of rows [0, n_rows) and panels [panel_begin, panel_end): the recurrent product and the cell. A panel is
 * LSTM_PANEL_VECTORS vectors of gate columns. Pointers are to row 0. Rows of c and c_prev are H_padded wide; rows of h
 * hold H elements (with a projection: h before it) and rows of h_prev h_size. c may be c_prev; h may not be h_prev. A
 * plain RNN has no c and never keeps gates. */
struct lstm_step;

/* Computes c and h from the sums of a block of rows and panels, LSTM_PANEL_VECTORS vectors each. */
typedef void lstm_update(const struct lstm_step *, int64_t row, int64_t panel, int rows, int panels, const void *sums);

struct lstm_step {
    enum lstm_cell cell;
    const struct lstm_variant *variant;
    int64_t n_rows, panel_begin, panel_end, input_size, hidden_size, h_size;
    struct lstm_rows x; /* (n_rows, I); data NULL: `gates` already holds the input projection */
    struct lstm_rows h_prev, h;
    enum lstm_format format;           /* format of both weights */
    const void *weight_ih, *weight_hh; /* packed */
    const real *bias;                  /* packed */
    const real *c_prev;
    real *c;
    real *gates; /* INOUT; with x: OUT, and only if keep_gates */
    int64_t c_stride, gates_stride;
    bool descending; /* panels from the last to the first: for_each_tile */
    bool keep_gates; /* store i, f, g, o, after the activation, in `gates` */
    struct lstm_format_args format_args;
    lstm_update *update; /* called by the kernels in formats/ */
};

struct lstm_step_backward;
typedef void lstm_update_backward(const struct lstm_step_backward *, int64_t row, int64_t panel, int rows, int n,
                                  const void *sums);

/* One time step backward: d_h = d_h_next + d_output, then the cell backward. Panels are vectors of hidden units. With a
 * projection, d_h is the gradient of h before the projection. */
struct lstm_step_backward {
    enum lstm_cell cell;
    const struct lstm_variant *variant;
    int64_t n_rows, panel_begin, panel_end, hidden_size;
    const real *d_gates_next;  /* d_gates of the following step; NULL: d_h_next is given instead of d_gates_next W_hh */
    const void *weight_hh;     /* packed for backward */
    const real *d_h_next;      /* (n_rows, H) */
    struct lstm_rows d_output; /* (n_rows, H); data NULL: zero */
    const real *gates, *c, *c_prev; /* read from the tape; a variant recomputes c */
    struct lstm_rows h;             /* plain RNN: the output of this step */
    real *d_c;                      /* INOUT, (n_rows, H_padded) */
    real *d_gates;                  /* OUT, gradients of the gates before the activation */
    real *terms;                    /* OUT, variants: summands of the gradients of peephole, norm_c, norm_c_bias */
    real *unprojected;              /* OUT, variants: h before the projection, (n_rows, H); or NULL */
    int64_t terms_stride, d_gates_stride, d_h_next_stride, gates_stride, c_stride;
    bool descending;
    int64_t gates_step, c_step, d_output_step; /* back to the previous step, for prefetching; 0 at the first */
    enum lstm_format format;                   /* format of weight_hh */
    struct lstm_format_args format_args;
    lstm_update_backward *update; /* called by the kernels in formats/ */
};

/* Layer norm of rows of gates: y = start + n weight, where n is the normalized row. y may be a or start. */
struct lstm_norm {
    int64_t n_rows, hidden_size, a_stride, start_stride, y_stride;
    const real *a, *weight, *start;
    real *y;
};

/* d_a from d, the gradient of y, and the terms d n that sum to the gradient of weight. */
struct lstm_norm_backward {
    int64_t n_rows, hidden_size, a_stride, d_stride, terms_stride; /* d_stride: stride of d and d_a */
    const real *a, *weight, *d;
    real *d_a, *terms;
};

/* y = a B (+ bias) (+ y), rows [0, n_rows) and panels [panel_begin, panel_end) of the n_columns columns of y.
 * gates_per_unit 1: a row of a is `depth` elements. LSTM_GATES: a row of gates of `depth` hidden units (tile.h). */
struct lstm_product {
    int64_t n_rows, depth, n_columns, panel_begin, panel_end;
    int gates_per_unit;
    struct lstm_rows a, y;
    enum lstm_format format; /* format of b; REAL if gates_per_unit > 1 */
    const void *b;           /* packed */
    const real *bias;        /* packed; NULL: zero */
    bool add;                /* adds to y instead of assigning it */
    bool looks_up;           /* a holds one symbol per row, b is a table of `depth` rows: kernels/look_up.h */
    struct lstm_format_args format_args;
};

/* A row of a block of LSTM_SUM_BLOCK rows, and its symbol. */
struct lstm_symbol_row {
    int64_t symbol, row;
};

/* Rows [k, k + n) of a left operand of outer, which has `depth` rows, to be packed in tiles [tile_begin, tile_end) of
 * its n_columns columns. n is at most 16; the rest of these 16 rows becomes zero. */
struct lstm_left_rows {
    const real *const *rows; /* row k and the following */
    int64_t n, k, depth, n_columns, tile_begin, tile_end;
    real *to;
};

/* y (+)= sum over k of a[k]^T b[k], for one or several left operands a of the same b. y has the layout of packed
 * weights with n_rows for their depth. */
struct lstm_outer_sum {
    const real *a; /* packed in tiles, (tiles, depth, tile_rows); in pairs of rows, (tiles, depth / 2, tile_rows, 2);
                    * in blocks, rows of lstm_left_stride (format.h); NULL: one row of ones */
    int64_t n_rows;
    real *y;
    const struct lstm_symbol_row *symbols; /* in place of one-hot rows of a: the rows of each block sorted by symbol,
                                            * equal symbols in the order of the sum; or NULL */
};

struct lstm_outer {
    enum lstm_format format; /* format of both operands */
    int64_t depth, n_vectors, panel_begin, panel_end;
    const real *b; /* row k, of n_vectors vectors, lies at b + k * b_stride */
    int64_t b_stride;
    const struct lstm_outer_sum *sums;
    int n_sums;
    bool add;
    bool is_shared; /* other cores have computed some of a and b */
};

/* The coordinates of a stream of random words: the seed, and all of the counter but its first number. */
struct lstm_random {
    uint64_t seed;
    uint32_t b, t, stream;
};

/* Random words are generated in multiples of this number. */
#define LSTM_RANDOM_BLOCK 64

/* ---- one model in each lane (../lane_args.h) --------------------------------------------------------------------- */

struct lstm_lanes;

/* Arrays of vectors, which hold one number of each model: (4H, I), (4H, H) and (4H). */
struct lstm_lane_weights {
    int64_t I, H;
    real *ih, *hh, *bias;
};

/* Step t of all B rows. c may be c_prev; h may not be h_prev. */
struct lstm_lane_step {
    const struct lstm_lanes *lanes;
    struct lstm_lane_weights weights;
    int64_t t;
    const real *h_prev, *c_prev; /* (B, H) */
    real *h, *c;
    real *gates;   /* OUT (B, H, 4) or NULL */
    real *x, *pre; /* workspace: LSTM_MOST_LANE_ROWS rows */
};

/* Weight gradients: rows buffered until their block is complete, and the sums of blocks. */
struct lstm_lane_sums {
    real *left;  /* (n, I + H) vectors: x and h_prev */
    real *right; /* (H, LSTM_SUM_BLOCK, 4): d_gates, the rows of a unit together, which L1 holds */
    int64_t n;
    bool is_first; /* the sums are empty */
    real *sums;    /* (H, 4, I + H + 1) vectors, the bias last */
};

/* Step t of all B rows, backward. */
struct lstm_lane_step_backward {
    const struct lstm_lanes *lanes;
    struct lstm_lane_weights weights;
    int64_t t;
    const real *gates, *c, *c_prev; /* read from the tape */
    const real *h_prev;             /* NULL at the first step */
    real *d_c;                      /* INOUT (B, H) */
    real *d_gates;                  /* INOUT (B, H, 4): d_gates of the following step, then of this one */
    real *d_h, *d_output, *x;       /* workspace: LSTM_MOST_LANE_ROWS rows; x also holds rows of d_x */
    struct lstm_lane_sums *sums;
    bool ends_chunk; /* the block of the weight gradients ends here, whether or not it is complete */
};

struct lstm_lane_kernels {
    /* Vectors of the weights of all models, from `to` on; returns their end. */
    real *(*pack)(const struct lstm_lanes *, real *to, struct lstm_lane_weights *);
    /* n numbers of each model, `stride` apart, into n vectors, and back. from NULL: zeros. The numbers `next` later are
     * prefetched (0: none). */
    void (*into_lanes)(int64_t n, const real *from, int64_t stride, int64_t next, real *to);
    void (*out_of_lanes)(int64_t n, const real *from, real *to, int64_t stride, int64_t next);
    void (*step)(const struct lstm_lane_step *);
    void (*step_backward)(const struct lstm_lane_step_backward *);
    void (*end_backward)(const struct lstm_lane_step_backward *); /* d_h_0, weight gradients; after the first step */
};

struct lstm_kernels {
    int64_t tile_rows; /* rows of the largest register tile */
    void (*step)(const struct lstm_step *);
    lstm_update *update;
    void (*step_backward)(const struct lstm_step_backward *);
    lstm_update_backward *update_backward;
    /* The cell alone, all panels, for layer norm, which comes between the products and the cell: forward from the sums
     * in `gates`, backward from d_h_next. */
    void (*cell)(const struct lstm_step *);
    void (*cell_backward)(const struct lstm_step_backward *);
    void (*norm)(const struct lstm_norm *);
    void (*norm_backward)(const struct lstm_norm_backward *);
    void (*product)(const struct lstm_product *);
    void (*look_up)(const struct lstm_product *);
    void (*outer)(const struct lstm_outer *);
    void (*random_words)(const struct lstm_random *, uint32_t first, int64_t n, uint32_t *words);
    void (*activate)(struct lstm_activation, bool slope, int64_t n, const real *x, real *y);
    const struct lstm_lane_kernels *lanes; /* NULL: the vectors are too short */
};

/* The kernels of the interleaved formats, float32: steps without x (but see block_rows), backward steps with
 * d_gates_next, and outer products whose left operands have been rounded by round_pairs or pack_left. Backward: both
 * kinds of BFLOAT16. */
struct lstm_format_kernels {
    int64_t int8_interleave; /* weights of a column that one INT8 instruction multiplies, stored together: 4 or 2 */
    bool int8_offset;        /* the left operand is stored with an offset of 128, which the corrections remove */
    /* Rows of a block of BFLOAT16_AMX; 0: there are no blocks. With at least this many rows, steps with x are
     * worthwhile, if lstm_depths_match, and left operands of outer are packed by pack_left, in tiles of this many. */
    int64_t block_rows;
    void (*step)(const struct lstm_step *);
    void (*product)(const struct lstm_product *);
    void (*step_backward)(const struct lstm_step_backward *);
    void (*outer)(const struct lstm_outer *);
    /* Left operands of outer: rounds a tile in place; packs rows in blocks. */
    void (*round_pairs)(enum lstm_format, int64_t n, float *numbers);
    void (*pack_left)(const struct lstm_left_rows *);
};

#endif
