"""Recurrent reinforcement learning: RecurrentPPO of sb3-contrib on CartPole, its LSTMs computed by lstm_fast.

The policy observes only positions, so it needs memory to infer velocities. The script trains twice from one seed, with
PyTorch and accelerated, and compares times, parameters and rewards.

    pip install "lstm_fast[torch]" sb3-contrib
    python examples/recurrent_ppo.py [--steps 2000] [--hidden-size 64] [--seeds 0 1 2]
"""

import argparse
import time

import gymnasium
import numpy as np
import torch
from sb3_contrib import RecurrentPPO

import lstm_fast as lf


def environment():
    """CartPole without velocities."""
    cartpole = gymnasium.make("CartPole-v1")
    space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    return gymnasium.wrappers.TransformObservation(cartpole, lambda x: x[[0, 2]], space)


def train(seed, steps, hidden_size, accelerate):
    """A trained model, and the training time in seconds."""
    model = RecurrentPPO(
        "MlpLstmPolicy",
        environment(),
        seed=seed,
        device="cpu",
        policy_kwargs=dict(lstm_hidden_size=hidden_size),
    )
    if accelerate:
        lf.torch.accelerate(model.policy)
    begin = time.perf_counter()
    model.learn(steps)
    return model, time.perf_counter() - begin


def play(model, episodes=10):
    """Mean reward: the number of steps that the pole stays up, at most 500."""
    env, rewards = environment(), []
    for seed in range(episodes):
        x, _ = env.reset(seed=1000 + seed)
        state, is_over, total = None, False, 0.0
        while not is_over:
            begins = np.array([state is None])
            action, state = model.predict(x, state=state, episode_start=begins, deterministic=True)
            x, reward, has_fallen, is_late, _ = env.step(int(action))
            total, is_over = total + reward, has_fallen or is_late
        rewards.append(total)
    return float(np.mean(rewards))


def run(seed, steps=2000, hidden_size=64):
    """Mean reward, largest difference of a parameter, seconds by PyTorch and accelerated."""
    (slow, before), (fast, after) = (train(seed, steps, hidden_size, is_fast) for is_fast in (False, True))
    pairs = zip(slow.policy.parameters(), fast.policy.parameters(), strict=True)
    difference = max((a - b).abs().max().item() for a, b in pairs)
    return play(fast), difference, before, after


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args(words)
    torch.set_num_threads(1)
    train(0, 1, 4, True)  # warm-up: imports and initialization are not timed
    differences = []
    for seed in args.seeds:
        reward, difference, before, after = run(seed, args.steps, args.hidden_size)
        differences.append(difference)
        print(
            f"seed {seed}: PyTorch {before:.1f} s, accelerated {after:.1f} s ({before / after:.2f} times as fast); "
            f"parameters differ by at most {difference:.1e}; mean reward {reward:.0f}"
        )
    return max(differences)


if __name__ == "__main__":
    main()
