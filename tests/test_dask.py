"""lf.dask: predictions for arrays, bags and frames of Dask, and for iterators of frames, are those without Dask."""

import pickle

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import lstm_fast as lf
from dask_cases import make, saved, wide
from tolerances import assert_same_bits

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def in_this_process():
    with dask.config.set(scheduler="sync"):
        yield


# ---- arrays and bags ----


@pytest.mark.parametrize("readout", ["last", "mean", "all"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("has_lengths", [False, True])
@pytest.mark.parametrize("is_path", [False, True])
def test_arrays_are_predicted_by_chunk(tmp_path, readout, batch_first, has_lengths, is_path):
    model = make(readout=readout, batch_first=batch_first)
    model.save(tmp_path / "m")
    x = rng.standard_normal((20, 6, 2)) if batch_first else rng.standard_normal((6, 20, 2))
    lengths = rng.integers(0, 7, 20) if has_lengths else None
    chunks = ((7, 7, 6), (4, 2), (1, 1)) if batch_first else ((4, 2), (7, 7, 6), (1, 1))
    lazy = lf.dask.predict(tmp_path / "m" if is_path else model, da.from_array(x, chunks), lengths=lengths)
    expected = model.predict(x, lengths)
    assert lazy.shape == expected.shape and lazy.dtype == expected.dtype
    assert (7, 7, 6) in lazy.chunks
    result = lazy.compute()
    if readout == "all" and has_lengths:  # predictions in the padding depend on the batch
        padding = np.arange(6) >= lengths[:, None]
        for rows in (result, expected):
            (rows if batch_first else rows.swapaxes(0, 1))[padding] = 0
    assert_same_bits(result, expected)
    assert_same_bits(lazy[11:13, :1].compute(), expected[11:13, :1])


def test_arrays_with_unknown_chunks():
    x = rng.standard_normal((20, 6, 2))
    lazy = da.from_array(x, (5, 6, 2))
    assert_same_bits(lf.dask.predict(make(), lazy[lazy[:, 0, 0] > 0]).compute(), make().predict(x[x[:, 0, 0] > 0]))


def test_quantized_models(tmp_path):
    x, model = rng.standard_normal((9, 6, 2)), make().quantized("int8")
    model.save(tmp_path / "m")
    for one in (model, tmp_path / "m"):
        assert_same_bits(lf.dask.predict(one, da.from_array(x, (4, 6, 2))).compute(), model.predict(x))


@pytest.mark.parametrize("readout", ["last", "all"])
def test_bags_of_sequences_keep_their_order(readout):
    sequences, model = [rng.standard_normal((n, 2)) for n in rng.integers(0, 9, 23)], make(readout=readout)
    rows = lf.dask.predict(model, db.from_sequence(sequences, npartitions=4)).compute()
    for row, one, expected in zip(rows, sequences, model.predict(sequences), strict=True):
        assert_same_bits(row, expected[: len(one)] if readout == "all" else expected)


# ---- frames ----


def long():
    ids = rng.integers(0, 7, 60)
    frame = pd.DataFrame({"id": [f"id{k}" for k in ids], "u": rng.random(60), "v": rng.random(60), "note": "-"})
    return frame.set_index(pd.Index(rng.permutation(60) + 100, name="row"))


def test_sequence_per_row_frames_keep_their_index():
    frame, model = wide(), make()
    lazy = lf.dask.predict(model, dd.from_pandas(frame, npartitions=3, sort=False), keep=["site"])
    result = lazy.compute()
    assert list(result.columns) == list(lazy.columns) == ["site", "prediction_0", "prediction_1", "prediction_2"]
    assert result.index.equals(frame.index) and list(result["site"]) == list(frame["site"])
    expected = model.predict(frame[list("abcdef")].to_numpy().reshape(20, 3, 2))
    assert_same_bits(result.iloc[:, 1:].to_numpy(), expected)
    assert list(lf.dask.predict(make(out=1), dd.from_pandas(frame[list("ab")], npartitions=2)).columns) == [
        "prediction"
    ]


@pytest.mark.parametrize("readout", ["last", "mean", "all"])
def test_rows_as_steps_of_a_series(readout):
    frame, model = long(), make(out=1, readout=readout)
    predictor = lf.dask.frames(model, by="id", columns=["u", "v"], keep=["id"])
    result = predictor.predict(frame)
    expected = {}
    for name, rows in frame.groupby("id", sort=False):
        one = model.predict([rows[["u", "v"]].to_numpy()])[0]
        expected |= dict(zip(rows.index, one[:, 0])) if readout == "all" else {name: one[0]}
    assert list(result.index) == list(frame.index if readout == "all" else expected)
    assert list(result["prediction"]) == [expected[key] for key in result.index]
    if readout != "all":
        assert list(result["id"]) == list(result.index) and result.index.name == "id"
    parts = [frame[frame["id"] < "id3"], frame[frame["id"] >= "id3"]]  # whole series in each partition
    lazy = lf.dask.predict(
        model, dd.from_delayed([dask.delayed(part) for part in parts]), by="id", columns=["u", "v"], keep=["id"]
    )
    joined = lazy.compute()
    assert joined.equals(result.loc[joined.index]) and len(joined) == len(result)


def test_series_with_several_keys():
    frame = long().assign(part=rng.integers(0, 2, 60))
    result = lf.dask.frames(make(out=1), by=["id", "part"], columns=["u", "v"]).predict(frame)
    assert result.index.names == ["id", "part"] and result.index.is_unique
    some = frame[(frame["id"] == "id2") & (frame["part"] == 1)][["u", "v"]].to_numpy()
    assert result["prediction"]["id2", 1] == make(out=1).predict([some])[0, 0]


@pytest.mark.parametrize("readout", ["last", "all"])
def test_empty_frames(readout):
    for by, one in ((None, wide()), ("id", long()[["id", "u", "v"]])):
        if by is not None or readout != "all":
            keep = ["site"] if by is None else []
            result = lf.dask.frames(make(readout=readout), by=by, keep=keep).predict(one[:0])
            assert len(result) == 0 and result.dtypes.iloc[-1] == np.float32


def test_iterator_functions_work_with_spark_and_ray(tmp_path):
    """mapInPandas passes an iterator of frames and takes an iterator; functions are pickled on their way."""
    path, frame = saved(tmp_path), wide()
    function = pickle.loads(pickle.dumps(lf.dask.frames(path, keep=["site"])))
    frames = iter([frame[:9].reset_index(drop=True), frame[9:9], frame[9:]])
    results = function(frames)
    assert iter(results) is results and next(frames).shape[0] == 9  # lazy: nothing has been consumed yet
    joined = pd.concat(results)
    assert_same_bits(joined.iloc[:, 1:].to_numpy(), function.predict(frame[9:]).iloc[:, 1:].to_numpy())


@pytest.mark.parametrize("collection", ["array", "bag", "frame"])
def test_predictions_use_the_model_passed_to_the_call(collection):
    x, model = rng.standard_normal((8, 3, 2)), make()
    data = {
        "array": lambda: da.from_array(x, (4, 3, 2)),
        "bag": lambda: db.from_sequence(list(x), npartitions=2),
        "frame": lambda: dd.from_pandas(pd.DataFrame(x.reshape(8, 6)), npartitions=2),
    }[collection]()
    lazy, expected = lf.dask.predict(model, data), model.predict(x)
    function = lf.dask.frames(model)
    model.load_flat_parameters(2 * model.flat_parameters)
    again = lf.dask.predict(model, data)
    for one, want in zip(dask.compute(lazy, again), (expected, model.predict(x))):
        assert_same_bits(np.asarray(one, np.float32), want)
    assert_same_bits(function.predict(pd.DataFrame(x.reshape(8, 6))).to_numpy(), expected)


def test_files_changed_before_the_computation_raise(tmp_path):
    path, x = saved(tmp_path), da.zeros((8, 3, 2), chunks=(4, 3, 2))
    first = lf.dask.predict(path, x)
    expected = first.compute()
    other = make()
    other.load_flat_parameters(2 * other.flat_parameters)
    other.save(path)
    second = lf.dask.predict(path, x)
    assert first.name != second.name  # a cluster that keeps the first result would give it again
    assert not np.array_equal(second.compute(), expected)
    with pytest.raises(ValueError, match="must be the file from the call of predict until the result is computed"):
        first.compute()


def test_changed_file_is_read_again(tmp_path):
    path, frame = saved(tmp_path), wide().drop(columns="site")
    predictor = lf.dask.frames(path)
    before = predictor.predict(frame)
    other = make()
    with other.edit() as p:
        p["head.bias"][:] = 1
    other.save(path)
    assert not predictor.predict(frame).equals(before)
    assert_same_bits(predictor.predict(frame).to_numpy(), other.predict(frame.to_numpy().reshape(20, 3, 2)))


def test_symbols():
    x = rng.integers(0, 5, (20, 6))
    for batch_first in (True, False):
        model = make(input_size=5, batch_first=batch_first, index_input=True)
        own = x if batch_first else x.T
        lazy = lf.dask.predict(model, da.from_array(own, (7, 4)))
        assert_same_bits(lazy.compute(), model.predict(own))
        assert_same_bits(lf.dask.frames(model).predict(pd.DataFrame(x)).to_numpy(), model.predict(own))
    assert_same_bits(
        np.stack(lf.dask.predict(model, db.from_sequence(list(x), npartitions=3)).compute()), model.predict(list(x))
    )
    frame = pd.DataFrame({"id": np.repeat(np.arange(20), 6), "symbol": x.ravel()})
    assert_same_bits(lf.dask.frames(model, by="id").predict(frame).to_numpy(), model.predict(list(x)))
    with pytest.raises(ValueError, match="column 'symbol' must contain integers"):
        lf.dask.frames(model, by="id").predict(frame.astype(float))
    with pytest.raises(ValueError, match="collection must have 2 axes"):
        lf.dask.predict(model, da.ones((2, 3, 5)))


# ---- errors ----


def test_invalid_arguments_raise(tmp_path):
    model, frame = make(), wide()
    lf.train.FleetModel(lf.Fleet([make().lstm, make().lstm]), 1).save(tmp_path / "fleet")
    for bad, error, words in [
        (lambda: lf.dask.predict(3, da.ones((2, 3, 2))), TypeError, "model must be a SequenceModel"),
        (lambda: lf.dask.frames(tmp_path / "fleet"), TypeError, "got a .*FleetModel"),
        (lambda: lf.dask.predict(tmp_path / "none", da.ones((2, 3, 2))), FileNotFoundError, "none"),
        (
            lambda: lf.dask.predict(model, np.ones((2, 3, 2))),
            TypeError,
            "collection must be an array, bag or data frame",
        ),
        (lambda: lf.dask.predict(model, da.ones((2, 3))), ValueError, "collection must have 3 axes"),
        (lambda: lf.dask.predict(model, da.ones((2, 3, 4))), ValueError, "input_size = 2"),
        (lambda: lf.dask.predict(model, da.ones((2, 3, 2)), lengths=np.ones(3, int)), ValueError, "lengths must have"),
        (lambda: lf.dask.predict(model, db.from_sequence([1]), lengths=[1]), ValueError, "lengths must be None"),
        (lambda: lf.dask.predict(model, da.ones((2, 3, 2)), num_threads=0), ValueError, "num_threads"),
        (lambda: lf.dask.predict(model, da.ones((2, 3, 2)), by="id"), ValueError, "by must be left out"),
        (lambda: lf.dask.frames(model, batch_size=0), ValueError, "batch_size"),
        (lambda: lf.dask.frames(model).predict(frame), ValueError, "column 'site' must contain numbers"),
        (lambda: lf.dask.frames(model, columns=["a"]).predict(frame), ValueError, "a multiple of 2 columns"),
        (lambda: lf.dask.frames(model, keep="site"), TypeError, "keep must be a list of column names"),
        (
            lambda: lf.dask.predict(model, dd.from_pandas(frame, npartitions=1), columns="a"),
            TypeError,
            "columns must be a list of column names",
        ),
        (lambda: lf.dask.frames(model, columns=["z"]).predict(frame), ValueError, "frame must have a column 'z'"),
        (lambda: lf.dask.frames(make(readout="all"), keep=["site"]).predict(frame), ValueError, "by="),
        (lambda: lf.dask.frames(model, by="site", columns=["a"]).predict(frame), ValueError, "columns must name 2"),
    ]:
        with pytest.raises(error, match=words):
            bad()
