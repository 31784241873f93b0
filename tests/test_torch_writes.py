"""A call uses the current parameters, however they were modified.

python tests/test_torch_writes.py 1000 [way ...]     the whole proof: that many writes of one element in each case (of
                                                    all ways, or of these), and the number of those missed
"""

import copy
import ctypes
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_padded_sequence

import lstm_fast as lf
from torch_cases import flatten, twin

WRITES_EACH = 2  # in the suite; a random element and one of the corners
SIZES = 4, 16, 64, 256
INPUT_SIZE = 6


def _data(module, name, index):
    getattr(module, name).data[index] += 1


def _numpy(module, name, index):
    getattr(module, name).detach().numpy()[index] += 1


def _in_place(module, name, index):
    with torch.no_grad():
        getattr(module, name)[index] += 1


def _inference_mode(module, name, index):
    with torch.inference_mode():
        getattr(module, name)[index] += 1


def _changed(module, name, index):
    values = getattr(module, name).detach().clone()
    values[index] += 1
    return values


def _data_copied(module, name, index):
    getattr(module, name).data.copy_(_changed(module, name, index))


def _data_replaced(module, name, index):
    getattr(module, name).data = _changed(module, name, index)


def _parameter_replaced(module, name, index):
    setattr(module, name, nn.Parameter(_changed(module, name, index)))


def _state_dict_loaded(module, name, index):
    module.load_state_dict({**module.state_dict(), name: _changed(module, name, index)})


def _fused_optimizer(module, name, index):
    p = getattr(module, name)
    p.grad = torch.zeros_like(p)
    p.grad[index] = -1
    torch.optim.SGD([p], lr=1.0, fused=True).step()


def _pointer(module, name, index):
    p = getattr(module, name)
    offset = sum(i * stride for i, stride in zip(index, p.stride(), strict=True))
    ctypes.c_float.from_address(p.data_ptr() + 4 * offset).value += 1


