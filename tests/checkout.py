"""The source files of the checkout, and a copy of only those."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def sources(root=ROOT):
    """Paths of the files listed by git or, in an unpacked sdist, by its manifest.

    Virtual environments, builds and anything else in the folder are not among them, whatever their names.
    """
    if not (root / ".git").exists():
        (names,) = root.glob("*.egg-info/SOURCES.txt")
        return [Path(name) for name in names.read_text().splitlines() if (root / name).is_file()]

    def listed(*options):
        command = ["git", "ls-files", "-z", *options]
        output = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
        return [Path(name) for name in output.split("\0") if name and (root / name).is_file()]

    tracked = listed("--cached")
    folders = {path.parts[0] for path in tracked if len(path.parts) > 1}
    new = [path for path in listed("--others", "--exclude-standard") if path.parts[0] in folders]
    return tracked + new


def copy_source(to, root=ROOT):
    """Copy the files of a fresh clone, with uncommitted changes."""
    for path in sources(root):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, to / path)
