"""Files on Windows, which lacks fcntl and some flags and functions of os: simulated here in another process.

(docs/install.md says how the wheel itself was run.)
"""

import subprocess
import sys

import pytest

from scripts import patience

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the other tests of files run there")

WINDOWS = """
import os, shutil, sys, numpy  # shutil looks for modules of Windows there
for name in ("O_NONBLOCK", "O_NOFOLLOW", "fchown", "fchmod"):
    delattr(os, name)
sys.modules["fcntl"] = None
sys.platform = "win32"
import lstm_fast as lf
from lstm_fast import _files
"""


def run(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=patience(60))
    assert done.returncode == 0, done.stderr[-3000:]


def test_write_replace_and_read(tmp_path):
    run(f"""{WINDOWS}
model = lf.train.SequenceModel(lf.LSTM(2, 3, seed=0), 1, seed=0)
stray = os.path.join({str(tmp_path)!r}, ".lstm_fast-0.tmp")
open(stray, "w").close()
for _ in range(2):
    model.save({str(tmp_path / "model")!r})
assert os.listdir({str(tmp_path)!r}) == ["model"]
again = lf.train.load({str(tmp_path / "model")!r}).state_dict()
assert all((again[name] == value).all() for name, value in model.state_dict().items())
""")


def test_save_waits_for_a_file_open_elsewhere(tmp_path):
    run(f"""{WINDOWS}
replace, left = os.replace, 3
def replace_later(source, target):
    global left
    left -= 1
    if left >= 0:
        raise PermissionError(13, "sharing violation", source)
    replace(source, target)
os.replace = replace_later
_files.write_atomically({str(tmp_path / "model")!r}, b"new")
assert left == -1 and open({str(tmp_path / "model")!r}, "rb").read() == b"new"
""")


def test_save_raises_if_the_file_stays_open_elsewhere(tmp_path):
    run(f"""{WINDOWS}
def replace(source, target):
    raise PermissionError(13, "sharing violation", source)
os.replace, _files.time.sleep = replace, lambda seconds: None
try:
    _files.write_atomically({str(tmp_path / "model")!r}, b"new")
except PermissionError as error:
    assert error.filename == {str(tmp_path / "model")!r}
else:
    raise AssertionError
assert os.listdir({str(tmp_path)!r}) == []
""")


def test_temporary_file_removed_before_rename_is_rewritten(tmp_path):
    run(f"""{WINDOWS}
replace, left = os.replace, 1
def replace_later(source, target):
    global left
    left -= 1
    if left >= 0:
        os.unlink(source)
    replace(source, target)
os.replace = replace_later
_files.write_atomically({str(tmp_path / "model")!r}, b"new")
assert os.listdir({str(tmp_path)!r}) == ["model"] and left == -1
""")
