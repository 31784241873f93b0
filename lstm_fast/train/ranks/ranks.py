"""Ranks: the processes of one training run, synchronized by collective calls of an MPI communicator.

Every collective is entered by every rank, also by one that failed: with its error, which all others then raise.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ... import _threads
from ..._errors import type_name

if TYPE_CHECKING:
    from ..._types import Array, DType

Result = TypeVar("Result")

METHODS = (
    "Get_rank",
    "Get_size",
    "Allgather",
    "Alltoall",
    "allgather",
    "gather",
    "bcast",
)  # required methods of an mpi4py communicator
OK, INTERRUPTED, FAILED = 0.0, 1.0, 2.0
CHUNK = 2**14  # numbers that are added at a time, in a core's cache
SMALL = 2**16  # bytes that a rank receives when every rank sends its whole gradient to every other


class RankError(RuntimeError):
    """Training stopped because another rank failed; the message names the rank and its error.

    Parameters
    ----------
    rank : int
        The rank that failed.
    message : str
        Type and message of its error.

    Attributes
    ----------
    rank : int
        The rank that failed. It raises the error itself.

    See Also
    --------
    fit : Train on the ranks of a communicator.
    """

    def __init__(self, rank: int, message: str) -> None:
        super().__init__(f"rank {rank} failed: {message}")
        self.rank = rank

    def __reduce__(self) -> tuple[Any, ...]:
        return RankError, (self.rank, str(self).partition(": ")[2])


class Part(NamedTuple):
    """Contribution of a rank to a step, or the mean over all ranks.

    loss, weight, gradient : as in `Step`; the gradient is None if the rank has no batch at this step.
    n : weight in the mean loss of the epoch; for the mean, the sum of the weights.
    has_next : whether the rank has a batch at a later step; for the mean, whether any rank has.
    """

    loss: float = 0.0
    weight: float = 0.0
    gradient: Array | None = None
    n: float = 0.0
    has_next: bool = False


class Ranks:
    """The ranks of a communicator of mpi4py, or of any object with the methods `METHODS`."""

    def __init__(self, comm: Any) -> None:
        absent = [name for name in METHODS if not callable(getattr(comm, name, None))]
        if absent:
            raise TypeError(
                f"comm must be a communicator of mpi4py such as MPI.COMM_WORLD, or None, got {type_name(comm)} "
                f"without {', '.join(absent)}"
            )
        self._comm = comm
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self.interrupted: int | None = None  # the rank that was
        self.is_over = False  # an error has been sent to all ranks
        self.is_interrupted = False  # all ranks raise KeyboardInterrupt
        self.proposes_save = False  # proposal of this rank, sent with its gradient
        self.saves = False  # decision of rank 0, received with the last gradient: a `collect` comes next
        self._has_signal = False
        self._expects_mean = False  # whether ranks exchange another gradient, for a rank that fails before it
        self._buffers: tuple[Array, Array] | None = None

    # ---- meetings ----

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the communicator. If that fails there is no way to tell the others."""
        was_over, self.is_over = self.is_over, True
        result = getattr(self._comm, name)(*arguments)
        self.is_over = was_over
        return result

    def broadcast(self, value: Any) -> Any:
        """Return the value of rank 0."""
        return self._call("bcast", value if self.rank == 0 else None)

    def collect(self, action: Callable[[], Result]) -> list[Result]:
        """Run an action on every rank and return the results of all on rank 0, an empty list on others."""
        result = self.together(action)
        self.saves = False
        return self._call("gather", result) or []

    def together(self, action: Callable[[], Result]) -> Result:
        """Run an action on every rank and return its result here. If one rank fails, all do."""
        result: Result = self._meet(action, lambda _: None)[0]
        return result

    def gather(self, action: Callable[[], Result]) -> list[Result]:
        """Run an action on every rank and return the results of all. If one rank fails, all do."""
        return self._meet(action, lambda result: result)[1]

    def _meet(self, action: Callable[[], Any], shown: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
        error, result, status = None, None, self._status()
        try:
            result = action()
        except BaseException as caught:
            error, status = caught, FAILED
        answers = self._call("allgather", (status, _text(error) if error else shown(result)))
        statuses = [status for status, _ in answers]
        if FAILED in statuses:
            self._stop(error, [text if status == FAILED else None for status, text in answers])
        if INTERRUPTED in statuses:
            self.interrupted = statuses.index(INTERRUPTED)
            self.raise_if_interrupted()
        return result, [answer for _, answer in answers]

    def _status(self) -> float:
        return INTERRUPTED if self._has_signal and not self.is_interrupted else OK

    def _stop(self, error: BaseException | None, texts: list[str | None]) -> None:
        """Raise the error of this rank, else of the first rank that failed."""
        self.is_over = True
        self.is_interrupted = all(text is None or text.startswith(KeyboardInterrupt.__name__) for text in texts)
        if error is not None:
            raise error
        rank, text = next((rank, text) for rank, text in enumerate(texts) if text is not None)
        if text.startswith(KeyboardInterrupt.__name__):
            raise KeyboardInterrupt(f"rank {rank} was interrupted")
        raise RankError(rank, text)

    def raise_if_interrupted(self) -> None:
        """Raise KeyboardInterrupt, on every rank, if one of them has received a signal."""
        if self.interrupted is not None:
            self.is_over = self.is_interrupted = True
            raise KeyboardInterrupt(f"rank {self.interrupted} was interrupted")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raise an error of one rank on all; Ctrl-C waits until the ``with`` block, a step, ends."""
        is_ours = threading.current_thread() is threading.main_thread()
        is_ours = is_ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_ours:
            signal.signal(signal.SIGINT, self._on_signal)
        try:
            yield
        except BaseException as error:
            self.tell(error)
            raise
        finally:
            if is_ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._has_signal and self.interrupted is None:  # after the last meeting
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._has_signal:  # second signal: immediately, without the others
            self.is_over = True
            raise KeyboardInterrupt
        self._has_signal = True

    def tell(self, error: BaseException) -> None:
        """Enter the collective that the other ranks are waiting in, unless they know of the error."""
        if self.is_over:
            return

        def action() -> Any:
            raise error

        is_mean = self._expects_mean and self.interrupted is None and not self.saves
        try:
            self.mean(action) if is_mean else self.together(action)
        except BaseException as caught:
            if caught is not error:
                raise

    # ---- gradients ----

    def prepare(self, n: int, dtype: DType) -> None:
        """Allocate the buffers of gradients of n numbers."""
        n_slices = 1 if n * dtype.itemsize * self.size <= SMALL else self.size
        n_of_slice = -(-n // n_slices)
        message = np.dtype([("numbers", np.float64, (6,)), ("gradient", dtype, (n_of_slice,))], align=True)
        self._n = n
        self._buffers = np.zeros(n_slices, message), np.zeros(self.size, message)

    def expect(self, is_mean: bool) -> None:
        """Announce whether the next collective is a mean; each mean announces whether another follows."""
        self._expects_mean = is_mean

    def mean(self, action: Callable[[], Part]) -> Part:
        """Return the mean over the parts of all ranks, which the action returns on each.

        The mean is sum_r (weight_r / weight) gradient_r, added in float64 in the order of the ranks and rounded once,
        so that its bits depend only on the number of ranks, not on the MPI library or the network, whose Allreduce may
        add in any order. Each rank sums one slice of the gradient and sends it to all others, which moves as much data
        as an Allreduce. Of small gradients every rank sums everything, which takes one call instead of two.
        """
        assert self._buffers is not None
        send, receive = self._buffers
        part, error, status = Part(), None, self._status()
        try:
            part = action()
            if part.gradient is not None:
                _pack(send["gradient"], part.gradient)
        except BaseException as caught:
            error, status = caught, FAILED
        send["numbers"] = status, part.loss, part.weight, part.n, part.has_next, self.proposes_save
        self._call("Allgather" if len(send) == 1 else "Alltoall", send.view(np.uint8), receive.view(np.uint8))
        numbers = receive["numbers"]
        any_status, _, _, n, n_with_next, _ = numbers.sum(axis=0).tolist()
        if any_status:
            statuses = numbers[:, 0].tolist()
            if FAILED in statuses:
                self._stop(error, self._call("allgather", None if error is None else _text(error)))
            self.interrupted = statuses.index(INTERRUPTED)
        self.saves, self._expects_mean = bool(numbers[0, 5]), n_with_next > 0
        loss, weight, flat = _weighted_mean(numbers[:, 1], numbers[:, 2], receive["gradient"])
        if len(send) > 1:
            own_slice, flat = flat, np.empty(self.size * len(flat), flat.dtype)
            self._call("Allgather", own_slice, flat)
        return Part(loss, weight, flat[: self._n], n, self._expects_mean)

    # ---- processors ----

    def processors_of_each(self) -> int:
        """Return how many processors of its machine each rank has, at least 1; ranks may be bound to different ones."""
        affinity = getattr(os, "sched_getaffinity", None)
        own = sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))
        machines = self.gather(lambda: (socket.gethostname(), own))
        here = [processors for name, processors in machines if name == machines[self.rank][0]]
        return max(1, int(min(len(set().union(*here)), _threads.container_limit())) // len(here))


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _pack(slices: Array, flat: Array) -> None:
    """Copy a gradient into slices of equal length, the last of which may be padded, or unused."""
    n_whole, n_rest = divmod(len(flat), slices.shape[1])
    slices[:n_whole] = flat[: len(flat) - n_rest].reshape(n_whole, -1)
    if n_rest:
        slices[n_whole, :n_rest] = flat[len(flat) - n_rest :]


def _weighted_mean(losses: Array, weights: Array, gradients: Array) -> tuple[float, float, Array]:
    """Return the mean of losses and gradients, and the sum of the weights."""
    counts = weights > 0  # entries with weight 0 may hold NaN
    if not counts.all():
        losses, weights, gradients = losses[counts], weights[counts], gradients[counts]
    mean = np.zeros(gradients.shape[1], gradients.dtype)
    if not len(weights):
        return 0.0, 0.0, mean
    total = float(_sum_in_order(weights))
    shares = weights / total
    step = max(1, CHUNK // len(weights))
    for begin in range(0, len(mean), step):
        columns = slice(begin, begin + step)
        mean[columns] = _sum_in_order(np.multiply(gradients[:, columns], shares[:, None], dtype=np.float64))
    return float(_sum_in_order(shares * losses)), total, mean


def _sum_in_order(terms: Array) -> Array:
    """Sum over the first axis in order; NumPy and Python may use other orders."""
    if terms[0].size < 512:  # below that, accumulate is faster than a loop over ranks
        sums: Array = np.add.accumulate(terms, axis=0)[-1]
        return sums
    sums = terms[0]
    for term in terms[1:]:
        sums += term
    return sums
