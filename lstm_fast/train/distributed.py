"""DistributedTrainer: one training run on several processes, each with its shard of the sequences.

**Joined batches.** Batch k of all ranks together is batch k of one process: `batch_size` sequences, the last with the
rest. Each rank goes through its shard in an order of its own, and sequence i of the n_r of rank r comes at the time
(i + 1/2) / n_r: the sequences of all ranks, sorted by time and then by rank, are cut into batches. So shards of any
sizes end together, and shards x[rank::size] that are not shuffled give exactly the batches of one process on x.

**Random numbers.** The generators are those of one process, in the same state on every rank. Rank 0 draws from them;
another rank draws from generators derived from their state at the beginning of the epoch, its rank and the batch. So a
checkpoint, which rank 0 writes, holds all of them, and is the same file for any number of ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _threads
from .passes import loss_and_gradients
from .ranks import Ranks
from .trainer import Trainer

if TYPE_CHECKING:
    from .._types import Array
    from .config import FitConfig
    from .data import Sequences
    from .history import History, Progress
    from .model import SequenceModel


class DistributedTrainer(Trainer):
    """Trainer on the ranks of a communicator; its constructor is local, and `join` the first meeting."""

    def __init__(self, ranks: Ranks, model: SequenceModel, x: Any, y: Any, config: FitConfig, **options: Any) -> None:
        self.ranks = ranks
        super().__init__(model, x, y, config, **options)

    def _is_split(self, n: int) -> bool:
        return 0 <= n <= int(self.data.n)  # the shards together need both sides

    def _check_count(self, n: int) -> None:
        pass  # a shard may be empty

    def join(self) -> None:
        """Agree with the other ranks on settings, sizes, initial parameters and generators."""
        ranks, config = self.ranks, self.config
        self._check_settings()
        validation = None if self.validation is None else self.validation.n
        shards = ranks.gather(lambda: (self.data.n, validation, self.data.lengths is not None))
        self.sizes = [n for n, _, _ in shards]
        super()._check_count(sum(self.sizes))
        held_out = [n for _, n, _ in shards if n is not None]
        if held_out and not sum(held_out):
            raise ValueError("validation must hold at least one sequence, on all ranks together")
        if held_out and self.validation is None:
            self.validation = self.data.subset(np.arange(0))
        self.vary = any(has_lengths for _, _, has_lengths in shards)
        self.cuts = batch_cuts(self.sizes, ranks.rank, config.batch_size)
        own = (self.now.flat, self.order_rng.bit_generator.state, self.mask_rng.bit_generator.state)
        flat, order, masks = ranks.broadcast(own)
        self.order_rng.bit_generator.state, self.mask_rng.bit_generator.state = order, masks
        self.now = replace(self.now, flat=flat)
        self._install(flat)
        ranks.prepare(len(flat), flat.dtype)
        if config.num_threads is None:
            n_threads = min(_threads.get_num_threads(), ranks.processors_of_each())
            self.config = replace(config, num_threads=n_threads)

    def _check_settings(self) -> None:
        """Compare what must be the same on every rank."""
        config, names = self.config, ("epochs", "batch_size", "clip_norm", "early_stopping", "shuffle", "seed")
        own = {name: getattr(config, name) for name in names}
        own |= {"model": f"{self.model!r} of {self.model.dtype}", "optimizer": repr(self.optimizer)}
        own |= {"loss": self.loss.name, "loss parameters": self.loss.parameters}
        own["checkpoint"] = config.checkpoint is not None
        own["lr_schedule"] = getattr(config.lr_schedule, "__name__", config.lr_schedule)
        settings = self.ranks.gather(lambda: own)
        for name, value in settings[0].items():
            for rank, other in enumerate(settings):
                if other[name] != value:
                    raise ValueError(
                        f"{name} must be the same on every rank, got {value!r:.200} on rank 0, "
                        f"{other[name]!r:.200} on rank {rank}"
                    )

    # ---- the run ----

    def _epochs_done(self) -> float:
        return self.now.epoch + self.now.batch / (len(self.cuts) - 1)

    def _draw_batches(self) -> list[Array]:
        groups = self.ranks.together(self._draw_shares)
        self.ranks.expect(len(groups) - self.now.batch)
        return groups

    def _draw_shares(self) -> list[Array]:
        """Return this rank's share of each batch of an epoch."""
        n_batches = len(self.cuts) - 1
        state, shuffle = dict(self.order_rng.bit_generator.state), self.config.shuffle
        rows = np.arange(self.data.n)
        if shuffle:
            first = self.order_rng.permutation(self.sizes[0])  # on every rank, which keeps the generators equal
            rows = first if self.ranks.rank == 0 else self._generator(state, 0).permutation(self.data.n)
        order = np.arange(n_batches)
        if shuffle and self.vary:  # of similar length in each batch, on all ranks at the same time
            for begin in range(0, n_batches, 32):
                pool = rows[self.cuts[begin] : self.cuts[min(begin + 32, n_batches)]]
                if self.data.lengths is not None:
                    pool[:] = pool[np.argsort(self.data.lengths[pool], kind="stable")]
            order = self.order_rng.permutation(n_batches)
        return [rows[self.cuts[k] : self.cuts[k + 1]] for k in order]

    def _generator(self, state: dict[str, Any], *key: int) -> np.random.Generator:
        """Return a generator of this rank, derived from the state of a common one."""
        numbers = state["state"]
        seeds = np.random.SeedSequence((numbers["state"], numbers["inc"]), spawn_key=(self.ranks.rank, *key))
        return np.random.default_rng(seeds)

    def _mean_gradient(self, rows: Array, k: int) -> tuple[float, Array, int]:
        def of_shard() -> tuple[float, float, int, Array | None]:
            if not len(rows):
                return 0.0, 0.0, 0, None
            state = self.now.shuffle_state
            assert state is not None
            rng = self.mask_rng if self.ranks.rank == 0 else self._generator(state, 1, k)
            loss, gradients = loss_and_gradients(
                self.model, self.data, rows, num_threads=self.config.num_threads, rng=rng
            )
            return loss, weight_of(self.data, rows), len(rows), gradients.flat

        loss, n, gradient = self.ranks.mean(of_shard)
        return loss, gradient, n

    def _train_batch(self, rows: Array, k: int, n_batches: int) -> None:
        super()._train_batch(rows, k, n_batches)
        self.ranks.raise_if_interrupted()  # once the step is complete

    def _cause(self, rows: Array) -> str:
        causes = self.ranks.gather(lambda: super(DistributedTrainer, self)._cause(rows))
        named = [f"rank {rank}: {cause}" for rank, cause in enumerate(causes) if " is not finite" in cause]
        return named[0] if named else causes[0]

    def _weighted_losses(self, data: Sequences) -> tuple[float, float]:
        parts = self.ranks.gather(lambda: super(DistributedTrainer, self)._weighted_losses(data))
        return sum(total for total, _ in parts), sum(weight for _, weight in parts)

    def _is_stopped(self) -> bool:
        """Decide on rank 0, whose callbacks are called; all ranks must have the same parameters by now."""

        def report() -> tuple[str, bool]:
            digest = hashlib.sha256(self.now.flat).hexdigest()
            return digest, self.ranks.rank == 0 and super(DistributedTrainer, self)._is_stopped()

        reports = self.ranks.gather(report)
        for rank, (digest, _) in enumerate(reports):
            if digest != reports[0][0]:
                raise RuntimeError(f"rank {rank} has other parameters than rank 0 after epoch {self.now.epoch - 1}")
        return reports[0][1]

    # ---- files ----

    def resume(self) -> None:
        super().resume()
        self.ranks.expect(0)  # it may have drawn an epoch that is complete

    def _save(self) -> None:
        if self.ranks.rank == 0:
            super()._save()

    def _load(self) -> Progress | None:
        loaded = self.ranks.together(super()._load if self.ranks.rank == 0 else lambda: None)
        return self.ranks.broadcast(loaded)  # type: ignore[no-any-return]


