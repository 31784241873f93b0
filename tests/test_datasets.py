import numpy as np

from lstm_fast import datasets


def test_sunspots_has_one_row_for_each_year():
    years, values = datasets.sunspots()
    assert years.dtype == np.int64 and values.dtype == np.float64
    assert years.shape == values.shape == (309,)
    assert np.array_equal(years, np.arange(1700, 2009))


def test_sunspots_has_the_published_values():
    years, values = datasets.sunspots()
    assert (values[0], values[-1]) == (5.0, 2.9)
    assert (years[values.argmax()], values.max()) == (1957, 190.2)
    assert values.min() == 0.0
    assert set(years[values == 0.0]) == {1711, 1712, 1810}


def test_sunspots_returns_new_arrays():
    _, values = datasets.sunspots()
    values[:] = -1
    assert datasets.sunspots()[1].min() == 0.0
