"""Wrong calls: any argument of any function of any type, shape, size or value. TypeError or ValueError, never a crash.

    python tests/hostile.py [cases [first seed]] [--seconds S] [--jobs N]

Each case takes a valid call and replaces one to three of its arguments. The call may also succeed (then
the change did not matter), or find that there is not enough memory. Afterwards the same model gives the same bits.
"""

import resource
import sys
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

import lstm_fast as lf  # noqa: E402
from fuzzing import main  # noqa: E402

ALLOWED = (TypeError, ValueError, MemoryError)
T, B, I, H = 4, 3, 5, 6
HUGE = 1 << 62


def broadcast(*shape):
    """An array of any size that takes no memory."""
    return np.broadcast_to(np.float32(0), shape)


def strange(rng):
    """A value that is hardly ever valid."""
    pool = (
        None,
        True,
        "x",
        b"x",
        -1,
        0,
        1,
        1.5,
        HUGE,
        -HUGE,
        10**30,
        float("nan"),
        float("inf"),
        [],
        [[1.0]],
        {},
        (),
        (None, None),
        (1, 2, 3),
        object(),
        np.float32(1),
        np.array("x"),
        np.array([None]),
        np.zeros(0),
        np.zeros((), np.float32),
        np.zeros((T, B, I), np.complex64),
        np.zeros((T, B, I), np.int64),
        np.zeros((T, B, I), ">f4"),
        np.zeros((T, B, I + 1), np.float32),
        np.zeros((T + 1, B, H), np.float32),
        np.zeros((1, B, H), np.float32),
        np.zeros((1, B + 1, H), np.float32),
        np.full((1, B, H), np.nan, np.float32),
        np.zeros((T, B), bool),
        np.array([T, -1, 2]),
        np.array([T, T + 1, 2]),
        np.array([1 << 62] * B),
        broadcast(1 << 30, B, I),
        broadcast(1 << 29, 1 << 30, 1),
        broadcast(T, B, 1 << 40),
        np.zeros((1,) * 32, np.float32),
        np.ma.masked_array(np.zeros((T, B, I), np.float32), True),
        np.zeros((T, B, I), np.float32)[::-1, ::-1, ::-1],
        "tanh",
        "int8",
        slice(None),
        lambda *_: None,
    )
    return pool[rng.integers(len(pool))]


@cache
def fixtures():
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # huge allocations raise MemoryError immediately
    lstm, cell = lf.LSTM(I, H, seed=0), lf.LSTMCell(I, H, seed=0)
    x = np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)
    output, _, tape = lstm.forward(x)
    state = np.zeros((1, B, H), np.float32), np.zeros((1, B, H), np.float32)
    lengths, resets = np.array([T, 2, 0]), np.zeros((T, B), bool)
    call = {"state": state, "lengths": lengths, "resets": resets, "num_threads": 2}
    calls = {
        "LSTM": (
            lf.LSTM,
            (I, H),
            {
                "num_layers": 2,
                "proj_size": 3,
                "dropout": 0.1,
                "cell_clip": 1.0,
                "zoneout": 0.1,
                "activation": "relu",
                "seed": 0,
                "dtype": np.float32,
            },
        ),
        "RNN": (lf.RNN, (I, H), {"num_layers": 1, "nonlinearity": "tanh", "bias": True, "seed": 0}),
        "call": (lstm, (x,), call),
        "forward": (lstm.forward, (x,), call | {"training": True, "recompute_gates": True}),
        "backward": (lstm.backward, (tape, output), {"d_state": state, "num_threads": 1}),
        "cell": (cell, (x[0],), {"state": (state[0][0], state[1][0])}),
        "stream": (lambda x, batch_size: lstm.stream(batch_size=batch_size).step(x), (x[0],), {"batch_size": B}),
        "quantized": (lstm.quantized, ("int8",), {"inputs": "int8"}),
        "quantized call": (lstm.quantized("int8"), (x,), call),
        "load_state_dict": (lf.LSTM(I, H, seed=1).load_state_dict, (lstm.state_dict(),), {}),
        "set_num_threads": (lf.set_num_threads, (2,), {}),
        "lstm_forward": (lf.lstm_forward, (x, None, None, *lstm.parameters().values()), {}),
    }
    return lstm, x, lstm(x)[0].tobytes(), calls


def wrong_call(seed):
    """A call with one to three arguments replaced."""
    rng = np.random.default_rng([seed, 11])
    lstm, x, want, calls = fixtures()
    name = str(rng.choice(list(calls)))
    function, arguments, named = calls[name]
    arguments, named = list(arguments), dict(named)
    for _ in range(rng.integers(1, 4)):
        k = int(rng.integers(len(arguments) + len(named)))
        if k < len(arguments):
            arguments[k] = strange(rng)
        else:
            named[list(named)[k - len(arguments)]] = strange(rng)
    if rng.random() < 0.3:
        named = {key: value for key, value in named.items() if rng.random() < 0.5}
    try:
        function(*arguments, **named)
    except ALLOWED as error:
        assert str(error), f"{name}: an error without words"
    finally:
        lf.set_num_threads(2)
    assert lstm(x)[0].tobytes() == want, f"{name} has changed the model"


if __name__ == "__main__":
    sys.exit(main(wrong_call, cases=20_000))
