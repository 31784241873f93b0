"""Fleets: K models of one shape that run in one call.

    layout.py     axes of a fleet's sequences and states; parameters stacked (K, ...)
    member.py     one model of a fleet as an LSTM
    tape.py       FleetTape
    stream.py     FleetStream: live sequences of every model
    fleet.py      Fleet

Each module uses only those above it; `stream` of a fleet imports its module when called.
"""

from .fleet import Fleet
from .stream import FleetStream
from .tape import FleetTape

__all__ = ["Fleet", "FleetStream", "FleetTape"]
