"""What a ledger knows, in a Singer STATE: a ledger that is made of it goes on as the first one would."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.coverage import Ages, to_collect
from collector.core.ledger_entries import CredentialUse, SliceCommit
from collector.errors import RefusalReason, Refused
from collector.ledger import CarriedError, SqlLedger, restore
from collector.ledger.carried import _TABLES
from collector.ledger.schema import metadata, org, slice_
from collector.ledger.versions import KNOWN
from collector.model import Population, SliceState, Window
from tests.adapters.ledger.support import (
    ACCOUNT,
    ALWAYS,
    DAY,
    T0,
    commit,
    day,
    days,
    emission,
    open_ledger,
    registered,
    slice_at,
)
from tests.adapters.ledger.test_refusals import refusal
from tests.support.orgs import make_org

AGES = Ages(settle=timedelta(hours=6), recheck=(DAY, 3 * DAY), repair_for=30 * DAY, catch_up=35 * DAY)
LATER = day(120)


def carried(ledger: SqlLedger, *, now: datetime = LATER, ages: Ages = AGES, ended: bool = True) -> dict[str, Any]:
    return json.loads(json.dumps(ledger.carry(ages, now=now, ended=ended)))  # type: ignore[no-any-return]


def restored(value: dict[str, Any], path: Path, *, now: datetime = LATER) -> SqlLedger:
    restore(value, path, now=now)
    return open_ledger(path, now=lambda: now)


def edited(value: dict[str, Any], edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Change what is packed."""
    content = json.loads(zlib.decompress(base64.b64decode(value["data"])))
    edit(content)
    return value | {"data": base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()}


def planned(ledger: SqlLedger, key: int, *, now: datetime, ages: Ages = AGES) -> set[tuple[Population, datetime]]:
    """What a `collect` fetches of 200 days."""
    known = ledger.coverage(key, ALWAYS)
    return {
        (population, day(n))
        for population in Population
        for n in range(200)
        if now - ages.horizon <= day(n + 1) <= now - ages.settle
        and to_collect(days(n, n + 1), known.get((population, day(n))), ages, now=now)
    }


@st.composite
def histories(draw: st.DrawFn) -> list[SliceCommit]:
    """Slices of up to 120 days, with gaps; complete ones were so at once or late."""
    commits = []
    for population in Population:
        for n in draw(st.lists(st.integers(0, 119), unique=True, max_size=40)):
            state = draw(st.sampled_from([SliceState.COMPLETE] * 3 + list(SliceState)))
            late = draw(st.integers(0, 119 - n)) * DAY + draw(st.sampled_from([6, 30, 80])) * DAY / 24
            complete_at = day(n + 1) + late if state is SliceState.COMPLETE else None
            more = {} if state is SliceState.COMPLETE else {"code": draw(st.sampled_from(["http_500", "ü\u0007"]))}
            commits.append(commit(1, n, state, slice=slice_at(1, n, population), complete_at=complete_at, **more))
    return commits


@settings(max_examples=40, deadline=None)
@given(history=histories(), ahead=st.integers(0, 40))
def test_a_ledger_made_of_what_another_one_knows_plans_the_same(history: list[SliceCommit], ahead: int) -> None:
    with TemporaryDirectory() as directory:
        ledger = open_ledger(Path(directory) / "one.db")
        registered(ledger, make_org("a"))
        ledger.commit(history, None)
        second = restored(carried(ledger), Path(directory) / "two.db")
        third = restored(carried(second), Path(directory) / "three.db")
        for now in (LATER, LATER + ahead * DAY):
            assert planned(ledger, 1, now=now) == planned(second, 1, now=now) == planned(third, 1, now=now)
        for other in (second, third):
            before, after = ledger.coverage(1, ALWAYS), other.coverage(1, ALWAYS)
            assert {key: known.state for key, known in before.items()} == {
                key: known.state for key, known in after.items()
            }
            recent = Window(LATER - AGES.horizon, LATER)
            assert ledger.coverage(1, recent) == other.coverage(1, recent)
            assert ledger.rows([c.slice for c in history if c.slice.start >= recent.start]) == other.rows(
                [c.slice for c in history if c.slice.start >= recent.start]
            )
        for one in (ledger, second, third):
            one.close()


