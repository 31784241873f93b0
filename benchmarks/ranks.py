"""fit(comm=): the cost of a step, a model of it, and a simulated network to validate the model.

    python benchmarks/ranks.py compute             seconds of a step on one process, one thread
    mpiexec -n 2 python benchmarks/ranks.py exchange    seconds of one exchange of gradients between processes
    python benchmarks/ranks.py simulate            steps of fit with simulated latency and bandwidth, and the model
    python benchmarks/ranks.py model               the model up to 1,000 ranks, from the seconds of `compute`

The model: a step of R ranks takes compute(B / R) + exchange(R), with P parameters of `size` bytes, a latency of a
message, a bandwidth, the time `add` to pack and add one number, and the time `each` that a further rank costs:

    exchange(R) = (1 + log2 R) latency + 2 (R - 1) / R * P * size / bandwidth + P * add + R * each

for Alltoall, in which each rank sends R - 1 slices of P / R numbers at once, and Allgather by recursive doubling; and
for small gradients, P * size * R <= 64 KiB, which one Allgather exchanges,

    exchange(R) = log2 R * latency + (R - 1) * P * size / bandwidth + R * P * add + R * each

The simulation runs the code of fit with ranks as threads. The clock of a rank is the processor time of its thread, plus
the time of `compute` for each pass (less what the rest of a step takes), plus the transfer time and latency of each
message. `compute` is processor time too, so other processes hardly affect the simulation; they do affect `exchange`.
"""

import argparse
import math
import threading
import time

import numpy as np

import lstm_fast as lf
from lstm_fast.train import passes
from lstm_fast.train.batches import SequenceBatch
from lstm_fast.train.ranks import ranks
from simulated_network import Alone, Network, SlowComm

T, I = 100, 8


def make(hidden_size):
    return lf.train.SequenceModel(lf.LSTM(I, hidden_size, batch_first=True, seed=0), 1, seed=0)


