"""Several processes: DDP and FSDP on gloo, workers of a DataLoader, children of fork; import without PyTorch."""

import os
import subprocess
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lstm_fast as lf
from torch_cases import twin

DDP = """if True:
    import sys
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel
    import lstm_fast as lf

    rank, folder = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(3, 8, 2), nn.Linear(8, 1)

        def forward(self, x):
            return self.out(self.lstm(x)[0])

    torch.manual_seed(0)
    slow, fast = Model(), Model()
    fast.load_state_dict(slow.state_dict())
    parallel = DistributedDataParallel(lf.torch.accelerate(fast))
    optimizers = [torch.optim.SGD(model.parameters(), 0.1) for model in (slow, parallel)]
    x = torch.randn(5, 8, 3)
    for _ in range(3):
        for model, optimizer, part in zip((slow, parallel), optimizers, (x, x[:, 4 * rank:4 * rank + 4])):
            optimizer.zero_grad()
            model(part).square().mean().backward()
            optimizer.step()
    for p, q in zip(slow.parameters(), fast.parameters()):
        torch.testing.assert_close(q.grad, p.grad)
        torch.testing.assert_close(q, p)
    gathered = [torch.empty_like(fast.lstm.weight_hh_l0) for _ in range(2)]
    dist.all_gather(gathered, fast.lstm.weight_hh_l0.detach())
    assert torch.equal(*gathered)
    dist.barrier()  # neither leaves while the other still communicates
    dist.destroy_process_group()
    print("alike")
"""


def test_ddp_on_two_processes_matches_one_process(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", DDP, str(rank), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for worker in workers:
            out, err = worker.communicate(timeout=120)
            assert worker.returncode == 0 and "alike" in out, err[-3000:]
    finally:
        for worker in workers:
            worker.kill()


FSDP = """if True:
    import copy, sys
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    import lstm_fast as lf

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}/meet", rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(3, 8, 2, batch_first=True), nn.Linear(8, 1)

        def forward(self, x):
            return self.out(self.lstm(x)[0])

    def shard(model):
        fully_shard(model.lstm, mesh=mesh)
        return fully_shard(model, mesh=mesh)

    torch.manual_seed(0)
    start, x, results = Model(), torch.randn(4, 5, 3), []
    ways = lambda m: m, shard, lambda m: shard(lf.torch.accelerate(m)), lambda m: lf.torch.accelerate(shard(m))
    for prepare in ways:
        model = prepare(copy.deepcopy(start))
        optimizer, log = torch.optim.SGD(model.parameters(), 0.1), []
        for _ in range(3):
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                log += [loss.item(), model(x).sum().item(), model(x[:1, :1]).sum().item()]
        results.append(torch.tensor(log))
    for log in results[1:]:
        torch.testing.assert_close(log, results[0])
    dist.destroy_process_group()
    print(lf.torch.report(model).accelerated)
"""


def test_fully_sharded_models(tmp_path):
    """FSDP frees the storages of the parameters after each call."""
    done = subprocess.run([sys.executable, "-c", FSDP, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "['lstm']" in done.stdout, done.stderr[-3000:]


class Features(Dataset):
    """Each item is the output of an LSTM for its noise."""

    def __init__(self, lstm, x):
        self.lstm, self.x = lstm, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, k):
        with torch.no_grad():
            return self.lstm(self.x[k][:, None])[0][-1, 0]


def test_data_loader_workers():
    torch.manual_seed(0)
    pytorch = nn.LSTM(3, 40)
    x = torch.randn(12, 30, 3)
    ours = twin(pytorch)
    with torch.no_grad():
        ours(torch.randn(30, 64, 3))
    got = torch.cat(list(DataLoader(Features(ours, x), batch_size=4, num_workers=2, multiprocessing_context="fork")))
    torch.testing.assert_close(got, pytorch(x.swapaxes(0, 1))[0][-1].detach())


def test_forked_child_trains():
    ours, x = lf.torch.LSTM(8, 64), torch.randn(50, 32, 8)
    torch.set_num_threads(2)
    try:
        ours(x)[0].sum().backward()  # uses threads, which a fork does not copy
    finally:
        torch.set_num_threads(1)
    want = ours.weight_hh_l0.grad.clone()
    child = os.fork()
    if not child:
        status = 1
        try:
            ours.zero_grad()
            ours(x)[0].sum().backward()
            status = not torch.equal(ours.weight_hh_l0.grad, want)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_without_pytorch_the_error_says_what_to_install():
    code = """if True:
        import sys
        sys.modules["torch"] = None
        import lstm_fast as lf
        lf.LSTM(2, 3)
        try:
            lf.torch
        except ImportError as error:
            assert 'pip install "lstm_fast[torch]"' in str(error), error
        else:
            raise SystemExit("no error")
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lstm_fast_does_not_import_pytorch():
    code = "import sys, lstm_fast; lstm_fast.LSTM(2, 3); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
