/* The memory layout of packed weights, tapes and workspaces. plan.c and plan_workspaces.c compute it, the loops read
 * the offsets. Offsets and sizes are in bytes unless stated otherwise; each block is aligned to 64 bytes. */
#ifndef LSTM_PLAN_H
#define LSTM_PLAN_H

#include "lstm_fast.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* Parameters with one number per unit or gate: offsets in elements into one block, in which absent parameters take no
 * space. Their gradients, and the terms that sum to these, have the same layout. */
struct lstm_vectors {
    int64_t peephole;            /* i, f, o: H_padded each */
    int64_t norm_ih, norm_hh;    /* rows of gates */
    int64_t norm_c, norm_c_bias; /* H_padded */
    int64_t width;               /* width of all parameters */
};

/* Dimensions derived from the model and the instruction set, in elements unless stated otherwise. */
struct lstm_dims {
    int64_t n_gates;  /* 4; 1 for a plain RNN */
    bool has_c;       /* the cell has a state c in addition to h */
    bool keeps_gates; /* backward needs the gates after the activation (for a plain RNN, h is all it needs) */
    int64_t vector;   /* V, elements of a vector */
    int64_t element_bytes;
    int64_t R;                  /* size of h */
    int64_t H_padded, R_padded; /* H and R rounded up to vectors */
    int64_t gates_width;        /* n_gates * H_padded: a row of gates */
    int64_t output_width;       /* D * R */
    struct lstm_vectors vectors;
};
struct lstm_dims lstm_dims(const struct lstm_model *, const struct lstm_isa *);

/* The input size of a layer. */
int64_t lstm_layer_input(const struct lstm_model *, int64_t layer);

/* Whether the kernels compute more than the six lines. Includes zoneout_c, with which the c on the tape is not the new
 * c. */
static inline bool lstm_has_variant(const struct lstm_call *call) {
    const struct lstm_model *m = &call->model;
    return m->peepholes | m->layer_norm | m->coupled_gates | (m->cell_clip > 0) | (m->gate_clip > 0)
           | (m->activation.kind != 0) | (m->recurrent_activation.kind != 0) | (m->cell_activation.kind != 0)
           | (call->zoneout_c > 0);
}

/* Whether h_prev or c_prev of some steps differ from the states after the previous step. */
static inline bool lstm_changes_states(const struct lstm_call *call) {
    return call->resets || call->recurrent_dropout > 0;
}

/* Whether a step runs in stages over whole rows instead of one fused kernel over panels. */
static inline bool lstm_has_stages(const struct lstm_call *call) {
    return call->model.layer_norm | (call->model.proj_size != 0) | lstm_changes_states(call) | (call->zoneout_h > 0)
           | (call->zoneout_c > 0);
}

/* ---- packed weights ---------------------------------------------------------------------------------------------- */

/* One layer and direction. Matrices are panels of LSTM_PANEL_VECTORS vectors of columns (kernels/README.md). Forward:
 * the columns are gates, the depth is I or R. Backward: the columns are inputs or hidden units, the depth is gates. */
struct lstm_packed {
    int64_t weight_ih, weight_hh, weight_hr;
    int64_t scale_ih, scale_hh; /* INT8 matrices: a row of gates of scales, then one of int32 corrections */
    int64_t bias;               /* forward only */
    int64_t vectors;            /* struct lstm_vectors */
    int64_t h_0, c_0;           /* learned; R and H_padded */
    int64_t bytes;
};
enum lstm_status lstm_plan_packed(const struct lstm_model *, const struct lstm_isa *, bool backward, int64_t layer,
                                  int64_t direction, struct lstm_packed *);

/* The sums of the weight gradients: laid out as the forward packed weights, always REAL. */
enum lstm_status lstm_plan_sums(const struct lstm_model *, const struct lstm_isa *, int64_t layer, int64_t direction,
                                struct lstm_packed *);

/* ---- the tape ---------------------------------------------------------------------------------------------------- */

/* Offsets of layer 0, direction 0. */
struct lstm_tape {
    int64_t gates, c, h;
    int64_t dropped;              /* h after dropout */
    int64_t a_x, a_h;             /* layer norm: x W_ih^T and h_prev W_hh^T, laid out as gates */
    int64_t gates_bytes, c_bytes; /* bytes of one layer and direction */
    int64_t h_bytes;              /* bytes of one layer, of h as of dropped */
    int64_t bytes;
};
enum lstm_status lstm_plan_tape(const struct lstm_call *, struct lstm_tape *);

/* ---- workspaces -------------------------------------------------------------------------------------------------- */

/* Segments between two layers of a wavefront: with two, either could never be late without delaying the other. */
#define LSTM_WAVEFRONT_BUFFERS 4

