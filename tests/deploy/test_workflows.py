"""The workflows: pinned, with no more rights than they need, and calling what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
WRITES = {"contents", "id-token", "attestations"}


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(file.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_to_commits(file: Path) -> None:
    assert re.findall(r"uses: (\S+)(.*)", file.read_text())
    for action, comment in re.findall(r"uses: (\S+)(.*)", file.read_text()):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_rights_are_few_and_time_is_bounded(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert set(job.get("permissions", {})) <= WRITES
        for step in job["steps"]:
            # What a person outside can choose (titles, branches) never becomes part of a script.
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_commands_are_there(file: Path) -> None:
    called = [step["run"] for step in steps(file) if "run" in step]
    for target in re.findall(r"\bmake ([a-z0-9-]+)", "\n".join(called)):
        assert target in TARGETS, target
    for script in re.findall(r"(?<![\w/])(scripts/\w+|\.ci/run)", "\n".join(called)):
        assert (ROOT / script).exists(), script


def test_every_python_that_we_support_is_tested() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    text = (ROOT / "pyproject.toml").read_text()
    supported = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    assert workflow["jobs"]["check"]["strategy"]["matrix"]["python"] == supported


def test_release_is_built_on_a_base_that_the_script_pins_and_says_which_digest_it_pushed() -> None:
    runs = "\n".join(step.get("run", "") for step in steps(ROOT / ".github/workflows/release.yml"))
    (base,) = re.findall(r"\bBASE=(\S+)", runs)
    assert f"ARG BASE={base}\n" in (ROOT / "Dockerfile").read_text()
    assert "make image" in runs
    assert re.search(r"@\$\(cat digest\)\" >(\S+)\n", runs)
    assert re.search(r"gh release upload .* image-reference\.txt$", runs, re.MULTILINE)
