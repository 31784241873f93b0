/* The memory layout of everything: packed weights, tape, workspaces. Only plan.c computes; the loops read offsets.
 * Offsets and sizes are bytes unless named otherwise; every block is aligned to 64 bytes. */
#ifndef LSTM_PLAN_H
#define LSTM_PLAN_H

#include "lstm_fast.h"

/* Sizes that follow from the model and the instruction set, in elements unless said otherwise. */
struct lstm_dims {
    int64_t n_gates;        /* 4, or 1 for a plain RNN */
    int64_t vector;         /* V */
    int64_t element_bytes;
    int64_t H_padded;       /* H rounded up to vectors */
    int64_t gates_width;    /* n_gates * H_padded: one row of gates */
    int64_t output_width;   /* D * H */
};
struct lstm_dims lstm_dims(const struct lstm_model *, const struct lstm_isa *);
int64_t lstm_layer_input(const struct lstm_model *, int64_t layer); /* I of that layer */

/* Packed weights of one layer and direction. Panels of LSTM_PANEL_VECTORS vectors of columns, see kernels/tile_body.h.
 * forward: columns are gates, depth I or H. backward: columns are inputs or hidden units, depth gates. */
struct lstm_packed {
    int64_t weight_ih, weight_hh, bias, bytes; /* bias: forward only */
};
enum lstm_status lstm_plan_packed(const struct lstm_model *, const struct lstm_isa *, bool backward, int64_t layer,
                                  int64_t direction, struct lstm_packed *);

struct lstm_tape {
    int64_t gates, c, h, dropped; /* offset of layer 0, direction 0 */
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
    int64_t between, between_bytes; /* two sequences (segment_steps, B, D * H), where no tape does */
    /* Only with lengths: */
    int64_t x_steps, x_steps_bytes; /* D chunks of inputs in the order of steps (chunk_steps, B, x_steps_width) */
    int64_t x_steps_width;          /* elements, of the widest layer: members may be in different layers at a time */
    int64_t h_steps, h_steps_bytes; /* D chunks of outputs likewise (chunk_steps, B, H) */
    int64_t h_state;                /* (L * D, B, H) running states */
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
    int64_t zero_h;          /* (B, H) zeros: h_0 where the caller gave none */
    int64_t between, between_bytes; /* two gradients (segment_steps, B, D * H) between layers */
    int64_t packed_x, packed_h; /* left operands of the weight-gradient products: (tiles, depth, tile_rows) */
    int64_t ones;            /* the left operand of the bias gradient, one tile */
    /* Only with lengths, in the order of steps, rows that do not run left out: */
    int64_t d_output_steps, h_steps; /* (chunk_steps * B, H) */
    int64_t d_x_steps;       /* (chunk_steps * B, largest input) */
    int64_t d_h;             /* (L * D, B, H) running gradients */
    int64_t d_packed;        /* weight gradients in the layout of the packed weights of forward */
    int64_t bytes;
};
enum lstm_status lstm_plan_backward(const struct lstm_call *, struct lstm_backward_plan *);

#endif
