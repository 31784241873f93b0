"""fit(comm=MPI.COMM_WORLD) under mpiexec: real processes on this machine, some of which are killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optional import heavy, needs
from rank_cases import on_ranks

TESTS = Path(__file__).resolve().parent
TIMEOUT = 60  # seconds for a run of processes, which takes two

pytestmark = [heavy, needs("mpi4py", "safetensors")]

PRELUDE = f"""
import os, signal, sys, time
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
from mpi4py import MPI
from test_train_mpi import train, train_batches, train_windows
comm = MPI.COMM_WORLD
def say(result):  # in one write, which other ranks do not interleave
    os.write(1, (str(result) + "\\n").encode())
"""


def train(comm, hidden_size=8, **options):
    """Fingerprint and losses of a run on shards of the sums of training_cases."""
    import lstm_fast as lf
    from rank_cases import shard
    from training_cases import sums

    (x, y), rank, size = sums(), comm.Get_rank(), comm.Get_size()
    lstm = lf.LSTM(2, hidden_size, num_layers=2, dropout=0.3, batch_first=True, seed=rank)
    settings = dict(epochs=3, batch_size=8, seed=3, validation=0.2, clip_norm=1.0) | options
    model = lf.train.SequenceModel(lstm, 1, seed=rank)
    history = lf.train.fit(model, shard(x, rank, size), shard(y, rank, size), **settings, comm=comm)
    return history.fingerprint, history.loss


def train_windows(comm, **options):
    """The same with windows of series, of which rank 0 has most and the last rank none."""
    import lstm_fast as lf
    from truncated_cases import LENGTHS, MASKS, X, Y, model

    size = comm.Get_size()
    cuts = [0, *range(5, 5 + size - 2), 8, 8] if size > 1 else [0, 8]
    own = slice(cuts[comm.Get_rank()], cuts[comm.Get_rank() + 1])
    settings = dict(epochs=3, batch_size=4, seed=3, validation=(X[own], Y[own]), clip_norm=1.0, truncate=4, burn_in=2)
    history = lf.train.fit(model(**MASKS), X[own], Y[own], lengths=LENGTHS[own], **settings | options, comm=comm)
    return history.fingerprint, history.loss, history.validation_loss


def train_batches(comm, **options):
    """The same with an iterable on each rank: k batches on rank k."""
    import lstm_fast as lf
    from truncated_cases import X, Y, model

    batches = [(X[k : k + 3], Y[k : k + 3]) for k in range(comm.Get_rank() + 1)]
    history = lf.train.fit(model(), lambda: iter(batches), epochs=3, seed=3, **options, comm=comm)
    return history.fingerprint, history.loss


def command(n, code):
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert mpiexec, 'mpiexec is missing: pip install "lstm_fast[mpi]"'
    return [mpiexec, "-n", str(n), sys.executable, "-m", "mpi4py", "-c", PRELUDE + code]


def mpiexec(n, code):
    """Run code in n processes; return their outputs, or those of the processes that failed."""
    process = subprocess.Popen(command(n, code), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output = process.communicate(timeout=TIMEOUT)[0]
    finally:
        stop(process)
    return process.returncode, output


def stop(process):
    """End mpiexec, which ends the processes that it has started."""
    if process.poll() is None:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.mark.parametrize("n, hidden_size", [(1, 8), (2, 8), (4, 8), (4, 40)], ids=str)
def test_processes_match_threads_bitwise(n, hidden_size):
    code, output = mpiexec(n, f"say(train(comm, {hidden_size}))")
    assert code == 0, output
    expected = {str(result) for result in on_ranks(n, lambda comm: train(comm, hidden_size))}
    assert len(expected) == 1 and output.splitlines() == [*expected] * n


def test_processes_match_threads_bitwise_for_windows_and_iterables():
    code, output = mpiexec(3, "say([train_windows(comm), train_batches(comm)])")
    assert code == 0, output
    results = on_ranks(3, lambda comm: [train_windows(comm), train_batches(comm)])
    expected = {str(result) for result in results}
    assert len(expected) == 1 and output.splitlines() == [*expected] * 3


def test_example_runs_with_its_documented_command():
    example = TESTS.parent / "examples" / "data_parallel.py"
    begin = command(2, "")[:-2]
    process = subprocess.run([*begin, str(example), "--quick"], capture_output=True, text=True, timeout=TIMEOUT)
    assert process.returncode == 0 and process.stdout.startswith("2 processes"), process


def test_error_on_one_rank_stops_all():
    code, output = mpiexec(3, "train(comm, loss='mse' if comm.rank != 1 else 'none')")
    assert code != 0 and "loss must be one of" in output


def test_error_is_raised_on_each_rank():
    code, output = mpiexec(
        3,
        """
