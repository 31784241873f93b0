"""lstm_fast beside packages with OpenMP runtimes of their own: the same bits in every order of import."""

import itertools
import subprocess
import sys

import pytest

from optional import MUST_HAVE_ALL, needs
from scripts import PRELUDE

NAMES = ("lstm_fast", "torch", "sklearn.linear_model", "onnxruntime")
ORDERS = list(itertools.permutations(NAMES))

SCRIPT = """
want = None
import onnxruntime, sklearn.linear_model, torch
a = torch.randn(64, 64)
data = rng.standard_normal((200, 8))
for turn in range(10):
    got = lf.fingerprint({"busy": busy()})
    torch.nn.functional.relu(a @ a).sum().item()
    sklearn.linear_model.LinearRegression(n_jobs=2).fit(data, data[:, 0])
    assert want in (None, got), turn
    want = got
print(got)
"""


def fingerprint(order):
    """Run the script of scripts.PRELUDE after these imports; the fingerprint of what `busy` gives."""
    imports = "\n".join(f"import {name}" for name in order)
    process = subprocess.run(
        [sys.executable, "-c", imports + PRELUDE + SCRIPT], capture_output=True, text=True, timeout=120, check=True
    )
    return process.stdout.split()[-1]


@needs("torch", "sklearn", "onnxruntime")
@pytest.mark.parametrize("orders", [ORDERS if MUST_HAVE_ALL else [ORDERS[0], ORDERS[-1]]], ids=[""])
def test_the_bits_do_not_depend_on_the_order_of_imports(orders):
    assert len({fingerprint(order) for order in orders}) == 1


if __name__ == "__main__":  # python tests/test_import_orders.py
    results = [fingerprint(order) for order in ORDERS]
    print(f"{len(ORDERS)} orders of import, 10 interleaved turns each: {len(set(results))} result")
    sys.exit(len(set(results)) > 1)