def test_orgs_keep_names_identities_calendars_ranges_and_refusals(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    one, two = make_org("a"), make_org("b")
    first, second = registered(ledger, one, two)
    ledger.note_config([one, two], T0)
    ledger.acquire([first.key, second.key])
    ledger.identify(first.key, name="a", org_id="1", org_name="One")
    ledger.want({first.key: [days(-40, -30)]})
    refused = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused (401)")
    ledger.commit([], None, [CredentialUse(org=two, at=day(1), refused=refused)])
    ledger.note_config([one], day(2))  # b was removed
    again = restored(carried(ledger), tmp_path / "two.db")
    assert again.identified() == {"a": "1"}
    assert again.wanted(first.key) == [days(-40, -30)]
    assert again.calendar_changes([one, two], names=["a", "b"]) == {}
    assert [(row.name, row.key) for row in again.organizations()] == [("a", first.key), ("b", second.key)]
    assert [removed.name for removed in ledger.removed(["a"])] == ["b"]
    assert again.removed(["a"]) == [], "it was reported, and nobody can say `forget` of it"
    assert refusal(again, second.key, "b") == refusal(ledger, second.key, "b")
    assert refusal(again, second.key, "b") is not None
    assert registered(again, one, two) == registered(ledger, one, two)


def test_the_lease_of_an_org_is_not_carried(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    (standing,) = registered(ledger, make_org("a"))
    ledger.acquire([standing.key])
    assert restored(carried(ledger), tmp_path / "two.db").acquire([standing.key]) == {}


def test_a_new_table_or_column_is_carried_or_left_out_on_purpose() -> None:
    """Of processes, of files and of runs: nothing that the next run of a tap could need."""
    left_out = {"holder", "waiter", "run", "file", "ledger", "output", "outbox"}
    left_out |= {"restatement"}  # nobody exports from a carried ledger
    assert set(metadata.tables) - {table.name for table in _TABLES} - {slice_.name} == left_out
    for table, carried_columns in _TABLES.items():
        left = {"holder", "changed"} if table is org else set()
        assert {column.name for column in table.c} - set(carried_columns) == left


def test_years_of_complete_windows_take_little_room(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    registered(ledger, make_org("a"))
    now = day(3660)
    ledger.commit([commit(1, n, complete_at=day(n + 5)) for n in range(3650)], None)
    recent_only = carried(ledger, now=now)
    assert recent_only["slices"] == 3650
    assert len(json.dumps(recent_only)) < 4000
    again = restored(recent_only, tmp_path / "two.db", now=now)
    assert len(again.coverage(1, ALWAYS)) == 3650


def test_what_is_old_and_complete_is_never_fetched_again_also_if_rechecks_come_later(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    registered(ledger, make_org("a"))
    ledger.commit([commit(1, n, complete_at=day(n + 5)) for n in range(100)], None)
    again = restored(carried(ledger, now=day(100)), tmp_path / "two.db", now=day(101))
    late = Ages(settle=AGES.settle, recheck=(DAY, 90 * DAY), repair_for=30 * DAY, catch_up=35 * DAY)
    assert (ACCOUNT, day(10)) in planned(ledger, 1, now=day(101), ages=late), "the numbers that were emitted are known"
    assert not [start for _, start in planned(again, 1, now=day(101), ages=late) if start < day(40)]


def test_a_state_of_the_middle_of_a_run_leaves_that_run_unread(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    registered(ledger, make_org("a"))
    again = restored(carried(ledger, ended=False), tmp_path / "two.db", now=LATER + DAY)
    assert again.unread() == [LATER + DAY]
    once_more = restored(carried(again, ended=False, now=LATER + DAY), tmp_path / "three.db", now=LATER + 2 * DAY)
    assert once_more.unread() == [LATER + DAY, LATER + 2 * DAY]
    at_the_end = restored(carried(again, now=LATER + DAY), tmp_path / "four.db")
    assert at_the_end.unread() == [LATER + DAY]
    long_after = restored(carried(again, now=LATER + 80 * DAY), tmp_path / "five.db")
    assert long_after.unread() == [], "no window is fetched any more that the run may have emitted"


def test_the_keys_are_always_the_same_so_that_merging_two_values_gives_the_later_one(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    before = carried(ledger)
    registered(ledger, make_org("a"))
    ledger.commit([commit(1, 0)], None)
    after = carried(ledger, ended=False)
    assert before.keys() == after.keys()
    assert not any(isinstance(value, dict | list) for value in after.values())


def test_a_value_of_an_older_format_is_migrated(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    registered(ledger, make_org("a"))
    ledger.commit([commit(1, 118), commit(1, 119, SliceState.FAILED)], None)
    value = carried(ledger)

    def to_0008(content: dict[str, Any]) -> None:
        rows = content["tables"]["slice"]
        for name in ("unverified", "naming"):
            at = rows["columns"].index(name)
            del rows["columns"][at]
            for row in rows["rows"]:
                del row[at]

    again = restored(edited(value, to_0008) | {"format": "0008"}, tmp_path / "two.db")
    assert again.info().version == KNOWN[-1]
    assert again.coverage(1, ALWAYS) == ledger.coverage(1, ALWAYS)


def damaged_values() -> list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]]:
    def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda value: {key: one for key, one in value.items() if key != name}

    return [
        ("another tap", lambda value: value | {"tap": "tap-other"}, "another tap"),
        ("no tap", without("tap"), "another tap"),
        ("newer", lambda value: value | {"format": "9999"}, "upgrade"),
        ("unknown format", lambda value: value | {"format": "first"}, "damaged"),
        ("no data", without("data"), "damaged"),
        ("no end", without("ended"), "damaged"),
        ("cut", lambda value: value | {"data": value["data"][:-8]}, "damaged"),
        ("no base64", lambda value: value | {"data": "…"}, "damaged"),
        ("other bytes", lambda value: value | {"data": value["data"][::-1]}, "damaged"),
        ("no table", lambda value: edited(value, lambda content: content["tables"].pop("org")), "shape"),
        (
            "a column",
            lambda value: edited(value, lambda c: c["tables"]["org"].update(columns=["x"], rows=[[1]])),
            "org",
        ),
        (
            "twice",
            lambda value: edited(value, lambda c: c["tables"]["slice"]["rows"].append(c["tables"]["slice"]["rows"][0])),
            "slice",
        ),
        ("no org", lambda value: edited(value, lambda c: c["tables"]["org"]["rows"].clear()), "alias"),
        ("a list", lambda value: edited(value, lambda c: c["tables"]["org"]["rows"][0].__setitem__(0, [1])), "org"),
        ("spans", lambda value: edited(value, lambda c: c.update(spans=[[1, 0]])), "shape"),
        ("far", lambda value: edited(value, lambda c: c.update(spans=[[1, 0, 10**30, [[1, 1]]]])), "instant"),
        ("unread", lambda value: edited(value, lambda c: c.update(unread=["x", {}])), "run"),
    ]


@pytest.mark.parametrize(("damage", "why"), [one[1:] for one in damaged_values()], ids=[o[0] for o in damaged_values()])
def test_what_no_ledger_can_be_made_of_is_refused(
    tmp_path: Path, damage: Callable[[dict[str, Any]], dict[str, Any]], why: str
) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    registered(ledger, make_org("a"))
    ledger.commit([commit(1, 119)], None)
    with pytest.raises(CarriedError, match=why):
        restore(damage(carried(ledger)), tmp_path / "two.db", now=LATER)
    assert not (tmp_path / "two.db").exists()


def test_emissions_and_anomaly_checks_have_four_weeks_before_the_oldest_recheck(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "one.db")
    registered(ledger, make_org("a"))
    ledger.commit([commit(1, n, complete_at=day(n + 5), emission=emission(n + 1)) for n in range(120)], None)
    again = restored(carried(ledger), tmp_path / "two.db")
    rechecked = LATER - 4 * DAY
    baseline = ledger.recent(1, ACCOUNT, before=rechecked, limit=28)
    assert again.recent(1, ACCOUNT, before=rechecked, limit=28) == baseline
    assert all(row.emission for row in baseline)
