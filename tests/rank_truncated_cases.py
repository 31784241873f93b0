"""A truncated run on several ranks, and its interruption."""

from lstm_fast.train.ranks import DistributedTrainer
from truncated_cases import LENGTHS, MASKS, X, Y, model

DATA = dict(x=X, y=Y, lengths=LENGTHS)
OPTIONS = dict(truncate=4, burn_in=2, epochs=2, batch_size=4)


def drop_out():
    return model(**MASKS)


def some(value, rank, size):
    """Shards of 5, 0 and 3 of 8 series."""
    ends = [0, 5, 5, 8]
    return value[ends[rank] : ends[rank + 1]]


def interrupted(patch, at, rank=1, error=None):
    """KeyboardInterrupt on one rank, or a signal if error is None, before a step of the run."""
    step, counts = DistributedTrainer._train_batch, {}

    def replacement(self, *arguments):
        counts[self.ranks.rank] = counts.get(self.ranks.rank, 0) + 1
        if self.ranks.rank == rank and counts[rank] == at:
            if error is not None:
                raise error
            self.ranks._has_signal = True
        step(self, *arguments)

    patch.setattr(DistributedTrainer, "_train_batch", replacement)
