/* lstm_fast: the contract of the C core.
 *
 * C11 without Python, allocation or I/O. Every array belongs to the caller; every size and offset comes from plan.h.
 *
 * Letters: T steps, B batch, I input size, H hidden size, R size of h (P with a projection, else H), L layers, D
 * directions. Gate order i, f, g, o (input, forget, cell candidate, output). Strides count elements, never bytes.
 *
 *     pre = x W_ih^T + b_ih + h_prev W_hh^T + b_hh
 *     pre_i, pre_f, pre_g, pre_o = pre                            H columns each
 *     i, f, o = sigmoid(pre_i), sigmoid(pre_f), sigmoid(pre_o)    input, forget and output gate
 *     g = tanh(pre_g)                                             cell candidate
 *     c = f * c_prev + i * g
 *     h = o * tanh(c)
 *
 * struct lstm_model lists all options of a cell; lstm_fast/reference/__init__.py has their formulas.
 *
 * Bits: the order of every sum is fixed, independent of tiles, batch splits, the number of threads and the instruction
 * set. A sum begins with its bias; then the inputs 0..I-1 are added in blocks of LSTM_SUM_BLOCK, each block one chain
 * of fused multiply-adds from zero, and then the hidden units 0..H-1 in the same way. (The portable kernels have no
 * fused multiply-add: the order is the same, the rounding is not. BFLOAT16 and INT8: kernels/formats/tile.h.) */
#ifndef LSTM_FAST_H
#define LSTM_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define LSTM_FAST_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

enum lstm_gate { LSTM_GATE_I, LSTM_GATE_F, LSTM_GATE_G, LSTM_GATE_O, LSTM_GATES };

enum lstm_cell { LSTM_CELL_LSTM, LSTM_CELL_RNN_TANH, LSTM_CELL_RNN_RELU, LSTM_CELL_RNN_IDENTITY, LSTM_CELLS };

enum lstm_dtype { LSTM_F32, LSTM_F64 };

/* How the weights are stored and multiplied (format.h). All but REAL: float32, LSTM; both kinds of BFLOAT16 train. */
enum lstm_format {
    LSTM_FORMAT_REAL,         /* the dtype of the model */
    LSTM_FORMAT_FLOAT16,      /* IEEE half precision, widened to float32 */
    LSTM_FORMAT_BFLOAT16,     /* the upper half of a float32; x and h are rounded to it too; sums are float32 */
    LSTM_FORMAT_INT8,         /* one scale per row of weights; x and h are rounded too; sums are int32 */
    LSTM_FORMAT_BFLOAT16_AMX, /* BFLOAT16 with the sums of Intel's AMX */
};

enum lstm_status {
    LSTM_OK,
    LSTM_TOO_LARGE,   /* a size does not fit 64 bits */
    LSTM_INTERRUPTED, /* `interrupted` returned true; the outputs are incomplete */
};

#define LSTM_LARGEST_SIZE ((int64_t)1 << 40) /* limit of all sizes and of num_layers */
#define LSTM_MOST_THREADS 256                /* most threads of a call; larger numbers are clamped */

#define LSTM_SUM_BLOCK 64 /* products per block of a sum */

/* Vectors of a packed panel: the four gates of one vector of hidden units, or four vectors of columns. */
#define LSTM_PANEL_VECTORS 4

/* ---- the network ------------------------------------------------------------------------------------------------- */

/* ONNX's eleven. DEFAULT: sigmoid for the gates, tanh for the rest. */
enum lstm_activation_kind {
    LSTM_DEFAULT,
    LSTM_TANH,
    LSTM_SIGMOID,
    LSTM_RELU,
    LSTM_AFFINE,
    LSTM_LEAKY_RELU,
    LSTM_THRESHOLDED_RELU,
    LSTM_SCALED_TANH,
    LSTM_HARD_SIGMOID,
    LSTM_ELU,
    LSTM_SOFTSIGN,
    LSTM_SOFTPLUS,
};

struct lstm_activation {
    enum lstm_activation_kind kind;
    double alpha, beta; /* parameters of the kinds that have any */
};

