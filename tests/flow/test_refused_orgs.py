"""A refused org is a state in the ledger: since when, why, and by which credential, until it is answered again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collector.app.coverage import CoverageReader
from collector.config import LoadedConfig
from collector.core.exit_codes import ExitCode
from collector.core.ledger_entries import RemovedOrg
from collector.core.org_coverage import CoverageState, CredentialStanding, CredentialStatus, OrgCoverage
from collector.errors import RefusalReason
from collector.events import SliceCommitted
from collector.ledger import open_reader
from collector.model import ApiRequest, BasicCredential, BearerCredential, Org, SliceState, Zone
from collector.service import viewer
from collector.service.loop import Loop
from collector.service.org_metrics import OrgMetrics
from collector.service.run_views import past_view
from collector.service.view import RunView
from collector.service.viewer import Viewer
from tests.flow.harness import FAST
from tests.flow.service_world import ServiceWorld
from tests.flow.world import NOON, World
from tests.support.fake_api import NOT_ADMIN, UNAUTHORIZED, FakeApi, Step, answer
from tests.support.orgs import make_org

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOKEN = BearerCredential(token="token-of-a")


class Refusing(FakeApi):
    """Refuses the orgs that a test names, each in its way."""

    def __init__(self) -> None:
        self.refused: dict[str, Step] = {}
        super().__init__(script=lambda org, _request, _n: self.refused.get(org.name))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, api=Refusing())


def refuse(world: World, **refused: Step) -> None:
    assert isinstance(world.api, Refusing)
    world.api.refused = refused


def look(world: World, now: datetime) -> dict[str, OrgCoverage]:
    """What a process that only reads finds, as `collector status` is one."""
    ledger = open_reader(world.ledger_url)
    assert ledger is not None
    try:
        return CoverageReader(world.config).read_all(ledger, now)
    finally:
        ledger.close()


def credential(world: World, now: datetime, name: str = "a") -> CredentialStatus:
    return look(world, now)[name].credential


def gauge(world: World, now: datetime, name: str) -> float | None:
    """What a push or a textfile of a `collect` has of an org."""
    registry = CollectorRegistry()
    registry.register(OrgMetrics(orgs=look(world, now)))
    return registry.get_sample_value("collector_org_refused", {"org": name})


def test_an_org_that_is_refused_for_eight_days_is_shown_so_each_day_and_no_more_once_it_answers(world: World) -> None:
    for day in range(4):
        assert world.collect(NOON + day * DAY).exit_code is ExitCode.OK
    first = NOON + 4 * DAY
    refuse(world, a=UNAUTHORIZED)
    for day in range(8):
        now = first + day * DAY
        assert world.collect(now).exit_code is ExitCode.REFUSED
        seen = credential(world, now + HOUR)
        assert (seen.standing, seen.reason) == (CredentialStanding.REFUSED, RefusalReason.CREDENTIAL)
        assert seen.since is not None
        assert seen.last_at is not None
        assert seen.since - first < HOUR
        assert timedelta(0) <= seen.last_at - now < HOUR
        assert "the credential is refused (401)" in str(seen.message)
        assert (gauge(world, now, "a"), gauge(world, now, "b")) == (1, 0)
    mended = first + 8 * DAY
    refuse(world)
    world.collect(mended)
    assert credential(world, mended + HOUR) == CredentialStatus(standing=CredentialStanding.ACCEPTED)
    assert (gauge(world, mended, "a"), gauge(world, mended, "b")) == (0, 0)


def test_a_changed_zone_refuses_its_org_alone_and_shows_it_as_the_ledger_has_it_until_there_is_a_since(
    world: World,
) -> None:
    for day in range(4):
        assert world.collect(NOON + day * DAY).exit_code is ExitCode.OK
    before = look(world, NOON + 3 * DAY)["a"]
    tokyo = replace(world.orgs[0], zone=Zone.parse("Asia/Tokyo"))
    world.orgs[0] = tokyo
    edited = look(world, NOON + 3 * DAY)["a"]  # before any run
    assert (edited.credential.reason, edited.credential.since) == (RefusalReason.CALENDAR, None)
    first = NOON + 4 * DAY
    for day in range(3):
        now, asked = first + day * DAY, len(world.api.asked)
        result = world.collect(now)
        assert result.exit_code is ExitCode.REFUSED
        assert {name for _, name in world.api.asked[asked:]} == {"b"}
        assert result.summary.orgs["b"].count(SliceState.COMPLETE) == result.summary.orgs["b"].planned > 0
        seen = look(world, now + HOUR)["a"]
        assert (seen.timezone, seen.count(CoverageState.COMPLETE)) == ("UTC", before.count(CoverageState.COMPLETE))
        assert seen.count(CoverageState.MISSING) == 2 * (day + 1)  # the days since then, of both populations
        assert (seen.credential.standing, seen.credential.reason) == (
            CredentialStanding.REFUSED,
            RefusalReason.CALENDAR,
        )
        assert seen.credential.since is not None
        assert seen.credential.since - first < HOUR
        assert (gauge(world, now, "a"), gauge(world, now, "b")) == (1, 0)
        manifest = json.loads((world.directory / "out" / f"run-{result.run_id}.json").read_bytes())
        assert {(one["org"], one["reason"], one["message"]) for one in manifest["not_complete"]} == {
            ("a", "refused_calendar", seen.credential.message)
        }
    (since,) = re.findall(r"set `since: (\S+)`", str(seen.credential.message))
    world.orgs[0] = replace(tokyo, since=date.fromisoformat(since))
    now = first + 3 * DAY
    assert credential(world, now).standing is CredentialStanding.ACCEPTED  # also before the next run
    assert world.collect(now).exit_code is ExitCode.OK
    assert look(world, now)["a"].timezone == "Asia/Tokyo"
    assert {r["org"] for r in world.records if r["timezone"] == "Asia/Tokyo"} == {"a"}


def test_a_backfill_of_a_refused_org_is_not_wanted_of_it(world: World) -> None:
    world.backfill(NOON, "2026-06-01", "2026-06-10")
    world.orgs[0] = replace(world.orgs[0], zone=Zone.parse("Asia/Tokyo"))
    result = world.backfill(NOON, "2026-06-12", "2026-06-14")
    assert result.exit_code is ExitCode.REFUSED
    assert (result.summary.orgs["a"].planned, result.summary.orgs["b"].count(SliceState.COMPLETE)) == (6, 6)
    assert [list(names) for names in result.ranges.values()] == [["b"]]
    world.orgs[0] = make_org("a")
    assert look(world, NOON)["a"].count(CoverageState.COMPLETE) == 20
    assert look(world, NOON)["b"].count(CoverageState.COMPLETE) == 26


def test_a_refused_recheck_of_a_complete_window_shows_the_refusal(world: World) -> None:
    """The complete slice stays complete, and doesn't show that it was refused."""
    world.schedule = {"recheck": ["18h"]}
    world.collect(NOON)
    refuse(world, a=UNAUTHORIZED)
    later = NOON + 7 * HOUR  # nothing else is due by then
    assert world.collect(later).exit_code is ExitCode.REFUSED
    seen = look(world, later)["a"]
    assert seen.count(CoverageState.REFUSED) == 0
    assert (seen.refused, seen.credential.reason) == (True, RefusalReason.CREDENTIAL)
    assert gauge(world, later, "a") == 1


