"""Ranks of a communicator as threads of this process: the collectives of mpi4py that fit calls, without MPI."""

import threading
from types import SimpleNamespace

import numpy as np

TIMEOUT = 20  # seconds after which a rank that waits for others gives up


class ThreadComm:
    """What mpi4py's communicators do, among threads. Counts the calls by name."""

    def __init__(self, rank, shared):
        self.rank, self.shared, self.calls = rank, shared, []

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.shared.slots)

    def _swap(self, name, value):
        """What each rank contributed; all must have called the same."""
        self.calls.append(name)
        self.shared.slots[self.rank] = (name, value)
        self.shared.barrier.wait(TIMEOUT)
        slots = list(self.shared.slots)
        self.shared.barrier.wait(TIMEOUT)
        assert {called for called, _ in slots} == {name}, [called for called, _ in slots]
        return [value for _, value in slots]

    def allgather(self, value):
        return self._swap("allgather", value)

    def bcast(self, value, root=0):
        return self._swap("bcast", value)[root]

    def Allgather(self, send, receive):
        receive.reshape(self.Get_size(), -1)[...] = [part.ravel() for part in self._swap("Allgather", send.copy())]

    def Alltoall(self, send, receive):
        parts = self._swap("Alltoall", send.copy())
        size = self.Get_size()
        receive.reshape(size, -1)[...] = [part.reshape(size, -1)[self.rank] for part in parts]


def shared_by(size=1):
    """What `size` ranks share."""
    return SimpleNamespace(slots=[None] * size, barrier=threading.Barrier(size))


def on_ranks(size, function):
    """Call function(comm) on each of `size` ranks; what it returned or raised on each."""
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
