"""lf.dask on a cluster of two worker processes: killed workers, models sent to workers, searches."""

import os
import signal
import time

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pytest

import lstm_fast as lf
from dask_cases import make, saved, wide
from optional import heavy
from tolerances import assert_same_bits

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def in_this_process():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process with one thread."""
    from distributed import Client, LocalCluster

    settings = {"distributed.comm.timeouts.connect": "20s", "distributed.scheduler.allowed-failures": 5}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", memory_limit=None
        ) as workers,
        Client(workers, timeout=20) as client,
    ):
        yield client


TIMEOUT = 60


@heavy
@pytest.mark.filterwarnings("ignore")
def test_tasks_of_a_killed_worker_are_retried(cluster, tmp_path):
    path, marker, x = saved(tmp_path), tmp_path / "killed", rng.standard_normal((40, 6, 2))

    def deadly(block):
        time.sleep(0.05)
        if block[0, 0, 0] == x[20, 0, 0] and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    lazy = lf.dask.predict(path, da.from_array(x, (5, 6, 2)).map_blocks(deadly))
    assert_same_bits(cluster.compute(lazy).result(timeout=TIMEOUT), make().predict(x))
    assert marker.exists()


@heavy
@pytest.mark.filterwarnings("ignore")
def test_models_reach_the_workers_and_tasks_take_one_thread(cluster):
    x, model = rng.standard_normal((40, 6, 2)), make()
    frame = wide().drop(columns="site")
    lazy = lf.dask.predict(model, dd.from_pandas(frame, npartitions=4, sort=False))
    result = cluster.compute(lazy).result(timeout=TIMEOUT)
    assert result.index.equals(frame.index)
    assert_same_bits(result.to_numpy(), model.predict(frame.to_numpy().reshape(20, 3, 2)))
    bag = lf.dask.predict(model, db.from_sequence(list(x), npartitions=4))
    assert_same_bits(np.stack(cluster.compute(bag).result(timeout=TIMEOUT)), model.predict(x))
    threads = cluster.run(lf.get_num_threads)  # the default number of threads in a worker
    assert set(threads.values()) == {1}


@heavy
@pytest.mark.filterwarnings("ignore")
def test_halving_grid_search_runs_on_the_workers(cluster):
    import joblib
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

    x = rng.standard_normal((24, 6))
    y = x[:, -1] - x[:, 0]
    estimator = lf.sklearn.LSTMRegressor(4, epochs=2, random_state=0)
    options = dict(resource="epochs", max_resources=4, min_resources=2, factor=2, cv=2, random_state=0)
    search = HalvingGridSearchCV(estimator, {"hidden_size": [2, 4], "lr": [1e-3, 1e-2]}, **options)
    alone = HalvingGridSearchCV(estimator, search.param_grid, **options).fit(x, y)
    with joblib.parallel_backend("dask"):
        search.fit(x, y)
    assert search.best_params_ == alone.best_params_
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
