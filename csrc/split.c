#include "split.h"

#include "format.h"
#include "plan.h"
#include "sizes.h"

/* ---- constants ------------------------------------------------------------------------------------------------------
 * Of one core, float32: arithmetic of full tiles, and reading weights for a single row from L2 and from beyond it.
 * avx512: measured on a Xeon (Granite Rapids, 2.6 GHz), T = 100: B = 32 at H = 256 130 flops/ns; B = 1 at H = 192 and
 * 256 117 bytes/ns, at H = 512 45, at H = 1024 29 (two cores at once: 24). The others are estimates: avx2 from the
 * times of a Zen 3 in docs/performance.md, the rest by the width of a vector. Only ratios matter, and a factor of two
 * in them rarely changes a split. */
struct rates {
    double flops, l2_bytes, l3_bytes; /* operations and bytes per ns */
};

static struct rates rates_of(const struct lstm_isa *isa, enum lstm_dtype dtype) {
    struct rates r = isa->vector_bytes >= 64   ? (struct rates){130, 115, 30}
                     : isa->vector_bytes >= 32 ? (struct rates){75, 85, 24}
                                               : (struct rates){20, 30, 15};
    if (isa == lstm_isas) r = (struct rates){4, 8, 8}; /* portable: no fused multiply-add, hence no wide vectors */
    if (dtype == LSTM_F64) r.flops /= 2;
    return r;
}

#define L2_BYTES (1.25 * (1 << 20)) /* this much of the weights stays in a core's own caches */
#define PASS_ROWS 6                 /* rows that share one reading of a panel of weights */
#define ROW_NS 0.25                 /* the cell of one unit of one row, and the rest of a step that is no product */
#define STEP_NS 60.0
#define START_NS 20000.0 /* waking a team: 5 us if its threads still spin, 35 if they sleep */
#define BARRIER_NS 900.0 /* two workers meet: the hop between caches is 200, the rest are unequal shares */
#define HOP_NS 60.0      /* each additional worker: its flag is read by all */
#define LEAST_GAIN 1.15  /* least predicted gain over one thread, because the model is not exact */

/* Wavefronts: the last layer idles for one segment in 24, as does the first; and memory does not grow with T. */
#define SEGMENTS 24
#define MOST_SEGMENT_STEPS 64

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* The properties of a call that the model uses. */
struct work {
    struct lstm_dims d;
    struct rates rates;
    double T, B, H, I, L, D, bytes_per_weight, speedup; /* I: mean over layers; speedup: of the format */
    bool is_backward;
};

static struct work work_of(const struct lstm_call *call, bool is_backward) {
    const struct lstm_model *m = &call->model;
    struct work w = {.d = lstm_dims(m, call->isa), .rates = rates_of(call->isa, m->dtype), .is_backward = is_backward};
    w.T = (double)call->T, w.B = (double)call->B, w.H = (double)m->hidden_size;
    w.L = (double)m->num_layers, w.D = (double)m->num_directions;
    w.I = ((m->index_input ? 1 : (double)m->input_size) + (w.L - 1) * w.D * (double)w.d.R) / w.L;
    w.bytes_per_weight = (double)lstm_format_bytes(m->format, w.d.element_bytes);
    w.speedup = lstm_is_interleaved(m->format) && call->isa->name != call->isa->base ? 2 : 1;
    return w;
}

static double up(double n, double of) { return n < 1e15 ? (double)(int64_t)((n + of - 1) / of) : n / of; }

/* A product of `rows` rows with (columns, depth) weights that stay where they are from step to step. The first pass
 * over a panel reads it, from L3 if it has left L2, where W_ih displaces some of W_hh every few steps; the others find
 * it in L2. */
static double product_ns(const struct work *w, double rows, double columns, double depth) {
    const double bytes = columns * depth * w->bytes_per_weight;
    const double in_use = columns * (w->H + w->I / 2) * w->bytes_per_weight;
    const double missing = in_use < L2_BYTES ? 0 : 1 - L2_BYTES / in_use;
    const double arithmetic = 2 * rows * columns * depth / (w->rates.flops * w->speedup);
    const double pass = arithmetic / up(rows, PASS_ROWS);
    const double hit = bytes / w->rates.l2_bytes, miss = bytes / w->rates.l3_bytes;
    return arithmetic - pass + (1 - missing) * (hit > pass ? hit : pass) + missing * (miss > pass ? miss : pass);
}

/* One step of one layer and direction on `rows` rows and a share of the units. */
static double step_ns(const struct work *w, double rows, double share) {
    const double columns = (double)w->d.n_gates * w->H * share;
    return STEP_NS + product_ns(w, rows, columns, w->H) + ROW_NS * rows * w->H * share;
}

/* Products over many rows, per step: the input projection; in backward, d_x. */
static double hoisted_ns(const struct work *w, double rows, double share) {
    const double columns = (double)w->d.n_gates * w->H * share, most = w->T < 16 ? w->T : 16;
    return product_ns(w, rows * most, columns, w->I) / (most > 1 ? most : 1);
}

/* The weight gradients, per step: all workers share them, whatever the split. */
static double gradients_ns(const struct work *w) {
    const double flops = 2 * w->B * (double)w->d.n_gates * w->H * (w->H + w->I);
    return w->is_backward ? flops / (w->rates.flops * w->speedup) : 0;
}

static double barrier_ns(double n) { return n < 2 ? 0 : BARRIER_NS + HOP_NS * (n - 2); }

static int64_t panels_of(const struct work *w) {
    return (w->d.gates_width + LSTM_PANEL_VECTORS * w->d.vector - 1) / (LSTM_PANEL_VECTORS * w->d.vector);
}

