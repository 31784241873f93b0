"""Options of a fleet, shared by all of its models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..modules import LSTM

PER_MODEL = ("seed", "forget_bias")  # may differ: they determine initial parameters and masks


class Option:
    """A read-only option that all models share."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.__doc__ = f"The {name} of every model."

    def __get__(self, owner: Any, cls: type) -> Any:
        return self if owner is None else getattr(owner._lstm, self.name)

    def __set__(self, owner: Any, value: Any) -> None:
        raise AttributeError(f"{self.name} is fixed at construction: create a new Fleet of LSTMs with another one")


class Options:
    """The options of the models, as attributes."""

    input_size, hidden_size, num_layers, bias, batch_first = Option(), Option(), Option(), Option(), Option()
    dropout, bidirectional, proj_size, dtype, compute_dtype = Option(), Option(), Option(), Option(), Option()
    peepholes, layer_norm, coupled_gates, cell_clip, gate_clip = Option(), Option(), Option(), Option(), Option()
    activation, recurrent_activation, cell_activation = Option(), Option(), Option()
    recurrent_dropout, zoneout, learn_initial_state, index_input = Option(), Option(), Option(), Option()
    num_directions, h_size, output_size = Option(), Option(), Option()


def check_same(what: str, model: LSTM, other: LSTM, of_other: str) -> None:
    """Raise a ValueError unless a model has the options of another."""
    own, expected = model.config(), other.config()
    for name, value in expected.items():
        if name not in PER_MODEL and own.get(name) != value:
            raise ValueError(
                f"models must have one shape: {name} of {what} must be {value!r}, as in {of_other}, got "
                f"{own.get(name)!r}"
            )