struct lstm_forward_plan {
    int64_t segment_steps; /* steps that all layers process before the next segment */
    int64_t chunk_steps;   /* steps whose input projection is one product */
    /* D chunks (chunk_steps, B, gates_width), or one for each worker of a wavefront, if no tape has the gates: */
    int64_t gates, gates_bytes;
    int64_t c, c_bytes;             /* L * D cell states (B, H_padded), if no tape has them */
    int64_t between, between_bytes; /* two sequences (segment_steps, B, D * R) between layers (in a wavefront,
                                       * LSTM_WAVEFRONT_BUFFERS for each layer), if no tape has them */
    /* Of one step and direction, if the model or the call needs them: */
    int64_t h_effective, h_effective_bytes; /* (B, R), with resets or recurrent dropout */
    int64_t c_effective, c_effective_bytes; /* (B, H_padded), with resets */
    int64_t a_h, a_h_bytes;                 /* (B, gates_width), with layer norm, if not on a tape */
    int64_t unprojected, unprojected_bytes; /* (B, H), h before the projection */
    int64_t recurrent_masks;                /* (L * D, B, R) */
    /* With lengths: */
    int64_t offsets; /* int64_t (D, 2, 2, B), in elements: of the rows of x and of h */
    int64_t h_state; /* (L * D, B, R) running states */
    /* With an interleaved format, for each worker: */
    int64_t operands, operands_bytes; /* up to LSTM_OPERAND_ROWS rounded rows, and a scale for each */
    int64_t bytes;
};
enum lstm_status lstm_plan_forward(const struct lstm_call *, bool training, struct lstm_forward_plan *);

/* The most steps of a segment: what flows between two layers stays in the cache, and does not grow with T. */
int64_t lstm_segment_steps(const struct lstm_call *);

/* Rows of one weight-gradient product, and the most steps of a chunk: enough to hide reading and writing the result. */
#define LSTM_GRADIENT_ROWS 512

/* The largest tile_rows of any kernel table. */
#define LSTM_LARGEST_TILE 8

struct lstm_backward_plan {
    int64_t segment_steps; /* see struct lstm_forward_plan */
    int64_t chunk_steps;   /* steps whose d_gates are kept for the weight gradients */
    int64_t depth;         /* rows of one weight-gradient product */
    /* Of each layer in a wavefront, of each direction where workers share these, otherwise one: */
    int64_t d_gates, d_gates_bytes;              /* (chunk_steps, B) rows */
    int64_t vector_terms, vector_terms_bytes;    /* likewise: summands of the gradients of struct lstm_vectors */
    int64_t d_gates_stride, vector_terms_stride; /* in elements */
    int64_t d_c, d_c_bytes;                      /* L * D running gradients (B, H_padded) */
    int64_t default_h_0;                         /* (B, R), or (L * D, B, R) if learned: h_0 if the caller gave none */
    int64_t between, between_bytes;              /* two gradients (segment_steps, B, D * R) between layers */
    int64_t packed_x, packed_h, packed_unprojected; /* left operands of the products, (tiles, depth, tile_rows) */
    int64_t d_packed;                               /* weight gradients, laid out as packed weights of forward */
    /* With lengths: */
    int64_t offsets; /* int64_t: (4, 2, B) for the rows of x, h, d_output and d_x; (chunk_steps * B) for a chunk */
    int64_t d_h;     /* (L * D, B, R) running gradients */
    /* For a chunk, chunk_steps * B rows as in d_gates, if the model or the call needs them: */
    int64_t d_a_x, d_a_h;               /* layer norm: gradients of both products */
    int64_t h_effective, c_effective;   /* rows of R and H_padded, with resets or recurrent dropout */
    int64_t unprojected;                /* rows of H, h before the projection */
    int64_t d_h_new, d_h_new_stride;    /* rows of R_padded, the gradient of the projection's output */
    int64_t gates, a_x, a_h;            /* rows of gates_width, recomputed */
    int64_t recomputed_c, recomputed_h; /* rows of H_padded and H, by-products of recomputing */
    /* For a step: */
    int64_t d_h_kept, d_c_kept; /* (B, R) and (B, H_padded): gradients that bypass the step through zoneout */
    int64_t d_unprojected;      /* (B, H) */
    /* For all steps: */
    int64_t recurrent_masks;          /* (L * D, B, R) */
    int64_t d_learned_h, d_learned_c; /* (L * D, B, R), (L * D, B, H_padded): learned state, from restarts */
    int64_t operands, operands_bytes; /* see struct lstm_forward_plan; plus one row of gates */
    int64_t bytes;
};
enum lstm_status lstm_plan_backward(const struct lstm_call *, struct lstm_backward_plan *);

struct lstm_linear_plan {
    int64_t packed, packed_backward, bias; /* the weights, packed for y and for d_x */
    int64_t left, right, sums;             /* weight gradients: operands of LSTM_GRADIENT_ROWS rows, packed sums */
    int64_t bytes;
};
enum lstm_status lstm_plan_linear(const struct lstm_linear *, struct lstm_linear_plan *);

#endif
