/* The kernels of one dtype: included by kernels.h once per dtype. No include guard on purpose. */

/* One time step of rows [0, n_rows) and panels [panel_begin, panel_end): the recurrent product and the cell update.
 * A panel is LSTM_PANEL_VECTORS vectors of gate columns. Pointers are to row 0; c and c_prev rows are as wide as H
 * rounded up to vectors, h rows hold H elements. c may be c_prev; h may not be h_prev. A plain RNN has no c and never
 * keeps gates. */
struct NAME(lstm_step) {
    enum lstm_cell cell;
    int64_t n_rows, panel_begin, panel_end, input_size, hidden_size;
    const REAL *x;                         /* (n_rows, I), or NULL: `gates` already holds the input projection */
    const void *weight_ih, *weight_hh;     /* packed, REAL or 16 bits */
    const REAL *bias;                      /* packed */
    const REAL *h_prev, *c_prev;
    REAL *c, *h;
    REAL *gates;                           /* with x: OUT only if keep_gates. Without x: INOUT */
    int64_t x_stride, h_prev_stride, c_stride, h_stride, gates_stride;
    bool half_weights;
    bool keep_gates;                       /* leave i, f, g, o after the activation in `gates` */
};

/* One time step backward: d_h = d_h_next + d_output, then through the cell. Panels cover vectors of hidden units. */
struct NAME(lstm_step_backward) {
    enum lstm_cell cell;
    int64_t n_rows, panel_begin, panel_end, hidden_size;
    const REAL *d_gates_next;              /* of step + 1; d_h_next = d_gates_next W_hh, or NULL: take d_h_next */
    const REAL *weight_hh;                 /* packed for backward */
    const REAL *d_h_next;                  /* (n_rows, H) */
    const REAL *d_output;                  /* (n_rows, H) or NULL: zero */
    const REAL *gates, *c, *c_prev;        /* of the tape */
    const REAL *h;                         /* output of this step, for the plain cells */
    REAL *d_c;                             /* INOUT, rows as wide as c */
    REAL *d_gates;                         /* OUT, gradient of the gates before the activation */
    int64_t d_gates_stride, d_h_next_stride, d_output_stride, gates_stride, c_stride, h_stride;
};

/* y = a B (+ bias) (+ y): rows [0, n_rows), panels [panel_begin, panel_end) of n_columns columns in all.
 * strands 1: a row is `depth` elements. strands 4: a row is gates, `depth` hidden units (see d_gates). */
struct NAME(lstm_product) {
    int64_t n_rows, depth, n_columns, panel_begin, panel_end;
    int strands;
    const void *b;                         /* packed, REAL or, with strands 1, 16 bits */
    const REAL *a, *bias;                  /* bias packed, or NULL: zero */
    REAL *y;
    int64_t a_stride, y_stride;
    bool half_weights;
    bool add;                              /* y = y + a B */
};

/* y (+)= sum over k of a[k]^T b[k]: y in the layout of packed weights of depth n_rows, panels [panel_begin, panel_end).
 * a packed in tiles of tile_rows: (tiles, depth, tile_rows); b[k] is a row of n_vectors vectors, b_step after b[k - 1]. */
struct NAME(lstm_outer) {
    int64_t depth, n_rows, n_vectors, panel_begin, panel_end, b_step;
    const REAL *a, *b;
    REAL *y;
    bool add;
};

struct NAME(lstm_kernels) {
    int64_t vector_length; /* V, elements */
    int64_t tile_rows;     /* rows of the largest register tile */
    void (*step)(const struct NAME(lstm_step) *);
    void (*step_backward)(const struct NAME(lstm_step_backward) *);
    void (*product)(const struct NAME(lstm_product) *);
    void (*outer)(const struct NAME(lstm_outer) *);
    void (*sigmoid)(int64_t n, const REAL *x, REAL *y);
    void (*tanh)(int64_t n, const REAL *x, REAL *y);
};
