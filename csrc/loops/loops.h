/* The loops for each dtype, called by entry.c and defined by loops.c, which is compiled once per dtype. */
#ifndef LSTM_LOOPS_H
#define LSTM_LOOPS_H

#include "../lane_args.h"
#include "../lstm_fast.h"

void lstm_pack_f32(const struct lstm_model *, const struct lstm_isa *, bool, const struct lstm_weights *, void *);
void lstm_pack_f64(const struct lstm_model *, const struct lstm_isa *, bool, const struct lstm_weights *, void *);
enum lstm_status lstm_forward_f32(const struct lstm_forward *);
enum lstm_status lstm_forward_f64(const struct lstm_forward *);
enum lstm_status lstm_backward_f32(const struct lstm_backward *);
enum lstm_status lstm_backward_f64(const struct lstm_backward *);
enum lstm_status lstm_linear_f32(const struct lstm_linear *);
enum lstm_status lstm_linear_f64(const struct lstm_linear *);
void lstm_optimize_f32(const struct lstm_optimizer *);
void lstm_optimize_f64(const struct lstm_optimizer *);
double lstm_square_sum_f32(int64_t, const void *);
double lstm_square_sum_f64(int64_t, const void *);
void lstm_activate_f32(const struct lstm_isa *, struct lstm_activation, bool, int64_t, const void *, void *);
void lstm_activate_f64(const struct lstm_isa *, struct lstm_activation, bool, int64_t, const void *, void *);
void lstm_lanes_f32(const struct lstm_isa *, const struct lstm_lanes *, bool);
void lstm_lanes_f64(const struct lstm_isa *, const struct lstm_lanes *, bool);

#endif
