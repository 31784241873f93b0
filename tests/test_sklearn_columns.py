"""Tables as input of the estimators: columns are matched by name."""

import numpy as np
import pandas as pd
import pytest

from lstm_fast.sklearn import LSTMClassifier, LSTMRegressor
from table_cases import DAYS, LIBRARIES, PRICE, RAIN, VALUES, T, forecaster, future, native, panel


@pytest.mark.parametrize("library", LIBRARIES)
def test_exogenous_columns_are_found_by_name(library):
    X = pd.DataFrame({"p": PRICE, "q": RAIN})
    past, coming = native(X[:T], library), native(X[T:], library)
    swapped = native(X[T:][["q", "p"]], library)
    model = forecaster().fit(VALUES[:T], past)
    assert list(model.feature_names_in_) == ["p", "q"] and model.n_features_in_ == 2
    expected = forecaster().fit(VALUES[:T], X[:T].to_numpy()).predict(X=X[T:].to_numpy())
    np.testing.assert_array_equal(model.predict(X=coming), expected)
    np.testing.assert_array_equal(model.predict(X=swapped), expected)
    np.testing.assert_array_equal(
        model.predict(y=VALUES[:T], y_X=native(X[:T][["q", "p"]], library), X=swapped), expected
    )
    with pytest.raises(
        ValueError, match=r"X must have the columns \['p', 'q'\] seen in fit; missing: \['p'\], unexpected: \['z'\]"
    ):
        model.predict(X=native(X[T:].rename(columns={"p": "z"}), library))
    with pytest.raises(ValueError, match=r"missing: \['p'\]"):
        model.predict(X=native(X[T:][["q"]], library))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(model.predict(X=X[T:].to_numpy()), expected)


def test_numbered_columns():
    X = pd.DataFrame(np.column_stack([PRICE, RAIN]))
    model = forecaster().fit(VALUES[:T], X[:T])
    np.testing.assert_array_equal(model.predict(X=X[T:][[1, 0]]), model.predict(X=X[T:]))
    with pytest.raises(ValueError, match=r"missing: \[0\], unexpected: \[2\]"):
        model.predict(X=X[T:].rename(columns={0: 2}))


def test_long_frames_name_their_exogenous_columns():
    model = forecaster().fit(panel())
    coming = pd.concat([future(unique_id="a"), future(unique_id="b")])
    expected = model.predict(X=coming)
    pd.testing.assert_frame_equal(
        model.predict(X=coming[["p", "unique_id", "ds"]].sample(frac=1, random_state=1)), expected
    )
    with pytest.raises(ValueError, match=r"X must have the columns \['p'\] seen in fit; missing: \['p'\]"):
        model.predict(X=coming.drop(columns="p"))
    with pytest.raises(ValueError, match=r"y must have the columns \['p'\] seen in fit; missing: \['p'\]"):
        model.predict(y=panel().drop(columns="p"), X=coming)


@pytest.mark.parametrize("library", LIBRARIES)
def test_wide_columns_are_found_by_name(library):
    wide = pd.DataFrame({"u": VALUES[:T], "v": -VALUES[:T], "ds": DAYS[:T]})
    model = forecaster().fit(native(wide, library))
    expected = model.predict()
    again = model.predict(y=native(wide[["v", "ds", "u"]], library))
    for column in "uv":
        np.testing.assert_array_equal(np.asarray(again[column]), np.asarray(expected[column]))
    with pytest.raises(ValueError, match=r"y must have the columns \['u', 'v'\] seen in fit; missing: \['v'\]"):
        model.predict(y=native(wide.rename(columns={"v": "w"}), library))
    with pytest.raises(ValueError, match="y must be a frame with the columns"):
        model.predict(y=wide[["u", "v"]].to_numpy())


def test_columns_may_be_in_any_order_within_a_fit():
    wide = pd.DataFrame({"u": VALUES[:T], "v": -VALUES[:T] + PRICE[:T]})
    expected = forecaster().fit([wide, wide[20:].reset_index(drop=True)]).predict()
    mixed = forecaster().fit([wide, wide[20:][["v", "u"]].reset_index(drop=True)]).predict()
    assert list(mixed[1].columns) == ["v", "u"]
    for a, b in zip(expected, mixed):
        pd.testing.assert_frame_equal(a, b[a.columns])
    X = pd.DataFrame({"p": PRICE[:T], "q": RAIN[:T]})
    coming = np.column_stack([PRICE[T:], RAIN[T:]])
    y = [VALUES[:T], -VALUES[:T]]
    expected = forecaster().fit(y, [X.to_numpy()] * 2).predict(X=[coming, coming])
    coming = pd.DataFrame(coming, columns=["p", "q"])
    model = forecaster().fit(y, [X, X[["q", "p"]]])
    np.testing.assert_array_equal(model.predict(X=[coming[["q", "p"]], coming]), expected)
    with pytest.raises(ValueError, match="same columns in each of its parts"):
        forecaster().fit([wide.to_numpy(), wide])
    with pytest.raises(ValueError, match="same columns in each of its parts"):
        forecaster().fit(y, [X.to_numpy()] * 2).predict(X=[coming, coming[["q", "p"]]])
    with pytest.raises(ValueError, match=r"y\[1\] must have the columns"):
        forecaster().fit([wide, wide.rename(columns={"u": "w"})])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("estimator", [LSTMRegressor, LSTMClassifier])
def test_frames_as_sequences_have_named_columns(estimator, library):
    rng = np.random.default_rng(1)
    X = [pd.DataFrame({"a": rng.standard_normal(n), "b": rng.standard_normal(n)}) for n in (3, 5, 4, 6)]
    y = np.array([0, 1, 1, 0])
    swapped = [native(one[["b", "a"]], library) for one in X]
    model = estimator(4, epochs=1, random_state=0).fit([native(one, library) for one in X], y)
    assert list(model.feature_names_in_) == ["a", "b"] and model.n_features_in_ == 2
    expected = (
        estimator(4, epochs=1, random_state=0)
        .fit([one.to_numpy() for one in X], y)
        .predict([one.to_numpy() for one in X])
    )
    np.testing.assert_array_equal(model.predict(swapped), expected)
    mixed = estimator(4, epochs=1, random_state=0).fit([X[0], X[1][["b", "a"]], *X[2:]], y)
    np.testing.assert_array_equal(mixed.predict(X), expected)
    with pytest.raises(
        ValueError,
        match=r"X\[1\] must have the columns \['a', 'b'\] seen in fit; missing: \['b'\], unexpected: \['c'\]",
    ):
        model.predict([swapped[0], native(X[1].rename(columns={"b": "c"}), library)])
    with pytest.raises(ValueError, match="X must be all data frames or all arrays, got ndarray"):
        model.predict([swapped[0], X[1].to_numpy()])
    with pytest.raises(ValueError, match=r"b of X\[0\] must be numbers"):
        model.predict([native(X[0].assign(b="x"), library)])
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_array_equal(model.predict([one.to_numpy() for one in X]), expected)


def test_steps_of_sequences_are_ordered_by_index():
    X = [pd.DataFrame({"a": VALUES[:5]}, index=DAYS[:5]) for _ in range(3)]
    model = LSTMRegressor(4, epochs=1).fit(X, [0.0, 1, 2])
    with pytest.raises(ValueError, match=r"the index of X\[1\] must ascend, got 2024-01-26"):
        model.predict([X[0], X[1][::-1]])
    with pytest.raises(ValueError, match=r"the index of X\[0\] must ascend"):
        model.predict([X[0]["a"].reset_index(drop=True)[::-1], X[1]["a"][:2]])
