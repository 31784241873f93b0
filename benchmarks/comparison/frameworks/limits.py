"""What the hardware allows, measured with NumPy, and the correct results, from lstm_fast.reference.

Arithmetic: a 1024 x 1024 matrix product by NumPy's BLAS. Reading: repeated inner products of the two halves of a buffer
inside one call (vecdot on rows of stride 0), so that neither Python nor arithmetic limits it: two loads per fused
multiply-add. At L1 sizes the few nanoseconds of call overhead show, so that the figure is a lower bound. With several
threads each reads its own part.
"""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from .common import layers

N = 1024
BYTES_PER_READ = 1 << 26  # per thread: about a millisecond
REPEATS = 5


class Framework:
    def __init__(self, n_threads):
        self.n_threads, self.pool, self.products, self.reads = n_threads, ThreadPoolExecutor(n_threads), {}, {}

    def versions(self):
        if not hasattr(np, "vecdot"):
            raise ImportError("the limits are measured with NumPy 2 or later")
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        versions = {"numpy": np.__version__, "blas": f"{blas.get('name')} {blas.get('version')}"}
        return versions

    def limits(self, format, n_bytes):
        """Floating-point operations and bytes per second, each the best of a few measurements."""
        return {
            "flops_per_s": self._multiply(np.float64 if format == "float64" else np.float32),
            "bytes_per_s": self._read(n_bytes),
        }

    def _multiply(self, dtype):
        if dtype not in self.products:
            a = np.ones((N, N), dtype)
            self.products[dtype] = a, a.copy(), a.copy()
            np.matmul(*self.products[dtype][:2], out=self.products[dtype][2])
        a, b, out = self.products[dtype]
        return 2 * N**3 / min(self._time(lambda: np.matmul(a, b, out=out)) for _ in range(2))

    def _read(self, n_bytes):
        part = max(n_bytes // self.n_threads, 1 << 13)
        if part not in self.reads:
            self.reads = {part: [self._reader(part) for _ in range(self.n_threads)]}
        readers = self.reads[part]
        read = readers[0] if self.n_threads == 1 else lambda: list(self.pool.map(lambda read: read(), readers))
        seconds = [self._time(read) for _ in range(REPEATS)]
        return readers[0].bytes * self.n_threads / min(seconds)

    def _reader(self, n_bytes):
        n, rows = n_bytes // 8, max(1, BYTES_PER_READ // n_bytes)
        buffer, shift = np.ones(2 * n + 272, np.float32), 272  # keeps the halves out of the same cache sets
        halves = [np.broadcast_to(half, (rows, n)) for half in (buffer[:n], buffer[n + shift : 2 * n + shift])]
        out = np.empty(rows, np.float32)

        def read():
            np.vecdot(*halves, out=out)

        read.bytes = 8 * n * rows
        return read

    @staticmethod
    def _time(call):
        start = perf_counter()
        call()
        return perf_counter() - start

    def answers(self, kind, data):
        """The correct results, computed in float64 where that is cheap, else in float32."""
        from lstm_fast import reference

        is_small = data["x"].shape[0] * data["x"].shape[1] * data["weight_hh"].size < 1e9
        data = {name: array.astype(np.float64 if is_small else np.float32) for name, array in data.items()}
        state = np.zeros_like(data["d_output"][0])
        output = data["x"]
        for parameters in layers(data):
            output, _, _, tape = reference.lstm_forward(output, state, state, *parameters.values())
        if kind != "training":
            return {"output": output}
        gradients = reference.lstm_backward(tape, data["d_output"])
        return {"output": output, "d_x": gradients.d_x, "d_weight_hh": gradients.d_weight_hh}
