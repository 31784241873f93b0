/* lstm_fast: the contract of the C core.
 *
 * C11, no Python, no allocation, no output. Every array belongs to the caller; every size and offset comes from plan.c.
 *
 * Letters: T steps, B batch, I input size, H hidden size, L layers, D directions.
 * Gate order i, f, g, o (input, forget, cell candidate, output). Strides count elements, never bytes.
 *
 *     i, f, o = sigmoid(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)      each gate with its own rows of W and b
 *     g       = tanh   (x W_ih^T + b_ih + h_prev W_hh^T + b_hh)
 *     c       = f * c_prev + i * g
 *     h       = o * tanh(c)
 *
 * Bits: each number is one chain of fused multiply-adds in a fixed order (bias, then the inputs 0..I-1, then the
 * hidden units 0..H-1), whatever the tile, the time chunk, the batch split, the number of threads or the instruction
 * set (the portable kernels have no fused multiply-add: same order, other rounding).
 */
#ifndef LSTM_FAST_H
#define LSTM_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lstm_gate { LSTM_GATE_I, LSTM_GATE_F, LSTM_GATE_G, LSTM_GATE_O, LSTM_GATES };

enum lstm_cell { LSTM_CELL_LSTM, LSTM_CELL_RNN_TANH, LSTM_CELL_RNN_RELU, LSTM_CELL_RNN_IDENTITY, LSTM_CELLS };

enum lstm_dtype { LSTM_F32, LSTM_F64 };

enum lstm_status {
    LSTM_OK,
    LSTM_TOO_LARGE,   /* a size does not fit 64 bits */
    LSTM_INTERRUPTED, /* the caller's `interrupted` said so; outputs hold nothing useful */
};

/* Vectors of one packed panel: the four gates of one vector of hidden units, or four vectors of columns. */
#define LSTM_PANEL_VECTORS 4

/* What a network is made of. D is 1 or 2; with D = 2 the second direction runs from the last step to the first. */
struct lstm_model {
    enum lstm_cell cell;
    enum lstm_dtype dtype;
    int64_t input_size, hidden_size, num_layers, num_directions;
    bool half_weights; /* LSTM, float32, forward only: matrices stored in IEEE half precision, computed in float32 */
};

/* One instruction set. `kernels` is a table of kernels/kernels.h, one per dtype. */
struct lstm_isa {
    const char *name; /* portable, avx2, avx512, neon */
    bool (*is_supported)(void); /* by the processor and by the operating system */
    const void *kernels[2]; /* by enum lstm_dtype */
    int64_t vector_bytes;
};

/* The compiled instruction sets from the slowest to the fastest, ended by a NULL name. The first runs everywhere. */
extern const struct lstm_isa lstm_isas[];

/* Called every 10 ms or so on the calling thread; true stops the call with LSTM_INTERRUPTED. NULL: never. */
typedef bool lstm_interrupted_function(void *context);

/* How threads share a call. */
enum lstm_split {
    LSTM_SPLIT_BEST,       /* as suits the sizes, on as many threads as have enough to do and the machine lets run */
    LSTM_SPLIT_ROWS,       /* of the batch: nobody waits for the recurrence of another */
    LSTM_SPLIT_DIRECTIONS, /* and rows of each: all meet after each layer. Backward: rows */
    LSTM_SPLIT_UNITS,      /* hidden units, each thread its own slice of the weights: all meet after each step */
};

struct lstm_call {
    struct lstm_model model;
    const struct lstm_isa *isa;
    int64_t T, B;
    int n_threads;         /* at most */
    enum lstm_split split; /* BEST, but for tests: the others use all threads, however little there is to do */
    lstm_interrupted_function *interrupted;
    void *interrupted_context;
    /* Sequences of different lengths, the longest first: lengths (B), 0..T, not rising, and the batch row that each is.
     * Steps past a length are not computed; outputs and d_x there are zero. Both NULL: all T. */
    const int64_t *lengths, *rows;
    double dropout;        /* between layers, training only; 0: none */
    uint64_t dropout_seed; /* the mask is a function of seed, layer, t, b and unit alone */
};

/* An array whose element (t, b, k) lies at data[t * step_stride + b * row_stride + k]. */
struct lstm_sequence {
    void *data;
    int64_t step_stride, row_stride;
};

