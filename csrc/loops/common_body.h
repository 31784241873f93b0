/* What forward and backward share: the kernel table, directed sequences, the size of one kernel call, the team. */

#define KERNELS(call) ((const struct NAME(lstm_kernels) *)(call)->isa->kernels[DTYPE])

/* How many of n units of work of `flops` each one kernel call takes: a call stays short enough to be interrupted. Panels
 * are dealt out first, rows only where one panel is too much: a panel is read once for all rows of a call (dealing rows
 * first made H = 1024, B = 32 two and a half times slower). Of no help: deep panels in parts of 64 or 16 KiB, all rows
 * passing over one part before the next (0-20 % slower); prefetching the next panel a line per k (5-10 % slower). */
#define FLOPS_PER_KERNEL_CALL ((int64_t)1 << 26)
static inline int64_t NAME(batch_of)(int64_t n, int64_t flops) {
    const int64_t most = FLOPS_PER_KERNEL_CALL / (flops > 0 ? flops : 1);
    return most < 1 ? 1 : most < n ? most : n;
}

/* What the cell of a layer and direction has beside the six lines; `vectors`: its packed parameters. */
static struct NAME(lstm_variant) NAME(describe_variant)(const struct lstm_call *call, const struct lstm_dims *d,
                                                        const REAL *vectors) {
    const struct lstm_model *m = &call->model;
    const bool has_activations = m->activation.kind || m->recurrent_activation.kind || m->cell_activation.kind;
    struct NAME(lstm_variant) v = {.is_simple = !m->layer_norm && !has_activations,
                                   .coupled_gates = m->coupled_gates, .layer_norm = m->layer_norm,
                                   .cell_clip = (REAL)m->cell_clip, .gate_clip = (REAL)m->gate_clip,
                                   .activation = m->activation, .recurrent_activation = m->recurrent_activation,
                                   .cell_activation = m->cell_activation, .H_padded = d->H_padded,
                                   .peephole = m->peepholes ? vectors + d->vectors.peephole : NULL,
                                   .norm_c = vectors + d->vectors.norm_c, .norm_c_bias = vectors + d->vectors.norm_c_bias,
                                   .peephole_terms = d->vectors.peephole, .norm_c_terms = d->vectors.norm_c,
                                   .norm_c_bias_terms = d->vectors.norm_c_bias};
    const REAL ends[] = {-v.gate_clip, v.gate_clip};
    REAL gate[2], candidate[2];
    struct lstm_activation of_gates = m->recurrent_activation;
    if (!of_gates.kind) of_gates.kind = LSTM_SIGMOID;
    KERNELS(call)->activate(of_gates, false, 2, ends, gate);
    KERNELS(call)->activate(m->activation, false, 2, ends, candidate);
    const int gate_low = gate[0] > gate[1], candidate_low = candidate[0] > candidate[1];
    v.gate_low = gate[gate_low], v.gate_high = gate[!gate_low];
    v.candidate_low = candidate[candidate_low], v.candidate_high = candidate[!candidate_low];
    return v;
}

/* A state before its first step: n numbers, or zeros, and zeros up to `padded`. */
static inline void NAME(start_row)(REAL *row, int64_t n, int64_t padded, const REAL *from) {
    if (from && from != row) memcpy(row, from, (size_t)n * sizeof(REAL));
    if (!from) memset(row, 0, (size_t)n * sizeof(REAL));
    memset(row + n, 0, (size_t)(padded - n) * sizeof(REAL));
}

/* Panels of n columns. */
static inline int64_t NAME(n_panels)(const struct lstm_dims *d, int64_t n_columns) {
    const int64_t panel = LSTM_PANEL_VECTORS * d->vector;
    return (n_columns + panel - 1) / panel;
}

