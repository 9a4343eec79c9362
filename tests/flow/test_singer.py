"""Runs as a Singer tap, with nothing but the STATE between them."""

from __future__ import annotations

import random
import signal
from datetime import date, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector.core.exit_codes import ExitCode
from collector.errors import ConfigError
from collector.events import Event, SliceCommitted
from collector.model import ApiRequest, Org
from collector.run.stop import Stop
from tests.flow.tap import Message, Tap, loaded, numbers, states
from tests.flow.world import DAY, NOON, counting, day_of
from tests.support.breadth import some_of
from tests.support.fake_api import UNAUTHORIZED, Script, Step, answer, status
from tests.support.orgs import make_org


@pytest.fixture
def tap(tmp_path: Path) -> Tap:
    return Tap(tmp_path)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A STATE after each commit, as far as records came."""
    monkeypatch.setattr("collector.adapters.sinks.singer._STATE_EVERY", 4)
    monkeypatch.setattr("collector.adapters.sinks.singer._slices", lambda _carried: 0)


def noting(asked: set[tuple[str, str, str]], script: Script) -> Script:
    def note(org: Org, request: ApiRequest, n: int) -> Step:
        asked.add((org.name, request.population.value, day_of(request)))
        return script(org, request, n)

    return note


def test_the_next_run_begins_where_the_last_state_says(tap: Tap) -> None:
    first = tap.run(NOON)
    assert [message["type"] for message in first][:2] == ["SCHEMA", "STATE"]
    assert len(loaded(first)) == 2 * 2 * 3 * 2  # orgs, populations, days of the lookback, products
    (_, last) = states(first)
    assert last["ledger"]["ended"] is True
    again = tap.run(NOON + timedelta(minutes=5), last)
    assert [message["type"] for message in again] == ["SCHEMA", "STATE"]
    assert states(again)[0]["bookmarks"] == last["bookmarks"]
    next_day = tap.run(NOON + DAY, states(again)[0])
    days = {record["window_date"] for record in loaded(next_day).values()}
    assert days == {"2026-06-24"}, "rechecked windows have the same numbers, and don't come again"
    assert tap.code == ExitCode.OK


def test_a_restatement_has_the_next_revision_though_only_the_state_knows_the_first(tap: Tap) -> None:
    tap.api.script = counting(10)
    first = tap.run(NOON)
    tap.api.script = counting(11)
    second = tap.run(NOON + DAY, states(first)[-1])
    restated = {record["window_date"]: record["revision"] for record in loaded(second).values()}
    assert restated == {"2026-06-21": 2, "2026-06-23": 2, "2026-06-24": 1}  # the 22nd has no recheck on that day


@pytest.mark.usefixtures("often")
def test_whatever_state_a_killed_run_left_the_next_one_completes_the_table(tap: Tap) -> None:
    """A target has got a part of the messages, and hands back any STATE in it, or that of before."""
    tap.api.script, tap.api.latency_s = counting(10), lambda _org: 1.0
    before = tap.run(NOON)
    tap.api.script = counting(12)
    killed = tap.run(NOON + 8 * DAY, states(before)[-1])
    truth = numbers(loaded(killed, loaded(before)))
    handed_back = [(0, states(before)[-1])]
    handed_back += [(n + 1, message["value"]) for n, message in enumerate(killed) if message["type"] == "STATE"]
    assert len(handed_back) >= 8
    for at, state in handed_back:
        again = tap.run(NOON + 8 * DAY + timedelta(hours=1), state)
        for received in {at, (at + len(killed)) // 2, len(killed)}:
            table = loaded(again, loaded(killed[:received], loaded(before)))
            assert numbers(table) == truth, (at, received)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("then", [10, 11, 12])
def test_numbers_that_changed_back_since_a_killed_run_come_again(tap: Tap, then: int) -> None:
    """The killed run emitted 12, and nobody knows that but the table. It must not keep what the API no longer says."""
    tap.api.script, tap.api.latency_s = counting(10), lambda _org: 1.0
    before = tap.run(NOON)
    tap.api.script = counting(12)
    killed = tap.run(NOON + 2 * DAY, states(before)[-1])
    for state in states(killed):
        asked: set[tuple[str, str, str]] = set()
        tap.api.script = noting(asked, counting(then))
        again = tap.run(NOON + 2 * DAY + timedelta(hours=1), state)
        for record in loaded(again, loaded(killed, loaded(before))).values():
            if (
                record["product"] == "automation"
                and (record["org"], record["population"], record["window_date"]) in asked
            ):
                assert record["total_tests"] == then


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("seed", some_of(range(6), 2))
def test_through_weeks_of_killed_runs_and_lost_states_the_table_becomes_what_the_api_says(tap: Tap, seed: int) -> None:
    """Numbers come late, and sometimes an answer is a wrong zero. After some calm days the table is right."""
    tap.orgs = [make_org(name, since=date(2026, 6, 21)) for name in ("a", "b")]  # a lost first STATE changes nothing
    rng, now, state, table = random.Random(seed), NOON, None, {}  # type: ignore[var-annotated]
    calm = False

    def api(org: Org, request: ApiRequest, _n: int) -> Step:
        age = now - datetime.fromisoformat(f"{day_of(request)}T00:00+00:00")
        tests = int(day_of(request)[-2:]) * 100 + min(age // DAY, 2)
        if not calm and rng.random() < 0.1:
            bad = [answer(org, request, partial=True), status(503), counting(0)(org, request, 0)]
            return rng.choice(bad[: 3 if age < 3 * DAY else 2])  # the last recheck has the last word
        return counting(tests)(org, request, 0)

    tap.api.script, tap.api.latency_s = api, lambda _org: 0.5
    for day in range(18):
        calm = day >= 12
        now = NOON + day * DAY + rng.randrange(6) * timedelta(hours=1)
        sent = tap.run(now, state)
        received = len(sent) if calm else rng.randrange(len(sent) + 1)
        table = loaded(sent[:received], table)
        if states(sent[:received]) and (calm or rng.random() < 0.8):
            state = states(sent[:received])[-1]
    found = {
        (one["org"], one["population"], one["window_date"]): one["total_tests"]
        for one in table.values()
        if one["product"] == "automation"
    }
    days = [f"{NOON + n * DAY:%Y-%m-%d}" for n in range(-3, 17)]
    wrong = {
        key: found.get(key)
        for key in product(["a", "b"], ["account-user", "service-user"], days[:-3])
        if found.get(key) != int(key[2][-2:]) * 100 + 2
    }
    assert not wrong


def test_the_same_state_twice_brings_the_same_records_under_the_same_ids(tap: Tap) -> None:
    first = tap.run(NOON)
    one = tap.run(NOON + DAY, states(first)[-1])
    two = tap.run(NOON + DAY + timedelta(hours=1), states(first)[-1])
    assert loaded(one).keys() == loaded(two).keys()
    assert numbers(loaded(two, loaded(one))) == numbers(loaded(one))


def test_a_run_that_is_stopped_hands_on_what_it_completed(tap: Tap) -> None:
    stop, committed = Stop(), 0

    def stop_early(event: Event) -> None:
        nonlocal committed
        committed += isinstance(event, SliceCommitted)
        if committed == 3:
            stop.request(signal.SIGTERM)

    tap.schedule = {"lookback": "30d"}
    first = tap.run(NOON, stop=stop, emit=stop_early)
    assert tap.code == ExitCode.TERMINATED
    last = states(first)[-1]
    assert last["ledger"]["ended"] is True, "all that was written is committed"
    second = tap.run(NOON + timedelta(minutes=1), last)
    assert 0 < len(loaded(first)) < 2 * 2 * 30 * 2
    assert not loaded(first).keys() & loaded(second).keys()
    assert len(loaded(second, loaded(first))) == 2 * 2 * 30 * 2
    assert {record["revision"] for record in loaded(second).values()} == {1}


def test_an_org_that_is_renamed_goes_on_under_its_new_name(tap: Tap) -> None:
    tap.api.script = lambda org, request, _n: answer(org, request, org_id="2" if org.name == "b" else "1")
    first = tap.run(NOON)
    tap.orgs = [make_org("c", credential=tap.orgs[0].credential), tap.orgs[1]]
    second = tap.run(NOON + DAY, states(first)[-1])
    days = {(record["org"], record["window_date"]) for record in loaded(second).values()}
    assert days == {("c", "2026-06-24"), ("b", "2026-06-24")}


def test_an_org_that_is_removed_is_reported_once_and_goes_on_if_it_comes_back(tap: Tap) -> None:
    both = tap.orgs
    first = tap.run(NOON)
    tap.orgs = both[:1]
    with capture_logs() as logs:
        second = tap.run(NOON + DAY, states(first)[-1])
    (removed,) = [entry for entry in logs if entry["event"] == "orgs.removed"]
    assert removed["orgs"] == ["b"]
    assert "collector forget" not in removed["message"], "there is no ledger that it could be told to"
    with capture_logs() as logs:
        third = tap.run(NOON + DAY, states(second)[-1])
    assert not [entry for entry in logs if entry["event"] == "orgs.removed"]
    tap.orgs = both
    fourth = tap.run(NOON + DAY, states(third)[-1])
    assert {(record["org"], record["window_date"]) for record in loaded(fourth).values()} == {("b", "2026-06-24")}


def test_another_organization_behind_an_org_is_refused_though_only_the_state_knows_the_first(tap: Tap) -> None:
    first = tap.run(NOON)
    tap.api.script = lambda org, request, _n: answer(org, request, org_id="other") if org.name == "a" else None
    second = tap.run(NOON + DAY, states(first)[-1])
    assert tap.code == ExitCode.REFUSED
    assert {record["org"] for record in loaded(second).values()} == {"b"}


def test_slices_that_later_runs_fetch_again_fail_no_pipeline(tap: Tap) -> None:
    tap.api.script = lambda org, request, _n: answer(org, request, partial=True) if org.name == "a" else None
    with capture_logs() as logs:
        first = tap.run(NOON)
    assert tap.code == ExitCode.OK
    assert [entry for entry in logs if entry["event"] == "singer.incomplete"]
    assert loaded(first)
    tap.api.script = lambda _org, _request, _n: None
    second = tap.run(NOON + DAY, states(first)[-1])
    assert all(record["quality"] == "measured" for record in loaded(second, loaded(first)).values())


def test_what_no_later_run_fetches_fails_the_pipeline_until_somebody_decides(tap: Tap) -> None:
    first = tap.run(NOON)
    with capture_logs() as logs:
        late = tap.run(NOON + 50 * DAY, states(first)[-1])
    assert tap.code == ExitCode.INCOMPLETE
    (gaps,) = [entry for entry in logs if entry["event"] == "singer.gaps"]
    assert gaps["gaps"][0].startswith("a: 2026-06-24")
    tap.orgs = [make_org(org.name, since=date(2026, 7, 12)) for org in tap.orgs]  # it isn't wanted
    tap.run(NOON + 50 * DAY, states(late)[-1])
    assert tap.code == ExitCode.OK
    tap.orgs, tap.schedule = [make_org(org.name) for org in tap.orgs], {"catch_up": "60d"}
    caught_up = tap.run(NOON + 50 * DAY, states(late)[-1])
    assert tap.code == ExitCode.OK
    assert min(record["window_date"] for record in loaded(caught_up).values()) == "2026-06-24"


def test_an_org_that_is_refused_fails_the_pipeline(tap: Tap) -> None:
    tap.api.script = lambda org, _request, _n: UNAUTHORIZED if org.name == "a" else None
    first = tap.run(NOON)
    assert tap.code == ExitCode.REFUSED
    assert {record["org"] for record in loaded(first).values()} == {"b"}


def test_a_config_with_a_ledger_uses_that_and_the_state_is_a_bookmark(tap: Tap) -> None:
    tap.state_url = f"sqlite:///{tap.directory}/own.db"
    first = tap.run(NOON)
    assert [state.keys() for state in states(first)] == [{"bookmarks"}]
    assert loaded(tap.run(NOON, {})) == {}, "the ledger knows them"
    again = tap.run(NOON, states(first)[-1])
    assert states(again)[-1] == states(first)[-1]
    carried = Tap(tap.directory / "other")
    carried.directory.mkdir()
    with capture_logs() as logs:
        tap.run(NOON, states(carried.run(NOON))[-1])
    assert [entry for entry in logs if entry["event"] == "singer.state_ignored"]


@pytest.mark.parametrize("state", [{"bookmarks": {}}, {"ledger": None}, {"ledger": {"tap": "tap-x"}}, {"other": 1}])
def test_a_state_that_has_no_ledger_begins_nothing(tap: Tap, state: Message) -> None:
    with pytest.raises(ConfigError, match="--state"):
        tap.run(NOON, state)
    assert not tap.api.asked


def test_months_of_runs_keep_the_state_small(tap: Tap) -> None:
    sizes, state = [], None
    for n in range(30):
        state = states(tap.run(NOON + 4 * n * DAY, state))[-1]
        sizes.append(len(str(state)))
    assert sizes[-1] < sizes[12] * 1.2
    assert state is not None
    assert state["ledger"]["slices"] == 2 * 2 * (3 + 4 * 29)
