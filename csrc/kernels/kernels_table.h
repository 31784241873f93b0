/* The kernels of one dtype: included by kernels.h once per dtype. No include guard on purpose. */

/* What a cell has beside the six lines. */
struct NAME(lstm_variant) {
    bool is_simple; /* no layer norm, plain activations */
    bool coupled_gates, layer_norm;
    REAL cell_clip, gate_clip; /* 0: none */
    struct lstm_activation activation, recurrent_activation, cell_activation;
    REAL gate_low, gate_high, candidate_low, candidate_high; /* backward: activations of -gate_clip and gate_clip, sorted */
    int64_t H_padded;
    const REAL *peephole;             /* (3, H_padded): i, f, o; or NULL */
    const REAL *norm_c, *norm_c_bias; /* (H_padded), with layer_norm */
    int64_t peephole_terms, norm_c_terms, norm_c_bias_terms; /* where in a row of terms */
};

/* Rows of numbers: row r begins at data + at[r] or, where at is NULL, at data + r * stride. */
struct NAME(lstm_rows) {
    REAL *data;
    int64_t stride;
    const int64_t *at;
};

static inline int64_t NAME(place)(const struct NAME(lstm_rows) *x, int64_t r) {
    return __builtin_expect(x->at != NULL, 0) ? x->at[r] : r * x->stride;
}

/* One time step of rows [0, n_rows) and panels [panel_begin, panel_end): the recurrent product and the cell update.
 * A panel is LSTM_PANEL_VECTORS vectors of gate columns. Pointers are to row 0; c and c_prev rows are as wide as H
 * rounded up to vectors, h rows hold H elements (with a projection they are what goes into it, and h_prev rows hold h_size).
 * c may be c_prev; h may not be h_prev. A plain RNN has no c and never keeps gates. */
struct NAME(lstm_step) {
    enum lstm_cell cell;
    const struct NAME(lstm_variant) *variant; /* NULL: the plain LSTM */
    int64_t n_rows, panel_begin, panel_end, input_size, hidden_size, h_size;
    struct NAME(lstm_rows) x;              /* (n_rows, I), or NULL: `gates` already holds the input projection */
    struct NAME(lstm_rows) h_prev, h;
    const void *weight_ih, *weight_hh;     /* packed, REAL or 16 bits */
    const REAL *bias;                      /* packed */
    const REAL *c_prev;
    REAL *c;
    REAL *gates;                           /* with x: OUT only if keep_gates. Without x: INOUT */
    int64_t c_stride, gates_stride;
    bool half_weights;
    bool falling;                          /* panels from the last to the first: for_each_tile */
    bool keep_gates;                       /* leave i, f, g, o after the activation in `gates` */
};

/* One time step backward: d_h = d_h_next + d_output, then through the cell. Panels cover vectors of hidden units.
 * With a projection d_h is the gradient of what goes into that. */
struct NAME(lstm_step_backward) {
    enum lstm_cell cell;
    const struct NAME(lstm_variant) *variant;
    int64_t n_rows, panel_begin, panel_end, hidden_size;
    const REAL *d_gates_next;              /* of step + 1; d_h_next = d_gates_next W_hh, or NULL: take d_h_next */
    const REAL *weight_hh;                 /* packed for backward */
    const REAL *d_h_next;                  /* (n_rows, H) */
    struct NAME(lstm_rows) d_output;       /* (n_rows, H) or NULL: zero */
    const REAL *gates, *c, *c_prev;        /* of the tape; a variant makes c again from the others */
    struct NAME(lstm_rows) h;              /* output of this step, for the plain cells */
    REAL *d_c;                             /* INOUT, rows as wide as c */
    REAL *d_gates;                         /* OUT, gradient of the gates before the activation */
    REAL *terms;                           /* OUT, variants: of the gradients of peephole, norm_c, norm_c_bias */
    REAL *m;                               /* OUT, variants: h before the projection, rows of H; or NULL */
    int64_t terms_stride, d_gates_stride, d_h_next_stride, gates_stride, c_stride;
    bool falling;
    int64_t gates_step, c_step, d_output_step; /* from a step to the next, 0 for a first: fetch_step_before */
};

/* Layer norm of products a (n_rows rows of gates): y = start + n weight, n the normalised row. y may be a or start. */
struct NAME(lstm_norm) {
    int64_t n_rows, hidden_size, a_stride, start_stride, y_stride;
    const REAL *a, *weight, *start;
    REAL *y;
};

/* d_a from d, the gradient of y, and the terms d n of the gradient of weight. */
struct NAME(lstm_norm_backward) {
    int64_t n_rows, hidden_size, a_stride, d_stride, terms_stride; /* d_stride: of d and d_a */
    const REAL *a, *weight, *d;
    REAL *d_a, *terms;
};

/* y = a B (+ bias) (+ y): rows [0, n_rows), panels [panel_begin, panel_end) of n_columns columns in all.
 * strands 1: a row is `depth` elements. strands 4: a row is gates, `depth` hidden units (see d_gates). */
struct NAME(lstm_product) {
    int64_t n_rows, depth, n_columns, panel_begin, panel_end;
    int strands;
    struct NAME(lstm_rows) a, y;
    const void *b;                         /* packed, REAL or, with strands 1, 16 bits */
    const REAL *bias;                      /* packed, or NULL: zero */
    bool half_weights;
    bool add;                              /* y = y + a B */
};

/* y (+)= sum over k of a[k]^T b[k], for one or several a of the same b: y in the layout of packed weights of depth n_rows,
 * panels [panel_begin, panel_end). a packed in tiles of tile_rows: (tiles, depth, tile_rows); b[k] is a row of n_vectors vectors,
 * b_step after b[k - 1]. */
struct NAME(lstm_outer_sum) {
    const REAL *a; /* NULL: one row of ones */
    int64_t n_rows;
    REAL *y;
};

struct NAME(lstm_outer) {
    int64_t depth, n_vectors, panel_begin, panel_end, b_step;
    const REAL *b;
    const struct NAME(lstm_outer_sum) *sums;
    int n_sums;
    bool add;
};

struct NAME(lstm_kernels) {
    int64_t vector_length; /* V, elements */
    int64_t tile_rows;     /* rows of the largest register tile */
    void (*step)(const struct NAME(lstm_step) *);
    void (*step_backward)(const struct NAME(lstm_step_backward) *);
    /* The second half of a step, all panels, where layer norm parts it: forward from the sums in `gates`, backward from
     * d_h_next. */
    void (*cell)(const struct NAME(lstm_step) *);
    void (*cell_backward)(const struct NAME(lstm_step_backward) *);
    void (*norm)(const struct NAME(lstm_norm) *);
    void (*norm_backward)(const struct NAME(lstm_norm_backward) *);
    void (*product)(const struct NAME(lstm_product) *);
    void (*outer)(const struct NAME(lstm_outer) *);
    void (*random_words)(const struct lstm_random *, uint32_t first, int64_t n, uint32_t *words);
    void (*activate)(struct lstm_activation, bool slope, int64_t n, const REAL *x, REAL *y);
};
