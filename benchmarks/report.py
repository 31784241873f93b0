"""Print a result file of the suite as a table, or compare two of them by the ratio of their medians.

python benchmarks/report.py NEW.json [OLD.json]
"""

import json
import sys


def read(path):
    """The benchmarks of a result file by name."""
    with open(path) as f:
        return {b["name"]: b for b in json.load(f)["benchmarks"]}


def main(new_path, old_path=None):
    new, old = read(new_path), read(old_path) if old_path else {}
    print(f"{'benchmark':44} {'median us':>11} {'spread':>7} {'GFLOP/s':>8}" + (f" {'old / new':>9}" if old else ""))
    for name, b in new.items():
        median, spread = b["stats"]["median"], b["stats"]["iqr"] / b["stats"]["median"]
        row = f"{name.removeprefix('bench_'):44} {median * 1e6:11.1f} {spread:7.1%} {b['extra_info']['gflops']:8.1f}"
        print(row + (f" {old[name]['stats']['median'] / median:9.2f}" if name in old else ""))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
