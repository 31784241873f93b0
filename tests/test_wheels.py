"""tools/wheels.py: the contents of a wheel, and the checks that reject one. (Building takes minutes.)"""

import hashlib
import json
import zipfile

import pytest
import wheel_files
import wheels

from checkout import ROOT


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "lstm_fast-0.1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lstm_fast-0.1.0.dist-info/RECORD", "")
        archive.writestr("lstm_fast-0.1.0.dist-info/licenses/LICENSE", "MIT")
        archive.writestr("lstm_fast-0.1.0.dist-info/sboms/auditwheel.cdx.json", "has a time")
        archive.writestr("lstm_fast/_core.cpython-311-x86_64-linux-gnu.so", "")
    return path


def add_sbom(wheel, *bundled):
    wheel_files.add_files(wheel, {"sboms/lstm_fast.cdx.json": wheel_files.sbom(wheel, bundled)})


def test_wheel_contents_are_reproducible(wheel):
    add_sbom(wheel)
    once = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        contents = [(name, archive.read(name)) for name in reversed(archive.namelist())]
    with zipfile.ZipFile(wheel, "w") as archive:  # other times, another order, not compressed
        for name, content in contents:
            archive.writestr(name, content)
    add_sbom(wheel)
    assert wheel.read_bytes() == once


def test_record_has_every_file_with_its_hash(wheel):
    add_sbom(wheel)
    with zipfile.ZipFile(wheel) as archive:
        rows = [line.split(",") for line in archive.read("lstm_fast-0.1.0.dist-info/RECORD").decode().splitlines()]
        assert {row[0] for row in rows} == set(archive.namelist())
        for name, digest, size in rows:
            if not name.endswith("RECORD"):
                content = archive.read(name)
                value = wheel_files.base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                assert (digest, int(size)) == (f"sha256={value}", len(content))
        assert "lstm_fast-0.1.0.dist-info/sboms/auditwheel.cdx.json" not in archive.namelist()


def test_sbom_names_what_is_bundled(wheel):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("lstm_fast.libs/libgomp-0123.so.1", "code")
    document = json.loads(wheel_files.sbom(wheel, ["lstm_fast.libs/libgomp-0123.so.1"]))
    assert document["specVersion"] == "1.6" and document["metadata"]["component"]["version"] == "0.1.0"
    (library,) = document["components"]
    assert library["name"] == "libgomp" and library["licenses"][0]["expression"].endswith("GCC-exception-3.1")
    assert library["hashes"][0]["content"] == hashlib.sha256(b"code").hexdigest()


def test_check_reports_each_problem(wheel):
    assert wheels.check(wheel) == ["lacks sboms/lstm_fast.cdx.json"]
    add_sbom(wheel)
    assert wheels.check(wheel) == []
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("lstm_fast.libs/libgomp-0123.so.1", bytes(2_000_000))  # not counted
        archive.writestr("lstm_fast/kernel.c", bytes(2_000_000))
    assert wheels.check(wheel) == ["more than 1500000 bytes", "holds sources", "lacks the licence of libgomp"]


@pytest.mark.parametrize("tag, library, is_right", [
    ("cp311-abi3-linux_x86_64", "_core.abi3.so", True),
    ("cp311-abi3-win_amd64", "_core.pyd", True),
    ("cp311-abi3-win_amd64", "_core.abi3.so", False),
    ("cp313-cp313t-linux_x86_64", "_core.cpython-313t-x86_64-linux-gnu.so", True),
    ("cp313-cp313t-linux_x86_64", "_core.cpython-313-x86_64-linux-gnu.so", False),
    ("cp313-cp313t-linux_x86_64", "_core.abi3.so", False),
])  # fmt: skip
def test_check_compares_the_extension_with_the_tags(tmp_path, tag, library, is_right):
    problems = wheels.tags_that_disagree(
        f"lstm_fast-0.1.0-{tag}.whl", [f"lstm_fast/{library}", "lstm_fast/__init__.py"]
    )
    assert problems == ([] if is_right else [f"has no extension for {tag.split('-')[1]}"])


def test_targets_are_platforms_known_to_csrc(tmp_path):
    names = [target.platform for target in wheels.TARGETS]
    assert len(set(names)) == len(names)
    page = (ROOT / "docs/install.md").read_text()
    assert all(f"`{name}`" in page for name in names), "docs/install.md says for each what was run"
    for target in wheels.TARGETS:
        environment = target.environment(tmp_path)
        assert environment["SOURCE_DATE_EPOCH"] and "PYTHONPATH" not in environment
        assert target.zig is None or target.zig.split("-")[0] in environment["CC"]
