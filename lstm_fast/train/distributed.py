"""DistributedTrainer: one training run on several processes, each with its shard of the sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _threads
from .data import Sequences
from .rank_batches import RankBatches
from .ranks import Ranks
from .trainer import Trainer

if TYPE_CHECKING:
    from .batches import Batch, BatchSource
    from .config import FitConfig
    from .history import History, Progress
    from .model import SequenceModel


class DistributedTrainer(Trainer):
    """Trainer on the ranks of a communicator; its constructor is local; `join` is the first collective call."""

    is_distributed = True

    def __init__(self, ranks: Ranks, model: SequenceModel, x: Any, y: Any, config: FitConfig, **options: Any) -> None:
        self.ranks = ranks
        super().__init__(model, x, y, config, **options)

    def _make_source(self) -> BatchSource:
        truncate, burn_in = self.config.truncate, self.config.burn_in
        if self.config.is_truncated:
            raise ValueError(f"comm must be None for truncated training, got truncate={truncate}, burn_in={burn_in}")
        if not isinstance(self.data, Sequences):
            raise ValueError("comm must be None where y is None and x an iterable of batches")
        return RankBatches(self.ranks, self.data, self.config)

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
        own = {name: getattr(config, name) for name in names}
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
            raise ValueError("validation must hold at least one sequence, on one of the ranks")
        if counts and self.validation is None:
            assert isinstance(self.data, Sequences)
            self.validation = self.data.subset(np.arange(0))

    # ---- the run ----

    def _train_batch(self, batch: Batch, n_batches: int | None) -> None:
        super()._train_batch(batch, n_batches)
        self.ranks.raise_if_interrupted()  # once the step is complete

    def _validation_losses(self) -> tuple[float, float]:
        parts = self.ranks.gather(super()._validation_losses)
        return sum(total for total, _ in parts), sum(weight for _, weight in parts)

    def _is_stopped(self) -> bool:
        """Decide on rank 0, whose callbacks are called; all ranks must have the same parameters by now."""

        def report() -> tuple[str, bool]:
            digest = hashlib.sha256(self.now.flat).hexdigest()
            return digest, self.ranks.rank == 0 and super(DistributedTrainer, self)._is_stopped()

        reports = self.ranks.gather(report)
        for rank, (digest, _) in enumerate(reports):
            if digest != reports[0][0]:
                raise RuntimeError(f"rank {rank} has different parameters from rank 0 after epoch {self.now.epoch - 1}")
        return reports[0][1]

    def _split_again(self, state: dict[str, Any]) -> None:
        if self.config.seed is None:  # each rank has used its own generator
            raise ValueError("seed must be an integer to resume with comm and a fraction as validation, got None")

    # ---- files ----

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
        trainer.join(resume)
        if resume:
            trainer.resume()
        return trainer.run(progress and ranks.rank == 0)