/* A product over panels [panel_begin, panel_end) in kernel calls of bounded length. False: interrupted. */
static bool NAME(run_product)(struct lstm_member *m, const struct NAME(lstm_kernels) *kernels,
                              const struct lstm_dims *d, struct NAME(lstm_product) p) {
    const int64_t n_rows = p.n_rows, panel_begin = p.panel_begin, panel_end = p.panel_end;
    const int64_t panel_flops = 2 * p.depth * p.strands * LSTM_PANEL_VECTORS * d->vector;
    const int64_t rows_step = NAME(batch_of)(n_rows, panel_flops);
    const int64_t panel_step = NAME(batch_of)(panel_end - panel_begin, panel_flops * rows_step);
    const struct NAME(lstm_rows) a = p.a, y = p.y;
    for (int64_t row = 0; row < n_rows; row += rows_step)
        for (int64_t panel = panel_begin; panel < panel_end; panel += panel_step) {
            p.n_rows = n_rows - row < rows_step ? n_rows - row : rows_step;
            p.a = NAME(rows_after)(a, row);
            p.y = NAME(rows_after)(y, row);
            p.panel_begin = panel;
            p.panel_end = panel_end - panel < panel_step ? panel_end : panel + panel_step;
            kernels->product(&p);
            if (lstm_cancelled(m, panel_flops * (p.panel_end - panel) * p.n_rows)) return false;
        }
    return true;
}

/* ---- threads ------------------------------------------------------------------------------------------------------- */
#define FLOPS_PER_THREAD ((double)(1 << 22)) /* of a call: enough to repay waking a thread */
#define STEP_FLOPS_PER_THREAD 130e3          /* of a step: enough to repay meeting after it (H = 192, B = 1 gains 1.6x) */

/* How many threads a call uses, and how they share it. passes: 1 forward, 2 backward. is_staged: of steps that take whole
 * rows, whose units cannot be shared. (With lengths each member has its own rows.) */
static struct lstm_team NAME(plan_team)(const struct lstm_call *call, const struct lstm_dims *d, double passes,
                                        bool is_staged) {
    const bool has_whole_rows = call->lengths || is_staged;
    if (call->split != LSTM_SPLIT_BEST)
        return (struct lstm_team){call->n_threads, has_whole_rows
                                  && call->split == LSTM_SPLIT_UNITS ? LSTM_SPLIT_ROWS : call->split};
    const struct lstm_model *model = &call->model;
    const double H = (double)model->hidden_size, B = (double)call->B, D = (double)model->num_directions;
    const double inputs = (double)model->input_size + (double)(model->num_layers - 1) * D * H;
    const double step_flops = 2 * passes * (double)d->n_gates * H * H * B;
    const double flops = 2 * passes * (double)d->n_gates * H * D * (inputs + (double)model->num_layers * H) * (double)call->T * B;
    const int64_t most = flops < FLOPS_PER_THREAD * call->n_threads ? (int64_t)(flops / FLOPS_PER_THREAD) : call->n_threads;
    if (most < 2) return (struct lstm_team){1, LSTM_SPLIT_ROWS};
    /* Rows, where each member gets a full tile of them; units, where a step is long enough; directions; what rows there are. */
    if (call->B >= most * KERNELS(call)->tile_rows) return (struct lstm_team){(int)most, LSTM_SPLIT_ROWS};
    int64_t n = NAME(n_panels)(d, d->gates_width);
    if (n > most) n = most;
    if (n > (int64_t)(step_flops / STEP_FLOPS_PER_THREAD)) n = (int64_t)(step_flops / STEP_FLOPS_PER_THREAD);
    if (!has_whole_rows && n > 1 && n >= (most < call->B * model->num_directions ? most : call->B * model->num_directions))
        return (struct lstm_team){(int)n, LSTM_SPLIT_UNITS};
    if (passes == 1) {
        const int64_t shares = call->B * model->num_directions;
        return (struct lstm_team){(int)(most < shares ? most : shares),
                                  model->num_directions > 1 ? LSTM_SPLIT_DIRECTIONS : LSTM_SPLIT_ROWS};
    }
    /* Backward shares the weight gradients, half of the work, whatever the rows; where that is all, it must be more. */
    const bool has_rows = call->B >= most || flops >= 4 * FLOPS_PER_THREAD * (double)most;
    return (struct lstm_team){(int)(!has_rows ? 1 : most < 2 * call->B ? most : 2 * call->B), LSTM_SPLIT_ROWS};
}
