/* The loops over time for a group of models, one in each lane of a vector (csrc/lane_args.h). */
#ifndef LSTM_LOOPS_LANES_H
#define LSTM_LOOPS_LANES_H

#include "../kernels/table.h"
#include "../lane_args.h"
#include "../lstm_fast.h"
#include "../plan.h"
#include "../real.h"
#include "../threads.h"

struct lane_run {
    const struct lstm_lane_kernels *kernels;
    const struct lstm_lanes *lanes;
    int64_t vector, state; /* numbers in a vector and in (B, H) vectors */
    int64_t step_flops;    /* operations of a forward step */
};

static struct lane_run lane_run_of(const struct lstm_isa *isa, const struct lstm_lanes *a) {
    const int64_t vector = isa->vector_bytes / (int64_t)sizeof(real);
    const struct lstm_kernels *kernels = isa->kernels[REAL_DTYPE];
    const int64_t state = a->B * a->hidden_size * vector;
    return (struct lane_run){kernels->lanes, a, vector, state,
                             2 * LSTM_GATES * state * (a->input_size + a->hidden_size)};
}

/* The parts of a tape. */
struct lane_tape {
    real *gates, *c, *h;
};
static struct lane_tape lane_tape_of(const struct lane_run *run) {
    const int64_t T = run->lanes->T;
    struct lane_tape tape = {.gates = run->lanes->tape};
    tape.c = tape.gates + T * LSTM_GATES * run->state;
    tape.h = tape.c + (T + 1) * run->state;
    return tape;
}

/* Transposes the states (B, H) of all models into lanes, and back. */
static void states_into_lanes(const struct lane_run *run, const void *from, real *to) {
    const int64_t n = run->lanes->B * run->lanes->hidden_size;
    run->kernels->into_lanes(n, from, n, 0, to);
}
static void states_out_of_lanes(const struct lane_run *run, const real *from, void *to) {
    const int64_t n = run->lanes->B * run->lanes->hidden_size;
    run->kernels->out_of_lanes(n, from, to, n, 0);
}

static void lanes_forward(const struct lstm_isa *isa, const struct lstm_lanes *a) {
    const struct lane_run run = lane_run_of(isa, a);
    const int64_t state = run.state, G = LSTM_GATES * a->hidden_size;
    const struct lane_tape tape = lane_tape_of(&run);
    struct lstm_lane_step s = {.lanes = a};
    s.x = run.kernels->pack(a, a->workspace, &s.weights);
    s.pre = s.x + LSTM_MOST_LANE_ROWS * a->input_size * run.vector;
    real *h_prev = s.pre + LSTM_MOST_LANE_ROWS * G * run.vector, *h = h_prev + state;
    real *c = a->tape ? tape.c : h + state;
    states_into_lanes(&run, a->h_0, h_prev);
    states_into_lanes(&run, a->c_0, c);
    for (s.t = 0; s.t < a->T; s.t++) {
        if (a->tape) h = tape.h + s.t * state, s.gates = tape.gates + s.t * LSTM_GATES * state;
        s.h_prev = h_prev, s.h = h;
        s.c_prev = c, s.c = a->tape ? c + state : c;
        run.kernels->step(&s);
        real *last = h_prev;
        h_prev = h, h = last, c = s.c;                         /* (with a tape, h is set at each step) */
        if (lstm_cancelled(a->worker, run.step_flops)) return; /* the results are incomplete */
    }
    states_out_of_lanes(&run, h_prev, a->h_n);
    states_out_of_lanes(&run, c, a->c_n);
}

/* The blocks of the weight gradients begin with the last row, and again with each chunk of backward.h. */
static void lanes_backward(const struct lstm_isa *isa, const struct lstm_lanes *a) {
    const struct lane_run run = lane_run_of(isa, a);
    const int64_t T = a->T, B = a->B, I = a->input_size, H = a->hidden_size, state = run.state;
    const int64_t most = LSTM_GRADIENT_ROWS / B > 1 ? LSTM_GRADIENT_ROWS / B : 1, chunk = T < most ? T : most;
    const struct lane_tape tape = lane_tape_of(&run);
    struct lstm_lane_sums sums = {.is_first = true};
    struct lstm_lane_step_backward s = {.lanes = a, .sums = &sums};
    s.d_c = run.kernels->pack(a, a->workspace, &s.weights), s.d_gates = s.d_c + state;
    s.d_h = s.d_gates + LSTM_GATES * state, s.d_output = s.d_h + LSTM_MOST_LANE_ROWS * H * run.vector;
    s.x = s.d_output + LSTM_MOST_LANE_ROWS * H * run.vector;
    sums.left = s.x + LSTM_MOST_LANE_ROWS * I * run.vector;
    sums.right = sums.left + LSTM_SUM_BLOCK * (I + H) * run.vector;
    sums.sums = sums.right + LSTM_SUM_BLOCK * LSTM_GATES * H * run.vector;
    states_into_lanes(&run, a->d_c_n, s.d_c);
    for (int64_t t = T - 1, left = chunk; t >= 0; t--) {
        s.t = t, s.ends_chunk = --left == 0 || t == 0;
        if (s.ends_chunk) left = chunk;
        s.gates = tape.gates + t * LSTM_GATES * state;
        s.c_prev = tape.c + t * state, s.c = s.c_prev + state;
        s.h_prev = t ? tape.h + (t - 1) * state : NULL;
        run.kernels->step_backward(&s);
        if (lstm_cancelled(a->worker, 2 * run.step_flops)) return;
    }
    run.kernels->end_backward(&s);
    states_out_of_lanes(&run, s.d_c, a->d_c_0);
}

#endif
