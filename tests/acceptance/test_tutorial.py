"""docs/tutorial.md, word for word but for the ports: from nothing to a page, then to records of one's own org."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector import __version__
from collector.cli.commands import SUMMARIES
from tests.support.commands import collector, environment, records_in, simulated_api, started
from tests.support.needs import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
INSTALL, SIMULATE, LOOK, COLLECT, STATUS, AGAIN, REPORT, SERVE, INIT, OWN = BLOCKS
SET = dict(re.findall(r"^export (COLLECTOR_\w+)=(\S+)$", LOOK, re.MULTILINE))


def lines_of(block: str) -> list[list[str]]:
    """The words of each command, without `collector`."""
    return [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("collector ")]


def status_of(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=60) as response:
            found: dict[str, Any] = json.load(response)
    except OSError:
        return None
    return found if found["runs"] else None


def refused_of(status: Mapping[str, Any] | None) -> list[str]:
    """The orgs that are refused."""
    orgs = status["orgs"] if status else ()
    return [org["org"] for org in orgs if org["credential"]["standing"] == "refused"]


def test_what_a_sentence_tells_to_run_is_shown_as_it_is_pasted() -> None:
    """A command without `collector` or without its output is pasted as it stands, and ends with exit code 2."""
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")):
        told = re.findall(r"\b(?:[Rr]un|[Cc]all) `(?!collector )([a-z]+)(?: [^`]*)?`", document.read_text())
        assert not SUMMARIES.keys() & set(told), document.name


def test_the_installation_is_the_readme_s() -> None:
    readme = (ROOT / "README.md").read_text()
    for line in INSTALL.splitlines():
        assert f"\n{line}\n" in readme


@pytest.mark.slow  # needs a package index
def test_the_installation_gives_the_command(tmp_path: Path) -> None:
    for name in ("collector", "usage_collector", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    script = f"set -e\n{INSTALL}\ncommand -v collector\ncollector --version"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/.venv-run/bin/collector" in done.stdout
    assert __version__ in done.stdout


def test_from_nothing_to_a_page(tmp_path: Path) -> None:
    (simulate,) = lines_of(SIMULATE)
    with started(*simulate, "--port", "0", cwd=tmp_path) as simulator:
        assert simulator.stdout is not None
        json.loads(simulator.stdout.readline())  # it serves
        look = [collector(*words, cwd=tmp_path, env=SET) for words in lines_of(LOOK)]
        assert [done.code for done in look] == [4, 0], look
        assert "4 of 5 orgs accepted" in look[0].stdout
        (collect,) = lines_of(COLLECT)
        done = collector(*collect, cwd=tmp_path, env=SET)
        assert done.code == 4, done.stderr
        usage = tmp_path / "tutorial" / "usage"
        records = records_in(usage)
        assert {record["org"] for record in records} == {"org-001", "org-003", "org-004", "org-005"}
        assert {record["total_tests"] for record in records if record["quality"] == "unavailable"} == {None}
        for begin in re.findall(r"^\| `([a-z]+-)….json", TEXT, re.MULTILINE):
            assert list(usage.glob(f"{begin}*.json*"))
        (status,) = lines_of(STATUS)
        shown = collector(*status, cwd=tmp_path, env=SET)
        assert (shown.code, "org-002" in shown.stdout) == (3, True), shown.stderr
        before = len(records)
        (once_more,) = lines_of(AGAIN)
        again = collector(*once_more, cwd=tmp_path, env=SET)
        assert again.code == 4, again.stderr
        assert len(records_in(usage)) - before < before / 4
        (report,) = lines_of(REPORT)
        done = collector(*report, cwd=tmp_path, env=SET)
        assert done.code == 0, done.stderr
        assert "org-001" in (tmp_path / report[-1]).read_text()
        (serve,) = lines_of(SERVE)
        port = free_port()
        with started(*serve, cwd=tmp_path, **SET, COLLECTOR_SERVICE__PORT=str(port)):
            # The first look at the ledger may come after the first answer.
            wait_until(lambda: refused_of(status_of(f"http://127.0.0.1:{port}")) == ["org-002"])


def test_from_there_to_one_s_own_records(tmp_path: Path) -> None:
    """`init` with options in place of a person: tests/acceptance/test_init.py has a person."""
    with simulated_api(tmp_path, orgs=1) as api:
        (simulated,) = yaml.safe_load(api.config.read_text())["orgs"]
        env = {"U": simulated["username"], "K": simulated["access_key"]}
        ((init,),) = lines_of(INIT)
        answers = [
            "--org",
            "acme",
            "--timezone",
            "UTC",
            "--username-env",
            "U",
            "--access-key-env",
            "K",
            "--base-url",
            api.base_url,
        ]
        assert collector(init, *answers, cwd=tmp_path, env=env).code == 0
        for words in lines_of(OWN):
            done = collector(*words, cwd=tmp_path, env=env)
            assert done.code == 0, done.stderr
    assert {record["org"] for record in records_in(tmp_path / "usage")} == {"acme"}
