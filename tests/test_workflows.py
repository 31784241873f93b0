""".github/workflows: the gate runs there as a whole, actions are pinned, and no job may do more than it needs."""

import re

import pytest
import yaml

from checkout import ROOT

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = {path.name: path for path in sorted(FOLDER.glob("*.yml"))}

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="needs the source tree")


def jobs(name):
    return yaml.safe_load(WORKFLOWS[name].read_text("utf-8"))["jobs"]


def steps(name, key):
    return [step[key] for job in jobs(name).values() for step in job["steps"] if key in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_is_pinned_and_limited(name):
    text = WORKFLOWS[name].read_text("utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in uses), uses
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or job["environment"] == "pypi" for job in workflow["jobs"].values())
    assert all(not job.get("needs") or set(_list(job["needs"])) <= set(workflow["jobs"]) for job in jobs(name).values())


def _list(value):
    return [value] if isinstance(value, str) else value


def test_one_version_of_each_action():
    pins = {pin for path in WORKFLOWS.values() for pin in re.findall(r"uses: (.*)", path.read_text("utf-8"))}
    assert len(pins) == len({pin.partition("@")[0] for pin in pins}), sorted(pins)


def test_commands_name_files_that_exist():
    for name in WORKFLOWS:
        for command in steps(name, "run"):
            for path in re.findall(r"(?:tools|tests|\.ci)/[\w./]+", command):
                assert (ROOT / path).exists(), f"{name}: {path}"


def test_complete_gate_runs():
    assert "bash .ci/run" in steps("tests.yml", "run")


def test_every_tested_wheel_is_published():
    assert set(_list(jobs("wheels.yml")["publish"]["needs"])) >= {"wheels", "windows", "sdist", "library"}