/* The steps over which a wavefront runs before it ends: all, but backward stops for the weight gradients. */
static int64_t wavefront_length(const struct lstm_call *call, bool is_backward) {
    return is_backward ? at_most(call->T, at_least(1, LSTM_GRADIENT_ROWS / at_least(1, call->B))) : call->T;
}

int64_t lstm_wavefront_steps(const struct lstm_call *call, bool is_backward) {
    const int64_t most = at_most(MOST_SEGMENT_STEPS, lstm_segment_steps(call));
    const int64_t length = wavefront_length(call, is_backward);
    return at_most(most, at_least(1, length / SEGMENTS + (length % SEGMENTS > 0)));
}

double lstm_team_ns(const struct lstm_call *call, bool is_backward, struct lstm_team team) {
    const struct work w = work_of(call, is_backward);
    const double n = team.n_threads, layers = w.L * w.D, gradients = gradients_ns(&w) / n;
    double step, passes = layers, waits = 0; /* step: ns of one step of one pass; passes: how many run in sequence */
    if (team.split == LSTM_SPLIT_UNITS) {
        const double share = up((double)panels_of(&w), n) / (double)panels_of(&w);
        step = step_ns(&w, w.B, share) + hoisted_ns(&w, w.B, share);
        waits = barrier_ns(n);
    } else if (team.split == LSTM_SPLIT_DIRECTIONS && w.D > 1) {
        const double rows = up(w.B, n < w.D ? 1 : (double)(int64_t)(n / w.D));
        step = step_ns(&w, rows, 1) + hoisted_ns(&w, rows, 1);
        passes = w.L * up(w.D, n);
        waits = barrier_ns(n) / (w.T > 1 ? w.T : 1);
    } else if (team.split == LSTM_SPLIT_LAYERS) {
        const double steps = (double)lstm_wavefront_steps(call, is_backward);
        step = step_ns(&w, w.B, 1) + hoisted_ns(&w, w.B, 1);
        passes = up(w.L, n) * (1 + steps * (w.L - 1) / (double)wavefront_length(call, is_backward));
        waits = barrier_ns(n) / 2 / steps; /* seldom: all layers but the first are late by a hop, once */
    } else {
        const double rows = up(w.B, n);
        step = step_ns(&w, rows, 1) + hoisted_ns(&w, rows, 1);
    }
    return w.T * (passes * (step + waits) + layers * gradients) + (n > 1 ? START_NS : 0);
}

/* ---- the choice -------------------------------------------------------------------------------------------------- */

int lstm_worthwhile_threads(const struct lstm_isa *isa, enum lstm_dtype dtype, double flops, int n_threads) {
    return lstm_threads_for(flops / rates_of(isa, dtype).flops, n_threads);
}

int lstm_threads_for(double serial_ns, int n_threads) {
    const double most = serial_ns / START_NS;
    return most < 1 ? 1 : most < n_threads ? (int)most : n_threads;
}

struct lstm_team lstm_plan_team(const struct lstm_call *call, bool is_backward, bool has_stages) {
    const struct lstm_team alone = {1, LSTM_SPLIT_ROWS};
    const struct lstm_model *m = &call->model;
    const int64_t D = m->num_directions, L = m->num_layers;
    const bool takes_whole_rows = call->lengths || has_stages;
    /* Workers on different layers or directions need buffers of their own, which backward has only without these. */
    const bool has_copies = !is_backward || !(takes_whole_rows || call->recompute_gates);
    const bool has_wavefront = L > 1 && D == 1 && !takes_whole_rows && has_copies;
    const bool has_directions = D > 1 && has_copies;
    if (call->split != LSTM_SPLIT_BEST) {
        const bool is_possible = call->split == LSTM_SPLIT_UNITS                       ? !takes_whole_rows
                                 : call->split == LSTM_SPLIT_LAYERS                    ? has_wavefront
                                 : is_backward && call->split == LSTM_SPLIT_DIRECTIONS ? has_directions
                                                                                       : true;
        return (struct lstm_team){call->n_threads, is_possible ? call->split : LSTM_SPLIT_ROWS};
    }
    if (call->n_threads < 2 || call->T < 1 || call->B < 1) return alone;
    const double serial = lstm_team_ns(call, is_backward, alone);
    if (serial < LEAST_GAIN * START_NS) return alone;

    /* The most workers that each split can use, limited by n_threads of the call. */
    const struct work w = work_of(call, is_backward);
    const struct lstm_team candidates[] = {
        {(int)at_most(call->n_threads, is_backward ? 2 * call->B : call->B), LSTM_SPLIT_ROWS},
        {(int)at_most(call->n_threads, !has_directions ? 1
                                       : is_backward   ? D
                                                       : D * call->B),
         LSTM_SPLIT_DIRECTIONS},
        {(int)at_most(call->n_threads, has_wavefront ? L : 1), LSTM_SPLIT_LAYERS},
        {(int)at_most(call->n_threads, takes_whole_rows ? 1 : panels_of(&w)), LSTM_SPLIT_UNITS},
    };
    struct lstm_team best = alone;
    double best_ns = serial / LEAST_GAIN;
    for (int k = 0; k < (int)(sizeof candidates / sizeof *candidates); k++)
        for (struct lstm_team team = candidates[k]; team.n_threads > 1; team.n_threads /= 2) {
            const double ns = lstm_team_ns(call, is_backward, team);
            if (ns < best_ns) best = team, best_ns = ns;
        }
    return best;
}
