"""Huge arguments, broadcast from one number: they raise immediately, whatever their type."""

from scripts import run

SCRIPT = """
import resource
lstm, rnn, cell = lf.LSTM(4, 5, seed=0), lf.RNN(4, 5, seed=0), lf.LSTMCell(4, 5, seed=0)
model = lf.train.SequenceModel(lf.LSTM(4, 5, seed=0), 2, readout="all", seed=0)
small, stream, x, y = lstm.quantized("int8"), lstm.stream(3), np.zeros((6, 3, 4), np.float32), np.zeros((6, 3, 2))
output, _, tape = lstm.forward(x)
state, grads = lstm.state_dict(), lstm.backward(tape, output)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**30,) * 2)

def huge(*shape):
    return np.broadcast_to(np.array(0, dtype), shape)

def huge_x(*shape):
    return np.broadcast_to(np.float32(0), shape)

CALLS = {
    "x": lambda T, B: lstm(huge(T, B, 4)),
    "x of another width": lambda T, B: lstm(huge(T, B, 5)),
    "h_0": lambda T, B: lstm(x, (huge(T, B, 5), huge(T, B, 5))),
    "lengths": lambda T, B: lstm(x, lengths=huge(T * B)),
    "lengths of two axes": lambda T, B: lstm(x, lengths=huge(T, B)),
    "resets": lambda T, B: lstm(x, resets=huge(T, B)),
    "x and resets": lambda T, B: lstm(huge_x(T, B, 4), resets=huge(T, B)),
    "x and resets of a tape": lambda T, B: lstm.forward(huge_x(T, B, 4), resets=huge(T, B)),
    "x and resets of an RNN": lambda T, B: rnn(huge_x(T, B, 4), resets=huge(T, B)),
    "x and resets of int8": lambda T, B: small(huge_x(T, B, 4), resets=huge(T, B)),
    "trace": lambda T, B: lstm.trace(huge_x(T, B, 4), resets=huge(T, B)),
    "d_output": lambda T, B: lstm.backward(tape, huge(T, B, 5)),
    "cell": lambda T, B: cell(huge(T * B, 4)),
    "mask of a stream": lambda T, B: stream.reset(huge(T * B)),
    "step": lambda T, B: stream.step(huge(T * B, 4)),
    "block": lambda T, B: stream.block(huge(T, B, 4)),
    "function": lambda T, B: lf.lstm_forward(x, *(huge(3, 5),) * 2, huge(20, 4), huge(20, 5), huge(T, B), huge(20)),
    "state_dict": lambda T, B: lstm.load_state_dict(state | {"bias_ih_l0": huge(T, B)}),
    "flat": lambda T, B: lstm.load_flat_parameters(huge(T * B)),
    "weights": lambda T, B: lf.weights.load(state | {"bias_ih_l0": huge(T, B)}),
    "predict": lambda T, B: model.predict(huge(T, B, 4)),
    "lengths of predict": lambda T, B: model.predict(x, huge(T, B)),
    "y": lambda T, B: model.loss_and_grads(x, huge(T, B, 2)),
    "mask": lambda T, B: model.loss_and_grads(x, y, mask=huge(T, B)),
    "sample_weight": lambda T, B: model.loss_and_grads(x, y, sample_weight=huge(T * B)),
    "fit": lambda T, B: lf.train.fit(model, huge(T, B, 4), huge(T, B, 3), epochs=1),  # 2 would be read batch by batch
}
slow = []
for shape in ((1 << 20, 1 << 20), (1 << 31, 1 << 29), (1 << 33, 3), (6, 1 << 31), (3, 1 << 58)):
    for dtype in (bool, np.uint8, np.int64, np.float32, np.float64):
        for name, call in CALLS.items():
            begin = time.thread_time()
            try:
                call(*shape)
                slow.append((name, shape, dtype, "no error"))
            except (ValueError, TypeError, MemoryError, OverflowError):
                pass
            if (seconds := time.thread_time() - begin) > 0.1:
                slow.append((name, shape, dtype, seconds))
assert not slow, slow
assert same(lstm.forward(x)[0], output) and same(lstm.backward(tape, output).flat, grads.flat)
"""


def test_huge_arguments_raise_within_100_ms():
    run(SCRIPT, timeout=100)
