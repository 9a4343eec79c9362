"""63 days of an ordinary platform team, in virtual time: they add, rename, refuse, rotate, lose, restore and move.

Every morning one `collect`, as a CronJob makes it. What each mishap must show is held on its day. At the end, the
newest revision of every record is what the simulated API knows to be true, month by month.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.app.command import NOTHING, Permits
from collector.core.exit_codes import ExitCode
from collector.core.org_coverage import CoverageState, OrgCoverage
from collector.errors import LedgerError, OutputError
from collector.ledger import SqlLedger, open_reader
from collector.model import ApiRequest, BasicCredential, Org, Zone
from collector.run.manifest import RunResult
from collector.simulator import query
from collector.simulator.usage import Usage
from tests.flow.test_restored_ledger import back_up, restore
from tests.flow.world import DAY, World
from tests.support.fake_api import UNAUTHORIZED, FakeApi, Step, answer, status
from tests.support.orgs import make_org

BEGIN = datetime(2026, 5, 4, 11, tzinfo=UTC)
DAYS = 63
TRUTH = Usage(20)
BERLIN, NEW_YORK, UTC_ZONE = (Zone.parse(name) for name in ("Europe/Berlin", "America/New_York", "UTC"))
ALL = {"a": BERLIN, "b": NEW_YORK, "c": UTC_ZONE, "d": UTC_ZONE}  # organizations, whatever the config calls them
Record = dict[str, Any]


def organization(org: Org) -> str:
    """Whose the credential is: the first letter of the user."""
    assert isinstance(org.credential, BasicCredential)
    return org.credential.username[0]


def credential(letter: str, key: str) -> BasicCredential:
    return BasicCredential(username=f"{letter}@example.test", access_key=key)


@dataclass
class Summer(World):
    """The team's machine, and what the API does on each day."""

    today: int = 0
    refused: set[str] = field(default_factory=set)  # access keys
    step: Callable[[Org, ApiRequest], Step] = lambda _org, _request: None  # what goes wrong today
    archive: Path | None = None  # where readers move sealed files to

    def __post_init__(self) -> None:
        self.api = FakeApi(self._answer)

    @property
    def now(self) -> datetime:
        return BEGIN + self.today * DAY

    def morning(self) -> RunResult:
        return self.collect(self.now)

    def look(self) -> dict[str, OrgCoverage]:
        return self.page(self.now + timedelta(hours=1))

    def edit(self, org: str, **changes: Any) -> None:
        self.orgs = [replace(one, **changes) if one.name == org else one for one in self.orgs]

    def read(self) -> None:
        """Do as a loader does: move what is sealed away."""
        for file in (self.directory / "out").glob("[a-z]*.json*") if self.archive else ():
            assert self.archive is not None
            shutil.move(file, self.archive / file.name)

    @property
    def delivered(self) -> list[Record]:
        places = [self.directory / "out", *([self.archive] if self.archive else [])]
        return [
            json.loads(line)
            for place in places
            for file in sorted(place.glob("usage-*.jsonl"))
            for line in file.read_text().splitlines()
        ]

    @property
    def newest(self) -> list[Record]:
        return list({r["record_id"]: r for r in sorted(self.delivered, key=lambda one: one["collected_at"])}.values())

    def coverage_of(self, result: RunResult) -> list[Record]:
        text = (self.directory / "out" / f"coverage-{result.run_id}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def _answer(self, org: Org, request: ApiRequest, _n: int) -> Step:
        assert isinstance(org.credential, BasicCredential)
        if org.credential.access_key in self.refused:
            return UNAUTHORIZED
        return self.step(org, request) or self.true_answer(org, request)

    def true_answer(self, org: Org, request: ApiRequest, *, percent: int = 100, partial: bool = False) -> Step:
        """Answer what is true; of the last day only a part is counted yet, as late data comes later."""
        letter = organization(org)
        given = {"type": request.population.value, "from": request.from_, "to": request.to}
        asked = query.read(given | {"timezone": request.timezone})
        late = asked.end_s > self.now.timestamp() - 86_400
        totals = TRUTH.totals(letter, asked.population, asked.start_s, asked.end_s)
        share = min(percent, 60 if late else 100)
        products = {
            name: {metric: count * share // 100 for metric, count in metrics.items()}
            for name, metrics in totals.products.items()
        }
        if partial:
            products["hyperexecute"] = dict.fromkeys(products["hyperexecute"], 0)
        users = totals.users if share else 0
        return answer(org, request, products=products, users=users, org_id=f"id-{letter}", partial=partial)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_63_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    world = Summer(tmp_path / "here", orgs=[make_org(name, zone=ALL[name], labels={"team": "x"}) for name in "abc"])
    events = dict(_events(monkeypatch))
    assert world.backfill(world.now, "2026-04-01", "2026-05-02").exit_code is ExitCode.OK
    for world.today in range(DAYS):
        event = events.pop(world.today, None)
        if event is None:
            assert world.morning().exit_code is ExitCode.OK, world.today
        else:
            event(world)
        world.read()
    assert events == {}
    _held_against_the_truth(world)


def _events(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Callable[[Summer], None]]]:
    yield 5, _an_org_is_added
    yield 9, _an_org_is_renamed
    for n in range(12, 20):
        yield n, _a_credential_is_refused
    yield 20, _the_key_is_rotated
    yield 22, _labels_are_corrected
    yield 24, _the_ledger_is_lost
    yield 26, _the_ledger_is_backed_up
    yield 30, _the_backup_is_restored
    yield 33, _an_org_is_suddenly_zero
    yield 34, _the_days_that_looked_wrong_are_fetched_again
    yield 35, _readers_begin_to_move_files
    yield 38, _an_org_s_file_is_moved_away
    yield 41, _it_comes_back
    yield 44, lambda world: _the_ledger_fails_before_the_seal(world, monkeypatch)
    yield 47, _a_product_group_fails
    yield 50, _the_api_is_down
    yield 51, _the_api_is_down
    yield 52, _the_api_is_back
    yield 55, _a_zone_is_mistyped
    yield 56, _the_zone_is_corrected
    yield 58, _everything_moves_to_another_machine


def _an_org_is_added(world: Summer) -> None:
    world.orgs.append(make_org("d", since=date(2026, 5, 1), labels={"team": "y"}))
    assert world.morning().exit_code is ExitCode.OK
    assert {one["window_date"] for one in world.newest if one["org"] == "d"} >= {"2026-05-01", "2026-05-08"}


def _an_org_is_renamed(world: Summer) -> None:
    asked = len(world.api.asked)
    world.edit("b", name="bravo")
    assert world.morning().exit_code is ExitCode.OK
    assert len(world.api.asked) - asked < 4 * 2 * 4  # nothing is fetched anew
    assert world.look()["bravo"].incomplete == 0


def _a_credential_is_refused(world: Summer) -> None:
    """Refused since the first day, whatever is still complete: so the alert of a CronJob's textfile fires."""
    world.refused.add("key-of-c")
    result = world.morning()
    assert result.exit_code is ExitCode.REFUSED
    seen = world.look()["c"]
    assert seen.refused
    assert seen.credential.since is not None
    assert seen.credential.since.date() == (BEGIN + 12 * DAY).date()
    assert seen.incomplete == 2 * (world.today - 11)
    states = Counter(line["state"] for line in world.coverage_of(result) if line["org"] == "c")
    assert states["refused"] + states["missing"] >= seen.incomplete


def _the_key_is_rotated(world: Summer) -> None:
    world.edit("c", credential=credential("c", "a-new-key"))
    assert world.morning().exit_code is ExitCode.OK
    assert (world.look()["c"].refused, world.look()["c"].incomplete) == (False, 0)


def _labels_are_corrected(world: Summer) -> None:
    assert world.morning().exit_code is ExitCode.OK
    asked = len(world.api.asked)
    world.edit("a", labels={"team": "corrected"})
    assert world.relabel(world.now, "2026-04-01", "2026-07-31").exit_code is ExitCode.OK
    assert len(world.api.asked) == asked
    assert {one["labels"]["team"] for one in world.newest if one["org"] == "a"} == {"corrected"}


def _the_ledger_is_lost(world: Summer) -> None:
    """Nothing is collected beside what another ledger delivered, until a person says that this one takes it over."""
    for file in world.directory.glob("ledger.db*"):
        if file.is_file():
            file.unlink()
    files = sorted((world.directory / "out").iterdir())
    with pytest.raises(OutputError, match="ledger"):
        world.morning()
    assert sorted((world.directory / "out").iterdir()) == files
    world.permits = Permits(adopt=True)
    assert world.backfill(world.now, "2026-04-01", "2026-05-27").exit_code is ExitCode.OK
    world.permits = NOTHING
    assert world.morning().exit_code is ExitCode.OK
    assert _once(world)


def _the_ledger_is_backed_up(world: Summer) -> None:
    assert world.morning().exit_code is ExitCode.OK
    back_up(world)


def _the_backup_is_restored(world: Summer) -> None:
    restore(world, world.directory / "backup.db")
    assert world.morning().exit_code is ExitCode.OK
    assert _once(world)
    assert not any(org.incomplete for org in world.look().values())


def _an_org_is_suddenly_zero(world: Summer) -> None:
    """Whoever adds up sees it at the record, in the manifest, and on the page."""
    world.step = lambda org, request: (
        world.true_answer(org, request, percent=0)
        if organization(org) == "a" and request.population.value == "account-user"
        else None
    )
    result = world.morning()
    world.step = lambda _org, _request: None
    assert result.exit_code is ExitCode.OK
    flagged = [one for one in world.records_of_run(result) if "suddenly_zero" in one["anomalies"]]
    assert {(one["org"], one["population"]) for one in flagged} == {("a", "account-user")}
    assert [one["org"] for one in world.manifest(result)["anomalies"] if one["anomaly"] == "suddenly_zero"] == ["a"]
    assert any(p.anomalies for p in world.look()["a"].populations)


def _the_days_that_looked_wrong_are_fetched_again(world: Summer) -> None:
    """The API was wrong. What no recheck reaches any more is fetched by the days that the records name."""
    assert world.morning().exit_code is ExitCode.OK
    wrong = sorted(one["window_date"] for one in world.newest if "suddenly_zero" in one["anomalies"])
    assert wrong
    assert world.backfill(world.now, wrong[0], wrong[-1], force=True).exit_code is ExitCode.OK
    assert not [one for one in world.newest if "suddenly_zero" in one["anomalies"]]


def _readers_begin_to_move_files(world: Summer) -> None:
    assert world.morning().exit_code is ExitCode.OK
    world.archive = world.directory.parent / "archive"
    world.archive.mkdir()


def _an_org_s_file_is_moved_away(world: Summer) -> None:
    world.orgs = [one for one in world.orgs if one.name != "d"]
    assert world.morning().exit_code is ExitCode.OK
    assert _removed(world) == ["d"]


def _it_comes_back(world: Summer) -> None:
    world.orgs.append(make_org("d", since=date(2026, 5, 1), labels={"team": "y"}))
    assert world.morning().exit_code is ExitCode.OK
    assert _removed(world) == []
    assert world.look()["d"].incomplete == 0


def _the_ledger_fails_before_the_seal(world: Summer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(SqlLedger, "intend_seal", fail)
        assert world.morning().exit_code is ExitCode.OUTPUT
    assert all(org.count(CoverageState.IN_DOUBT) for org in world.look().values())


def _a_product_group_fails(world: Summer) -> None:
    world.step = lambda org, request: (
        world.true_answer(org, request, partial=True) if organization(org) == "b" else None
    )
    assert world.morning().exit_code is ExitCode.INCOMPLETE
    world.step = lambda _org, _request: None
    assert world.look()["bravo"].incomplete
    assert {one["quality"] for one in world.delivered if one["org"] == "bravo"} == {"measured", "unavailable"}


def _the_api_is_down(world: Summer) -> None:
    world.step = lambda _org, _request: status(503)
    assert world.morning().exit_code is ExitCode.INCOMPLETE
    assert all(org.incomplete for org in world.look().values())
    world.step = lambda _org, _request: None


def _the_api_is_back(world: Summer) -> None:
    assert world.morning().exit_code is ExitCode.OK
    assert not any(org.incomplete for org in world.look().values())


def _a_zone_is_mistyped(world: Summer) -> None:
    """That org stops, and no other."""
    world.edit("c", zone=BERLIN)
    result = world.morning()
    assert result.exit_code is ExitCode.REFUSED
    assert {one["org"] for one in world.records_of_run(result)} == {"a", "bravo", "d"}


def _the_zone_is_corrected(world: Summer) -> None:
    world.edit("c", zone=UTC_ZONE)
    assert world.morning().exit_code is ExitCode.OK
    assert (world.look()["c"].refused, world.look()["c"].incomplete) == (False, 0)


def _everything_moves_to_another_machine(world: Summer) -> None:
    there = world.directory.parent / "there"
    shutil.copytree(world.directory, there)
    shutil.rmtree(world.directory)
    world.directory = there
    asked = len(world.api.asked)
    assert world.morning().exit_code is ExitCode.OK
    assert len(world.api.asked) - asked < 4 * 2 * 4


def _removed(world: Summer) -> list[str]:
    reader = open_reader(world.ledger_url)
    assert reader is not None
    try:
        return [one.name for one in reader.removed([org.name for org in world.orgs])]
    finally:
        reader.close()


def _once(world: Summer) -> bool:
    return set(Counter((one["record_id"], one["revision"]) for one in world.delivered).values()) == {1}


def _held_against_the_truth(world: Summer) -> None:
    assert _once(world)
    assert not any(org.incomplete or org.refused for org in world.look().values())
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    newest = world.newest
    assert {one["quality"] for one in newest} == {"measured"}
    last = {one["org_id"]: max(r["window_date"] for r in newest if r["org_id"] == one["org_id"]) for one in newest}
    for one in newest:
        if one["window_date"] != last[one["org_id"]]:  # of which only a part was counted yet
            key = (one["org_id"], one["population"], one["window_date"][:7], one["product"])
            for metric in ("total_tests", "total_duration", "total_screenshots"):
                sums[key][metric] += one[metric] or 0
    assert {key[2] for key in sums} == {"2026-04", "2026-05", "2026-06", "2026-07"}
    for (org_id, population, month, product), found in sums.items():
        letter = org_id.removeprefix("id-")
        start, end = _month(month, letter, until=last[org_id])
        totals = TRUTH.totals(letter, population, start, end).products[product]
        assert found["total_tests"] == totals.get("totalTests", 0), (org_id, population, month, product)
        assert found["total_duration"] == totals.get("totalDuration", 0)
        assert found["total_screenshots"] == totals.get("totalScreenshots", 0)


def _month(month: str, letter: str, *, until: str) -> tuple[int, int]:
    """The month on the organization's calendar, in seconds; not beyond what was collected, nor before it was wanted."""
    tz = ALL[letter].tz
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=32)).replace(day=1)
    last = min(after, date.fromisoformat(until))
    return tuple(  # type: ignore[return-value]
        int(datetime(one.year, one.month, one.day, tzinfo=tz).timestamp()) for one in (first, last)
    )
