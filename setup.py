"""Builds the extension: the translation units of the C core, each with its own flags (csrc/units.py), and the binding.
Metadata is in pyproject.toml.

Environment: LSTM_FAST_THREADS=pthreads builds without OpenMP (the default where the compiler has none), with threads
from the pool of the core; LSTM_FAST_THREADS=openmp insists on OpenMP.
"""

import gzip
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

sys.path.insert(0, str(Path(__file__).resolve().parent / "csrc"))
from units import FLAGS, compiler, units

BUILD = ["setup.py", "csrc/units.py", "csrc/isas.h"]  # a change of these recompiles everything
CSRC = [str(path) for path in sorted(Path("csrc").rglob("*.[ch]"))]
BINDING = [str(path) for path in sorted(Path("lstm_fast/_binding").glob("*.px[di]"))]

# abi3: one wheel for Python 3.11 and later. Free-threaded builds have no limited API yet and need a separate wheel.
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


TARGET = sysconfig.get_platform()  # the platform built for, not necessarily this one: docs/install.md
PTHREADS = ([], [] if TARGET.startswith("win") else ["-pthread"])


def openmp_flags():
    """(compile, link) flags of the first spelling of OpenMP that this compiler accepts; those of PTHREADS otherwise."""
    wanted = os.environ.get("LSTM_FAST_THREADS", "")
    if wanted not in ("", "openmp", "pthreads"):
        raise SystemExit(f"LSTM_FAST_THREADS must be openmp or pthreads, got {wanted!r}")
    if wanted == "pthreads":
        return PTHREADS
    spellings = [(["-fopenmp"], ["-fopenmp"])]
    if TARGET.startswith("macosx"):
        spellings.append((["-Xpreprocessor", "-fopenmp"], ["-lomp"]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        for compile_flags, link_flags in spellings:
            command = [*compiler(), *compile_flags, str(source), "-o", str(Path(folder, "probe")), *link_flags]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return compile_flags, link_flags
    if wanted == "openmp":
        raise SystemExit(f"LSTM_FAST_THREADS=openmp, but {' '.join(compiler())} has no OpenMP")
    return PTHREADS


OPENMP_COMPILE, OPENMP_LINK = openmp_flags()


def is_current(path):
    """Whether an object is newer than all its sources, which the compiler has listed in a file next to it."""
    listed = path.with_suffix(".d")
    if not path.exists() or not listed.exists():
        return False
    sources = [*listed.read_text().replace("\\\n", " ").partition(": ")[2].split(), *BUILD]
    return all(Path(source).exists() and os.stat(source).st_mtime < path.stat().st_mtime for source in sources)


class build_ext_with_core(build_ext):
    """Compiles the units of the C core in parallel, those that have changed, and links them into the extension."""

    def get_ext_filename(self, fullname):
        path = super().get_ext_filename(fullname)
        return re.sub(r"\..*", ".pyd", path) if TARGET.startswith("win") else path  # (built on another system too)

    def build_extension(self, ext):
        def compile_unit(unit):
            folder = Path(self.build_temp, unit.name)
            path = folder / Path(unit.source).with_suffix(".o")
            if self.force or not is_current(path):
                listing = ["-MMD", "-MF", str(path.with_suffix(".d"))]
                self.compiler.compile(
                    [unit.source], output_dir=str(folder), extra_postargs=[*unit.flags, *OPENMP_COMPILE, *listing]
                )
            return str(path)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ext.extra_objects = [*ext.extra_objects, *pool.map(compile_unit, units())]
        super().build_extension(ext)


class reproducible_sdist(sdist):
    """An sdist that is byte for byte reproducible: no times, no owners, a fixed order."""

    def make_archive(self, base_name, format, **options):
        path = super().make_archive(base_name, format, **options)
        if not path.endswith(".tar.gz"):
            return path
        with tarfile.open(path) as archive:
            entries = [(entry, archive.extractfile(entry)) for entry in archive.getmembers() if entry.isfile()]
            contents = [(entry, file.read()) for entry, file in sorted(entries, key=lambda pair: pair[0].name)]
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for entry, content in contents:
                plain = tarfile.TarInfo(entry.name)
                plain.mtime = 315532800  # 1980: wheels are built from these files, and zip begins there
                plain.size, plain.mode = len(content), 0o755 if entry.mode & 0o100 else 0o644
                archive.addfile(plain, io.BytesIO(content))
        return path


def description():
    """README.md for a package index, where relative links do not work: links lead to the repository that
    [project.urls] names, or are plain text as long as there is none."""
    source = tomllib.loads(Path("pyproject.toml").read_text())["project"].get("urls", {}).get("Source")
    text = Path("README.md").read_text()
    if source:
        text = re.sub(r"!\[([^\]]*)\]\((?!https?:|#)", rf"![\1]({source}/raw/main/", text)
        return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)", rf"[\1]({source}/blob/main/", text)
    text = re.sub(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n?", "", text, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)


if TARGET.endswith("universal2"):  # macOS: the kernels are compiled for one architecture
    os.environ.setdefault("ARCHFLAGS", f"-arch {os.uname().machine}")

setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    ext_modules=[
        Extension(
            "lstm_fast._core",
            sources=["lstm_fast/_binding/_core.pyx"],
            depends=[*BUILD, *CSRC, *BINDING],
            include_dirs=["csrc"],
            define_macros=[] if IS_FREE_THREADED else [("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=not IS_FREE_THREADED,
            # -O1: three quarters of the size of -O3, and no slower: it checks arguments and calls the core.
            extra_compile_args=[*FLAGS, "-O1", *OPENMP_COMPILE],
            extra_link_args=OPENMP_LINK if TARGET.startswith("macosx") else ["-Wl,-s", *OPENMP_LINK],
        )
    ],
    cmdclass={"build_ext": build_ext_with_core, "sdist": reproducible_sdist},
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
