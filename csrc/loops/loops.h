/* The loops of each dtype, behind lstm_pack, lstm_forward and lstm_backward. */
#ifndef LSTM_LOOPS_H
#define LSTM_LOOPS_H

#include "../lstm_fast.h"

struct lstm_range {
    int64_t begin, end;
};
struct lstm_team {
    int n_threads;
    enum lstm_split split;
};

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
double lstm_square_sum_f32(int64_t n, const void *);
double lstm_square_sum_f64(int64_t n, const void *);

#endif
