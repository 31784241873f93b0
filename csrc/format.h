/* Formats: how the weights that a tile multiplies are stored. A format is chosen per model, beside the dtype of
 * everything else; loops/pack.c stores weights in it and kernels/tile.h widens them as they are loaded. */
#ifndef LSTM_FORMAT_H
#define LSTM_FORMAT_H

#include "lstm_fast.h"

enum lstm_format {
    LSTM_FORMAT_REAL, /* the dtype of the model */
    LSTM_FORMAT_HALF, /* IEEE half precision, computed with in float32; forward only */
};

static inline enum lstm_format lstm_format_of(const struct lstm_model *model) {
    return model->half_weights ? LSTM_FORMAT_HALF : LSTM_FORMAT_REAL;
}

/* Bytes of one stored weight. */
static inline int64_t lstm_format_bytes(enum lstm_format format, int64_t real_bytes) {
    return format == LSTM_FORMAT_HALF ? 2 : real_bytes;
}

#endif
