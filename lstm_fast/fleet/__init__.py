"""Fleets: many LSTMs of one shape that run in one call.

    layout.py    axes of fleets
    table.py     parameters of all models as rows of one array
    calls.py     forward and backward on validated arguments; chunks of models
    options.py   options of a fleet, shared by its models
    tape.py      FleetTape
    files.py     files of fleets
    lstm.py      FleetLSTM: one model of a fleet
    models.py    FleetModels: the models of a fleet, their parameters and files
    network.py   FleetNetwork: arguments and results of calls
    stream.py    FleetStream: live sequences of every model
    fleet.py     Fleet

Each module uses only those above it.
"""

from .fleet import Fleet
from .stream import FleetStream
from .tape import FleetTape

__all__ = ["Fleet", "FleetStream", "FleetTape"]
