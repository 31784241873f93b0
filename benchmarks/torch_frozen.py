"""The cost of comparing all weights at each call: one step of a PyTorch module, float32, one thread, in microseconds.

python benchmarks/torch_frozen.py [rounds]

torch.nn.LSTM, lstm_fast.torch.LSTM by default and with frozen=True, in rounds that take turns: best and median of each.
"""

import statistics
import sys
import time

import torch
from torch import nn

import lstm_fast as lf


def microseconds(module, x, n):
    begin = time.perf_counter()
    for _ in range(n):
        module(x)
    return 1e6 * (time.perf_counter() - begin) / n


def main(rounds=30):
    torch.set_num_threads(1)
    lf.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, lstm_fast {lf.__version__}, {lf.info()['isa']}, one thread, {rounds} rounds")
    for H, n in ((16, 500), (64, 500), (128, 500), (256, 100), (512, 20), (1024, 5)):
        pytorch, x = nn.LSTM(H, H), torch.randn(1, 1, H)
        modules = [pytorch, lf.torch.LSTM(H, H), lf.torch.accelerate(nn.LSTM(H, H), frozen=True)]
        with torch.inference_mode():
            rounds_of = [[microseconds(module, x, n) for module in modules] for _ in range(rounds + 2)][2:]
        times = [
            f"{name} {min(column):8.1f} {statistics.median(column):8.1f}"
            for name, column in zip(("nn.LSTM", "default", "frozen"), zip(*rounds_of, strict=True), strict=True)
        ]
        weights = sum(p.numel() for p in pytorch.parameters()) * 4e-6
        print(f"H = {H:4}, {weights:5.2f} MB of weights:   {'   '.join(times)}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
