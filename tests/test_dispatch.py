"""The dispatcher: the instruction sets of this machine, detected in three ways; and units of other machines."""

import re
import subprocess

import pytest
from units import ROOT, compiler, isas, read_isas, target_machine, units

from conftest import processor_flags
from lstm_fast import _core

FEATURES = re.findall(r"FEATURE\((\w+), +\d", (ROOT / "csrc/isas.h").read_text())


def test_rows_use_only_listed_features():
    assert set().union(*(isa.features for isa in read_isas())) == {name.lower() for name in FEATURES}


def test_instruction_sets_match_proc_cpuinfo():
    """No more and no fewer: using an instruction set that the processor lacks would kill the process."""
    flags = processor_flags()
    if not flags:
        pytest.skip("no /proc/cpuinfo")
    expected = [isa.name for isa in isas() if {name.replace("_", "") for name in isa.features} <= flags]
    assert _core.available_isas() == expected


@pytest.mark.skipif(target_machine() != "X86", reason="CPUID")
def test_features_match_compiler_builtin(tmp_path):
    """Those of GCC and Clang; zig's builtin always returns 0, hence our own detection."""
    spelling = {"AVX_VNNI": "avxvnni", "AVX512_VNNI": "avx512vnni", "AVX512_BF16": "avx512bf16"}
    lines = []
    for feature in FEATURES:
        name = spelling.get(feature, feature.lower().replace("_", "-"))
        lines.append(f'printf("{feature} %d %d\\n", has_features(CPU_{feature}), !!__builtin_cpu_supports("{name}"));')
    source = tmp_path / "features.c"
    source.write_text(
        '#include "dispatch.c"\n#include <stdio.h>\nint main(void) {\n__builtin_cpu_init();\n'
        + "\n".join(lines)
        + "\n}\n"
    )
    # The kernels that the table of dispatch.c names are not linked.
    command = [
        *compiler(),
        f"-I{ROOT}/csrc",
        source,
        "-o",
        tmp_path / "features",
        "-Wl,--unresolved-symbols=ignore-all",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{compiler()[0]} lacks some of these names: {done.stderr.splitlines()[0]}")
    answers = subprocess.run([tmp_path / "features"], capture_output=True, text=True, check=True).stdout.split()
    assert answers[::3] == FEATURES
    assert answers[1::3] == answers[2::3], answers


@pytest.mark.parametrize("machine", ["X86", "ARM"])
def test_units_of_another_machine_are_empty(machine, tmp_path):
    """Without flags of that machine, which this compiler may not support: the guard excludes the rest."""
    if machine == target_machine():
        pytest.skip("this machine")
    isa = next(isa for isa in read_isas() if isa.machine == machine)
    for source in ("kernels/kernels.c", "kernels/formats/formats.c"):
        path = tmp_path / "unit.o"
        flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", *isa.defines, f"-DLSTM_EXTENSION={isa.name}"]
        subprocess.run([*compiler(), *flags, "-c", ROOT / "csrc" / source, "-o", path], check=True)
        symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True)
        assert not symbols.stdout.strip()


def test_units_name_their_machine():
    assert all(
        any(flag.startswith("-DLSTM_MACHINE=") for flag in unit.flags) for unit in units() if "kernels" in unit.source
    )
