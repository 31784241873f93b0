/* lstm_fast: the contract of the C core.
 *
 * C11, no Python, no allocation, no output. Every array belongs to the caller; every size and offset comes from plan.c.
 *
 * Letters: T steps, B batch, I input size, H hidden size, R size of h (H, or P with a projection), L layers, D directions.
 * Gate order i, f, g, o (input, forget, cell candidate, output). Strides count elements, never bytes.
 *
 *     i, f, o = sigmoid(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)      each gate with its own rows of W and b
 *     g       = tanh   (x W_ih^T + b_ih + h_prev W_hh^T + b_hh)
 *     c       = f * c_prev + i * g
 *     h       = o * tanh(c)
 *
 * struct lstm_model says what else a cell can have; the formulas of all of it are in lstm_fast/reference/__init__.py.
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

/* ONNX's eleven. DEFAULT is the plain LSTM's: sigmoid of the gates, tanh of the rest. */
enum lstm_activation_kind {
    LSTM_DEFAULT, LSTM_TANH, LSTM_SIGMOID, LSTM_RELU, LSTM_AFFINE, LSTM_LEAKY_RELU, LSTM_THRESHOLDED_RELU, LSTM_SCALED_TANH,
    LSTM_HARD_SIGMOID, LSTM_ELU, LSTM_SOFTSIGN, LSTM_SOFTPLUS,
};

struct lstm_activation {
    enum lstm_activation_kind kind;
    double alpha, beta; /* of those that have them */
};

/* What a network is made of. D is 1 or 2; with D = 2 the second direction runs from the last step to the first.
 * All from proj_size on is of an LSTM, and zero for a plain one; only initial_state is also of a plain RNN. */
struct lstm_model {
    enum lstm_cell cell;
    enum lstm_dtype dtype;
    int64_t input_size, hidden_size, num_layers, num_directions;
    bool half_weights;      /* float32, forward only: matrices stored in IEEE half precision, computed in float32 */
    bool initial_state;     /* learned: where a sequence starts that is given none, and where a reset leads */
    int64_t proj_size;      /* P, 0: none */
    bool peepholes, layer_norm, coupled_gates;
    double cell_clip, gate_clip; /* 0: none */
    struct lstm_activation activation, recurrent_activation, cell_activation; /* of g; of i, f and o; of c */
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
    /* Sequences of different lengths, the longest first: lengths (B), 0..T, not rising, and the batch row that each is
     * (NULL: 0, 1, 2, ...). Steps past a length are not computed; outputs and d_x there are zero. Both NULL: all T. */
    const int64_t *lengths, *rows;
    /* (T) or NULL. With lengths and no rows: the caller's sequences are packed, step t being their rows from packed_rows[t] on,
     * as many as run then. (Their step_stride means nothing.) */
    const int64_t *packed_rows;
    const uint8_t *resets; /* (T, B) or NULL. Not 0: before this step the sequence starts restarts (the reverse direction: after it) */
    bool recompute_gates;             /* training: the tape keeps h and c alone, backward makes the gates again */
    /* Training only, probabilities, 0: none. A mask is a function of seed, purpose, layer, direction, t, b and unit alone. */
    double dropout;             /* between layers */
    double recurrent_dropout;   /* of h_prev in the recurrent product, the same at every step */
    double zoneout_h, zoneout_c; /* of keeping the old value */
    uint64_t seed;
};

/* An array whose element (t, b, k) lies at data[t * step_stride + b * row_stride + k]. */
struct lstm_sequence {
    void *data;
    int64_t step_stride, row_stride;
};

/* ---- packed weights ----------------------------------------------------------------------------------------------
 * PyTorch's arrays of one layer and direction, C order: weight_ih (4H, I), weight_hh (4H, R), biases (4H) or NULL;
 * a plain RNN has H rows instead of 4H. The others only if the model has them: weight_hr (P, H), weight_peephole (3H: i, f,
 * o), norm_ih_weight and norm_hh_weight (4H), norm_c_weight and norm_c_bias (H), h_0 (R), c_0 (H).
 * Matrices of half_weights are 16 bits a number, all others always the dtype. */
struct lstm_weights {
    const void *weight_ih, *weight_hh, *bias_ih, *bias_hh, *weight_hr, *weight_peephole;
    const void *norm_ih_weight, *norm_hh_weight, *norm_c_weight, *norm_c_bias, *h_0, *c_0;
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
    struct lstm_sequence output; /* OUT (T, B, D * R); may not overlap x */
    const void *h_0, *c_0;       /* IN  (L * D, B, R) and (L * D, B, H), C order; NULL: the learned state, or zero. c_0
                                    unused by a plain RNN */
    void *h_n, *c_n;             /* OUT likewise; may be the same arrays as h_0, c_0 */
    const void *packed;          /* IN  of lstm_pack(backward = false) */
    void *tape;                  /* OUT or NULL */
    void *workspace;             /* lstm_forward_bytes, 64-byte aligned, contents irrelevant */
};

