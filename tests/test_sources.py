"""Rules for the sources: functions allowed in the C core, names, sizes of files, build flags, TODO markers."""

import io
import re
import subprocess
import tokenize

import pytest
from units import read_isas, units

from checkout import ROOT


def c_sources():
    """Each file of csrc without comments and strings: rules are for code."""
    for path in sorted((ROOT / "csrc").rglob("*.[ch]")):
        code = re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"', " ", path.read_text(), flags=re.DOTALL)
        yield path.relative_to(ROOT / "csrc"), code, path.read_text()


def test_c_core_allocates_nothing_prints_nothing_and_never_ends_the_process():
    for path, code, _ in c_sources():
        found = re.findall(r"\b(malloc|calloc|realloc|alloca|free|\w*printf|puts|exit|_exit|abort|assert)\s*\(", code)
        assert not found, f"{path}: {found}"


def test_c_core_does_not_use_python_or_numpy():
    for path, _, text in c_sources():
        assert not re.search(r"#\s*include\s*[<\"](Python|numpy)", text), path


def test_openmp_fork_and_intrinsics_are_each_in_one_file():
    places = {
        r"#\s*pragma\s+omp|\bomp_|<omp\.h>": "threads.c",
        r"pthread|\bv?fork\s*\(|\bclone\s*\(": "system.",
        r"immintrin|arm_neon|_mm\d*_|\b_tile_|\bv\w+q_f(32|64)\b": ("kernels/vector/", "kernels/formats/vector/"),
    }
    for pattern, place in places.items():
        found = {path.as_posix() for path, code, _ in c_sources() if re.search(pattern, code)}
        assert found and all(path.startswith(place) for path in found), f"{pattern}: {found}"


def test_c_core_names_are_not_generated_by_macros():
    """Tools can follow the names: macros form only the symbols that are linked once per dtype."""
    codes = "".join(code for _, code, _ in c_sources())
    assert len(re.findall(r"\bEXPORT\(", codes)) <= 12
    assert not re.search(r"#\s*undef|\b(NAME|V)\(", codes)
    assert len(re.findall(r"[!=]= LSTM_CELL_LSTM\b", codes)) <= 3, "n_gates, has_c and keeps_gates tell the cells apart"


DEFINITION = r"^(?:struct|enum|union|typedef|extern|static|const|void|bool|int\w*|ALWAYS_INLINE|NEVER_INLINE)\b"


def test_files_of_the_c_core_are_short_and_include_first():
    for path, code, text in c_sources():
        assert text.count("\n") < 300, path
        after_first_definition = re.split(DEFINITION, code, maxsplit=1, flags=re.MULTILINE)[1:]
        assert not re.search(r"#\s*include", "".join(after_first_definition)), f"{path}: an include below a definition"
        guards_one_macro = re.search(r"#\s*ifndef (\w+)\s*\n#\s*define \1\b[^\n]*\n#\s*endif", code)
        assert not guards_one_macro, path
        if path.suffix == ".h":
            name = re.match(r"\s*#ifndef (\w+)\n#define \1\n", code)
            assert name and code.rstrip().endswith("#endif"), f"{path}: no include guard"


def test_functions_of_the_c_core_have_few_parameters():
    function = re.compile(r"^[A-Za-z][\w *]*?(\w+)(?:\(\w+\))?\(([^(){};]*)\)\s*\{", re.MULTILINE)
    found = {}
    for path, code, _ in c_sources():
        for name, parameters in function.findall(code):
            found[f"{path}:{name}"] = parameters.count(",") + 1
    assert len(found) > 200
    assert not {name: n for name, n in found.items() if n > 8}


def test_build_flags_are_portable_and_keep_ieee_arithmetic():
    strings = " ".join(flag for unit in units() for flag in unit.flags)
    strings += " ".join(flag for isa in read_isas() for flag in isa.flags)
    for path in ("setup.py", "csrc/units.py"):
        tokens = tokenize.tokenize(io.BytesIO((ROOT / path).read_bytes()).readline)
        found = [token.string for token in tokens if token.type == tokenize.STRING]
        strings += " ".join(string for string in found if not string.startswith('"""'))
    for flag in ("-march", "-mtune", "-ffast-math", "-Ofast", "-funsafe-math", "-fassociative", "-ffinite-math"):
        assert flag not in strings, flag
    assert all("-ffp-contract=off" in unit.flags for unit in units())


def test_sources_have_no_todo_markers():
    for path, _, text in c_sources():
        assert not re.search(r"#\s*if\s+0\b|TODO|FIXME|XXX", text), path
    for path in (*ROOT.glob("lstm_fast/**/*.py*"), *ROOT.glob("tests/*.py"), ROOT / "setup.py"):
        if path.suffix in (".py", ".pyi", ".pyx") and path.name != "test_sources.py":
            assert not re.search("TODO|FIXME|XXX", path.read_text()), path


def test_lines_of_c_and_cython_have_at_most_120_columns():
    for pattern in ("csrc/**/*.[ch]", "tests/c/*.[ch]", "examples/c/*.c", "lstm_fast/_binding/*.p*"):
        for path in ROOT.glob(pattern):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                assert len(line) <= 120 or line.lstrip().startswith('"-m'), f"{path}:{number}"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git")
def test_repository_has_no_ignored_files():
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert not subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_package_does_not_execute_data():
    for path in ROOT.glob("lstm_fast/**/*.py*"):
        if path.suffix in (".py", ".pyx"):
            found = re.findall(
                r"(?<!`)\b(?:pickle\.|marshal\.|eval\(|exec\(|__import__|allow_pickle=True)", path.read_text()
            )
            assert not found, f"{path.relative_to(ROOT)}: {found}"
