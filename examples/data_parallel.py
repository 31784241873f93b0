"""Train one network with several processes: each holds a shard of the sequences, and the gradients are summed.

    pip install "lstm_fast[mpi]"
    mpiexec -n 2 python -m mpi4py examples/data_parallel.py [--sequences 2000] [--epochs 8] [--quick]

The task is the adding problem: the sum of two marked numbers out of 50. Every process generates its own shard, as it
would read its own files. The losses are the same for 1, 2 and 4 processes, except for rounding, because a shard is
every n-th sequence and shards are not shuffled. (python -m mpi4py terminates all processes if one fails outside fit.)
"""

import argparse
import time

import numpy as np

import lstm_fast as lf


def sequences(numbers, T=50):
    """(x, y) of some sequences, each seeded by its number."""
    x, y = np.zeros((len(numbers), T, 2), np.float32), np.zeros((len(numbers), 1))
    for row, number in enumerate(numbers):
        rng = np.random.default_rng(number)
        x[row, :, 0] = rng.random(T)
        marked = [rng.integers(T // 2), rng.integers(T // 2, T)]
        x[row, marked, 1] = 1
        y[row] = x[row, marked, 0].sum()
    return x, y


def run(comm, n_sequences=2000, epochs=8, hidden_size=32, checkpoint=None):
    """(history, squared error on other sequences, seconds)"""
    rank, size = comm.Get_rank(), comm.Get_size()
    x, y = sequences(range(n_sequences)[rank::size])
    model = lf.train.SequenceModel(lf.LSTM(2, hidden_size, batch_first=True, forget_bias=2.0, seed=0), 1, seed=0)
    begin = time.perf_counter()
    history = lf.train.fit(
        model,
        x,
        y,
        optimizer=lf.train.Adam(lr=1e-2),
        epochs=epochs,
        batch_size=40,
        clip_norm=1.0,
        shuffle=False,
        seed=0,
        checkpoint=checkpoint,
        resume=checkpoint is not None,
        comm=comm,
    )
    seconds = time.perf_counter() - begin
    x, y = sequences(range(10**6, 10**6 + 500))
    return history, float(np.mean((model.predict(x) - y) ** 2)), seconds


def main(words=None, comm=None):
    if comm is None:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--hidden-size", type=int, default=32)
    parser.add_argument("--checkpoint", help="file to write after each epoch, and to continue from")
    parser.add_argument("--quick", action="store_true", help="400 sequences, 3 epochs")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.sequences, arguments.epochs = 400, 3
    history, error, seconds = run(
        comm, arguments.sequences, arguments.epochs, arguments.hidden_size, arguments.checkpoint
    )
    if comm.Get_rank() == 0:
        losses = " ".join(f"{loss:.4f}" for loss in history.loss)
        print(f"{comm.Get_size()} processes, {seconds:.1f} s: losses {losses}; squared error {error:.4f} (0.167: none)")
    return history.loss, error


if __name__ == "__main__":
    main()