def test_the_newest_reason_is_shown_and_the_first_refusal(world: World) -> None:
    refuse(world, a=UNAUTHORIZED)
    world.collect(NOON)
    refuse(world, a=NOT_ADMIN)
    world.collect(NOON + DAY)
    seen = credential(world, NOON + DAY)
    assert seen.reason is RefusalReason.NOT_ADMIN
    assert seen.since is not None
    assert seen.since < NOON + HOUR


def test_a_refusal_after_an_answer_of_the_same_run_is_a_new_one(world: World) -> None:
    refuse(world, a=UNAUTHORIZED)
    world.collect(NOON)
    done = world.api.count["a"]
    world.api.script = lambda org, _request, n: UNAUTHORIZED if org.name == "a" and n > done else None
    assert world.collect(NOON + DAY).exit_code is ExitCode.REFUSED
    since = credential(world, NOON + DAY).since
    assert since is not None
    assert since >= NOON + DAY


def test_an_answer_that_another_organization_gives_refuses_the_org(world: World) -> None:
    world.collect(NOON)

    def another(org: Org, request: ApiRequest, _n: int) -> Step:
        return answer(org, request, org_id="another") if org.name == "a" else None

    world.api.script = another
    world.collect(NOON + DAY)
    seen = credential(world, NOON + DAY)
    assert seen.reason is RefusalReason.IDENTITY
    assert "'another' answers where 'id-a' answered before" in str(seen.message)


def test_the_refused_user_can_be_told_from_others_and_is_not_named(world: World) -> None:
    refuse(world, a=UNAUTHORIZED, b=UNAUTHORIZED)
    world.orgs[1] = make_org("b", credential=BearerCredential(token="token-of-b"))
    world.collect(NOON)
    seen, token = credential(world, NOON), credential(world, NOON, "b")
    assert seen.user is not None
    assert (seen.changed, token.user, token.changed) == (False, None, None)
    assert ("the access key" in str(seen.message), "the token" in str(token.message)) == (True, True)
    assert not [secret for secret in ("example.test", "key-of-a", "token-of-b") if secret in str((seen, token))]
    world.orgs[0] = make_org("a", credential=BasicCredential(username="other@example.test", access_key="key"))
    assert credential(world, NOON) == replace(seen, changed=True)
    world.orgs[0] = make_org("a", credential=TOKEN)
    assert credential(world, NOON) == replace(seen, changed=True)


