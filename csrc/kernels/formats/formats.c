/* The kernels of the interleaved formats, for one instruction set and its extensions, float32 (units.py): compiled with
 * -DLSTM_EXTENSION=<name>, -DLSTM_ISA=<its base> and the flags of both; empty on another machine. */
#include "../../isas.h"
#if !defined(LSTM_MACHINE) || LSTM_ON(LSTM_MACHINE)
#include "../table.h"
#include "operand.h"
#include "product.h"
#include "step.h"
#include "vector.h"

#if !defined(BFLOAT16_OF) || defined(HAS_BLOCKS)
#include "outer.h"
#include "step_backward.h"
#else
static void format_step_backward(const struct lstm_step_backward *s) {
    kernels_elsewhere(s->format, s->n_rows, 0)->step_backward(s);
}
static void format_outer(const struct lstm_outer *s) { kernels_elsewhere(s->format, LSTM_OPERAND_ROWS, 0)->outer(s); }
static void round_pairs(enum lstm_format format, int64_t n, float *numbers) {
    kernels_elsewhere(format, LSTM_OPERAND_ROWS, 0)->round_pairs(format, n, numbers);
}
#endif

const struct lstm_format_kernels JOIN(lstm_formats, LSTM_EXTENSION) = {
    .int8_interleave = INT8_INTERLEAVE,
    .int8_offset = INT8_OFFSET,
#ifdef HAS_BLOCKS
    .block_rows = BLOCK_ROWS,
    .pack_left = pack_left,
#endif
    .step = format_step,
    .product = format_product,
    .step_backward = format_step_backward,
    .outer = format_outer,
    .round_pairs = round_pairs,
};

#endif
