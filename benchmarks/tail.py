"""How long the slowest steps take: a stream of two layers of 128 units, one sequence, one thread.

    python benchmarks/tail.py [--steps 50000] [--formats float32 bfloat16 int8] [--c-loop]

Printed are percentiles of a step's microseconds, called from Python into an array of the caller's, and how many of the
steps above p99.9 the operating system interrupted: those in which the thread lost its processor or a page was mapped.

Two more rows show what of it is the machine's: "spinning" does nothing but read the clock for as long as a float32 step
takes, and --c-loop compiles a program that does the same, and one that reads as much memory as the step has weights,
both without Python. What they show as well does not come from a step.
"""

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import lstm_fast as lf

H, LAYERS = 128, 2
WARM_UP = 2000

C_LOOP = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
int main(int argc, char **argv) {
    const int n = atoi(argv[1]);
    const int64_t ns = atoll(argv[2]), n_numbers = atoll(argv[3]) / 4;
    int64_t *times = calloc(n, sizeof *times);
    float *numbers = calloc(n_numbers + 1, sizeof *numbers), sums[64] = {0};
    for (int k = 0; k < n; k++) {
        const int64_t begin = now();
        int64_t end;
        for (int64_t j = 0; j + 64 <= n_numbers; j += 64)
            for (int lane = 0; lane < 64; lane++) sums[lane] += numbers[j + lane];
        while ((end = now()) - begin < ns) {}
        times[k] = end - begin;
    }
    if (sums[n % 64] != 0) return 1;
    fwrite(times, sizeof *times, n, stdout);
}
"""


def losses():
    """Number of context switches and page faults of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nivcsw + usage.ru_nvcsw + usage.ru_minflt + usage.ru_majflt


def measure(call, n):
    """Nanoseconds of n calls, in the order in which they were made."""
    clock, times = time.perf_counter_ns, np.zeros(n, np.int64)
    for _ in range(WARM_UP):
        call()
    for k in range(n):
        begin = clock()
        call()
        times[k] = clock() - begin
    return times


def interruptions(call, n, above_ns):
    """(calls that took longer than above_ns, those of them with a context switch or page fault) in n calls."""
    clock, slow, lost = time.perf_counter_ns, 0, 0
    before = losses()
    for _ in range(n):
        begin = clock()
        call()
        if clock() - begin > above_ns:
            slow += 1
            after = losses()
            lost += after > before
            before = after
        else:
            before = losses()
    return slow, lost


def row(name, times, note=""):
    p50, p99, p999, p9999 = np.percentile(times, [50, 99, 99.9, 99.99]) / 1000
    print(
        f"{name:22}{p50:8.2f}{p99:8.2f}{p999:8.2f}{p9999:9.2f}{times.max() / 1000:10.1f}   {p99 / p50:4.2f}   {note}",
        flush=True,
    )
    return p50, p999


def spin(ns):
    clock = time.perf_counter_ns

    def call():
        begin = clock()
        while clock() - begin < ns:
            pass

    return call


def c_loop(n, ns, n_bytes):
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "spin.c"), Path(folder, "spin")
        source.write_text(C_LOOP)
        subprocess.run(["cc", "-O3", "-march=native", source, "-o", program], check=True)
        output = subprocess.run([program, str(n), str(ns), str(n_bytes)], check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(output, np.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--formats", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--c-loop", action="store_true")
    arguments = parser.parse_args()
    lf.set_num_threads(1)
    print(
        f"lstm_fast {lf.__version__}, {lf.info()['isa']}, {LAYERS} layers of {H}, {arguments.steps} steps, microseconds"
    )
    print(f"{'':22}{'p50':>8}{'p99':>8}{'p99.9':>8}{'p99.99':>9}{'most':>10}   p99/p50")
    lstm = lf.LSTM(H, H, num_layers=LAYERS, seed=0)
    x = np.random.default_rng(0).standard_normal(H).astype(np.float32)
    out = np.empty(H, np.float32)
    gc.collect()
    gc.freeze()
    spin_ns = 10_000
    for name in arguments.formats:
        stream = (lstm if name == "float32" else lstm.quantized(name)).stream()
        call = lambda step=stream.step: step(x, out)  # noqa: E731
        p50, p999 = row(name, measure(call, arguments.steps))
        gc.disable()
        row(f"{name}, gc disabled", measure(call, arguments.steps))
        gc.enable()
        slow, lost = interruptions(call, arguments.steps, p999 * 1000)
        print(f"{'':22}of {slow} steps above {p999:.1f} us, {lost} with a switch of threads or a page mapped")
        if name == "float32":
            spin_ns = int(p50 * 1000)
    row("spinning, Python", measure(spin(spin_ns), arguments.steps))
    if arguments.c_loop:
        row("spinning, C", c_loop(arguments.steps, spin_ns, 0))
        row("reading memory, C", c_loop(arguments.steps, 0, LAYERS * 32 * H * H))


if __name__ == "__main__":
    sys.exit(main())
