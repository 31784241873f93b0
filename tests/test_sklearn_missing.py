"""Identifiers of series; missing numbers and infinite ones."""

import numpy as np
import pandas as pd
import pytest

from optional import require
from table_cases import (
    DAYS,
    LIBRARIES,
    VALUES,
    T,
    forecaster,
    long,
    native,
    panel,
)


@pytest.mark.parametrize("library", LIBRARIES)
def test_missing_id_raises(library):
    frame = panel().assign(unique_id=["a", "b", None, *["a"] * (2 * T - 3)])
    with pytest.raises(ValueError, match="unique_id of y must not be missing, got .* in row 2"):
        forecaster().fit(native(frame, library))
    with pytest.raises(ValueError, match="in row 0"):
        forecaster().fit(panel().assign(unique_id=None))


@pytest.mark.parametrize(
    "a, b, dtype", [(("x", 1), ("y", 2), object), (1, 2, "int64"), ("x", "y", "category"), (0.5, 1.5, float)], ids=str
)
def test_id_dtypes_are_preserved(a, b, dtype):
    frame = panel().drop(columns="p")
    ids = pd.Series([a if one == "a" else b for one in frame["unique_id"]], index=frame.index, dtype=dtype)
    expected = forecaster().fit(frame).predict()
    answer = forecaster().fit(frame.assign(unique_id=ids)).predict()
    assert list(answer["unique_id"]) == [a if one == "a" else b for one in expected["unique_id"]]
    assert answer["unique_id"].dtype == ids.dtype
    np.testing.assert_array_equal(answer["prediction"], expected["prediction"])


# ---- missing numbers ----


def test_missing_values_are_counted_and_not_used_as_targets():
    y = VALUES[:T].copy()
    y[[5, 20, 39]] = np.nan
    with pytest.warns(UserWarning, match="y has 3 missing values of 40"):
        expected = forecaster().fit(y).predict()
    for values in (y, pd.Series(y, dtype="Float64")):
        with pytest.warns(UserWarning, match="3 missing"):
            np.testing.assert_array_equal(forecaster().fit(long().assign(y=values)).predict()["prediction"], expected)
    with pytest.warns(UserWarning, match="3 missing"):
        result = forecaster(quantiles=(0.1, 0.9)).cross_validate(y, folds=6)
    assert np.isfinite(result["mae"]).all() and np.isfinite(result["coverage"]).all()
    assert np.isnan(result["truth"]).sum() == 1 and np.isfinite(result["prediction"]).all()


@pytest.mark.filterwarnings("ignore:y has")
def test_polars_nulls_are_missing_values():
    y = [None if k in (5, 20, 39) else value for k, value in enumerate(VALUES[:T])]
    frame = require("polars").DataFrame({"ds": DAYS[:T].to_numpy(), "y": y})
    expected = forecaster().fit(np.array(y, float)).predict()
    np.testing.assert_array_equal(forecaster().fit(frame).predict()["prediction"].to_numpy(), expected)


@pytest.mark.filterwarnings("ignore:y has")
def test_missing_values_become_input_flags():
    seen = {}
    model = forecaster(scale=None, input_size=2, horizon=2)
    model._train = lambda network, x, y, loss, **kept: seen.update(x=x, y=y, mask=kept["mask"])
    n = np.nan
    model.fit(np.array([n, n, 1.0, n, 3, 4, n, 6]))
    assert seen["x"][..., 0].tolist() == [[0, 1, 0, 0], [1, 1, 0, 0], [1, 3, 0, 0], [3, 4, 0, 0]]
    assert seen["mask"].tolist() == [[False, False, *one] for one in ([0, 1], [1, 1], [1, 0], [0, 1])]
    assert np.where(seen["mask"], seen["y"][..., 0], 0)[:, 2:].tolist() == [[0, 3], [3, 4], [4, 0], [0, 6]]
    two = np.column_stack([[1.0, 2, 3, 4, 5, 6], [n, n, n, 4, n, 6]])
    model.fit(two)  # the first windows have no past of the second number, and a step counts where both are known
    assert seen["x"][:, :2, :2].tolist() == [[[3, 0], [4, 4]]] and seen["mask"].tolist() == [
        [False, False, False, True]
    ]
    with pytest.raises(ValueError, match="y must have a window"):
        model.fit(np.array([1.0, 2, n, n, n]))


@pytest.mark.filterwarnings("ignore:y has")
@pytest.mark.parametrize("scale", ["window", "series", None])
def test_level_is_learned_despite_missing_values(scale):
    level = 1000.0 + np.arange(200) % 5
    level[np.arange(200) % 7 == 3] = np.nan
    level[:30] = np.nan
    forecast = forecaster(scale=scale, epochs=30, early_stopping=30).fit(level if scale else level - 1000).predict()
    assert np.abs(forecast - (1002 if scale else 2)).max() < 4


def test_infinite_values_raise():
    with pytest.raises(ValueError, match="y must be finite, got inf"):
        forecaster().fit(long().assign(y=np.inf))