/* With D = 2, the second direction runs from the last step to the first. The members from proj_size on are options of
 * an LSTM; all zero: the plain LSTM. */
struct lstm_model {
    enum lstm_cell cell;
    enum lstm_dtype dtype;
    int64_t input_size, hidden_size, num_layers, num_directions;
    enum lstm_format format;
    bool rounds_weights; /* BFLOAT16 only: matrices are given as float32, rounded when packed; may train */
    int input_bits;      /* INT8 only: bits of x of the first layer, 8 or 16, one scale per row; 0: its W_ih is REAL */
    bool initial_state;  /* a learned state: where sequences begin if the caller gives none, and where they restart */
    bool index_input;    /* x is int64_t (T, B), symbols 0..I-1, each in place of a one-hot vector of I numbers */
    int64_t proj_size;   /* P; 0: none */
    bool peepholes, layer_norm, coupled_gates;
    double cell_clip, gate_clip;                                              /* 0: none */
    struct lstm_activation activation, recurrent_activation, cell_activation; /* for g; for i, f and o; for c */
};

/* ---- instruction sets -------------------------------------------------------------------------------------------- */

struct lstm_isa {
    const char *name;           /* see isas.h */
    const char *base;           /* the instruction set of the kernels for REAL and FLOAT16; may equal name */
    bool (*is_supported)(void); /* whether processor and operating system support it */
    const void *kernels[2];     /* struct lstm_kernels (kernels/table.h), indexed by enum lstm_dtype */
    const void *formats;        /* struct lstm_format_kernels, kernels/table.h */
    int64_t vector_bytes;
};

/* The compiled instruction sets, slowest first, terminated by a NULL name. The first runs on every machine. */
extern const struct lstm_isa lstm_isas[];

/* The fastest instruction set that this machine supports. */
const struct lstm_isa *lstm_best_isa(void);

/* An instruction set with narrower vectors and the same bits, or NULL: faster where one vector holds all units. */
const struct lstm_isa *lstm_narrower_isa(const struct lstm_isa *);

/* ---- a call ------------------------------------------------------------------------------------------------------ */

/* Called about every 10 ms, on the calling thread; true stops the call with LSTM_INTERRUPTED. */
typedef bool lstm_interrupted_function(void *context);

/* How threads share the work of a call; rows where another split is not possible (split.c). */
enum lstm_split {
    LSTM_SPLIT_BEST,       /* chosen by the sizes, on as many threads as pay off and are idle */
    LSTM_SPLIT_ROWS,       /* rows of the batch: no worker waits for the recurrence of another */
    LSTM_SPLIT_DIRECTIONS, /* directions and, in forward, rows of each: all workers meet after each layer */
    LSTM_SPLIT_UNITS,      /* hidden units, each worker with its own slice of the weights: all meet after each step */
    LSTM_SPLIT_LAYERS,     /* layers, some steps apart: each waits for the layers next to it */
};

struct lstm_call {
    struct lstm_model model;
    const struct lstm_isa *isa;
    int64_t T, B;
    int n_threads;                          /* upper limit */
    enum lstm_split split;                  /* other than BEST (in tests): all threads, however little the work */
    lstm_interrupted_function *interrupted; /* NULL: never */
    void *interrupted_context;
    /* Sequences of different lengths, longest first: lengths (B), 0..T, non-increasing, and the batch row of each
     * (NULL: 0, 1, 2, ...). Padding is neither read nor computed; output and d_x are zero there. lengths NULL: all
     * sequences have T steps. */
    const int64_t *lengths, *rows;
    /* (T) or NULL. With lengths and without rows: the caller's sequences are packed; the active rows of step t start at
     * row packed_rows[t]. (Their step_stride is ignored.) */
    const int64_t *packed_rows;
    const uint8_t *resets; /* (T, B) or NULL. Nonzero: it restarts before this step (the reverse direction: after it) */
    bool recompute_gates;  /* training: the tape keeps only h and c, and backward recomputes the gates */
    /* Training only; probabilities, 0: none. A mask depends only on seed, purpose, layer, direction, t, b and unit. */
    double dropout;              /* dropout between layers */
    double recurrent_dropout;    /* dropout of h_prev in the recurrent product, the same at every step */
    double zoneout_h, zoneout_c; /* probability of keeping the old value */
    uint64_t seed;
};

