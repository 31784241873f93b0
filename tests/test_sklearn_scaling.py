"""Standardization: numbers whose squares overflow or underflow are scaled like others."""

import numpy as np
import pytest

from optional import require

require("sklearn")

from lstm_fast.sklearn import LSTMForecaster, LSTMRegressor  # noqa: E402

rng = np.random.default_rng(0)
FACTORS = (2.0**-700, 2.0**10, 2.0**520)  # exact, and so are the results


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("has_missing", [False, True])
@pytest.mark.parametrize("scale", ["series", "window"])
@pytest.mark.filterwarnings("ignore:y has .* missing values")
def test_forecasts_scale_with_their_series(factor, has_missing, scale):
    y = np.stack([np.sin(np.arange(40.0)), 1e-3 * np.cos(np.arange(40.0))], axis=1)
    if has_missing:
        y[::7, 0] = np.nan
    forecast, scaled = (
        LSTMForecaster(5, 3, hidden_size=3, epochs=2, random_state=0, scale=scale).fit(values).predict()
        for values in (y, y * [1.0, factor])
    )
    np.testing.assert_array_equal(scaled, forecast * [1.0, factor])


@pytest.mark.parametrize("factor", FACTORS)
def test_regressor_is_invariant_to_input_units(factor):
    X = rng.standard_normal((20, 6, 2))
    y, weights = X[:, :, 0].sum(1), rng.uniform(0, 1, 20)
    model, other = (LSTMRegressor(3, epochs=2, random_state=0) for _ in range(2))
    expected = model.fit(X, y, weights).predict(X)
    np.testing.assert_array_equal(other.fit(X * [1.0, factor], y * factor, weights).predict(X * [1.0, factor]),
                                  expected * factor)  # fmt: skip