def test_a_refused_org_that_is_renamed_stays_refused(world: World) -> None:
    refuse(world, a=UNAUTHORIZED, new=UNAUTHORIZED)
    world.collect(NOON)
    before = credential(world, NOON)
    renamed = replace(world.orgs[0], name="new")
    original, world.orgs[0] = world.orgs[0], renamed
    assert credential(world, NOON, "new") == before
    for day, org in enumerate((renamed, original, renamed), 1):
        world.orgs[0] = org
        world.collect(NOON + day * DAY)
        assert credential(world, NOON + day * DAY, org.name).since == before.since


def test_a_refused_org_that_is_answered_under_another_name_is_refused_no_more(world: World) -> None:
    """With a token, only the answer shows that it is a renamed org."""
    world.orgs[0] = make_org("a", credential=TOKEN)
    world.collect(NOON)
    refuse(world, a=UNAUTHORIZED)
    world.collect(NOON + DAY)
    world.orgs[0] = make_org("new", credential=BearerCredential(token="renewed"))
    world.api.script = lambda org, request, _n: answer(org, request, org_id="id-a") if org.name == "new" else None
    assert world.collect(NOON + 2 * DAY).exit_code is ExitCode.OK
    assert credential(world, NOON + 2 * DAY, "new").standing is CredentialStanding.ACCEPTED


def test_of_two_entries_of_one_organization_the_refused_one_is_shown(world: World) -> None:
    world.same_organization = "allow"

    def one(org: Org, request: ApiRequest, _n: int) -> Step:
        assert isinstance(world.api, Refusing)
        return world.api.refused.get(org.name) or answer(org, request, org_id="one")

    world.api.script = one
    world.collect(NOON)
    refuse(world, a=UNAUTHORIZED)
    for day in (1, 2):
        world.collect(NOON + day * DAY)
        seen = look(world, NOON + day * DAY)
        assert {name: org.refused for name, org in seen.items()} == {"a": True, "b": False}
        since = seen["a"].credential.since
        assert since is not None
        assert since < NOON + DAY + HOUR


def test_an_answer_that_comes_behind_the_refusal_of_the_same_run_does_not_hide_it(world: World) -> None:
    """It is of a request that left before."""
    world.orgs, slow, refused = [make_org("a")], 20, range(21, 40)
    world.limits = replace(FAST, org_concurrency=4)
    world.api.script = lambda _org, _request, n: UNAUTHORIZED if n in refused else None
    world.api.latency_s = lambda org: 600.0 if world.api.count[org.name] - 1 == slow else 0.1
    result = world.backfill(NOON, "2026-05-01", "2026-06-20")
    ends = [event.outcome.state for event in world.events if isinstance(event, SliceCommitted)]
    assert ends[-2:] == [SliceState.REFUSED, SliceState.COMPLETE]
    assert result.exit_code is ExitCode.REFUSED
    assert credential(world, NOON).standing is CredentialStanding.REFUSED


class Reads:
    """Reads the ledger of a world, as the service's reader thread does."""

    def __init__(self, world: ServiceWorld) -> None:
        self._world = world
        self._ledger = open_reader(world.ledger_url)

    async def coverage(
        self, config: LoadedConfig, reader: CoverageReader, names: Iterable[str]
    ) -> Mapping[str, OrgCoverage]:
        del config
        assert self._ledger is not None
        return reader.read(self._ledger, names, self._world.clock.now())

    async def runs_beside(self, config: LoadedConfig) -> Sequence[RunView]:
        del config
        assert self._ledger is not None
        return [past_view(run, run.command) for run in self._ledger.ended_beside("serve", 50)]

    async def removed(self, config: LoadedConfig) -> Sequence[RemovedOrg]:
        assert self._ledger is not None
        return self._ledger.removed([org.name for org in config.orgs])


def test_a_service_that_was_restarted_knows_refused_orgs_at_once_and_tries_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "_LOOK_EVERY_S", 600.0)  # no other process commits, and a day has 29,000 times three s
    world = ServiceWorld(tmp_path, schedule={"cron": "0 12 * * *", "jitter": "0"}, api=Refusing())
    refuse(world, a=UNAUTHORIZED)
    world.serve(NOON, HOUR)
    before = len(world.api.times("a"))
    seen: list[CredentialStatus] = []

    async def watch(loop: Loop) -> None:
        config = loop.config
        shown = Viewer(
            Reads(world),
            config=lambda: config,
            observed=loop.observed,
            quarantine=loop.quarantine,
            clock=world.clock,
        )
        task = asyncio.create_task(shown.run())
        for pause_s in (5, 22 * 3600):
            await asyncio.sleep(pause_s)
            seen.append(loop.observed.orgs["a"].credential)
        task.cancel()

    world.serve(NOON + 2 * HOUR, 24 * HOUR, watch)
    at_once, later = seen
    assert (at_once.standing, at_once.tried_again_at) == (CredentialStanding.REFUSED, None)
    assert at_once.since is not None
    assert at_once.since < NOON + HOUR
    assert later.since == at_once.since
    assert later.tried_again_at is not None
    assert len(world.api.times("a")) == before + 2
