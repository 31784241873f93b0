"""Exceptions, and how their messages name a type."""


class FormatError(ValueError):
    """A file is damaged or not of the expected format. Nothing was loaded from it."""


def type_name(value: object) -> str:
    """Return name of the type of a value; with its module (torch.nn.LSTM is not our LSTM), unless ours or built in."""
    cls = type(value)
    is_plain = cls.__module__.startswith(("builtins", "lstm_fast.modules"))
    return cls.__name__ if is_plain else f"{cls.__module__}.{cls.__name__}"


def is_torch_module(value: object) -> bool:
    """Return whether a value is a torch.nn.Module, without importing PyTorch."""
    return hasattr(value, "named_modules") and hasattr(value, "state_dict")


def network_type(value: object) -> str:
    """Return type_name for an argument that must be a network, and advice if the value has a network."""
    hint = ""
    if is_torch_module(value):
        hint = " (a PyTorch module: pass lstm_fast.weights.load(module))"
    elif hasattr(value, "lstm"):
        hint = " (pass its attribute lstm)"
    elif hasattr(value, "model_"):
        hint = " (pass its attribute model_.lstm)"
    return type_name(value) + hint
