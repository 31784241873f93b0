"""Communicators for benchmarks/ranks.py: threads with simulated latency and bandwidth, and a rank alone."""

import queue
import time


class Alone:
    """A communicator of one rank that receives its own messages from all others."""

    def __init__(self, size):
        self.size = size

    def Get_rank(self):
        return 0

    def Get_size(self):
        return self.size

    def Allgather(self, send, receive):
        receive.reshape(self.size, -1)[...] = send.ravel()

    def Alltoall(self, send, receive):
        receive[...] = send

    def allgather(self, value):
        return [value] * self.size

    def gather(self, value, root=0):
        return [value] * self.size

    def bcast(self, value, root=0):
        return value


class Clock:
    """The clock of a thread: its processor time, plus added time."""

    def __init__(self):
        self.added = 0.0

    def now(self):
        return time.thread_time() + self.added

    def wait_until(self, then):
        self.added += max(0.0, then - self.now())


class Network:
    """The links of the ranks: a message occupies the link of its sender, and arrives after the latency."""

    def __init__(self, size, latency, bandwidth):
        self.size, self.latency, self.bandwidth = size, latency, bandwidth
        self.clocks, self.free = [Clock() for _ in range(size)], [0.0] * size
        self.queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}

    def send(self, source, target, value, n_bytes):
        self.free[source] = max(self.clocks[source].now(), self.free[source]) + n_bytes / self.bandwidth
        self.queues[source, target].put((self.free[source] + self.latency, value))

    def receive(self, source, target):
        arrival, value = self.queues[source, target].get(timeout=60)
        self.clocks[target].wait_until(arrival)
        return value


class SlowComm:
    """The collectives that fit calls, message by message."""

    def __init__(self, network, rank):
        self.network, self.rank, self.size = network, rank, network.size

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.size

    def _gathered(self, value, n_bytes):
        """Recursive doubling: in each round a rank sends all values that it has to a partner."""
        have, distance = {self.rank: value}, 1
        while distance < self.size:
            partner = self.rank ^ distance
            self.network.send(self.rank, partner, dict(have), n_bytes * len(have))
            have |= self.network.receive(partner, self.rank)
            distance *= 2
        return [have[rank] for rank in range(self.size)]

    def allgather(self, value):
        return self._gathered(value, 100)

    def gather(self, value, root=0):
        values = self._gathered(value, 100)
        return values if self.rank == root else None

    def bcast(self, value, root=0):
        return self._gathered(value, 100)[root]

    def Allgather(self, send, receive):
        receive.reshape(self.size, -1)[...] = [part.ravel() for part in self._gathered(send.copy(), send.nbytes)]

    def Alltoall(self, send, receive):
        slices, results = send.reshape(self.size, -1), receive.reshape(self.size, -1)
        results[self.rank] = slices[self.rank]
        for k in range(1, self.size):
            target = (self.rank + k) % self.size
            self.network.send(self.rank, target, slices[target].copy(), slices[target].nbytes)
        for k in range(1, self.size):
            source = (self.rank - k) % self.size
            results[source] = self.network.receive(source, self.rank)
