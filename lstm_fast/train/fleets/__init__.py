"""Training of fleets: many models in one call of fit, each with the same bits as alone.

    data.py      FleetData: data of many models, stacked
    passes.py    forward and backward pass of many models
    model.py     FleetModel: a fleet of LSTMs, a head for each
    batches.py   the batches of an epoch of many models
    history.py   FleetHistory: the histories of many models
    trainer.py   FleetTrainer: the training loop of many models

Each module uses only those above it.
"""

from .history import FleetHistory
from .model import FleetModel
from .trainer import FleetTrainer

__all__ = ["FleetHistory", "FleetModel", "FleetTrainer"]
