/* The memory layout of everything: packed weights, tape, workspaces. Only plan.c computes; the loops read offsets.
 * Offsets and sizes are bytes unless named otherwise; every block is aligned to 64 bytes. */
#ifndef LSTM_PLAN_H
#define LSTM_PLAN_H

#include "lstm_fast.h"

/* Where the parameters that are one number a unit or gate lie, in elements: unpadded vectors of them, one after the other.
 * A model that lacks one gives it no room. Gradients of them, and what is summed up to these, have the same layout. */
struct lstm_vectors {
    int64_t peephole;             /* i, f, o: H_padded each */
    int64_t norm_ih, norm_hh;     /* rows of gates */
    int64_t norm_c, norm_c_bias;  /* H_padded */
    int64_t width;                /* of all */
};

/* Sizes that follow from the model and the instruction set, in elements unless said otherwise. */
struct lstm_dims {
    int64_t n_gates;        /* 4, or 1 for a plain RNN */
    int64_t vector;         /* V */
    int64_t element_bytes;
    int64_t R;              /* size of h */
    int64_t H_padded, R_padded; /* H and R rounded up to vectors */
    int64_t gates_width;    /* n_gates * H_padded: one row of gates */
    int64_t output_width;   /* D * R */
    struct lstm_vectors vectors;
};
struct lstm_dims lstm_dims(const struct lstm_model *, const struct lstm_isa *);
int64_t lstm_layer_input(const struct lstm_model *, int64_t layer); /* I of that layer */

/* Whether the cell is more than the six lines, for the kernels; zoneout of c is, as c on the tape is then not the new one. */
static inline bool lstm_has_variant(const struct lstm_call *call) {
    const struct lstm_model *m = &call->model;
    return m->peepholes | m->layer_norm | m->coupled_gates | (m->cell_clip > 0) | (m->gate_clip > 0) | (m->activation.kind != 0)
           | (m->recurrent_activation.kind != 0) | (m->cell_activation.kind != 0) | (call->zoneout_c > 0);
}

/* Whether h_prev or c_prev of some steps are not simply what the step before left. */
static inline bool lstm_changes_states(const struct lstm_call *call) { return call->resets || call->recurrent_dropout > 0; }

/* Whether a step goes in stages over whole rows, instead of a fused pass over panels. */
static inline bool lstm_is_staged(const struct lstm_call *call) {
    return call->model.layer_norm | (call->model.proj_size != 0) | lstm_changes_states(call) | (call->zoneout_h > 0)
           | (call->zoneout_c > 0);
}

/* Packed weights of one layer and direction. Panels of LSTM_PANEL_VECTORS vectors of columns, see kernels/tile_body.h.
 * forward: columns are gates, depth I or H. backward: columns are inputs or hidden units, depth gates. */
struct lstm_packed {
    int64_t weight_ih, weight_hh, weight_hr;
    int64_t bias;     /* forward only */
    int64_t vectors;  /* struct lstm_vectors */
    int64_t h_0, c_0; /* learned, R and H_padded */
    int64_t bytes;
};
enum lstm_status lstm_plan_packed(const struct lstm_model *, const struct lstm_isa *, bool backward, int64_t layer,
                                  int64_t direction, struct lstm_packed *);

struct lstm_tape {
    int64_t gates, c, h, dropped; /* offset of layer 0, direction 0 */
    int64_t x_products, h_products; /* layer norm: x W_ih^T and h_prev W_hh^T before it, laid out as gates */
    int64_t gates_bytes, c_bytes; /* of one layer and direction */
    int64_t h_bytes;              /* of one layer; dropped likewise */
    int64_t bytes;
};
enum lstm_status lstm_plan_tape(const struct lstm_call *, struct lstm_tape *);