/* An array whose element (t, b, k) is data[t * step_stride + b * row_stride + k]. */
struct lstm_sequence {
    void *data;
    int64_t step_stride, row_stride;
};

/* ---- packed weights -------------------------------------------------------------------------------------------------
 * PyTorch's arrays of one layer and direction, C order: weight_ih (4H, I), weight_hh (4H, R), biases (4H) or NULL; a
 * plain RNN has H rows instead of 4H. Only if the model has them: weight_hr (P, H), weight_peephole (3H: i, f, o),
 * norm_ih_weight and norm_hh_weight (4H), norm_c_weight and norm_c_bias (H), h_0 (R), c_0 (H). Matrices are stored in
 * the model's format, BFLOAT16 as 16-bit words unless the model rounds_weights. The rows of INT8 matrices have scales,
 * scale_ih and scale_hh (4H): 1/127 of the largest magnitude. All other arrays have the dtype. */
struct lstm_weights {
    const void *weight_ih, *weight_hh, *bias_ih, *bias_hh, *weight_hr, *weight_peephole;
    const void *norm_ih_weight, *norm_hh_weight, *norm_c_weight, *norm_c_bias, *h_0, *c_0;
    const float *scale_ih, *scale_hh;
};

/* Bytes of the packed weights of a whole network, for forward or for backward. */
enum lstm_status lstm_packed_bytes(const struct lstm_model *, const struct lstm_isa *, bool backward, int64_t *bytes);

/* weights: L * D entries, layer by layer, forward direction first. packed: lstm_packed_bytes, 64-byte aligned. */
void lstm_pack(const struct lstm_model *, const struct lstm_isa *, bool backward, const struct lstm_weights *weights,
               void *packed);

/* ---- forward --------------------------------------------------------------------------------------------------------
 * A tape (64-byte aligned, lstm_tape_bytes) makes the call a training call; it then holds what backward needs. */
struct lstm_forward {
    struct lstm_call call;
    struct lstm_sequence x;      /* IN  (T, B, I); with index_input (T, B), in range (not checked) */
    struct lstm_sequence output; /* OUT (T, B, D * R); may not overlap x */
    const void *h_0, *c_0;       /* IN  (L * D, B, R) and (L * D, B, H), C order; NULL: the learned state, or zero. With
                                  * INT8, h_0 must be in [-1, 1] */
    void *h_n, *c_n;             /* OUT likewise; may be h_0 and c_0. (A plain RNN has no c_0 and no c_n.) */
    const void *packed;          /* IN  result of lstm_pack(backward = false) */
    void *tape;                  /* OUT or NULL */
    void *workspace;             /* lstm_forward_bytes, 64-byte aligned, contents irrelevant */
};

