"""Recurrent policies of sb3-contrib: their loop over steps becomes one call with resets."""

import inspect
import sys
from typing import Any

from torch import Tensor, nn

from .modules import LSTM

METHOD, ARGUMENTS = "_process_sequence", ["features", "lstm_states", "episode_starts", "lstm"]


def policy_class() -> type[nn.Module] | None:
    """Return RecurrentActorCriticPolicy, if sb3-contrib is imported: otherwise no module can be one."""
    module = sys.modules.get("sb3_contrib.common.recurrent.policies")
    return None if module is None else module.RecurrentActorCriticPolicy


def is_policy(module: nn.Module) -> bool:
    cls = policy_class()
    return cls is not None and isinstance(module, cls)


def reason_to_leave_policy(policy: nn.Module) -> str | None:
    cls = type(policy)
    if getattr(cls, METHOD, None) is not getattr(policy_class(), METHOD, None):
        return f"{cls.__name__} overrides {METHOD}"
    method: Any = getattr(cls, METHOD, None)
    if method is None or list(inspect.signature(method).parameters) != ARGUMENTS:
        return f"this version of sb3-contrib has no {METHOD}({', '.join(ARGUMENTS)})"
    return None


def is_accelerated(policy: nn.Module) -> bool:
    return vars(policy).get(METHOD) is process_sequence


def accelerate_policy(policy: nn.Module) -> None:
    """Let a policy process sequences in one call, unless its class overrides the method."""
    if reason_to_leave_policy(policy) is None:
        vars(policy)[METHOD] = process_sequence


def restore_policy(policy: nn.Module) -> None:
    if is_accelerated(policy):
        del vars(policy)[METHOD]


def process_sequence(
    features: Tensor, lstm_states: tuple[Tensor, Tensor], episode_starts: Tensor, lstm: nn.Module
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """RecurrentActorCriticPolicy._process_sequence, without its loop over steps.

    features: (B * T, I), sequence by sequence. episode_starts: (B * T,), nonzero where an episode begins. Returns the
    output (B * T, H) and the last states.
    """
    if not isinstance(lstm, LSTM):  # one that was not accelerated
        method: Any = getattr(policy_class(), METHOD)
        output, states = method(features, lstm_states, episode_starts, lstm)
        return output, states
    B = lstm_states[0].shape[1]
    x = features.reshape(B, -1, lstm.input_size).swapaxes(0, 1)
    resets = (episode_starts != 0).reshape(B, -1).swapaxes(0, 1)
    output, states = lstm(x, lstm_states, resets=resets if resets.any() else None)
    return output.transpose(0, 1).flatten(0, 1), states