def train(model, n, batch_size, epochs=1, comm=None):
    """Seconds of processor time of each step: the fastest epoch."""
    x, y = np.zeros((n, T, I), np.float32), np.zeros((n, 1))
    ends = [time.process_time()]
    options = dict(epochs=epochs, batch_size=batch_size, shuffle=False, seed=0, num_threads=1, comm=comm)
    lf.train.fit(model, x, y, **options, callbacks=[lambda model, history: ends.append(time.process_time())])
    return min(np.diff(ends), default=0.0) / -(-n // batch_size)


def compute(hidden_size, rows):
    """Seconds of a step with this many sequences."""
    n_steps = max(1, min(10, 256 // rows))
    return train(make(hidden_size), rows * n_steps, rows, epochs=3)


def exchange(n, latency, bandwidth, costs, size, itemsize=4):
    """Seconds of one exchange of n numbers between `size` ranks, by the model."""
    add, each = costs
    if n * itemsize * size <= ranks.SMALL:
        return math.log2(size) * latency + (size - 1) * n * itemsize / bandwidth + size * (n * add + each)
    return (1 + math.log2(size)) * latency + 2 * (size - 1) / size * n * itemsize / bandwidth + n * add + size * each


def seconds_of_exchange(comm, n, repetitions=50):
    """Median seconds of an exchange, on this rank."""
    own, flat, times = ranks.Ranks(comm), np.ones(n, np.float32), []
    own.prepare(n, flat.dtype)
    for _ in range(repetitions):
        begin = time.perf_counter()
        own.mean(lambda: ranks.Part(1.0, 1.0, flat))
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def measured_costs(n):
    """Seconds to pack and add one number, and those of each further rank."""
    add = seconds_of_exchange(Alone(1), n) / n
    return add, max(0.0, seconds_of_exchange(Alone(1000), n) - n * add) / 1000


def simulate(hidden_size, batch_size, size, latency, bandwidth, seconds, n_steps=20):
    """Seconds of a step of fit on ranks whose passes take `seconds`: the median of rank 0."""
    network, begins, before = Network(size, latency, bandwidth), [], SequenceBatch.loss_and_gradients

    def pretend(self, model, state, rng, num_threads):
        clock = network.clocks[self.ranks.rank]
        if self.ranks.rank == 0:
            begins.append(clock.now())
        clock.added += seconds
        flat = np.zeros_like(model.flat_parameters)
        return passes.Step(0.5, float(len(self.rows)), passes.ModelGradients(flat, model._table), None)

    def run(rank):
        train(make(hidden_size), batch_size // size * n_steps, batch_size, comm=SlowComm(network, rank))

    SequenceBatch.loss_and_gradients = pretend
    try:
        threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
    finally:
        SequenceBatch.loss_and_gradients = before
    return float(np.median(np.diff(begins)))


def efficiencies(hidden_size, rows, latency, bandwidth, costs, seconds):
    """{ranks: efficiency} with `rows` sequences on each rank, up to 1,000 ranks."""
    n = len(make(hidden_size).flat_parameters)
    sizes = (2, 4, 8, 16, 64, 256, 1000)
    return {size: seconds / (seconds + exchange(n, latency, bandwidth, costs, size)) for size in sizes}


# ---- the command line ----


def print_compute(arguments):
    for hidden_size in arguments.hidden_sizes:
        n = len(make(hidden_size).flat_parameters)
        times = "  ".join(f"B={rows}: {1e3 * compute(hidden_size, rows):.2f}" for rows in (8, 32, 128))
        print(f"H={hidden_size}, {n} parameters, ms of a step: {times}; {in_words(measured_costs(n))}")


def in_words(costs):
    return f"{1e9 * costs[0]:.2f} ns for each number, {1e6 * costs[1]:.1f} us for each rank"


def print_exchange(arguments):
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    for hidden_size in arguments.hidden_sizes:
        n = len(make(hidden_size).flat_parameters)
        times = []
        for ranks.SMALL in (2**60, 0):
            times.append(f"{1e6 * seconds_of_exchange(comm, n):.0f}")
        if comm.rank == 0:
            took = " and ".join(times)
            print(f"{comm.size} processes, H={hidden_size}, {4 * n / 1e3:.0f} kB: {took} us in 1 and 2 calls")


def print_simulation(arguments):
    worst = 0.0
    for hidden_size, batch_size, latency, bandwidth in (
        (32, 256, 1e-3, 2e7),
        (64, 256, 1e-3, 5e7),
        (128, 128, 5e-3, 5e8),
        (128, 128, 1e-3, 5e7),
    ):
        n = len(make(hidden_size).flat_parameters)
        costs, one = measured_costs(n), compute(hidden_size, 32) / 32
        for size in (2, 4, 8, 16):
            seconds, rest = one * batch_size / size, simulate(hidden_size, 32, 1, 0.0, math.inf, 0.0)
            model = seconds + exchange(n, latency, bandwidth, costs, size)
            found = simulate(hidden_size, batch_size, size, latency, bandwidth, seconds - rest)
            worst = max(worst, abs(found / model - 1))
            print(
                f"H={hidden_size} B={batch_size} {1e3 * latency:g} ms {bandwidth / 1e6:g} MB/s, {size} ranks: compute "
                f"{1e3 * seconds:.1f}, model {1e3 * model:.1f}, simulated {1e3 * found:.1f} ms "
                f"({found / model - 1:+.0%})",
                flush=True,
            )
    print(f"largest difference {worst:.0%}")
    return worst


def print_model(arguments):
    networks = (
        ("shared memory", 5e-6, 4e9),
        ("InfiniBand, 100 Gbit/s", 3e-6, 1e10),
        ("Ethernet, 10 Gbit/s", 3e-5, 1.1e9),
        ("Ethernet, 1 Gbit/s", 5e-5, 1.1e8),
    )
    for hidden_size in arguments.hidden_sizes:
        n = len(make(hidden_size).flat_parameters)
        costs = measured_costs(n)
        for rows in (8, 32, 128):
            seconds = compute(hidden_size, rows)
            for name, latency, bandwidth in networks:
                row = efficiencies(hidden_size, rows, latency, bandwidth, costs, seconds)
                cells = " | ".join(f"{value:.0%}" for value in row.values())
                print(f"| {hidden_size} | {rows} | {1e3 * seconds:.2f} | {name} | {cells} |")


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["compute", "exchange", "simulate", "model"])
    parser.add_argument("--hidden-sizes", type=int, nargs="+", default=[32, 128, 512])
    arguments = parser.parse_args(words)
    lf.set_num_threads(1)
    commands = dict(compute=print_compute, exchange=print_exchange, simulate=print_simulation, model=print_model)
    return commands[arguments.what](arguments)


if __name__ == "__main__":
    main()