enum lstm_status lstm_tape_bytes(const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_forward_bytes(const struct lstm_call *, bool training, int64_t *bytes);
enum lstm_status lstm_forward(const struct lstm_forward *);

/* ---- backward -------------------------------------------------------------------------------------------------------
 * Reads the tape and does not modify it. Weight gradients are assigned, not accumulated. */
struct lstm_weight_gradients { /* OUT, in the order and the shapes of lstm_weights; the biases may be NULL */
    void *d_weight_ih, *d_weight_hh, *d_bias_ih, *d_bias_hh, *d_weight_hr, *d_weight_peephole;
    void *d_norm_ih_weight, *d_norm_hh_weight, *d_norm_c_weight, *d_norm_c_bias;
    void *d_h_0, *d_c_0; /* gradients of the learned state */
};

struct lstm_backward {
    struct lstm_call call;
    struct lstm_sequence x;        /* IN  (T, B, I), as forward read it */
    const void *h_0, *c_0;         /* IN  as forward read them (of c_0, only whether it is NULL is used) */
    struct lstm_sequence d_output; /* IN  (T, B, D * R); data NULL: zero */
    const void *d_h_n, *d_c_n;     /* IN  (L * D, B, R) and (L * D, B, H); NULL: zero */
    struct lstm_sequence d_x;      /* OUT (T, B, I); data NULL: not computed, as there is none with index_input */
    void *d_h_0, *d_c_0;           /* OUT gradients of h_0, c_0, likewise; may not overlap d_h_n, d_c_n */
    /* OUT (L * D, T, B): norms of the gradients that reach h and c at each step; NULL: not recorded (plain RNN: c). */
    double *d_h_norms, *d_c_norms;
    const struct lstm_weight_gradients *d_weights; /* L * D entries */
    const void *packed;                            /* IN  result of lstm_pack(backward = true) */
    const void *packed_forward; /* IN  result of lstm_pack(backward = false); only with recompute_gates */
    const void *tape;           /* IN */
    void *workspace;            /* lstm_backward_bytes, 64-byte aligned */
};

enum lstm_status lstm_backward_bytes(const struct lstm_call *, int64_t *bytes);
enum lstm_status lstm_backward(const struct lstm_backward *);

/* ---- training: the readout and the optimizers -------------------------------------------------------------------- */

/* A linear layer over n rows, y = x W^T + b, with weight (n_outputs, n_inputs), all C order. Backward if d_y is not
 * NULL: x, weight and d_y are read, and d_x, d_weight and d_bias (or NULL) written. Of `call`, only dtype, isa,
 * n_threads, split and interrupted are used. */
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

/* An optimizer step over n parameters, in place. second NULL: SGD, whose momentum buffer is first (with beta_1), or
 * NULL; else Adam. Gradients are multiplied by scale. */
struct lstm_optimizer {
    enum lstm_dtype dtype;
    int64_t n, step; /* step: from 1 */
    void *parameters;
    const void *gradients;
    void *first, *second;
    double lr, beta_1, beta_2, epsilon, weight_decay, scale;
    bool nesterov, decoupled; /* decoupled: the weight decay of AdamW */
};

void lstm_optimize(const struct lstm_optimizer *);
double lstm_square_sum(enum lstm_dtype, int64_t n, const void *values);

/* ---- inspection -------------------------------------------------------------------------------------------------- */

/* Byte offsets into a tape. gates: (T, B, H/V, 4, V) in the order in which the steps were computed, with V the vector
 * length in elements and H rounded up to V; none with recompute_gates. c: (T + 1, B, H rounded up), row 0 being the
 * initial state. h: (T, B, D * R) in time order. With lengths, rows are sorted by length, and the reverse direction
 * takes its first step at the end of each. */
int64_t lstm_tape_gates(const struct lstm_call *, int64_t layer, int64_t direction);
int64_t lstm_tape_c(const struct lstm_call *, int64_t layer, int64_t direction);
int64_t lstm_tape_h(const struct lstm_call *, int64_t layer);

/* An activation of n numbers, exactly as the cells compute it. slope: the derivative instead, where x is the
 * activation's output. */
void lstm_activate(const struct lstm_isa *, enum lstm_dtype, struct lstm_activation, bool slope, int64_t n,
                   const void *x, void *y);

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* The threading back-end. After a fork, the child computes on one thread with OpenMP, and starts its own pool. */
enum lstm_backend {
    LSTM_SERIAL, /* nothing: every call takes one thread */
    LSTM_OPENMP, /* the default where the compiler has it */
    LSTM_POOL,   /* a pool of sleeping threads; the default elsewhere */
};

bool lstm_has_openmp(void);
enum lstm_backend lstm_backend(void);
bool lstm_use_backend(enum lstm_backend); /* while no call runs. False: this build does not have it */
int lstm_max_threads(void);               /* OMP_NUM_THREADS and affinity */
bool lstm_threads_were_missing(void);     /* true once: a call has run on fewer threads, as the system had no more */
void lstm_watch_forks(void);              /* call once when loaded */

#ifdef __cplusplus
}
#endif

#endif
