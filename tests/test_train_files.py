"""Damaged and hostile files of lf.train: FormatError, immediately and before anything is allocated."""

import gc
import json
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save

import lstm_fast as lf
from lstm_fast.train import SequenceModel
from scripts import start

DEEP = 100_000  # nested brackets, too deep for a recursive parser


def write(path, tensors, config):
    text = config if isinstance(config, str) else json.dumps(config)
    path.write_bytes(save(tensors, {"format": "lstm_fast", "version": "1", "config": text}))


def parts(path):
    """(tensors, configuration) of a file."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(tensors_of(data)), json.loads(header["__metadata__"]["config"])


@contextmanager
def format_error_at_once(words=None):
    gc.disable()  # the duration of a collection depends on the objects of the session
    try:
        begin = time.thread_time()  # other processes may use the processor meanwhile
        with pytest.raises(lf.FormatError, match=words):
            yield
        assert time.thread_time() - begin < 0.1
    finally:
        gc.enable()


@pytest.fixture(scope="module", params=["LSTM", "RNN"])
def good(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    SequenceModel(getattr(lf, request.param)(2, 3, 2, bidirectional=True, seed=0), 2, seed=0).save(path)
    lf.train.load(path)  # do not count first imports
    return path


def network(**changes):
    return lambda config: config["model"]["network"].update(changes)


def model(**changes):
    return lambda config: config["model"].update(changes)


SIZES = {
    "layers": network(num_layers=10_000),
    "hidden size": network(hidden_size=10**6),
    "input size": network(input_size=10**9),
    "outputs": model(out_features=10**9),
    "no direction": network(bidirectional=False),
    "no bias": network(bias=False),
    "learned states": network(learn_initial_state=True),
    "more than 64 bits": network(hidden_size=10**30),
    "a number of another type": network(hidden_size=3.0),
    "a flag for a number": network(num_layers=True),
    "a list for a number": network(num_layers=[2]),
    "a list of outputs": model(out_features=[2]),
}
WRONG = {
    "class": model(kind="GRU"),
    "class of another type": model(kind=["LSTM"]),
    "the other class": lambda config: model(kind={"LSTM": "RNN", "RNN": "LSTM"}[config["model"]["kind"]])(config),
    "dtype": model(dtype="float16"),
    "dtype of another type": model(dtype={"a": 1}),
    "readout": model(readout=["last"]),
    "network": model(network=[]),
    "network of numbers": model(network=3),
    "unknown option": network(layers=3),
    "missing option": lambda config: config["model"]["network"].pop("num_layers"),
    "dropout": network(dropout="much"),
    "zoneout": network(zoneout=[[0.1], None]),
    "not a number": network(dropout=float("nan")),
    "model": lambda config: config.update(model=None),
    "no model": lambda config: config.pop("model"),
    "file": lambda config: config.update(file=["model"]),
    "no file": lambda config: config.pop("file"),
}


@pytest.mark.parametrize("change", SIZES | WRONG)
def test_configuration_not_matching_the_tensors_raises(tmp_path, good, change):
    tensors, config = parts(good)
    (SIZES | WRONG)[change](config)
    write(tmp_path / "bad", tensors, config)
    with format_error_at_once():
        lf.train.load(tmp_path / "bad")


@pytest.mark.parametrize(
    "text",
    ["[" * DEEP, '{"file":' * DEEP, "[]", "3", '"model"', "null", "{", "", "{" + '"a":' + "9" * 5000 + "}"],
    ids=range(9),
)
def test_text_other_than_a_configuration_raises(tmp_path, good, text):
    write(tmp_path / "bad", parts(good)[0], text)
    for read in (lf.train.load, lf.weights.load, lf.weights.names):
        with format_error_at_once("is not a safetensors file, or damaged"):
            read(tmp_path / "bad")


@pytest.mark.parametrize("depth", range(50, 1000, 50))
def test_deep_nesting_that_json_accepts(tmp_path, good, depth):
    tensors, config = parts(good)
    deep = "3"
    for _ in range(depth):
        deep = f"[{deep}]"
    for change in (
        lambda config: config.update(model="DEEP"),
        model(kind="DEEP"),
        model(readout="DEEP"),
        model(out_features="DEEP"),
        network(dropout="DEEP"),
        network(num_layers="DEEP"),
        lambda config: config.update(file="DEEP"),
    ):
        changed = json.loads(json.dumps(config))
        change(changed)
        write(tmp_path / "bad", tensors, json.dumps(changed).replace('"DEEP"', deep))
        with format_error_at_once():
            lf.train.load(tmp_path / "bad")


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("head.bias"),
        lambda tensors: tensors.pop("lstm.weight_hh_l0"),
        lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("lstm.")],
        lambda tensors: tensors.update({"head.bias": np.zeros((2, 1), np.float32)}),
        lambda tensors: tensors.update({"head.weight": np.zeros((2, 7), np.float32)}),
        lambda tensors: tensors.update({"lstm.weight_ih_l9999": tensors["lstm.weight_ih_l0"]}),
        lambda tensors: tensors.update({"lstm.weight_hh_l0": np.zeros((0, 0), np.float32)}),
        lambda tensors: tensors.update({"lstm.weight_ih_l0": np.zeros((12, 2), np.int8)}),
        lambda tensors: tensors.update({"more": np.zeros(3, np.float32)}),
    ],
    ids=range(9),
)
def test_inconsistent_tensors(tmp_path, good, change):
    tensors, config = parts(good)
    change(tensors)
    write(tmp_path / "bad", tensors, config)
    with format_error_at_once():
        lf.train.load(tmp_path / "bad")


# ---- checkpoints of fit ----


def fit(path, **options):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 4, 2), np.float32), rng.standard_normal((6, 1), np.float32)
    one = SequenceModel(lf.LSTM(2, 3, batch_first=True, seed=0), 1, seed=0)
    history = lf.train.fit(one, x, y, batch_size=3, checkpoint=path, seed=0, **options)
    return one, history


RUNS = {
    "progress": lambda config: config.update(progress=[]),
    "no progress": lambda config: config.pop("progress"),
    "epoch": lambda config: config["progress"].update(epoch="1"),
    "batch": lambda config: config["progress"].update(batch=-1),
    "step": lambda config: config["progress"].update(step=1.5),
    "losses": lambda config: config["progress"].update(losses=None),
    "more": lambda config: config["progress"].update(more=1),
    "less": lambda config: config["progress"].pop("n"),
    "no sequence in a batch": lambda config: config["progress"].update(batch=2, n=0.0, epoch=0),
    "a sequence before the first batch": lambda config: config["progress"].update(n=3.0),
    "NaN": lambda config: config["progress"].update(losses=float("nan")),
    "more than 64 bits": lambda config: config["progress"].update(step=2**63),
    "fewer steps than batches": lambda config: config["progress"].update(batch=2, n=6.0, step=1),
    "shuffled in the future": lambda config: config["progress"].update(shuffle_epoch=7),
    "epochs without a history": lambda config: config["progress"].update(epoch=9),
    "history without a field": lambda config: config["history"].pop("validation_loss"),
    "state": lambda config: config["progress"].update(shuffle_state={"bit_generator": "MT19937"}),
    "state of another type": lambda config: config["progress"].update(mask_state=3),
    "state of wrong numbers": lambda config: config["progress"]["shuffle_state"]["state"].update(state=-1),
    "history": lambda config: config.update(history=[]),
    "history of text": lambda config: config["history"].update(loss="long"),
    "history of lists": lambda config: config["history"].update(loss=[[1.0]]),
    "history of another length": lambda config: config["history"].update(seconds=[]),
    "best epoch": lambda config: config["history"].update(best_epoch=9),
    "unknown history": lambda config: config["history"].update(more=[]),
    "optimizer": lambda config: config.update(optimizer=3),
    "no optimizer": lambda config: config.pop("optimizer"),
    "model": lambda config: config.update(model=[]),
    "network": lambda config: config["model"].update(network=None),
}


@pytest.mark.parametrize("change", RUNS)
def test_damaged_checkpoint(tmp_path, change):
    path = tmp_path / "run"
    fit(path, epochs=1)
    tensors, config = parts(path)
    RUNS[change](config)
    write(path, tensors, config)
    with pytest.raises(lf.FormatError):
        fit(path, epochs=2, resume=True)


def test_checkpoint_of_another_call_raises_with_the_difference(tmp_path):
    fit(tmp_path / "run", epochs=1)
    other = SequenceModel(lf.LSTM(2, 3, batch_first=True, gate_clip=1.0), 1)
    with pytest.raises(ValueError, match=r"the model of this call, {'gate_clip': 1.0}, got {'gate_clip': None}"):
        lf.train.fit(other, np.zeros((6, 4, 2)), np.zeros(6), checkpoint=tmp_path / "run", resume=True)


def test_fit_interrupted_by_signals_can_be_resumed(tmp_path):
    process = start(
        f"""
        os.chdir({str(tmp_path)!r})
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((2, 3, 1), np.float32), rng.standard_normal((2, 1), np.float32)
        def fit(epochs):
            model = lf.train.SequenceModel(lf.LSTM(1, 2, batch_first=True, seed=0), 1, seed=0)
            return lf.train.fit(model, x, y, epochs=epochs, checkpoint="run", resume=True, seed=0)
        fit(1)
        print("go")
        for turn in range(40):
            try:
                fit(10**6)
            except KeyboardInterrupt:
                print(os.listdir("."))
        """
    )
    try:
        assert process.stdout.readline() == "go\n", process.communicate()[1]
        for turn in range(40):
            time.sleep(0.02 + 0.0013 * turn % 0.01)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "['run']\n", process.communicate()[1]
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
