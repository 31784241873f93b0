"""DistributedTrainer: one training run on several processes, each with its shard of the sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ... import _threads
from ..data import Sequences
from ..iterable import Batches, IterableBatches
from ..trainer import Trainer
from ..truncated import TruncatedBatches
from .batches import RankBatches
from .ranks import Ranks
from .shards import RankSequences
from .steps import RankSteps, joined_state, own_state

if TYPE_CHECKING:
    from ..batches import Batch, BatchSource
    from ..config import FitConfig
    from ..history import History, Progress
    from ..model import SequenceModel


class DistributedTrainer(Trainer):
    """Trainer on the ranks of a communicator; its constructor is local; `join` is the first collective call."""

    is_distributed = True

    def __init__(self, ranks: Ranks, model: SequenceModel, x: Any, y: Any, config: FitConfig, **options: Any) -> None:
        self.ranks, self.is_running = ranks, False
        super().__init__(model, x, y, config, **options)

    def _make_source(self) -> BatchSource:
        config, data = self.config, self.data
        if isinstance(data, Sequences) and not config.is_truncated:
            return RankSequences(self.ranks, data, config)
        self.n_ranks = self.ranks.size
        if isinstance(data, Batches):
            return RankSteps(self.ranks, IterableBatches(self.model, data, config), config)
        return RankSteps(self.ranks, TruncatedBatches(self.model, data, config, config.batch_size), config)

    def join(self, resume: bool = False) -> None:
        """Agree with the other ranks on settings, sizes, initial parameters and generators."""
        ranks, config, source = self.ranks, self.config, self.source
        assert isinstance(source, RankBatches)
        self._check_settings(resume)
        source.join()
        self._join_validation()
        own = (self.now.flat, self.order_rng.bit_generator.state, self.mask_rng.bit_generator.state)
        flat, order, masks = ranks.broadcast(own)
        self.order_rng.bit_generator.state, self.mask_rng.bit_generator.state = order, masks
        self.now = replace(self.now, flat=flat)
        self._install(flat)
        ranks.prepare(len(flat), flat.dtype)
        if config.num_threads is None:
            n_threads = min(_threads.get_num_threads(), ranks.processors_of_each())
            self.config = replace(config, num_threads=n_threads)

    def _check_settings(self, resume: bool) -> None:
        """Compare what must be the same on every rank."""
        config, names = self.config, ("epochs", "batch_size", "clip_norm", "early_stopping", "shuffle", "seed")
        own: dict[str, Any] = {name: getattr(config, name) for name in (*names, "truncate", "burn_in")}
        own["the kind of x"] = "arrays" if isinstance(self.data, Sequences) else "an iterable of batches"
        own |= {"model": f"{self.model!r} of {self.model.dtype}", "optimizer": repr(self.optimizer)}
        own |= {"loss": self.loss.name, "loss parameters": self.loss.parameters}
        own["resume"] = bool(resume)
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

    def _join_validation(self) -> None:
        """Give ranks without validation data empty ones, if others have some."""

        def count() -> int | None:
            return (
                self.validation.n if isinstance(self.validation, Sequences) else None if self.validation is None else 1
            )

        counts = [n for n in self.ranks.gather(count) if n is not None]
        if counts and not sum(counts):
            raise ValueError("validation must hold at least one sequence on at least one rank")
        if counts and self.validation is None:
            self.validation = Batches("validation", (), self.model, self.loss)

    # ---- the run ----

    def run(self, progress: bool = False) -> History:
        """Train on all ranks; return the history on each."""
        self.is_running = True
        return super().run(progress)

    def _train_batch(self, batch: Batch, n_batches: int | None) -> None:
        self.ranks.proposes_save = super()._is_save_due()
        super()._train_batch(batch, n_batches)
        self.ranks.raise_if_interrupted()  # once the step is complete

    def _validation_losses(self) -> tuple[float, float]:
        parts = self.ranks.gather(super()._validation_losses)
        return sum(total for total, _ in parts), sum(weight for _, weight in parts)

    def _is_stopped(self) -> bool:
        """Decide on rank 0, whose callbacks are called; all ranks must have the same parameters by now."""
        before = self.now.flat

        def report() -> tuple[str, bool, bool]:
            digest = hashlib.sha256(before).hexdigest()
            is_stopped = self.ranks.rank == 0 and super(DistributedTrainer, self)._is_stopped()
            return digest, is_stopped, self.now.flat is not before

        reports = self.ranks.gather(report)
        for rank, (digest, _, _) in enumerate(reports):
            if digest != reports[0][0]:
                raise RuntimeError(f"rank {rank} has different parameters from rank 0 after epoch {self.now.epoch - 1}")
        _, is_stopped, is_changed = reports[0]
        if is_changed:  # a callback loaded parameters
            self.now = replace(self.now, flat=self.ranks.broadcast(self.now.flat))
            self._install(self.now.flat)
        return is_stopped

    def _split_again(self, state: dict[str, Any]) -> None:
        if self.config.seed is None:  # each rank has used its own generator
            raise ValueError("seed must be an integer to resume with comm and a fraction as validation, got None")

    # ---- files ----

    def _is_save_due(self) -> bool:
        return self.ranks.saves  # rank 0 decides by its clock

    def _save(self) -> None:
        if self.now.batch:
            self._save_states()
        elif self.ranks.rank == 0:
            super()._save()

    def _save_states(self) -> None:
        """Write a checkpoint with the states of all ranks, unless one of them is at another step."""
        now = self.now
        parts = self.ranks.collect(lambda: ((self.is_running, now.epoch, now.batch), now.state))
        if self.ranks.rank or not self.is_running:
            return
        if self.n_ranks > 1:
            if len({step for step, _ in parts}) > 1:
                return  # a rank was interrupted in the middle of a step: the checkpoint before it remains
            if now.batch:
                state, rows = joined_state([state for _, state in parts])
                now = replace(now, state=state, rows=rows)
        self._write(now)

    def _save_interrupted(self) -> None:
        """Wait for `save_stopped`: other ranks may not know of the interruption yet."""

    def save_stopped(self) -> None:
        """Write a checkpoint after an interruption known to all ranks; after any other, rank 0 tries to write one."""
        if self.ranks.is_interrupted:
            self._save_states()
        elif self.is_running and self.n_ranks == 1 and not self.ranks.rank:
            self._write(self.now)

    def _load(self) -> Progress | None:
        read = self.ranks.together(super()._load if self.ranks.rank == 0 else lambda: None)
        loaded: Progress | None = self.ranks.broadcast(read)
        if loaded is None or loaded.rows is None:
            return loaded
        return replace(loaded, state=own_state(loaded.state, loaded.rows, self.ranks.rank), rows=None)


def run_on_ranks(comm: Any, make: Callable[[Callable[..., Any]], Any], resume: bool, progress: bool) -> History:
    """Make a trainer on each rank of a communicator, from its class, and run it."""
    ranks = Ranks(comm)
    with ranks.running():
        trainer: DistributedTrainer = ranks.together(lambda: make(partial(DistributedTrainer, ranks)))
        try:
            trainer.join(resume)
            if resume:
                trainer.resume()
            history = trainer.run(progress and ranks.rank == 0)
            return ranks.together(lambda: history)  # an error on one of them is raised on all until then
        except KeyboardInterrupt as error:
            ranks.tell(error)
            trainer.save_stopped()
            raise
