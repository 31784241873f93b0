"""Ranks of a communicator as threads of this process: the collectives of mpi4py that fit calls, without MPI."""

import threading
from types import SimpleNamespace

import numpy as np

from lstm_fast.train import Adam, fit
from training_cases import model, sums

TIMEOUT = 20  # seconds that a rank waits for the others


class ThreadComm:
    """A communicator among threads with mpi4py's interface. Counts the calls by name."""

    def __init__(self, rank, shared):
        self.rank, self.shared, self.calls = rank, shared, []

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.shared.slots)

    def _swap(self, name, value):
        """Return each rank's contribution; all ranks must have called the same method."""
        self.calls.append(name)
        self.shared.slots[self.rank] = (name, value)
        self.shared.barrier.wait(TIMEOUT)
        slots = list(self.shared.slots)
        self.shared.barrier.wait(TIMEOUT)
        assert {called for called, _ in slots} == {name}, [called for called, _ in slots]
        return [value for _, value in slots]

    def allgather(self, value):
        return self._swap("allgather", value)

    def gather(self, value, root=0):
        values = self._swap("gather", value)
        return values if self.rank == root else None

    def bcast(self, value, root=0):
        return self._swap("bcast", value)[root]

    def Allgather(self, send, receive):
        receive.reshape(self.Get_size(), -1)[...] = [part.ravel() for part in self._swap("Allgather", send.copy())]

    def Alltoall(self, send, receive):
        parts = self._swap("Alltoall", send.copy())
        size = self.Get_size()
        receive.reshape(size, -1)[...] = [part.reshape(size, -1)[self.rank] for part in parts]


def shared_by(size=1):
    """The state shared by `size` ranks."""
    return SimpleNamespace(slots=[None] * size, barrier=threading.Barrier(size))


def on_ranks(size, function):
    """Call function(comm) on each of `size` ranks; return its result or exception on each."""
    shared = shared_by(size)
    results = [None] * size

    def run(rank):
        try:
            results[rank] = function(ThreadComm(rank, shared))
        except BaseException as error:
            results[rank] = error
            if isinstance(error, AssertionError):
                shared.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * TIMEOUT)
        assert not thread.is_alive(), "a rank hangs"
    failed = [one for one in results if isinstance(one, (AssertionError, NotImplementedError))]
    if failed:
        raise failed[0]
    return results


def shard(data, rank, size):
    """Every size-th of the sequences, lists or arrays; None as it is."""
    return None if data is None else data[rank::size] if isinstance(data, list) else np.asarray(data)[rank::size]


def run_on(size, data=None, *, seed=0, make=model, parts=shard, **options):
    """(parameters, history, comm) of each rank after fit on the data (x, y and other arguments), or its error."""
    data = dict(zip("xy", sums())) if data is None else data
    settings = dict(optimizer=Adam(1e-2), epochs=3, batch_size=8, seed=3, num_threads=1, clip_norm=1.0) | options

    def train(comm):
        m, own = make(), {name: parts(value, comm.rank, size) for name, value in data.items()}
        history = fit(m, **own, **settings, comm=comm)
        return m.flat_parameters, history, comm

    return on_ranks(size, train)


def alone(data=None, *, make=model, **options):
    """(parameters, history) of one process on all of the data."""
    data = dict(zip("xy", sums())) if data is None else data
    m = make()
    history = fit(
        m,
        **data,
        **dict(optimizer=Adam(1e-2), epochs=3, batch_size=8, seed=3, num_threads=1, clip_norm=1.0) | options,
    )
    return m.flat_parameters, history


def double(readout="last", out=1):
    return lambda: model(readout=readout, out=out, dtype=np.float64)


def uneven(value, rank, size):
    """Shards of 31, 0, 9 and 20 of 60 sequences."""
    ends = np.cumsum([0, 31, 0, 9, 20])
    return value[ends[rank] : ends[rank + 1]]
