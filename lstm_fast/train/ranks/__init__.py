"""Training on several processes, the ranks of an MPI communicator.

    ranks.py     Ranks: the processes of a run and their collectives; RankError
    batches.py   joined batches: the batches of all ranks at one step
    shards.py    whole sequences, divided among ranks
    steps.py     windows and iterables of each rank
    trainer.py   DistributedTrainer, run_on_ranks: a Trainer on several ranks, each with its shard of the data

Each module uses only those above it.
"""

from .ranks import RankError, Ranks
from .trainer import DistributedTrainer, run_on_ranks

__all__ = ["DistributedTrainer", "RankError", "Ranks", "run_on_ranks"]
