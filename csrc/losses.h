/* Losses over rows of predictions and fixed-order sums, in float64. lstm_fast/reference/losses.py defines their
 * bits. */
#ifndef LSTM_LOSSES_H
#define LSTM_LOSSES_H

#include <stdint.h>

/* Sums of the rows of x (n, m). */
void lstm_row_sums(int64_t n, int64_t m, const double *x, double *sums);

/* For rows p (n, m) and classes y: loss -log softmax(p)[y] (n) and gradient (n, m). y NULL: softmax(p) in `gradient`,
 * and in `loss` the logarithm of the sum of exp(p - max(p)). */
void lstm_cross_entropy(int64_t n, int64_t m, const double *p, const int64_t *y, double *loss, double *gradient);

/* For n predictions p and targets y: max(p, 0) - y p + log(1 + exp(-|p|)) and its derivative. */
void lstm_binary_cross_entropy(int64_t n, const double *p, const double *y, double *loss, double *gradient);

#endif
