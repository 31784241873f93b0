"""Eight concurrent threads; under a free-threaded Python, without the GIL."""

import sys
import threading

import numpy as np

import lstm_fast as lf


def trained():
    x = np.random.default_rng(1).standard_normal((64, 10, 3))
    model = lf.train.SequenceModel(lf.LSTM(3, 12, batch_first=True, seed=0), 1, seed=0)
    lf.train.fit(model, x, x.mean((1, 2))[:, None], optimizer=lf.train.Adam(lr=1e-2), epochs=2, seed=0)
    return model.predict(x)


def test_eight_threads_match_one_bitwise():
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    x = np.random.default_rng(0).standard_normal((40, 8, 16), np.float32)
    lstm = lf.LSTM(16, 48, num_layers=2, seed=0)
    output, was_enabled = lstm(x)[0], is_enabled()
    predictions, errors, barrier = trained(), [], threading.Barrier(8)

    def work():
        try:
            barrier.wait()
            for turn in range(4):
                assert np.array_equal(lstm(x)[0], output)  # one model for all threads
                assert np.array_equal(lf.LSTM(16, 48, num_layers=2, seed=0)(x)[0], output)
                stream = lstm.stream(batch_size=8)
                assert np.array_equal([stream.step(step) for step in x], output)
                if turn == 0:
                    assert np.array_equal(trained(), predictions)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    assert is_enabled() == was_enabled
