"""The translation units of the C core and the flags of each: what setup.py builds and the tests compile.

    python csrc/units.py    # writes compile_commands.json, from which editors and tools learn the flags

The folder of a source determines how often it is compiled: csrc/ once, csrc/loops/ once per dtype, csrc/kernels/ once
per instruction set and dtype, csrc/kernels/formats/ once per instruction set and its extensions. The instruction sets
come from isas.h. Standard library only.
"""

import json
import os
import platform
import re
import shlex
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# Never -march=native (the package must run elsewhere) and never -ffast-math (it changes the floating-point mode of the
# whole process). -ffp-contract=off: each fused multiply-add is written out, so that no compiler decides the bits.
# No unwind tables: nothing throws through C, and they are 3 % of a wheel.
FLAGS = [
    *("-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
]
DTYPES = {"f32": [], "f64": ["-DLSTM_DOUBLE"]}
# For machines where GCC would compute float32 in wider registers (FLT_EVAL_METHOD), which changes the bits.
MACHINE_FLAGS = {
    "i386": ["-msse2", "-mfpmath=sse"],
    "i686": ["-msse2", "-mfpmath=sse"],
    "s390x": ["-fexcess-precision=fast"],
}
MACHINES = {"x86_64": "X86", "amd64": "X86", "i386": "X86", "i686": "X86", "aarch64": "ARM", "arm64": "ARM"}


class Isa(NamedTuple):
    name: str
    base: str  # its own name, or the name of the instruction set that it extends
    machine: str  # processor family: X86, ARM or ANY
    flags: list
    features: set  # processor features, as /proc/cpuinfo spells them

    @property
    def optimization(self):
        """Small, not fast, where the portable kernels run only on processors that are too old for the others."""
        return ["-Os"] if self.machine == "ANY" and target_machine() != "ANY" else []

    @property
    def defines(self):
        """Definitions for every unit of this instruction set. On other machines, the unit is empty."""
        return [f"-DLSTM_MACHINE={self.machine}", f"-DLSTM_ISA={self.base}"]


class Unit(NamedTuple):
    name: str
    source: str  # relative to the root
    flags: list


def target_name():
    """The processor that is built for, which need not be the one that builds."""
    name = sysconfig.get_platform().rpartition("-")[2]
    if name == "universal2":  # macOS; one architecture per build
        name = os.environ.get("ARCHFLAGS", platform.machine()).split()[-1]
    return name.lower()


def target_machine():
    """X86, ARM or ANY (only the portable kernels)."""
    return MACHINES.get(target_name(), "ANY")


def read_isas():
    """The rows of isas.h, slowest first."""
    row = re.compile(r'\b(ANY|X86|ARM)\((\w+), (\w+), \d+,[\s\\]*"([^"]*)",([^()]*)\)')
    return [
        Isa(name, base, machine, flags.split(), {word.lower() for word in re.findall(r"CPU_(\w+)", features)})
        for machine, name, base, flags, features in row.findall((ROOT / "csrc/isas.h").read_text())
    ]


def isas(machine=None):
    """Return the instruction sets of a machine (X86, ARM or ANY), by default the target's."""
    return [isa for isa in read_isas() if isa.machine in ("ANY", machine or target_machine())]


def units():
    """Every translation unit of the target, those that take longest to compile first."""

    common = [*FLAGS, *MACHINE_FLAGS.get(target_name(), [])]

    def sources(folder):
        return [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / folder).glob("*.c"))]

    def name(source, *parts):
        return "_".join([Path(source).stem, *parts])

    return [
        *(
            Unit(name(source, isa.name, dtype), source, [*common, *isa.optimization, *isa.flags, *isa.defines, *flags])
            for isa in reversed(isas())
            if isa.name == isa.base
            for dtype, flags in DTYPES.items()
            for source in sources("csrc/kernels")
        ),
        *(
            Unit(
                name(source, isa.name),
                source,
                [*common, *isa.optimization, *isa.flags, *isa.defines, f"-DLSTM_EXTENSION={isa.name}"],
            )
            for isa in reversed(isas())
            for source in sources("csrc/kernels/formats")
        ),
        *(
            Unit(name(source, dtype), source, [*common, *flags])
            for dtype, flags in DTYPES.items()
            for source in sources("csrc/loops")
        ),
        *(Unit(name(source), source, common) for source in sources("csrc")),
    ]


def compiler():
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def main():
    commands = [
        {"directory": str(ROOT), "file": unit.source, "arguments": [*compiler(), *unit.flags, "-c", unit.source]}
        for unit in units()
    ]
    (ROOT / "compile_commands.json").write_text(json.dumps(commands, indent=1) + "\n")


if __name__ == "__main__":
    main()
