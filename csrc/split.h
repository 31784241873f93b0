/* How many threads a call uses, and how they share it: the fastest split by a model of its time. The model knows sizes
 * and the instruction set only, so that the same call takes the same split on every machine with it. */
#ifndef LSTM_SPLIT_H
#define LSTM_SPLIT_H

#include "lstm_fast.h"

struct lstm_team {
    int n_threads;
    enum lstm_split split;
};

/* Steps with stages take whole rows, so that their units cannot be shared. */
struct lstm_team lstm_plan_team(const struct lstm_call *, bool is_backward, bool has_stages);

/* Steps that a layer takes at a time with LSTM_SPLIT_LAYERS. Each layer begins after the layer below (backward: above)
 * has finished this many. */
int64_t lstm_wavefront_steps(const struct lstm_call *, bool is_backward);

/* Threads for `flops` of work that needs no barrier, at most n_threads, at least 1. */
int lstm_worthwhile_threads(const struct lstm_isa *, enum lstm_dtype, double flops, int n_threads);

/* Threads for work that takes serial_ns on one and needs no barrier, at most n_threads, at least 1. */
int lstm_threads_for(double serial_ns, int n_threads);

/* Nanoseconds that a call takes on a team, by the model (for tests and for docs/architecture.md). */
double lstm_team_ns(const struct lstm_call *, bool is_backward, struct lstm_team);

#endif
