"""Files of training: saved models, checkpoints, runs that are interrupted and resumed bit for bit."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import Adam, SequenceModel, load
from optional import needs
from tolerances import assert_same_bits
from training_cases import model, run, sums

pytestmark = needs("safetensors")


@pytest.mark.parametrize("epochs", [1, 3])
def test_resumed_run_matches_uninterrupted_run_bitwise(tmp_path, epochs):
    options = dict(num_layers=2, dropout=0.3)
    whole, parts = model(**options), model(**options)
    want = run(whole, epochs=5, validation=0.2)
    run(
        parts,
        epochs=5,
        validation=0.2,
        checkpoint=tmp_path / "run",
        callbacks=[lambda m, history: len(history) == epochs],
    )
    fresh = model(seed=9, **options)
    got = run(fresh, epochs=5, validation=0.2, checkpoint=tmp_path / "run", resume=True, n_threads=2)
    assert_same_bits(fresh.flat_parameters, whole.flat_parameters)
    assert got.loss == want.loss and got.validation_loss == want.validation_loss and got.best_epoch == want.best_epoch


def test_another_process_resumes_an_interrupted_run_bitwise(tmp_path):
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from lstm_fast.train import Trainer
        from training_cases import model, run
        step, count = Trainer._train_batch, [0]
        def interrupted(self, *a):
            count[0] += 1
            if count[0] == 13: os.kill(os.getpid(), signal.SIGINT)  # in the middle of the second epoch
            return step(self, *a)
        if sys.argv[1] == "first": Trainer._train_batch = interrupted
        m = model(num_layers=2, dropout=0.3)
        try:
            run(m, checkpoint={str(tmp_path / "run")!r}, resume=True, n_threads=int(sys.argv[2]))
        except KeyboardInterrupt:
            print("interrupted")
        print(m.flat_parameters.tobytes().hex())
    """)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
        ).stdout.split()
        for words in (("first", "1"), ("second", "2"))
    ]
    assert outputs[0][0] == "interrupted" and len(outputs[1]) == 1
    whole = model(num_layers=2, dropout=0.3)
    run(whole)
    assert bytes.fromhex(outputs[1][0]) == whole.flat_parameters.tobytes() != bytes.fromhex(outputs[0][1])


def test_saved_model_predicts_the_same_bits(tmp_path):
    x, _ = sums()
    for k, m in enumerate(
        [
            model(),
            model(
                num_layers=2,
                bidirectional=True,
                proj_size=3,
                peepholes=True,
                activation=("elu", 0.5),
                zoneout=(0.1, 0.2),
            ),
            SequenceModel(lf.RNN(2, 5, nonlinearity="relu", batch_first=True, dtype=np.float64), 2, "mean"),
        ]
    ):
        m.save(tmp_path / "m.safetensors")
        again = load(tmp_path / "m.safetensors")
        assert repr(again) == repr(m), k
        assert_same_bits(again.predict(x), m.predict(x))
    assert os.listdir(tmp_path) == ["m.safetensors"]
    from safetensors.numpy import load_file

    assert "lstm.weight_ih_l0" in load_file(tmp_path / "m.safetensors")


def test_damaged_and_foreign_files_raise_format_error(tmp_path):
    path = tmp_path / "m.safetensors"
    model().save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [data[:n] for n in (0, 7, 8, 100, len(data) // 2, len(data) - 1)] + [
        b"x" * 50,
        data + b"x",
        rng.bytes(500),
    ]
    header = int.from_bytes(data[:8], "little")
    for old, new in (
        ("lstm_fast", "lstm_slow"),
        ('version":"2', 'version":"9'),
        ("LSTM", "GRUU"),
        ("last", "lost"),
        ("weight_ih_l0", "weight_ih_l9"),
    ):
        text = data[8 : 8 + header].decode()
        assert old in text
        damaged.append(data[:8] + text.replace(old, new).encode() + data[8 + header :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(lf.FormatError):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    model().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk gone")))
    with pytest.raises(OSError, match="disk gone"):
        model(seed=1).save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.safetensors"]


def test_checkpoint_of_another_run_raises(tmp_path):
    run(model(), epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="checkpoint .* must match the model"):
        run(model(num_layers=2), checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="checkpoint .* must match the optimizer"):
        run(model(), optimizer=Adam(5e-3), checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(lf.FormatError, match="must hold a model, got a run"):
        load(tmp_path / "run")
    with pytest.raises(ValueError, match="resume needs checkpoint"):
        run(model(), resume=True)


def test_saving_a_subclass_raises(tmp_path):
    class Mine(lf.LSTM):
        pass

    with pytest.raises(TypeError, match="model.lstm must be an LSTM or RNN, got Mine, a subclass"):
        SequenceModel(Mine(2, 3), 1).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
