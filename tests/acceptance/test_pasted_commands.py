"""Commands that are shown are run as they are, from another directory: their records arrive in the ledger's output."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_serve import serving
from tests.support.commands import Done, SimulatedApi, collector, records_in, simulated_api
from tests.support.waiting import wait_until

SOON = {"COLLECTOR_API__RETRY__BASE_DELAY": "10ms", "COLLECTOR_SERVICE__PORT": "0"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("pasted"), orgs=2) as api:
        yield api


@pytest.fixture
def directory(api: SimulatedApi, tmp_path: Path) -> Path:
    """Where a service works that has gaps too old for a `collect`, and a config that names no output."""
    work = tmp_path / "work"
    work.mkdir()
    api.set_faults("org-002:refused")
    assert run(api, work, "backfill", "--last", "50d", "-o", "out").code == 4
    api.set_faults()
    return work


def run(api: SimulatedApi, cwd: Path, command: str, *args: str) -> Done:
    return collector(command, "-c", api.config, *args, cwd=cwd, env=SOON)


def pasted(command: str, elsewhere: Path) -> Done:
    """Run what was shown in a directory where relative paths lead to nothing."""
    elsewhere.mkdir(exist_ok=True)
    words = shlex.split(command)
    assert words[0] == "collector"
    done = collector(*words[1:], cwd=elsewhere, env=SOON)
    assert list(elsewhere.iterdir()) == []
    return done


def lacking(api: SimulatedApi, cwd: Path) -> int:
    told: dict[str, Any] = json.loads(run(api, cwd, "status", "--json").stdout)
    return sum(org["lacking"] for org in told["orgs"])


def test_the_backfill_that_status_shows_fills_the_gaps_in_the_output(api: SimulatedApi, directory: Path) -> None:
    assert run(api, directory, "collect", "-o", "out").code == 0
    shown = run(api, directory, "status").stdout
    commands = re.findall(r"^ *(collector backfill .*)$", shown, re.MULTILINE)
    assert commands
    before = len(records_in(directory / "out"))
    for command in commands:
        done = pasted(command, directory.parent / "home")
        assert (done.code, done.stdout) == (0, "")
    assert lacking(api, directory) == 0
    assert len(records_in(directory / "out")) > before


def test_the_commands_on_the_page_of_an_org_do_what_they_are_shown_for(api: SimulatedApi, directory: Path) -> None:
    with serving(api.config, directory) as service:

        def shown() -> list[str]:
            page = html.unescape(service.get("/orgs/org-002")[1])
            return re.findall(r">(collector backfill .*?)</code>", page)

        (command,) = wait_until(lambda: shown() if service.lacking("org-002") else [], "the command is shown")
        wait_until(lambda: service.status["runs"] and not service.status["current_run"], "the first run has ended")
        done = pasted(command, directory.parent / "home")
        assert (done.code, done.stdout) == (0, "")
    assert lacking(api, directory) == 0


def test_records_of_a_ledger_that_delivers_files_never_go_to_stdout(api: SimulatedApi, directory: Path) -> None:
    before = lacking(api, directory)
    refused = run(api, directory, "collect")
    assert (refused.code, refused.stdout) == (2, "")
    message = f"the records of this ledger are in {directory}/out. What goes to stdout would be missing there"
    assert message in refused.stderr
    assert f"add `-o {directory}/out`" in refused.stderr
    assert lacking(api, directory) == before
    assert run(api, directory, "collect", "--last", "3d", "--state", "none").records
    assert run(api, directory, "collect", "--elsewhere").records  # it is meant, this time
    assert run(api, directory, "collect").code == 2


def test_another_directory_is_refused_until_a_person_says_that_it_is_meant(api: SimulatedApi, directory: Path) -> None:
    refused = run(api, directory, "collect", "-o", "other")
    assert (refused.code, (directory / "other").exists()) == (2, False)
    assert "--elsewhere" in refused.stderr
    assert run(api, directory, "collect", "-o", "other", "--elsewhere").code == 0
    assert records_in(directory / "other")
    assert run(api, directory, "collect", "-o", "other").code == 0


def test_a_service_with_another_output_does_not_start(api: SimulatedApi, directory: Path) -> None:
    port = {"COLLECTOR_SERVICE__PORT": "0"}
    done = collector("serve", "-c", api.config, "-o", "other", cwd=directory, env=SOON | port)
    assert done.code == 2
    assert "would be missing there" in done.stderr


def test_a_ledger_whose_records_went_to_stdout_has_no_files_to_add_to(api: SimulatedApi, tmp_path: Path) -> None:
    assert run(api, tmp_path, "collect").records
    refused = run(api, tmp_path, "collect", "-o", "out")
    assert (refused.code, (tmp_path / "out").exists()) == (2, False)
    assert "are where stdout went" in refused.stderr


def test_a_ledger_of_another_directory_finds_the_output_taken(api: SimulatedApi, directory: Path) -> None:
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir()
    out = str(directory / "out")
    refused = run(api, elsewhere, "collect", "-o", out)
    assert refused.code == 5
    assert "belongs to another ledger" in refused.stderr
    assert "belongs to another ledger" in run(api, elsewhere, "serve", "-o", out).stderr
    assert list(elsewhere.iterdir()) == []  # no ledger that the next command would find there
    assert run(api, elsewhere, "collect", "-o", out, "--adopt").code == 0
    assert run(api, directory, "collect", "-o", "out").code == 5
    ids = [(record["record_id"], record["revision"]) for record in records_in(directory / "out")]
    assert len(ids) == len(set(ids))


def test_a_run_that_creates_a_ledger_says_where(api: SimulatedApi, tmp_path: Path) -> None:
    """A relative path begins in another directory than the person meant: they see it at once."""
    first, second = (run(api, tmp_path, "collect", "--last", "2d", "-o", "out") for _ in range(2))
    assert first.event("ledger.created")["ledger"].startswith(str(tmp_path))
    assert [event for event in second.events if event["event"] == "ledger.created"] == []


def test_without_a_ledger_status_proposes_no_backfill(api: SimulatedApi, directory: Path) -> None:
    shown = run(api, directory, "status", "--state", "sqlite:///another/ledger.db")
    assert (shown.code, "collector backfill" in shown.stdout) == (3, False)
    assert shown.event("ledger.not_found")