def fail(model, history):
    raise OSError("no space")
try:
    train(comm, callbacks=[fail])
except Exception as error:
    comm.barrier()
    say(f"{type(error).__name__}: {error}")
""",
    )
    lines = sorted(output.splitlines())
    assert code == 0 and lines == ["OSError: no space"] + ["RankError: rank 0 failed: OSError: no space"] * 2


def resumed(n, path, train="train"):
    code, output = mpiexec(n, f"say({train}(comm, checkpoint={str(path)!r}, resume=True))")
    assert code == 0, output
    return set(output.splitlines())


def test_killed_rank_stops_all_and_the_checkpoint_resumes(tmp_path):
    kill = f"""
from lstm_fast.train import Trainer
step, calls = Trainer._train_batch, []
def killed(self, *arguments):
    calls.append(None)
    if comm.rank == 1 and len(calls) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, *arguments)
Trainer._train_batch = killed
train(comm, checkpoint={str(tmp_path / "run")!r})
"""
    begin = time.monotonic()
    code, output = mpiexec(2, kill)
    assert code != 0 and time.monotonic() - begin < TIMEOUT / 2, output
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert resumed(2, tmp_path / "run") == {str(result) for result in on_ranks(2, train)}


def test_ctrl_c_stops_all_and_the_checkpoint_resumes(tmp_path):
    slow = f"""
def wait(model, history):
    print(len(history), flush=True)
    time.sleep(0.2)
train(comm, epochs=200, checkpoint={str(tmp_path / "run")!r}, callbacks=[wait])
"""
    process = subprocess.Popen(command(2, slow), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=TIMEOUT)[0]
    finally:
        stop(process)
    assert process.returncode != 0 and "KeyboardInterrupt" in output
    assert resumed(2, tmp_path / "run") == {str(result) for result in on_ranks(2, train)}


def test_rank_killed_within_an_epoch_leaves_a_resumable_checkpoint(tmp_path):
    kill = f"""
from lstm_fast.train import Trainer, trainer
trainer.SAVE_SECONDS = 0.0
step, calls = Trainer._train_batch, []
def killed(self, *arguments):
    calls.append(None)
    if comm.rank == 1 and len(calls) == 9:
        comm.bcast(self.now.batch, root=1)
        os.kill(os.getpid(), signal.SIGKILL)
    if comm.rank != 1 and len(calls) == 9:
        assert comm.bcast(None, root=1) > 1  # in the middle of an epoch
    step(self, *arguments)
Trainer._train_batch = killed
train_windows(comm, checkpoint={str(tmp_path / "run")!r})
"""
    code, output = mpiexec(3, kill)
    assert code != 0 and "Assertion" not in output, output
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    code, output = mpiexec(2, f"train_windows(comm, checkpoint={str(tmp_path / 'run')!r}, resume=True)")
    assert code != 0 and "number of ranks must be 3, as in" in output
    assert resumed(3, tmp_path / "run", "train_windows") == {str(one) for one in on_ranks(3, train_windows)}


def test_ctrl_c_within_an_epoch_saves_the_states_of_all_ranks(tmp_path):
    slow = f"""
from lstm_fast.train import Trainer
step, calls = Trainer._train_batch, []
def wait(self, *arguments):
    step(self, *arguments)
    calls.append(None)
    if len(calls) == 2 and comm.rank == 0:
        print("go", flush=True)
    time.sleep(0.2)
Trainer._train_batch = wait
train_windows(comm, epochs=200, checkpoint={str(tmp_path / "run")!r})
"""
    process = subprocess.Popen(command(3, slow), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout.readline() == "go\n"
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=TIMEOUT)[0]
    finally:
        stop(process)
    assert process.returncode != 0 and "KeyboardInterrupt" in output
    assert resumed(3, tmp_path / "run", "train_windows") == {str(one) for one in on_ranks(3, train_windows)}


def test_failing_iterable_is_raised_on_each_rank():
    code, output = mpiexec(
        3,
        """
import lstm_fast as lf
from truncated_cases import X, Y, model
def broken():
    yield X, Y
    raise OSError("disk gone")
try:
    lf.train.fit(model(), broken if comm.rank == 1 else [(X, Y)] * 4, comm=comm)
except Exception as error:
    comm.barrier()
    say(f"{type(error).__name__}: {error}")
""",
    )
    lines = sorted(output.splitlines())
    assert code == 0 and lines == ["OSError: disk gone"] + ["RankError: rank 1 failed: OSError: disk gone"] * 2
