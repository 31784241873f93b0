/* One dtype of one instruction set; kernels_body.h says which. */
#define VL ((int64_t)(VECTOR_BYTES / sizeof(REAL)))

#include "activations_body.h"
#include "other_activations_body.h"
#include "norm_body.h"
#include "cell_body.h"
#include "tile_body.h"
#include "step_body.h"
#include "product_body.h"

_Static_assert(LSTM_RANDOM_BLOCK % (RANDOM_VECTORS * VECTOR_BYTES / 4) == 0, "random_words would write more");
_Static_assert(TILE_ROWS <= LSTM_LARGEST_TILE, "plan.c would give the packed tiles too little room");

const struct NAME(lstm_kernels) JOIN(NAME(lstm_kernels), ISA) = {
    .vector_length = VL,
    .tile_rows = TILE_ROWS,
    .step = NAME(step),
    .step_backward = NAME(step_backward),
    .cell = NAME(cell),
    .cell_backward = NAME(cell_backward),
    .norm = NAME(norm),
    .norm_backward = NAME(norm_backward),
    .product = NAME(product),
    .outer = NAME(outer),
    .random_words = random_words,
    .activate = NAME(activate_map),
};

#undef VL
#undef REAL
#undef REAL_IS_FLOAT
#undef NAME
#undef V
#undef VEC
#undef BITS
