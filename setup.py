"""Builds the extension: the kernels once per instruction set, each with its own flags, and everything else for the
baseline processor. Metadata is in pyproject.toml.

Environment: LSTM_FAST_NO_OPENMP=1 builds without threads.
"""

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Never -march=native (the package must run elsewhere) and never -ffast-math (it changes the floating-point mode of the
# whole process). -ffp-contract=off: each fused multiply-add is written, so that no compiler decides the bits.
FLAGS = ["-std=c11", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]

X86_KERNELS = {
    "portable": [],
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"],
}
ARM_KERNELS = {"portable": [], "neon": []}
KERNELS = {
    "x86_64": X86_KERNELS,
    "amd64": X86_KERNELS,
    "i686": X86_KERNELS,
    "aarch64": ARM_KERNELS,
    "arm64": ARM_KERNELS,
}.get(platform.machine().lower(), {"portable": []})

CORE = [
    "csrc/plan.c",
    "csrc/dispatch.c",
    "csrc/parallel.c",
    "csrc/loops/loops.c",
    "csrc/loops/loops_f32.c",
    "csrc/loops/loops_f64.c",
]
HEADERS = [str(path) for path in sorted(Path("csrc").rglob("*.h"))]

# abi3: one wheel for Python 3.11 and later. Free-threaded builds have no limited API yet and get a wheel of their own.
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def openmp_flags():
    """(compile, link) flags of the first spelling that this compiler accepts; empty when there is no OpenMP."""
    if os.environ.get("LSTM_FAST_NO_OPENMP", "0") not in ("", "0"):
        return [], []
    spellings = [(["-fopenmp"], ["-fopenmp"])]
    if sys.platform == "darwin":
        spellings.append((["-Xpreprocessor", "-fopenmp"], ["-lomp"]))
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        for compile_flags, link_flags in spellings:
            command = [*compiler, *compile_flags, str(source), "-o", str(Path(folder, "probe")), *link_flags]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return compile_flags, link_flags
    print("lstm_fast: no OpenMP found, building for one thread", file=sys.stderr)
    return [], []


OPENMP_COMPILE, OPENMP_LINK = openmp_flags()


class build_ext_per_isa(build_ext):
    """Compiles csrc/kernels/kernels_<isa>.c with the flags of that instruction set, then links all into the extension."""

    def build_extension(self, ext):
        def compile_kernels(isa):
            return self.compiler.compile(
                [f"csrc/kernels/kernels_{isa}.c"],
                output_dir=self.build_temp,
                include_dirs=["csrc"],
                extra_postargs=[*FLAGS, *KERNELS[isa]],
                depends=ext.depends,
            )

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [path for paths in pool.map(compile_kernels, KERNELS) for path in paths]
        ext.extra_objects = [*ext.extra_objects, *objects]
        super().build_extension(ext)


setup(
    ext_modules=[
        Extension(
            "lstm_fast._core",
            sources=["lstm_fast/_core.pyx", *CORE],
            depends=[
                *HEADERS,
                "lstm_fast/_csrc.pxd",
                "lstm_fast/_pointers.pxi",
                "lstm_fast/_weights.pxi",
                "lstm_fast/_stepper.pxi",
                "lstm_fast/_lengths.pxi",
                "lstm_fast/_short.pxi",
                "lstm_fast/_tensors.pxi",
                "lstm_fast/_training.pxi",
                "lstm_fast/_activations.pxi",
                "setup.py",
            ],
            include_dirs=["csrc"],
            define_macros=[] if IS_FREE_THREADED else [("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=not IS_FREE_THREADED,
            extra_compile_args=[*FLAGS, *OPENMP_COMPILE],
            extra_link_args=["-Wl,-s", *OPENMP_LINK] if sys.platform.startswith("linux") else OPENMP_LINK,
        )
    ],
    cmdclass={"build_ext": build_ext_per_isa},
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
