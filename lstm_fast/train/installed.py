"""Installed: the parameters that a training run gave its model, and whether they are still there."""

from __future__ import annotations

from typing import Any


class Installed:
    """Gives parameters to a model, and detects whether a callback, a loss or another thread has loaded others since."""

    def __init__(self, model: Any) -> None:
        self._model, self._version = model, model.parameter_version

    def is_changed(self) -> bool:
        """Whether the model has other parameters than those installed last."""
        now = self._model.parameter_version
        return any(one is not other for one, other in zip(self._version, now, strict=True))

    def changed(self) -> Any:
        """Return the parameters of the model if they were changed, and accept them; else None."""
        if not self.is_changed():
            return None
        self._version = self._model.parameter_version
        return self._model.flat_parameters

    def check(self) -> None:
        """Raise a RuntimeError if the parameters were changed: they would be lost."""
        if self.is_changed():
            raise RuntimeError(
                "model: its parameters were changed during an epoch of fit, by a loss, an iterable or another thread; "
                "they can be changed by a callback, between two epochs"
            )

    def install(self, flat: Any) -> None:
        """Make flat the parameters of the model, which may keep the array; see `check`."""
        self.check()
        self._model.load_flat_parameters(flat, copy=False)
        self._version = self._model.parameter_version
