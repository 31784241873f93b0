"""accelerate(model.policy): recurrent policies of sb3-contrib process sequences in one call."""

import copy
import pickle

import numpy as np
import pytest
import torch

import lstm_fast as lf
from optional import require
from torch_cases import GRADIENT, assert_alike

policies = require("sb3_contrib.common.recurrent.policies")
gymnasium = require("gymnasium")
spaces = gymnasium.spaces

I, H = 3, 5
OPTIONS = {
    "two": {},
    "shared": dict(shared_lstm=True, enable_critic_lstm=False),
    "actor only": dict(enable_critic_lstm=False),
    "layers": dict(n_lstm_layers=2),
}


def make(cls=policies.RecurrentActorCriticPolicy, **options):
    torch.manual_seed(0)
    box = spaces.Box(-1, 1, (I,), np.float32)
    policy = cls(box, spaces.Discrete(2), lambda _: 1e-3, net_arch=[4], lstm_hidden_size=H, **options)
    return policy


def arguments(policy, T, B, share):
    n = policy.lstm_actor.num_layers
    states = [torch.randn(n, B, H) for _ in range(4)]
    return (
        torch.randn(B * T, I),
        policies.RNNStates(tuple(states[:2]), tuple(states[2:])),
        (torch.rand(B * T) < share).float(),
    )


def evaluate(policy, x, states, starts):
    """Results and gradients of a training step."""
    policy.zero_grad()
    results = policy.evaluate_actions(x, torch.zeros(len(x)), states, starts)
    sum((r.square().sum() for r in results), torch.zeros(())).backward()
    return [*results, *(p.grad for p in policy.parameters())]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_rollouts_and_training_steps_match_sb3(options, share):
    slow = make(**options)
    fast = lf.torch.accelerate(copy.deepcopy(slow))
    for T, B in ((9, 3), (1, 2), (6, 1)):
        given = arguments(slow, T, B, share)
        assert_alike(evaluate(fast, *given), evaluate(slow, *given), 4 * GRADIENT[torch.float32], str(options))
    x, states, starts = arguments(slow, 1, 4, share)
    with torch.no_grad():
        want, got = (p(x, states, starts, deterministic=True) for p in (slow, fast))
        for a, b in zip((*got[:3], *got[3].pi, *got[3].vf), (*want[:3], *want[3].pi, *want[3].vf), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        values = [p.predict_values(x, states.vf, starts) for p in (slow, fast)]
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-5)


def test_a_sequence_is_one_call():
    policy, calls = lf.torch.accelerate(make()), []
    for lstm in (policy.lstm_actor, policy.lstm_critic):
        lstm.register_forward_hook(lambda *_: calls.append(1))
    policy.evaluate_actions(*[(a := arguments(policy, 9, 3, 0.3))[0], torch.zeros(27), *a[1:]])
    assert len(calls) == 2


def test_reports_restore_and_copies():
    policy = make()
    assert lf.torch.report(policy).left[""] == "not accelerated yet"
    lf.torch.accelerate(policy)
    report = lf.torch.report(policy)
    assert report.accelerated == ["", "lstm_actor", "lstm_critic"] and not report.left
    assert "(root)       RecurrentActorCriticPolicy  accelerated" in str(report)
    for twin in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy.state_dict)).__self__):
        assert lf.torch.report(twin).accelerated == report.accelerated
    method = policies.RecurrentActorCriticPolicy._process_sequence
    assert lf.torch.restore(policy)._process_sequence is method
    assert not lf.torch.report(policy).accelerated and lf.torch.restore(policy) is policy


class Own(policies.RecurrentActorCriticPolicy):
    @staticmethod
    def _process_sequence(features, lstm_states, episode_starts, lstm):
        return policies.RecurrentActorCriticPolicy._process_sequence(features, lstm_states, episode_starts, lstm)


class Plain(policies.RecurrentActorCriticPolicy):
    """A subclass that changes nothing."""


def test_policy_with_its_own_loop_is_left_unchanged():
    policy = lf.torch.accelerate(make(Own))
    assert lf.torch.report(policy).left == {"": "Own overrides _process_sequence"}
    assert lf.torch.report(lf.torch.accelerate(make(Plain))).accelerated[0] == ""


def test_unsupported_sb3_version_is_left_unchanged(monkeypatch):
    policy, cls = make(), policies.RecurrentActorCriticPolicy
    monkeypatch.setattr(cls, "_process_sequence", lambda self, features, lstm: None)
    assert "this version of sb3-contrib has no" in lf.torch.report(lf.torch.accelerate(policy)).left[""]
    monkeypatch.delattr(cls, "_process_sequence")
    assert "this version of sb3-contrib has no" in lf.torch.report(lf.torch.accelerate(policy)).left[""]
    assert "_process_sequence" not in vars(policy)


def test_unaccelerated_lstm_is_computed_by_sb3():
    slow = make()
    torch.nn.utils.parametrizations.weight_norm(slow.lstm_critic, "weight_hh_l0")
    fast = lf.torch.accelerate(copy.deepcopy(slow))
    assert "lstm_critic" in lf.torch.report(fast).left
    given = arguments(slow, 5, 2, 0.3)
    assert_alike(evaluate(fast, *given), evaluate(slow, *given), 4 * GRADIENT[torch.float32], "left")


def test_ppo_learns_saves_and_loads_as_before(tmp_path):
    ppo = require("sb3_contrib").RecurrentPPO
    results = []
    for accelerate in (False, True):
        model = ppo("MlpLstmPolicy", "CartPole-v1", n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu",
                    policy_kwargs=dict(lstm_hidden_size=8))  # fmt: skip
        if accelerate:
            lf.torch.accelerate(model.policy)
        model.learn(128)
        model.save(tmp_path / "model.zip")
        loaded = ppo.load(tmp_path / "model.zip", device="cpu")
        assert not lf.torch.report(loaded.policy).accelerated
        for a, b in zip(model.policy.parameters(), loaded.policy.parameters(), strict=True):
            assert torch.equal(a, b)
        results.append([p.detach() for p in model.policy.parameters()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