/* ---- packed weights ----------------------------------------------------------------------------------------------
 * PyTorch's arrays of one layer and direction, C order: weight_ih (4H, I), weight_hh (4H, H), biases (4H) or NULL;
 * a plain RNN has H rows instead of 4H. Matrices of half_weights are 16 bits a number, the biases always the dtype. */
struct lstm_weights {
    const void *weight_ih, *weight_hh, *bias_ih, *bias_hh;
};

/* Bytes of the packed weights of a whole network, for forward and for backward. */
enum lstm_status lstm_packed_bytes(const struct lstm_model *, const struct lstm_isa *, bool backward, int64_t *bytes);

/* weights: L * D entries, layer by layer, forward direction first. packed: lstm_packed_bytes, 64-byte aligned. */
void lstm_pack(const struct lstm_model *, const struct lstm_isa *, bool backward, const struct lstm_weights *weights,
               void *packed);

/* ---- forward -----------------------------------------------------------------------------------------------------
 * A tape (64-byte aligned, lstm_tape_bytes) makes the call a training call: it then holds what backward needs. */
struct lstm_forward {
    struct lstm_call call;
    struct lstm_sequence x;      /* IN  (T, B, I) */
    struct lstm_sequence output; /* OUT (T, B, D * H); may not overlap x */
    const void *h_0, *c_0;       /* IN  (L * D, B, H), C order; NULL: zero. c_0 unused by a plain RNN */
    void *h_n, *c_n;             /* OUT (L * D, B, H), C order; may be the same arrays as h_0, c_0 */
    const void *packed;          /* IN  of lstm_pack(backward = false) */
    void *tape;                  /* OUT or NULL */
    void *workspace;             /* lstm_forward_bytes, 64-byte aligned, contents irrelevant */
};

enum lstm_status lstm_tape_bytes(const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_forward_bytes(const struct lstm_call *, bool training, int64_t *bytes);
enum lstm_status lstm_forward(const struct lstm_forward *);

/* ---- backward ----------------------------------------------------------------------------------------------------
 * Reads the tape and leaves it as it was. Weight gradients are written, not added to. */
struct lstm_weight_gradients {
    void *d_weight_ih, *d_weight_hh, *d_bias; /* OUT, shapes of the weights; d_bias may be NULL */
};

struct lstm_backward {
    struct lstm_call call;
    struct lstm_sequence x;        /* IN  (T, B, I), what forward read */
    const void *h_0;               /* IN  (L * D, B, H) or NULL, what forward read */
    struct lstm_sequence d_output; /* IN  (T, B, D * H); data NULL: zero */
    const void *d_h_n, *d_c_n;     /* IN  (L * D, B, H) or NULL: zero */
    struct lstm_sequence d_x;      /* OUT (T, B, I); data NULL: not wanted */
    void *d_h_0, *d_c_0;           /* OUT (L * D, B, H); may not overlap d_h_n, d_c_n */
    const struct lstm_weight_gradients *d_weights; /* L * D entries */
    const void *packed;            /* IN  of lstm_pack(backward = true) */
    const void *tape;              /* IN */
    void *workspace;               /* lstm_backward_bytes, 64-byte aligned */
};

enum lstm_status lstm_backward_bytes(const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_backward(const struct lstm_backward *);

/* ---- what a tape holds, for those who look inside (trace) ---------------------------------------------------------
 * Byte offsets. gates: (T, B, H/V, 4, V) in the order in which the steps were taken, V the vector length in elements,
 * H rounded up to V; c: (T + 1, B, H rounded up), row 0 the initial state. h: (T, B, D * H) in the order of time.
 * With lengths, rows are in the order of lengths, and the reverse direction takes its first step at the end of each. */
int64_t lstm_tape_gates(const struct lstm_call *, int64_t layer, int64_t direction);
int64_t lstm_tape_c(const struct lstm_call *, int64_t layer, int64_t direction);
int64_t lstm_tape_h(const struct lstm_call *, int64_t layer);

/* sigmoid or tanh of n numbers, as the cells compute it: for tests and for those who look inside. */
void lstm_activate(const struct lstm_isa *, enum lstm_dtype, bool is_sigmoid, int64_t n, const void *x, void *y);

/* ---- threads ------------------------------------------------------------------------------------------------------ */
bool lstm_has_openmp(void);
int lstm_max_threads(void);      /* OMP_NUM_THREADS and affinity, as OpenMP sees them */
void lstm_watch_forks(void);     /* call once when loaded: a child made by fork then computes on one thread */

#endif
