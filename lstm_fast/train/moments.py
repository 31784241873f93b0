"""Moments: which head belongs to which version of a network, while threads load and read the parameters of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .._parameters import changed_meanwhile

H = TypeVar("H")


class Moments(Generic[H]):
    """The head of each version of a network: network and head of a model are replaced one after the other.

    The head of a version is its partner in `_pairs`, else the last one: the head of the next version, or of a network
    that was changed without its head. `_pairs` is replaced as a whole, before and after the network's version.
    Contents are compared, because a model of a fleet may have several objects for one version.
    """

    def __init__(self, network: Any, head: H) -> None:
        self._network = network
        self._pairs: tuple[tuple[Any, H], ...] = ((None, head),)

    def now(self) -> tuple[Any, H]:
        """Return the version of the network and the head of one moment."""
        while True:
            pairs, (version,) = self._pairs, self._network.parameter_version
            for one, head in pairs:
                if one is version or (one is not None and one.flat.tobytes() == version.flat.tobytes()):
                    return version, head
            if self._pairs is pairs:
                return version, pairs[-1][1]

    def replace(self, head: H, load: Callable[[tuple[object, ...] | None], None], expected: Any) -> None:
        """Install a head, and a version of the network by load(expected version or None).

        Raises RuntimeError unless the model has the expected version, a pair as from `now` or None.
        """
        while True:
            before = self.now()
            if expected is not None and before[1] is not expected[1]:
                raise changed_meanwhile()
            self._pairs = pairs = (before, (None, head))
            try:
                load(None if expected is None else expected[:1])
            except BaseException:
                self._pairs = ((None, before[1]),)
                raise
            if self._pairs is pairs:  # else another thread has loaded parameters meanwhile: the last one wins
                self._pairs = ((None, head),)
                return
