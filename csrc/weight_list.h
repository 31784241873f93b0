/* The members of struct lstm_weights and struct lstm_weight_gradients, for all code that treats them alike: a member
 * that is missing here does not compile. */
#ifndef LSTM_WEIGHT_LIST_H
#define LSTM_WEIGHT_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "lstm_fast.h"

/* clang-format off */
/* (Macros, as one list declares constants, names and statements.)
 * Parameters, which have gradients and, in a fleet, an address for each model; then the scales of INT8 matrices. */
#define FOR_EACH_WEIGHT(DO) \
    DO(weight_ih) DO(weight_hh) DO(bias_ih) DO(bias_hh) DO(weight_hr) DO(weight_peephole) \
    DO(norm_ih_weight) DO(norm_hh_weight) DO(norm_c_weight) DO(norm_c_bias) DO(h_0) DO(c_0)
#define FOR_EACH_SCALE(DO) DO(scale_ih) DO(scale_hh)

/* The position of each: LSTM_AT_weight_ih, ... */
#define WEIGHT_POSITION(name) LSTM_AT_##name,
enum { FOR_EACH_WEIGHT(WEIGHT_POSITION) LSTM_N_GRADIENTS, LSTM_BEFORE_SCALES = LSTM_N_GRADIENTS - 1,
       FOR_EACH_SCALE(WEIGHT_POSITION) LSTM_N_PARAMETERS };
/* clang-format on */

_Static_assert(sizeof(struct lstm_weights) == LSTM_N_PARAMETERS * sizeof(void *), "a member is not in the lists");
_Static_assert(sizeof(struct lstm_weight_gradients) == LSTM_N_GRADIENTS * sizeof(void *),
               "a member is not in the list");

/* The names in this order, each followed by a space. */
#define WEIGHT_STRING(name) #name " "
#define LSTM_PARAMETER_NAMES FOR_EACH_WEIGHT(WEIGHT_STRING) FOR_EACH_SCALE(WEIGHT_STRING)

/* Moves all addresses but the scales' by `bytes` bytes; NULL stays NULL. */
static inline void lstm_move_weights(struct lstm_weights *w, int64_t bytes) {
#define MOVE_WEIGHT(name) w->name = w->name ? (const char *)w->name + bytes : NULL;
    FOR_EACH_WEIGHT(MOVE_WEIGHT)
}

static inline void lstm_move_gradients(struct lstm_weight_gradients *d, int64_t bytes) {
#define MOVE_GRADIENT(name) d->d_##name = d->d_##name ? (char *)d->d_##name + bytes : NULL;
    FOR_EACH_WEIGHT(MOVE_GRADIENT)
}

/* Places each gradient `bytes` bytes after its parameter; NULL stays NULL. */
static inline void lstm_gradients_after(const struct lstm_weights *w, int64_t bytes, struct lstm_weight_gradients *d) {
#define GRADIENT_AFTER(name) d->d_##name = w->name ? (char *)w->name + bytes : NULL;
    FOR_EACH_WEIGHT(GRADIENT_AFTER)
}

#endif
