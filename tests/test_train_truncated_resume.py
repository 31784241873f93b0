"""fit(truncate=) interrupted: runs are resumed bit for bit in the middle of series."""

import os
import signal
import time

import numpy as np
import pytest

from lstm_fast.train import Trainer
from lstm_fast.train.windows import WindowPlan
from optional import needs
from scripts import start
from tolerances import assert_same_bits
from truncated_cases import LENGTHS, MASKS, X, Y, model, trained

pytestmark = [needs("safetensors"), pytest.mark.usefixtures("few_steps")]


def interrupted_at(step, train):
    """Ctrl-C before a step of training."""
    train_batch, count = Trainer._train_batch, 0

    def interrupted(self, *arguments):
        nonlocal count
        count += 1
        if count == step + 1:
            os.kill(os.getpid(), signal.SIGINT)
        train_batch(self, *arguments)

    Trainer._train_batch = interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            train()
    finally:
        Trainer._train_batch = train_batch


@pytest.mark.parametrize("rnn", [False, True])
def test_run_resumes_bitwise_within_series(tmp_path, rnn):
    options = dict(lengths=LENGTHS, truncate=4, burn_in=2, validation=(X[:2], Y[:2]), lr_schedule="cosine")
    want, history = trained(model(rnn=rnn, **MASKS), **options)
    n_windows = len(WindowPlan(LENGTHS, 3, 4, 2, np.arange(8)))
    for step in range(0, 2 * n_windows, 3):
        path = tmp_path / f"run{step}"
        interrupted_at(step, lambda path=path: trained(model(rnn=rnn, **MASKS), **options, checkpoint=path))
        got, other = trained(model(9, rnn=rnn, **MASKS), **options, checkpoint=path, resume=True, num_threads=2)
        assert_same_bits(got, want)
        assert other.loss == history.loss and other.validation_loss == history.validation_loss


def test_killed_run_resumes_bitwise_from_its_last_checkpoint(tmp_path):
    script = f"""
        os.chdir({str(tmp_path)!r})
        from lstm_fast.train import Adam, SequenceModel, fit, trainer
        trainer.SAVE_SECONDS = 0.0
        x = rng.standard_normal((3, 400, 1))
        def run(**options):
            model = SequenceModel(lf.LSTM(1, 3, batch_first=True, dtype=np.float64, seed=0), 1, "all", seed=0)
            return fit(model, x, x, truncate=4, burn_in=7, batch_size=2, epochs=4, seed=0, **options).fingerprint
        print("go")
        print(run(checkpoint="run", resume=True))
        print(run())
        """
    turns = 0
    while True:
        process = start(script)
        try:
            assert process.stdout.readline() == "go\n", process.communicate()[1]
            if turns < 3:
                time.sleep(0.02)
                process.kill()
            result = process.communicate()[0].split()
        finally:
            process.kill()
            process.communicate()
        turns += 1
        if len(result) == 2:
            break
        assert turns < 9
    assert turns > 1 and result[0] == result[1] and sorted(os.listdir(tmp_path)) == ["run"]


def test_state_of_different_series_raises_and_changes_nothing(tmp_path):
    options = dict(lengths=LENGTHS, truncate=4, shuffle=False)
    path = tmp_path / "run"
    interrupted_at(3, lambda: trained(model(), **options, checkpoint=path))
    for other in (dict(truncate=None), dict(batch_size=2), dict(truncate=20)):
        m = model(9)
        before = m.flat_parameters
        with pytest.raises(ValueError, match="must match the batches of this call"):
            trained(m, **options | other, checkpoint=path, resume=True)
        assert_same_bits(m.flat_parameters, before)


def test_state_of_different_batches_raises_even_if_the_first_row_continues(tmp_path):
    def batches(*lengths):
        return [(X[: len(lengths)], Y[: len(lengths)], np.array(lengths))]

    path, m = tmp_path / "run", model(9)
    interrupted_at(1, lambda: trained(model(), x=batches(9, 4, 4), y=None, truncate=4, checkpoint=path))
    with pytest.raises(ValueError, match="does not belong to the next batch"):
        trained(m, x=batches(9, 4), y=None, truncate=4, checkpoint=path, resume=True)
    trained(m, x=batches(9, 4, 4), y=None, truncate=4, checkpoint=path, resume=True)