class OtherProcess:
    """A process without PyTorch that adds 1 to numbers in the files that parameters are mapped to."""

    CODE = """if True:
        import mmap, struct, sys
        for line in sys.stdin:
            path, offset = line.split()
            with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
                value = struct.unpack_from("f", memory, int(offset))[0]
                struct.pack_into("f", memory, int(offset), value + 1)
            print(flush=True)
    """

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, module, name, index):
        p = getattr(module, name)
        path = Path(self.folder.name, name)
        if p.untyped_storage().filename != str(path):
            path.write_bytes(p.detach().numpy().tobytes())
            p.data = torch.from_file(str(path), shared=True, size=p.numel()).view(p.shape)
        offset = sum(i * stride for i, stride in zip(index, p.stride(), strict=True))
        self.process.stdin.write(f"{path} {4 * offset}\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def close(self):
        self.process.communicate()
        self.folder.cleanup()


WAYS = {
    "data": _data,
    "numpy": _numpy,
    "in place": _in_place,
    "inference mode": _inference_mode,
    "data copied": _data_copied,
    "data replaced": _data_replaced,
    "parameter replaced": _parameter_replaced,
    "state_dict loaded": _state_dict_loaded,
    "fused optimizer": _fused_optimizer,
    "pointer": _pointer,
    "other process": OtherProcess,
}


def _arguments(form, H):
    def numbers(*shape):
        return torch.rand(shape) + 0.1

    match form:
        case "step":
            return numbers(1, 1, INPUT_SIZE), (numbers(1, 1, H), numbers(1, 1, H))
        case "sequence":
            return numbers(7, 2, INPUT_SIZE), (numbers(1, 2, H), numbers(1, 2, H))
        case "packed":
            packed = pack_padded_sequence(numbers(5, 3, INPUT_SIZE), torch.tensor([2, 5, 3]), enforce_sorted=False)
            return packed, (numbers(1, 3, H), numbers(1, 3, H))
    return numbers(2, INPUT_SIZE), (numbers(2, H), numbers(2, H))


def count_missed(way, form, H, n, rng):
    """The writes, of n, after which a call differs from a fresh module or returns the old result."""
    torch.manual_seed(rng.randrange(2**31))
    ours = (lf.torch.LSTMCell if form == "cell" else lf.torch.LSTM)(INPUT_SIZE, H)
    arguments, missed = _arguments(form, H), 0
    write = WAYS[way]() if isinstance(WAYS[way], type) else WAYS[way]
    try:
        with torch.no_grad():
            before = flatten(ours(*arguments))
        for k in range(n):
            name, p = rng.choice(list(ours.named_parameters()))
            write(ours, name, tuple(rng.choice((0, m - 1)) if k % 2 else rng.randrange(m) for m in p.shape))
            with torch.no_grad():
                got = flatten(ours(*arguments))
                want = flatten(copy.deepcopy(ours)(*arguments))
            missed += not all(map(torch.equal, got, want)) or all(map(torch.equal, got, before))
            before = got
            if k % 8 == 7:  # the numbers would grow until the gates saturate
                with torch.no_grad():
                    for p in ours.parameters():
                        p.uniform_(-0.1, 0.1)
                    before = flatten(ours(*arguments))
    finally:
        if isinstance(write, OtherProcess):
            write.close()
    return missed


@pytest.mark.parametrize("H", SIZES)
@pytest.mark.parametrize("form", ["step", "sequence", "packed", "cell"])
@pytest.mark.parametrize("way", WAYS)
def test_writes_between_calls_are_detected(way, form, H):
    assert count_missed(way, form, H, WRITES_EACH, random.Random(H)) == 0


@pytest.mark.parametrize("way", WAYS)
def test_calls_with_gradients_detect_every_write(way):
    torch.manual_seed(0)
    pytorch = nn.LSTM(INPUT_SIZE, 16)
    both = pytorch, twin(pytorch)
    (x, state), results = _arguments("step", 16), []
    for module in both:
        write = WAYS[way]() if isinstance(WAYS[way], type) else WAYS[way]
        module(x, state)
        write(module, "weight_hh_l0", (3, 5))
        if isinstance(write, OtherProcess):
            write.close()
        module.zero_grad()
        output = module(x, state)[0]
        output.sum().backward()
        results.append((output.detach(), module.weight_hh_l0.grad))
    torch.testing.assert_close(results[1], results[0])


def test_compiled_graph_detects_every_write():
    torch.manual_seed(0)
    ours = lf.torch.LSTM(INPUT_SIZE, 16)
    x, state = _arguments("step", 16)

    with torch._dynamo.config.patch(allow_rnn=True), torch.no_grad():
        compiled = torch.compile(lambda x, state: ours(x, state)[0], backend="aot_eager", fullgraph=True)
        before = compiled(x, state)
        for way in ("data", "numpy", "pointer"):
            WAYS[way](ours, "weight_hh_l0", (3, 5))
            after = compiled(x, state)
            assert torch.equal(after, copy.deepcopy(ours)(x, state)[0]) and not torch.equal(after, before), way
            before = after


def test_pruning_mask_writes_are_detected():
    """PyTorch computes such a weight from a parameter of another name, which does not change."""
    torch.manual_seed(0)
    ours = lf.torch.LSTM(5, 5, bias=False)
    x, state = torch.rand(1, 1, 5), (torch.rand(1, 1, 5), torch.rand(1, 1, 5))
    prune.custom_from_mask(ours, "weight_hh_l0", torch.ones(20, 5))
    with torch.no_grad():
        for _ in range(2):
            before = ours(x, state)[0]
        ours.weight_hh_l0_mask[:10] = 0
        after = ours(x, state)[0]
        assert torch.equal(after, copy.deepcopy(ours)(x, state)[0]) and not torch.equal(after, before)


def main(n, *ways):
    rng, forms = random.Random(0), ("step", "sequence", "packed", "cell")
    for way in ways or WAYS:
        missed = {(H, form): count_missed(way, form, H, n, rng) for H in SIZES for form in forms}
        print(f"{way:20} {n * len(missed):7} writes, missed {sum(missed.values())}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, *sys.argv[2:])
