/* One LSTM, one live sequence, one step at a time: after the setup nothing allocates, locks or calls the system, as an
 * audio thread needs it.
 *
 *     cc step.c $(pkg-config --cflags --libs lstm_fast) -lm -o step */
#include <lstm_fast.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { I = 1, H = 16, STEPS = 100 };

static void *allocate(int64_t bytes) { return aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64 + 64); }

int main(void) {
    const struct lstm_model model = {.cell = LSTM_CELL_LSTM,
                                     .dtype = LSTM_F32,
                                     .input_size = I,
                                     .hidden_size = H,
                                     .num_layers = 1,
                                     .num_directions = 1};
    const struct lstm_isa *isa = lstm_best_isa();

    static float weight_ih[4 * H * I], weight_hh[4 * H * H], bias[4 * H]; /* PyTorch's arrays; here of any numbers */
    for (int k = 0; k < 4 * H * I; k++) weight_ih[k] = sinf((float)k);
    for (int k = 0; k < 4 * H * H; k++) weight_hh[k] = sinf((float)(k + 1)) / 4;
    const struct lstm_weights weights = {.weight_ih = weight_ih, .weight_hh = weight_hh, .bias_ih = bias};

    int64_t packed_bytes, workspace_bytes;
    struct lstm_call call = {.model = model, .isa = isa, .T = 1, .B = 1, .n_threads = 1};
    if (lstm_packed_bytes(&model, isa, false, &packed_bytes) || lstm_forward_bytes(&call, false, &workspace_bytes))
        return 1;
    void *packed = allocate(packed_bytes), *workspace = allocate(workspace_bytes);
    lstm_pack(&model, isa, false, &weights, packed);

    float x[I], h[H] = {0}, c[H] = {0}, output[H];
    const struct lstm_forward step = {.call = call,
                                      .x = {x, I, I},
                                      .output = {output, H, H},
                                      .h_0 = h,
                                      .c_0 = c,
                                      .h_n = h,
                                      .c_n = c,
                                      .packed = packed,
                                      .workspace = workspace};
    for (int t = 0; t < STEPS; t++) {
        x[0] = sinf((float)t / 10);
        if (lstm_forward(&step)) return 1;
    }
    printf("lstm_fast %s, %s: h[0] = %.6f after %d steps\n", LSTM_FAST_VERSION, isa->name, (double)h[0], STEPS);
    free(packed), free(workspace);
}
