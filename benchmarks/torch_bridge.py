"""Compare torch.nn.LSTM with lstm_fast.torch.LSTM: float32, H = 64, one thread.

    python benchmarks/torch_bridge.py [rounds]

The two alternate in rounds. Printed are the median time of each and the median of the ratios within a round (above 1
lstm_fast is faster).
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import lstm_fast as lf

H = 64


def inference(lstm, *arguments):
    return lambda: lstm(*arguments)


def training(lstm, x):
    def call():
        lstm.zero_grad()
        lstm(x)[0].sum().backward()

    return call


def cases():
    """Name, function from a module to the timed call, target ratio, calls per round."""
    torch.manual_seed(0)
    one, state = torch.randn(1, 1, H), (torch.zeros(1, 1, H), torch.zeros(1, 1, H))
    long, batch = torch.randn(100, 1, H), torch.randn(100, 32, H)
    ragged = pack_padded_sequence(batch, torch.randint(10, 101, (32,)), enforce_sorted=False)
    yield "single step", lambda lstm: inference(lstm, one), 12, 200
    yield "single step, frozen=True", lambda lstm: inference(lstm, one), 12, 200
    yield "single step with a state", lambda lstm: inference(lstm, one, state), 12, 200
    yield "B = 1, T = 100", lambda lstm: inference(lstm, long), 3, 40
    yield "packed, B = 32, T <= 100", lambda lstm: inference(lstm, ragged), 4, 3
    yield "training, B = 32, T = 100", lambda lstm: training(lstm, batch), 1.7, 2


def seconds(call, n):
    begin = time.perf_counter()
    for _ in range(n):
        call()
    return (time.perf_counter() - begin) / n


def main(rounds=60):
    torch.set_num_threads(1)
    lf.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, lstm_fast {lf.__version__}, {lf.info()['isa']}, one thread, {rounds} rounds")
    for name, make, target, n in cases():
        pytorch = nn.LSTM(H, H)
        ours = lf.torch.LSTM(H, H)
        ours.load_state_dict(pytorch.state_dict())
        lf.torch.accelerate(ours, frozen="frozen" in name)
        calls = make(pytorch), make(ours)
        with torch.inference_mode(not name.startswith("training")):
            times = [[seconds(call, n) for call in calls] for _ in range(rounds + 2)][2:]  # the first two are warm-up
        theirs, mine = (statistics.median(column) * 1e6 for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        print(
            f"{name:26} nn.LSTM {theirs:9.1f} us   lstm_fast {mine:9.1f} us   {ratio:5.2f} x   (target {target} x)",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
