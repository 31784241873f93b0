"""Faults in the C core and the binding, each with the tests that must detect it; mutate.py builds and runs them."""

from typing import NamedTuple


class Mutant(NamedTuple):
    file: str
    right: str
    wrong: str
    tests: str  # pytest arguments: tests that must fail


CELL, STEP, STEP_BACKWARD, NORM = (f"csrc/kernels/{name}.h" for name in ("cell", "step", "step_backward", "norm"))
PACK, MASKS, STATES, SEQUENCES, FORWARD_PLAN, FORWARD_STEPS, FORWARD_STAGES = (
    f"csrc/loops/{name}.h"
    for name in ("pack", "masks", "states", "sequences", "forward_plan", "forward_steps", "forward_stages")
)
BACKWARD, BACKWARD_STEPS, BACKWARD_STAGES, BACKWARD_RECOMPUTE, BACKWARD_WEIGHTS = (
    f"csrc/loops/{name}.h"
    for name in ("backward", "backward_steps", "backward_stages", "backward_recompute", "backward_weights")
)

FORMATS = "csrc/kernels/formats"
SHAPES, BLOCKS = "tests/test_forward.py -k every_shape", "tests/test_forward.py -k beyond_one_block"
BINDING = "lstm_fast/_binding"
BITS_OF_THREADS, THREADS = "tests/test_bits.py -k threads", "csrc/threads.c"
BARRIER = "csrc/barrier.c"
VARIANTS = "tests/test_variants.py -k "
STEPS, BACKWARD_BLOCKS = "tests/test_backward.py -k complex_step", "tests/test_backward.py -k beyond_one_block"

