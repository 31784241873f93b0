/* The register tile: the one inner loop of everything.
 *
 * acc[r][v] += sum over k of a[r][k] * b[k][v], for `rows` rows and panels * width vectors of columns, each number one
 * chain of fused multiply-adds in increasing k. b[k] lies b_step after b[k - 1], panels lie b_panel apart; in packed
 * weights a panel is [k][width][VL], one contiguous stream.
 * All int arguments are compile-time constants at every call, so acc lives in registers.
 * is_half: b is 16 bits a number, widened as it is loaded (exactly; the sums are those of REAL weights of that value).
 *
 * strands: where a[r][k] lies in its row. 1: at k * a_step. 4: a row holds gates, blocks of [4][VL]; k runs over
 * units and, inside a unit, over its four gates, so that the order does not depend on VL.
 *
 * Tile sizes: AVX-512 and NEON have 32 registers: 6 rows x 4 vectors; the others 16: 3 x 4. One row takes more panels
 * at a time, because a fused multiply-add takes 4 cycles and two start in each, so 8 or more chains must be in flight.
 * (With 16 registers 6 rows x 2 vectors, twice over the depth, reads half as much of b, and was 10-15 % slower.) */

#ifndef TILE_ROWS
#if VECTOR_BYTES == 64 || defined(LSTM_KERNELS_NEON)
#define TILE_ROWS 6
#define TILE_PANELS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
#define FOR_EACH_TILE_ROWS(DO, x) DO(x, 1) DO(x, 2) DO(x, 3) DO(x, 4) DO(x, 5) DO(x, 6)
#else
#define TILE_ROWS 3
#define TILE_PANELS(rows) ((rows) == 1 ? 3 : 1)
#define FOR_EACH_TILE_ROWS(DO, x) DO(x, 1) DO(x, 2) DO(x, 3)
#endif
#endif

ALWAYS_INLINE VEC NAME(load_right)(const int is_half, const char *b) {
#if REAL_IS_FLOAT
    if (is_half) return load_half_f32((const uint16_t *)b);
#endif
    (void)is_half;
    return V(load)((const REAL *)b);
}

/* The left operand of a tile: row r lies apart[r] after the first. (As pointers to each row it took 5 % longer: the
 * compiler then adds them up anew for every k.) */
struct NAME(left) {
    const REAL *first;
    int64_t apart[TILE_ROWS];
};

ALWAYS_INLINE struct NAME(left) NAME(left_of)(const int rows, const struct NAME(lstm_rows) *x, int64_t row) {
    struct NAME(left) left;
    left.first = x->data + NAME(place)(x, row);
    UNROLL
    for (int r = 0; r < rows; r++) left.apart[r] = r * x->stride;
    if (__builtin_expect(x->at != NULL, 0)) {
        UNROLL
        for (int r = 0; r < rows; r++) left.apart[r] = x->at[row + r] - x->at[row];
    }
    return left;
}

/* One k: a_k is the number of row 0, b_k vector 0. */
ALWAYS_INLINE void NAME(tile_product)(const int rows, const int panels, const int width, const int is_half, const REAL *a_k,
                                      const int64_t *apart, const char *b_k, int64_t b_panel, VEC *acc) {
    const int n = panels * width;
    const int64_t number = is_half ? 2 : sizeof(REAL);
    VEC left[TILE_ROWS];
    UNROLL
    for (int r = 0; r < rows; r++) left[r] = V(broadcast)(a_k[apart[r]]);
    UNROLL
    for (int v = 0; v < n; v++) {
        VEC right = NAME(load_right)(is_half, b_k + ((v / width) * b_panel + (v % width) * VL) * number);
        if (rows == 2) HOLD(right); /* +20 %; three rows hold it anyway, and lost 5 % backward */
        UNROLL
        for (int r = 0; r < rows; r++) acc[r * n + v] = V(fma)(left[r], right, acc[r * n + v]);
    }
}

/* (Unrolled by two, because the instructions around the sums take places that a busy neighbour on the same core leaves few of:
 * 5 to 18 % there, nothing where the core is ours alone. By four is no faster and makes the library a quarter larger.) */
ALWAYS_INLINE void NAME(tile)(const int rows, const int panels, const int width, const int strands, const int is_half,
                              int64_t depth, struct NAME(left) left, int64_t a_step, const void *right, int64_t b_step,
                              int64_t b_panel, VEC *acc) {
    const REAL *a = left.first;
    const int64_t b_bytes = b_step * (is_half ? 2 : (int64_t)sizeof(REAL));
    const char *b = right;
    if (strands == 1) {
        UNROLL_BY(2)
        for (int64_t k = 0; k < depth; k++, b += b_bytes)
            NAME(tile_product)(rows, panels, width, is_half, a + k * a_step, left.apart, b, b_panel, acc);
        return;
    }
    for (int64_t done = 0; done < depth; done += VL, a += strands * VL) {
        const int64_t n_units = depth - done < VL ? depth - done : VL;
        for (int64_t k = 0; k < n_units; k++) {
            UNROLL
            for (int strand = 0; strand < strands; strand++, b += b_bytes)
                NAME(tile_product)(rows, panels, width, is_half, a + strand * VL + k * a_step, left.apart, b, b_panel, acc);
        }
    }
}

/* The sums of a finished tile into memory, for a function that is not inlined. Only this copy has an address: were it that
 * of acc itself, the compiler would write all of acc back around every loop (8 % of a step of one row at H = 64). */
