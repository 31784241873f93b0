"""lstm_fast with packages that bring their own OpenMP runtimes: the same bits in every order of import."""

import itertools
import subprocess
import sys

import pytest

from optional import MUST_HAVE_ALL, needs
from scripts import PRELUDE

NAMES = ("lstm_fast", "torch", "sklearn.linear_model", "onnxruntime")
ORDERS = list(itertools.permutations(NAMES))

# Six of the 24 orders: any three packages occur in each of their six orders, and each package comes first and last.
TRIPLES = [ORDERS[k] for k in (0, 5, 10, 14, 16, 21)]

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
@pytest.mark.parametrize("orders", [TRIPLES if MUST_HAVE_ALL else [ORDERS[0], ORDERS[-1]]], ids=[""])
def test_bits_do_not_depend_on_import_order(orders):
    assert len({fingerprint(order) for order in orders}) == 1


def test_six_orders_cover_all_orders_of_three():
    triples = {triple for order in TRIPLES for triple in itertools.combinations(order, 3)}
    assert triples == set(itertools.permutations(NAMES, 3))


if __name__ == "__main__":  # python tests/test_import_orders.py
    results = [fingerprint(order) for order in ORDERS]
    print(f"{len(ORDERS)} orders of import, 10 interleaved turns each: {len(set(results))} result")
    sys.exit(len(set(results)) > 1)
