"""What a killed run left behind: windows that no `collect` fetches any more, and windows whose file is elsewhere."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from collector.app.command import Permits
from collector.app.leftovers import finish_leftovers
from collector.app.wiring import finish_left_files
from collector.core.exit_codes import ExitCode
from collector.ledger import SqlLedger
from collector.run.manifest import RunResult
from tests.flow.world import NOON, World
from tests.support.commands import Here
from tests.support.fake_api import FakeApi, answer
from tests.support.orgs import make_org

HOUR = timedelta(hours=1)
OLD = ("2026-01-05", "2026-01-09")
NEW = ("2026-06-10", "2026-06-12")
SLICES = 2 * 2 * 3  # of NEW: orgs, populations, days


class Killed(BaseException):
    """Ends a process at once."""


@dataclass
class Machine(World):
    """A machine with an output directory of its own, beside others that share the ledger."""

    permits: Permits = field(default_factory=lambda: Permits(elsewhere=True))

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.directory.parent}/ledger.db"


def killed_at(point: str, world: World, days: tuple[str, str]) -> None:
    """Run a backfill whose process is killed when it calls a method of the ledger."""
    with (
        patch.object(SqlLedger, point, side_effect=Killed),
        patch.object(SqlLedger, "close", SqlLedger.abandon),
        pytest.raises(BaseException),  # noqa: B017, PT011 - task groups wrap it
    ):
        world.backfill(NOON, *days)


def commands(logs: Any) -> list[str]:
    return [command for log in logs if log["event"] == "ledger.backfill_needed" for command in log["commands"]]


def old_backfill(world: World, orgs: str = "--org a --org b") -> str:
    head = f"collector backfill -c {world.directory} --state {world.ledger_url} -o {world.directory}/out"
    return f"{head} {orgs} --from {OLD[0]} --to {OLD[1]}"


def test_the_old_days_of_a_killed_backfill_are_named_with_the_commands_that_fetch_them(tmp_path: Path) -> None:
    """The log said that they will be fetched, and no `collect` did."""
    world = World(tmp_path)
    killed_at("commit", world, OLD)
    with capture_logs() as logs:
        assert world.collect(NOON + HOUR).exit_code == ExitCode.OK
    (interrupted,) = [log for log in logs if log["event"] == "run.interrupted"]
    assert "too old" in interrupted["message"]
    assert commands(logs) == [old_backfill(world)]
    with capture_logs() as logs:
        world.backfill(NOON + 2 * HOUR, *OLD)
        world.collect(NOON + 3 * HOUR)
    assert commands(logs) == []


@pytest.mark.parametrize("days", [OLD, NEW])
def test_no_command_is_named_for_what_the_next_run_fetches_itself(tmp_path: Path, days: tuple[str, str]) -> None:
    world = World(tmp_path)
    killed_at("commit", world, days)
    with capture_logs() as logs:
        result = world.backfill(NOON + HOUR, *days)
    assert (result.exit_code, commands(logs)) == (ExitCode.OK, [])


def test_a_collect_fetches_the_new_days_of_a_killed_backfill_without_more_words(tmp_path: Path) -> None:
    world = World(tmp_path)
    killed_at("commit", world, NEW)
    with capture_logs() as logs:
        assert world.collect(NOON + HOUR).summary.planned >= SLICES
    assert commands(logs) == []


def test_old_days_whose_file_is_gone_are_named_with_the_commands(tmp_path: Path) -> None:
    """They are failed slices, too old for a repair."""
    world = World(tmp_path)
    killed_at("intend_seal", world, OLD)
    (left,) = (tmp_path / "out").glob(".usage-*")
    left.unlink()
    with capture_logs() as logs:
        world.collect(NOON + HOUR)
    assert commands(logs) == [old_backfill(world)]


@pytest.fixture
def lost(tmp_path: Path) -> Machine:
    """A machine whose backfill was killed before it sealed its file, and whose directory is not mounted."""
    machine = Machine(tmp_path / "lost")
    killed_at("intend_seal", machine, NEW)
    machine.directory.rename(tmp_path / "unmounted")
    return machine


@pytest.fixture
def machine(lost: Machine) -> Machine:
    """Another machine, which doesn't see that directory."""
    return Machine(lost.directory.parent / "here")


def manifest_of(world: World, result: RunResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world.directory / "out" / f"run-{result.run_id}.json").read_text())
    return found


def test_a_backfill_does_not_say_that_all_is_complete_if_its_range_is_in_doubt(machine: Machine) -> None:
    result = machine.backfill(NOON + HOUR, *NEW)
    assert (result.exit_code, result.summary.planned, result.summary.in_doubt) == (ExitCode.INCOMPLETE, 0, SLICES)
    told = manifest_of(machine, result)
    assert (told["exit_code"], told["in_doubt"], told["slices"]["planned"]) == (3, SLICES, 0)
    entry = told["not_complete"][0]
    assert (entry["state"], entry["reason"], entry["slices"]) == ("in_doubt", "awaited", 3)
    assert entry["windows"] == [{"start": "2026-06-10T00:00:00+00:00", "end": "2026-06-13T00:00:00+00:00"}]
    assert "usage-0001-0001.jsonl" in entry["message"]