enum lstm_status lstm_tape_bytes(const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_forward_bytes(const struct lstm_call *, bool training, int64_t *bytes);
enum lstm_status lstm_forward(const struct lstm_forward *);

/* ---- backward ----------------------------------------------------------------------------------------------------
 * Reads the tape and leaves it as it was. Weight gradients are written, not added to. */
struct lstm_weight_gradients { /* OUT, in the order and the shapes of lstm_weights; biases may be NULL */
    void *d_weight_ih, *d_weight_hh, *d_bias_ih, *d_bias_hh, *d_weight_hr, *d_weight_peephole;
    void *d_norm_ih_weight, *d_norm_hh_weight, *d_norm_c_weight, *d_norm_c_bias, *d_h_0, *d_c_0; /* (of the learned state) */
};

struct lstm_backward {
    struct lstm_call call;
    struct lstm_sequence x;        /* IN  (T, B, I), what forward read */
    const void *h_0, *c_0;         /* IN  as in forward, what it read (of c_0 it matters only whether it is NULL) */
    struct lstm_sequence d_output; /* IN  (T, B, D * R); data NULL: zero */
    const void *d_h_n, *d_c_n;     /* IN  (L * D, B, R) and (L * D, B, H) or NULL: zero */
    struct lstm_sequence d_x;      /* OUT (T, B, I); data NULL: not wanted */
    void *d_h_0, *d_c_0;           /* OUT likewise, of the states that the sequences began with; may not overlap d_h_n, d_c_n */
    double *d_h_norms, *d_c_norms; /* OUT (L * D, T, B): length of the gradient that reaches h and c of each step; NULL: not
                                      wanted. d_c_norms is NULL for a plain RNN */
    const struct lstm_weight_gradients *d_weights; /* L * D entries */
    const void *packed;            /* IN  of lstm_pack(backward = true) */
    const void *packed_forward;    /* IN  of lstm_pack(backward = false), for a lean tape, else unused */
    const void *tape;              /* IN */
    void *workspace;               /* lstm_backward_bytes, 64-byte aligned */
};

enum lstm_status lstm_backward_bytes(const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_backward(const struct lstm_backward *);

/* ---- what training needs besides -------------------------------------------------------------------------------------
 * A linear layer over n rows, y = x W^T + b, with weight (n_outputs, n_inputs), all C order. Backward if d_y is not NULL:
 * then x, weight and d_y are read and d_x, d_weight and d_bias (or NULL) written. Of the call: dtype, isa, threads. */
struct lstm_linear {
    struct lstm_call call;
    int64_t n, n_inputs, n_outputs;
    const void *x, *weight, *bias; /* bias NULL: zero */
    void *y;
    const void *d_y;
    void *d_x, *d_weight, *d_bias;
    void *workspace; /* lstm_linear_bytes, 64-byte aligned */
};

enum lstm_status lstm_linear_bytes(const struct lstm_linear *, int64_t *bytes);
enum lstm_status lstm_linear(const struct lstm_linear *);

/* One step of an optimiser over n parameters in place. second NULL: SGD, first its momentum (beta_1) or NULL; else Adam.
 * Gradients are taken times scale. */
struct lstm_optimizer {
    enum lstm_dtype dtype;
    int64_t n, step; /* step: from 1 */
    void *parameters;
    const void *gradients;
    void *first, *second;
    double lr, beta_1, beta_2, epsilon, weight_decay, scale;
    bool nesterov, decoupled; /* decoupled: AdamW's decay */
};

void lstm_optimize(const struct lstm_optimizer *);
double lstm_square_sum(enum lstm_dtype, int64_t n, const void *values);

/* ---- what a tape holds, for those who look inside (trace) ---------------------------------------------------------
 * Byte offsets. gates: (T, B, H/V, 4, V) in the order in which the steps were taken, V the vector length in elements,
 * H rounded up to V; c: (T + 1, B, H rounded up), row 0 the initial state. h: (T, B, D * R) in the order of time.
 * (A lean tape has no gates.)
 * With lengths, rows are in the order of lengths, and the reverse direction takes its first step at the end of each. */
int64_t lstm_tape_gates(const struct lstm_call *, int64_t layer, int64_t direction);
int64_t lstm_tape_c(const struct lstm_call *, int64_t layer, int64_t direction);
int64_t lstm_tape_h(const struct lstm_call *, int64_t layer);

/* An activation of n numbers, as the cells compute it: for tests and for those who look inside. slope: its derivative
 * instead, and x is the activation's output. */
void lstm_activate(const struct lstm_isa *, enum lstm_dtype, struct lstm_activation, bool slope, int64_t n, const void *x,
                   void *y);

/* ---- threads ------------------------------------------------------------------------------------------------------ */
bool lstm_has_openmp(void);
int lstm_max_threads(void);      /* OMP_NUM_THREADS and affinity, as OpenMP sees them */
void lstm_watch_forks(void);     /* call once when loaded: a child made by fork then computes on one thread */

#endif
