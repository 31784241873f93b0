"""What a Windows extension needs from Python, made on another system: the headers and an import library.

Only the limited API is used. Its headers are the same on every system, except for pyconfig.h; and python3.dll, part of
every Python for Windows, exports the stable ABI, which PyPI's abi3info lists.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST = (3, 11)  # Python of the wheel

# What headers with Py_LIMITED_API and Cython's C need, for x86-64. (Windows: a long has 32 bits, a wchar_t 16.)
PYCONFIG = """\
#define MS_WINDOWS
#define MS_WIN32
#define MS_WIN64
#define NT_THREADS
#define WITH_THREAD 1
#define Py_ENABLE_SHARED 1
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_WCHAR_T 2
#define SIZEOF_DOUBLE 8
#define ALIGNOF_SIZE_T 8
#define ALIGNOF_MAX_ALIGN_T 8
#define DOUBLE_IS_LITTLE_ENDIAN_IEEE754 1
#define HAVE_STDDEF_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_WCHAR_H 1
"""


def write_headers(folder):
    """Copy this Python's headers, with another pyconfig.h."""
    shutil.copytree(sysconfig.get_path("include"), folder)
    (folder / "pyconfig.h").write_text(PYCONFIG)


def stable_abi():
    """The lines of a .def file for python3.dll: the exports of OLDEST and earlier versions."""
    from abi3info import DATAS, FUNCTIONS
    from abi3info.models import PyVersion

    def names(symbols):
        return sorted(
            symbol.name
            for symbol, fact in symbols.items()
            if fact.added <= PyVersion(*OLDEST) and (fact.ifdef is None or fact.ifdef.name == "MS_WINDOWS")
        )

    lines = [*(f"    {name}" for name in names(FUNCTIONS)), *(f"    {name} DATA" for name in names(DATAS))]
    return "\n".join(["LIBRARY python3.dll", "EXPORTS", *lines, ""])


def write_import_library(folder):
    definition, library = folder / "python3.def", folder / "python3.lib"
    definition.write_text(stable_abi())
    zig = [sys.executable, "-m", "ziglang", "dlltool", "-m", "i386:x86-64"]
    subprocess.run([*zig, "-d", str(definition), "-l", str(library)], check=True)


def write_sdk(folder):
    """Write the headers to folder/include and the import library to folder/python3.lib."""
    write_headers(Path(folder, "include"))
    write_import_library(Path(folder))