def run_on_ranks(comm: Any, make: Callable[[Callable[..., Any]], Any], resume: bool, progress: bool) -> History:
    """Make a trainer on each rank of a communicator, from its class, and run it."""
    ranks = Ranks(comm)
    with ranks.running():
        trainer: DistributedTrainer = ranks.together(lambda: make(partial(DistributedTrainer, ranks)))
        trainer.join()
        if resume:
            trainer.resume()
        return trainer.run(progress and ranks.rank == 0)


def weight_of(data: Sequences, rows: Array) -> float:
    """Return the weight of some sequences in the mean of the loss: of all their steps, if each has a loss."""
    if data.weights is None:
        return float(len(rows) * (data.T if data.is_by_step else 1))
    return float(data.weights[rows].sum())


def batch_cuts(sizes: list[int], rank: int, batch_size: int) -> Array:
    """Return where the batches of a rank begin, and its end: the joined batches, cut from the sequences of all."""
    n = sizes[rank]
    twice = 2 * np.arange(n) + 1  # sequence i is at time (2 i + 1) / 2 n
    places = np.zeros(n, np.int64)
    for other, size in enumerate(sizes):  # how many of that rank come before: (2 j + 1) n < (2 i + 1) size, or =
        most = (twice * size - (other >= rank)) // max(1, n)
        places += (most + 1) // 2
    n_batches = -(-sum(sizes) // batch_size)
    return np.searchsorted(places, np.arange(n_batches + 1) * batch_size)
