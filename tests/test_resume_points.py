"""Resuming a run from every save point matches the uninterrupted run bitwise."""

import sys

import numpy as np

import lstm_fast as lf
from lstm_fast.train import SequenceModel, Trainer
from optional import MUST_HAVE_ALL

EPOCHS, N_BATCHES = 40, 5  # 200 save points
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((20, 6, 2)).astype(np.float32), rng.standard_normal((20, 1)).astype(np.float32)


def fit(n_threads=1, resume=False, **options):
    """A fit with all resumable state: masks, shuffling, a schedule, clipping, validation, early stopping."""
    seed = 9 if resume else 0  # parameters come from the file
    lstm = lf.LSTM(2, 4, 2, batch_first=True, dropout=0.2, recurrent_dropout=0.1, seed=seed)
    return lf.train.fit(
        SequenceModel(lstm, 1, seed=seed),
        X,
        Y,
        epochs=EPOCHS,
        batch_size=4,
        seed=3,
        validation=(X[:3], Y[:3]),
        early_stopping=EPOCHS,
        clip_norm=0.5,
        lr_schedule="cosine",
        num_threads=n_threads,
        resume=resume,
        **options,
    )


def interrupted_at(step, path):
    """Interrupt a run before a step; its checkpoint is written to this path."""
    train_batch, count = Trainer._train_batch, 0

    def interrupted(self, *arguments):
        nonlocal count
        count += 1
        if count == step + 1:
            raise KeyboardInterrupt
        train_batch(self, *arguments)

    Trainer._train_batch = interrupted
    try:
        fit(checkpoint=path)
    except KeyboardInterrupt:
        return
    finally:
        Trainer._train_batch = train_batch
    raise AssertionError("the run was not interrupted")


def check(steps, path):
    """Return the number of save points from which the resumed run ends with different bits."""
    want, wrong = fit(), 0
    for step in steps:
        path.unlink(missing_ok=True)
        interrupted_at(step, path)
        got = fit(n_threads=1 + step % 3, resume=True, checkpoint=path)
        same = all(getattr(got, name) == getattr(want, name) for name in ("loss", "validation_loss", "gradient_norm"))
        wrong += not same or got.fingerprint != want.fingerprint
    return wrong


def test_run_resumes_bitwise_from_any_point(tmp_path):
    steps = range(200) if MUST_HAVE_ALL else range(1, 200, 22)
    assert EPOCHS * N_BATCHES == 200 and check(steps, tmp_path / "run") == 0


if __name__ == "__main__":  # python tests/test_resume_points.py
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        wrong = check(range(200), Path(folder, "run"))
    print(f"200 save points, seed 3: {wrong} runs end with other bits")
    sys.exit(wrong > 0)