ALWAYS_INLINE void NAME(spill)(const int n, const VEC *acc, VEC *sums) {
    UNROLL
    for (int k = 0; k < n; k++) sums[k] = acc[k];
}

/* Vectors of panel p when there are n_vectors in all: LSTM_PANEL_VECTORS, or what is left for the last. */
static inline int64_t NAME(panel_width)(int64_t p, int64_t n_vectors) {
    int64_t left = n_vectors - p * LSTM_PANEL_VECTORS;
    return left < LSTM_PANEL_VECTORS ? left : LSTM_PANEL_VECTORS;
}

/* A kernel is an inlined body(rows, panels, width, block, row, panel) instantiated for every tile size into a table:
 * [rows - 1][0] takes TILE_PANELS(rows) full panels, [rows - 1][width] one panel of that width, [0][TILE_PAIR] two full
 * panels of one row. */
typedef void NAME(tile_function)(const void *block, int64_t row, int64_t panel);
typedef NAME(tile_function) *NAME(tile_table)[TILE_ROWS][LSTM_PANEL_VECTORS + 2];

#ifndef TILE_TABLE
#define TILE_PAIR (LSTM_PANEL_VECTORS + 1)
#define TILE_FUNCTION(body, rows, shape) \
    static void body##_##rows##_##shape(const void *block, int64_t row, int64_t panel) { \
        body(rows, shape ? 1 : TILE_PANELS(rows), shape ? shape : LSTM_PANEL_VECTORS, block, row, panel); \
    }
#define TILE_PAIR_FUNCTION(body) \
    static void body##_pair(const void *block, int64_t row, int64_t panel) { \
        body(1, 2, LSTM_PANEL_VECTORS, block, row, panel); \
    }
#define TILE_FUNCTIONS(body, rows) \
    TILE_FUNCTION(body, rows, 0) TILE_FUNCTION(body, rows, 1) TILE_FUNCTION(body, rows, 2) \
    TILE_FUNCTION(body, rows, 3) TILE_FUNCTION(body, rows, 4)
#define TILE_ENTRIES(body, rows) \
    {body##_##rows##_0, body##_##rows##_1, body##_##rows##_2, body##_##rows##_3, body##_##rows##_4, \
     rows == 1 ? body##_pair : NULL},
#define TILE_FULL_FUNCTIONS(body, rows) TILE_FUNCTION(body, rows, 0) TILE_FUNCTION(body, rows, 4)
#define TILE_FULL_ENTRIES(body, rows) \
    {body##_##rows##_0, NULL, NULL, NULL, body##_##rows##_4, rows == 1 ? body##_pair : NULL},
/* For bodies whose panels are always full. */
#define TILE_FULL_TABLE(body, table) \
    FOR_EACH_TILE_ROWS(TILE_FULL_FUNCTIONS, body) TILE_PAIR_FUNCTION(body) \
    static const NAME(tile_table) table = {FOR_EACH_TILE_ROWS(TILE_FULL_ENTRIES, body)};
#define TILE_TABLE(body, table) \
    FOR_EACH_TILE_ROWS(TILE_FUNCTIONS, body) TILE_PAIR_FUNCTION(body) \
    static const NAME(tile_table) table = {FOR_EACH_TILE_ROWS(TILE_ENTRIES, body)};
#endif

/* How many of `full` panels, none of them narrow, the next tile takes. One row takes its panels in threes (fours) and
 * pairs, so that none is left alone if possible. */
ALWAYS_INLINE int64_t NAME(panels_taken)(int64_t n_rows, int64_t full) {
    const int64_t most = n_rows <= 2 ? TILE_PANELS(n_rows) : 1;
    if (n_rows == 1 && full > 1 && (full == 2 || full == most - 1 || (full == 4 && most == 3))) return 2;
    return full >= most ? most : 1;
}

/* All tiles of a block. Panels outside, rows inside: one panel of weights stays in L1 while the rows pass. Rows are
 * dealt in even shares, so that no tile is left with one row of seven.
 *
 * falling: panels from the last to the first. Steps that go through their weights to and fro find the half that was read
 * last still in the cache; always in one direction, a cache a little too small for all of them would give none back. (One
 * row: 7 % at H = 48 and 64, 2-5 % at 128 to 320. Not done: from one call of a step to the next, 0-5 %.) */
static void NAME(for_each_tile)(const NAME(tile_table) table, const void *block, int64_t row_begin, int64_t row_end,
                                int64_t panel_begin, int64_t panel_end, bool falling, int64_t n_vectors) {
    const int64_t n_rows = row_end - row_begin;
    const bool has_narrow = NAME(panel_width)(panel_end - 1, n_vectors) < LSTM_PANEL_VECTORS; /* the last one */
    for (int64_t left = panel_end - panel_begin, done = 0, taken; left > 0; left -= taken, done += taken) {
        taken = falling && has_narrow && done == 0 ? 1 : NAME(panels_taken)(n_rows, left - (has_narrow && !falling));
        const int64_t panel = falling ? panel_begin + left - taken : panel_begin + done;
        const int64_t width = NAME(panel_width)(panel, n_vectors);
        const int64_t shape = taken == 1 ? width : taken == 2 && n_rows == 1 ? TILE_PAIR : 0;
        for (int64_t row = row_begin, rows; row < row_end; row += rows) {
            const int64_t rows_left = row_end - row, tiles = (rows_left + TILE_ROWS - 1) / TILE_ROWS;
            rows = (rows_left + tiles - 1) / tiles;
            table[rows - 1][shape](block, row, panel);
        }
    }
}
