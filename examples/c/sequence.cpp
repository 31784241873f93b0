// A whole batch of sequences from C++: the arrays are std::vectors, the aligned blocks have an owner.
//
//     c++ -std=c++17 sequence.cpp $(pkg-config --cflags --libs lstm_fast) -o sequence
#include <lstm_fast.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <new>
#include <vector>

struct Free {
    void operator()(void *block) const { ::operator delete(block, std::align_val_t(64)); }
};
using Block = std::unique_ptr<void, Free>;
static Block allocate(int64_t bytes) { return Block(::operator new(std::size_t(bytes) + 64, std::align_val_t(64))); }

int main() {
    const int64_t T = 100, B = 8, I = 3, H = 32;
    lstm_model model{};
    model.cell = LSTM_CELL_LSTM, model.dtype = LSTM_F32, model.input_size = I, model.hidden_size = H;
    model.num_layers = model.num_directions = 1;

    std::vector<float> weight_ih(4 * H * I, 0.1f), weight_hh(4 * H * H, 0.01f), x(T * B * I);
    std::vector<float> output(T * B * H), h_n(B * H), c_n(B * H);
    for (std::size_t k = 0; k < x.size(); k++) x[k] = std::sin(float(k));
    struct lstm_weights weights{};
    weights.weight_ih = weight_ih.data(), weights.weight_hh = weight_hh.data();

    struct lstm_forward run{};
    run.call.model = model, run.call.isa = lstm_best_isa(), run.call.T = T, run.call.B = B;
    run.call.n_threads = lstm_max_threads();
    int64_t packed_bytes = 0, workspace_bytes = 0;
    if (lstm_packed_bytes(&model, run.call.isa, false, &packed_bytes)) return 1;
    if (lstm_forward_bytes(&run.call, false, &workspace_bytes)) return 1;
    const Block packed = allocate(packed_bytes), workspace = allocate(workspace_bytes);
    lstm_pack(&model, run.call.isa, false, &weights, packed.get());

    run.x = {x.data(), B * I, I}, run.output = {output.data(), B * H, H}; // (T, B, I) and (T, B, H)
    run.h_n = h_n.data(), run.c_n = c_n.data();
    run.packed = packed.get(), run.workspace = workspace.get();
    if (lstm_forward(&run)) return 1;
    std::printf("output[-1, -1, -1] = %.6f, h_n[-1, -1] = %.6f\n", double(output.back()), double(h_n.back()));
}
