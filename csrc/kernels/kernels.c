/* The kernels of one instruction set and one dtype: compiled once for each pair (units.py), with -DLSTM_ISA=<name> and
 * the flags of that instruction set; empty on another machine. All is static but the table, so that nothing compiled
 * for a newer processor can be linked into the path of an older one. */
#include "../isas.h"
#if !defined(LSTM_MACHINE) || LSTM_ON(LSTM_MACHINE)
#include "../lane_args.h"
#include "../plan.h"
#include "../real.h"
#include "activations.h"
#include "look_up.h"
#include "norm.h"
#include "outer.h"
#include "product.h"
#include "random.h"
#include "step.h"
#include "step_backward.h"
#include "table.h"
#include "tile.h"
#include "vector.h"
#if VECTOR_BYTES >= LSTM_LEAST_LANE_BYTES
#include "lanes_forward.h"
#include "lanes_backward.h"
#endif

/* (A macro: one constant for each row of isas.h.) */
#define ROW(name, base, vector_bytes, flags, features) VECTOR_BYTES_OF_##name = vector_bytes,
enum { LSTM_ISAS(ROW, ROW, ROW) };
_Static_assert(VECTOR_BYTES == JOIN(VECTOR_BYTES_OF, LSTM_ISA), "isas.h and vector/<isa>.h must agree");
_Static_assert(TILE_ROWS <= LSTM_LARGEST_TILE, "plan.c reserves too little for packed tiles");

#if VECTOR_BYTES >= LSTM_LEAST_LANE_BYTES
static const struct lstm_lane_kernels lane_kernels = {
    .pack = pack_lanes,
    .into_lanes = into_lanes,
    .out_of_lanes = out_of_lanes,
    .step = lane_step,
    .step_backward = lane_step_backward,
    .end_backward = end_lanes_backward,
};
#endif

const struct lstm_kernels JOIN(EXPORT(lstm_kernels), LSTM_ISA) = {
    .tile_rows = TILE_ROWS,
    .step = step,
    .update = update_sums,
    .step_backward = step_backward,
    .update_backward = update_sums_backward,
    .cell = cell,
    .cell_backward = cell_backward,
    .norm = norm,
    .norm_backward = norm_backward,
    .product = product,
    .look_up = look_up,
    .outer = outer,
    .random_words = random_words,
    .activate = activate_array,
#if VECTOR_BYTES >= LSTM_LEAST_LANE_BYTES
    .lanes = &lane_kernels,
#endif
};

#endif