MUTANTS = {
    "gates i and f swapped": Mutant(
        CELL, "const vec c = vfma(f, c_prev, i * g);", "const vec c = vfma(i, c_prev, f * g);", SHAPES
    ),
    "sign in the derivative of tanh": Mutant(CELL, "vec slope = one() - y * y;", "vec slope = one() + y * y;", STEPS),
    "d_c assigned, not added to": Mutant(
        STEP_BACKWARD,
        "vfma(d_h * o, cell_activation_slope(v, tanh_c), load(s->d_c + at))",
        "d_h * o * cell_activation_slope(v, tanh_c)",
        STEPS,
    ),
    "c for c_prev in the forget gate's gradient": Mutant(
        CELL, "d_c * s.c_prev * gate_slope(v, f)", "d_c * s.c * gate_slope(v, f)", STEPS
    ),
    "relu with slope 1 at 0": Mutant(CELL, "(bits)(h > zero())", "(bits)(h >= zero())", STEPS),
    "bias_hh left out": Mutant(PACK, "+ (b_hh ? b_hh[row] : 0)", "", SHAPES),
    "gates packed unit by unit": Mutant(PACK, "gate * H + unit : -1", "unit * d->n_gates + gate : -1", SHAPES),
    "stale state at the start of each chunk": Mutant(
        FORWARD_STEPS, "is_first = step == p->step_begin;", "is_first = step == begin;", BLOCKS
    ),
    "h_prev of the first rows for all rows of a long step": Mutant(
        "csrc/loops/forward_pass.h", "        s.h_prev = skip_rows(whole->h_prev, row);\n", "", BLOCKS
    ),
    "weight_hh gradient one step off": Mutant(
        BACKWARD_WEIGHTS, "row_at(from->x, step - 1, r)", "row_at(from->x, step, r)", STEPS
    ),
    "backward stops before the first step": Mutant(
        BACKWARD_STEPS, "step >= from; step--", "step > from; step--", STEPS
    ),
    "weight gradients of later chunks alone": Mutant(
        BACKWARD_WEIGHTS, ".add = !p->is_first_product", ".add = false", BACKWARD_BLOCKS
    ),
    "d_x of the second direction alone": Mutant(BACKWARD_STEPS, ".add = adds", ".add = false", STEPS),
    "symbols of one block in the order of rows, not of pairs": Mutant(
        BACKWARD_WEIGHTS, "? k ^ 1 : k;", "? k : k;", "tests/test_index_input.py"
    ),
    "symbols of a float32 network half as far apart": Mutant(
        SEQUENCES, "x.row_stride * width}", "x.row_stride}", "tests/test_index_input.py"
    ),
    "rows of symbols summed backward": Mutant(
        BACKWARD_WEIGHTS,
        "to[at - 1].symbol > moved.symbol",
        "to[at - 1].symbol >= moved.symbol",
        "tests/test_index_input.py",
    ),
    "no barrier between packing and product": Mutant(
        BACKWARD_WEIGHTS,
        "packed_unprojected);\n        if (!lstm_barrier(p->worker)) return false;",
        "packed_unprojected);",
        BITS_OF_THREADS,
    ),
    "no barrier before the next chunk": Mutant(
        BACKWARD_WEIGHTS, "return lstm_barrier(p->worker);", "return true;", BITS_OF_THREADS
    ),
    "dropout without its scale": Mutant(
        MASKS, "(real)(1 / (1 - call->dropout))", "(real)1", "tests/test_forward.py -k dropout"
    ),
    "every piece of a mask is the first": Mutant(
        MASKS, "(uint32_t)(k / 4), count", "0, count", "tests/test_variants.py -k wide"
    ),
    "dropout backward with another layer's mask": Mutant(
        "csrc/loops/backward_splits.h", "apply_dropout(call, layer - 1, t", "apply_dropout(call, layer, t", STEPS
    ),
    "padding computed": Mutant(
        SEQUENCES, "call->lengths[end - 1] <= step", "call->lengths[end - 1] < step", "tests/test_lengths.py"
    ),
    "reverse direction from the end of the batch": Mutant(
        SEQUENCES,
        "direction ? (call->lengths[r] - 1) * x->step_stride",
        "direction ? (call->T - 1) * x->step_stride",
        "tests/test_lengths.py",
    ),
    "a length past the last one read": Mutant(
        SEQUENCES, "r < call->B; r++) total", "r <= call->B; r++) total", "tests/test_c_driver.py"
    ),
    "offsets of both directions in one place": Mutant(
        FORWARD_PLAN,
        "run->plan.offsets) + direction * 4 * B",
        "run->plan.offsets)",
        "tests/test_lengths.py -k threads",
    ),
    "offsets of two packed steps in one place": Mutant(
        SEQUENCES, "x->offsets_of_step[step & 1]", "x->offsets_of_step[0]", "tests/test_packed.py"
    ),
    "gradients of a chunk's inputs in those of its first step": Mutant(
        BACKWARD_STEPS,
        "row_at(&p->d_x, step, r) - p->d_x.data",
        "row_at(&p->d_x, begin, r) - p->d_x.data",
        "tests/test_lengths.py",
    ),
    "workers do not meet after a step": Mutant(
        FORWARD_STEPS, "p->shares_units && !lstm_barrier(p->worker)", "p->shares_units && false", BITS_OF_THREADS
    ),
    "output gate sees the old state": Mutant(
        STEP,
        "sums[LSTM_GATE_O], c, normalized_c)",
        "sums[LSTM_GATE_O], load(s->c_prev + (row + r) * s->c_stride + unit), normalized_c)",
        VARIANTS + "alone",
    ),
    "gradient through a clipped state": Mutant(
        CELL, "if (v && v->cell_clip > 0) d_c = ", "if (false) d_c = ", VARIANTS + "alone"
    ),
    "coupled input gate without the forget gate's share": Mutant(
        CELL, "(d_c * g - d_c * s.c_prev)", "(d_c * g)", VARIANTS + "alone"
    ),
    "norm without epsilon": Mutant(NORM, "#define NORM_EPSILON 1e-5", "#define NORM_EPSILON 0", VARIANTS + "alone"),
    "padding counted by a norm": Mutant(NORM, "if (!UNLIKELY(n < VL)) return v;", "return v;", VARIANTS + "alone"),
    "gradient of h kept by zoneout lost": Mutant(
        BACKWARD_STAGES, "kept && k < n", "false && k < n", VARIANTS + "alone"
    ),
    "zoneout after the reset keeps the state before": Mutant(
        FORWARD_STAGES, "restarts ? p->restart.h : before->h_prev", "before->h_prev", VARIANTS + "random"
    ),
    "recurrent dropout not undone in backward": Mutant(
        BACKWARD_STAGES, "d[k] *= mask[k];", "(void)mask;", VARIANTS + "alone"
    ),
    "resets of the reverse direction one step off": Mutant(STATES, "+ (direction ? 1 : 0);", ";", VARIANTS + "alone"),
    "recomputed gates from the chunk before": Mutant(
        BACKWARD_RECOMPUTE,
        "n_steps = is_even ? begin + last - step : 1;",
        "n_steps = begin + last - step;",
        VARIANTS + "random",
    ),
    "NaN laundered by tanh": Mutant(
        "csrc/kernels/activations.h",
        "broadcast(EXP_MOST), vabs(x + x)",
        "vabs(x + x), broadcast(EXP_MOST)",
        "tests/test_kernels.py -k nan",
    ),
    "last vector of h stored whole": Mutant(
        STEP, "output.h, s->hidden_size - unit)", "output.h, VL)", "tests/test_edges.py"
    ),
    "floating-point mode not restored": Mutant(
        THREADS,
        "    set_float_mode(worker.callers_mode);\n}\n\nstatic void run_team",
        "}\n\nstatic void run_team",
        "tests/test_process.py -k mode_of_the_caller",
    ),
    "threads in a forked child": Mutant(
        THREADS, "is_forked_child = true", "is_forked_child = false", "tests/test_fork.py -k fork_after"
    ),
    "interruption not heard": Mutant(
        BARRIER,
        "const bool is_interrupted = worker->interrupted(worker->context);",
        "const bool is_interrupted = false;",
        "tests/test_signals.py -k interrupt_is_answered",
    ),
    "signal handlers with subnormal numbers off": Mutant(
        BARRIER,
        "set_float_mode(worker->callers_mode); /* Python's signal handlers run in the caller's mode */",
        "",
        "tests/test_signals.py -k floating_point",
    ),
    "states of any shape": Mutant(
        f"{BINDING}/buffers.pxi",
        "a.ndim < 1 or n_rows != n_states * B or",
        "a.ndim < 1 or",
        "tests/test_binding.py -k every_shape",
    ),
    "a stream whose sizes change": Mutant(
        f"{BINDING}/live.pxi",
        "share.batch_size != B or not same_sizes(m, &share.weights.model)",
        "share.batch_size != B",
        "tests/test_streaming_safety.py -k sizes",
    ),
    "a step that a second thread may enter": Mutant(
        f"{BINDING}/stream.pxi",
        "self.is_claimed = 1",
        "self.is_claimed = 0",
        "tests/test_streaming_safety.py -k initialized",
    ),
    "sums in blocks of 128": Mutant(
        "csrc/lstm_fast.h",
        "#define LSTM_SUM_BLOCK 64",
        "#define LSTM_SUM_BLOCK 128",
        "tests/test_bits.py -k blocks_of_64",
    ),
    "bfloat16: even products before odd ones": Mutant(
        f"{FORMATS}/vector/bfloat16_by_shifts.h",
        "vfma(left.even, right.even, vfma(left.odd, right.odd, sum))",
        "vfma(left.odd, right.odd, vfma(left.even, right.even, sum))",
        "tests/test_quantized.py",
    ),
    "bfloat16_amx: blocks of 64": Mutant(
        "csrc/format.h", "#define LSTM_AMX_BLOCK 32", "#define LSTM_AMX_BLOCK 64", "tests/test_quantized.py"
    ),
    "bfloat16: the last row of an odd number has a partner": Mutant(
        f"{FORMATS}/outer.h", "has_even && j + 1 < p->depth;", "has_even;", "tests/test_compute_dtype.py"
    ),
    "bfloat16_amx: rows of a symbol in blocks of 64": Mutant(
        "csrc/format.h",
        "format == LSTM_FORMAT_BFLOAT16_AMX ? LSTM_AMX_BLOCK : LSTM_SUM_BLOCK",
        "LSTM_SUM_BLOCK",
        "tests/test_index_input.py",
    ),
    "bfloat16_amx: the rest of a block of rows is not cleared": Mutant(
        f"{FORMATS}/outer.h", "j < p->depth || j % ROWS_OF_BLOCK", "j < p->depth", "tests/test_compute_dtype.py"
    ),
    "int8: the offset of the left operand left in": Mutant(
        PACK, "has_offset ? -128 * sum : 0", "0", "tests/test_quantized.py"
    ),
    "int8: the lower part of 16 bits lost": Mutant(
        f"{FORMATS}/tile.h", "broadcast(256), load(lower))", "broadcast(256), broadcast(0))", "tests/test_quantized.py"
    ),
}