struct lstm_forward_plan {
    int64_t segment_steps;   /* all layers pass over this many steps before the next: keeps what flows between in cache */
    int64_t chunk_steps;     /* steps whose input projection is computed at once */
    int64_t gates, gates_bytes; /* D chunks of (chunk_steps, B, gates_width), where no tape holds the gates */
    int64_t c, c_bytes;      /* L * D cell states (B, H_padded), where no tape does */
    int64_t between, between_bytes; /* two sequences (segment_steps, B, D * R), where no tape does */
    /* Of one step and direction, where the model or the call needs them: */
    int64_t h_seen, h_seen_bytes;         /* (B, R) h_prev as W_hh sees it: with resets or recurrent dropout */
    int64_t c_seen, c_seen_bytes;         /* (B, H_padded) with resets */
    int64_t h_products, h_products_bytes; /* (B, gates_width) layer norm, where no tape has them */
    int64_t m, m_bytes;                   /* (B, H) h before the projection */
    int64_t recurrent_masks;              /* (L * D, B, R) */
    /* Only with lengths: */
    int64_t places;                 /* (D, 2, 2, B) int64_t, elements: room for where the rows of x and h lie */
    int64_t h_state;                /* (L * D, B, R) running states */
    int64_t bytes;
};
enum lstm_status lstm_plan_forward(const struct lstm_call *, bool training, struct lstm_forward_plan *);

/* Rows of one weight-gradient product, and the most steps of a chunk: enough to hide reading and writing its result. */
#define LSTM_GRADIENT_ROWS 512

struct lstm_backward_plan {
    int64_t segment_steps;   /* as in forward */
    int64_t chunk_steps;     /* steps whose gate gradients are kept until the weight gradients have them */
    int64_t depth;           /* rows of one weight-gradient product */
    int64_t d_gates, d_gates_stride; /* (chunk_steps, B) rows; elements from one to the next */
    int64_t d_c, d_c_bytes;  /* L * D carries (B, H_padded) */
    int64_t first_h;         /* (B, R): h_0 where the caller gave none, zero or the learned state */
    int64_t between, between_bytes; /* two gradients (segment_steps, B, D * R) between layers */
    int64_t packed_x, packed_h; /* left operands of the weight-gradient products: (tiles, depth, tile_rows) */
    /* Only with lengths: */
    int64_t places;          /* int64_t, elements: room for where the rows of x, h, d_output, d_x lie, (4, 2, B), and those of a
                                chunk, (chunk_steps * B) */
    int64_t d_h;             /* (L * D, B, R) running gradients */
    /* Of a chunk, rows as in d_gates, where the model or the call needs them: */
    int64_t d_x_products, d_h_products; /* layer norm: gradients of both products, rows as in d_gates */
    int64_t vector_terms, vector_terms_stride; /* what is summed up to the gradients of struct lstm_vectors */
    int64_t h_seen;          /* (chunk_steps * B, R) with resets or recurrent dropout */
    int64_t m;               /* (chunk_steps * B, H) h before the projection */
    int64_t d_h_new, d_h_new_stride; /* rows of R_padded, gradient of the projection's output */
    int64_t gates, x_products, h_products; /* (chunk_steps * B, gates_width) of a lean tape */
    int64_t made_c, made_h;  /* (chunk_steps * B, H_padded), (.., H): what making the gates again gives besides */
    /* Of a step: */
    int64_t d_h_kept, d_c_kept; /* (B, R), (B, H_padded): what zoneout hands to the step before */
    int64_t d_m;             /* (B, max(H, R)) gradient of h before the projection */
    int64_t recurrent_masks; /* (L * D, B, R) */
    int64_t c_seen;          /* (chunk_steps * B, H_padded) with resets */
    int64_t d_first_h, d_first_c; /* (L * D, B, R), (.., H): gradients that resets hand to the learned state */
    int64_t packed_m;        /* left operand of the gradient of weight_hr */
    int64_t d_packed;        /* weight gradients in the layout of the packed weights of forward */
    int64_t bytes;
};
enum lstm_status lstm_plan_backward(const struct lstm_call *, struct lstm_backward_plan *);

struct lstm_linear_plan {
    int64_t packed, packed_back, bias; /* weights for forward and for d_x */
    int64_t left, right, sums;   /* of the weight gradients: operands of LSTM_GRADIENT_ROWS rows; packed sums */
    int64_t bytes;
};
enum lstm_status lstm_plan_linear(const struct lstm_linear *, struct lstm_linear_plan *);

#endif