def test_the_command_shows_what_is_in_doubt(machine: Machine, here: Here, tmp_path: Path) -> None:
    config = tmp_path / "collector.yaml"
    orgs = "".join(f"- {{name: {org.name}, username: u, access_key: k}}\n" for org in machine.orgs)
    config.write_text(f"state: {{url: '{machine.ledger_url}'}}\napi: {{base_url: 'http://127.0.0.1:9'}}\norgs:\n{orgs}")
    config.chmod(0o600)
    range_ = ("--from", NEW[0], "--to", NEW[1])
    done = here("backfill", "-c", config, "-o", tmp_path / "out", "--elsewhere", "--log-format", "console", *range_)
    assert done.code == ExitCode.INCOMPLETE
    table, reasons = done.stderr.split("in doubt: an earlier run fetched these slices", 1)
    assert re.search(r"planned.*complete.*in doubt.*records", table)
    assert re.search(rf"all.* 0 .* {SLICES} .* 0", table)
    assert "usage-0001-0001.jsonl" in reasons
    assert "exit 3: some slices are partial, failed or in doubt" in reasons


def test_a_collect_says_so_of_the_windows_that_it_is_about_and_of_no_others(machine: Machine) -> None:
    result = machine.collect(NOON + HOUR)
    assert (result.exit_code, result.summary.in_doubt) == (ExitCode.INCOMPLETE, SLICES)
    long_after = datetime(2026, 9, 1, 12, tzinfo=UTC)
    assert machine.collect(long_after).exit_code == ExitCode.OK
    assert machine.backfill(long_after, "2026-06-13", "2026-06-14").exit_code == ExitCode.OK
    assert machine.backfill(long_after, "2026-06-12", "2026-06-14").summary.in_doubt == SLICES // 3


def test_a_shard_without_the_orgs_in_doubt_is_complete(machine: Machine) -> None:
    machine.orgs = [make_org("a")]
    assert machine.backfill(NOON + HOUR, *NEW).summary.in_doubt == SLICES // 2
    machine.orgs = [make_org("c")]
    assert machine.backfill(NOON + HOUR, *NEW).exit_code == ExitCode.OK


def test_a_file_that_is_sealed_by_its_own_machine_leaves_nothing_in_doubt(
    machine: Machine, lost: Machine, tmp_path: Path
) -> None:
    (tmp_path / "unmounted").rename(lost.directory)
    lost.runs = 7
    assert lost.collect(NOON + HOUR).exit_code == ExitCode.OK
    assert machine.backfill(NOON + HOUR, *NEW).exit_code == ExitCode.OK


def test_a_file_that_is_sealed_during_the_run_leaves_nothing_in_doubt(
    machine: Machine, lost: Machine, tmp_path: Path
) -> None:
    def seal_and_answer(org: Any, request: Any, _n: int) -> Any:
        if (tmp_path / "unmounted").exists():
            (tmp_path / "unmounted").rename(lost.directory)
            ledger = SqlLedger.open(machine.ledger_url, command="collect", now=lambda: NOON, durable=False)
            with closing(ledger):
                assert finish_leftovers(ledger, directories=[lost.directory / "out"], lost=(), own=None, now=NOON)
        return answer(org, request)

    machine.api = FakeApi(script=seal_and_answer)
    result = machine.backfill(NOON + HOUR, "2026-06-09", NEW[1])
    assert (result.exit_code, result.summary.planned) == (ExitCode.OK, SLICES // 3)


def test_a_file_that_a_living_process_writes_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    """What another process fetched, and will seal, is complete for this one."""
    writes, here = Machine(tmp_path / "writes"), Machine(tmp_path / "here")
    living: list[SqlLedger] = []
    with (
        patch.object(SqlLedger, "intend_seal", side_effect=Killed),
        patch.object(SqlLedger, "close", living.append),
        pytest.raises(BaseException),  # noqa: B017, PT011 - task groups wrap it
    ):
        writes.backfill(NOON, *NEW)
    result = here.backfill(NOON + HOUR, *NEW)
    assert (result.exit_code, result.summary.planned, result.summary.in_doubt) == (ExitCode.OK, 0, 0)
    for ledger in living:
        ledger.close()


def test_a_file_given_up_is_fetched_again_and_old_days_are_named_with_the_commands(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "lost")
    killed_at("intend_seal", machine, OLD)
    machine.directory.rename(tmp_path / "unmounted")
    here = Machine(tmp_path / "here")
    assert here.collect(NOON + HOUR).exit_code == ExitCode.OK  # no `collect` is about them
    with capture_logs() as logs:
        assert finish_left_files(here.config, directories=(), lost=["usage-0001-0001.jsonl"])
    assert old_backfill(here) in commands(logs)
    result = here.backfill(NOON + 2 * HOUR, *OLD)
    assert (result.exit_code, result.summary.in_doubt) == (ExitCode.OK, 0)
    assert result.summary.records > 0
