"""What a restored ledger takes over from sealed files: revisions that it doesn't know, and ends of runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from collector.core.delivered import DeliveredSlice, PastRun
from collector.core.emission import Emission
from collector.core.ledger_entries import CalendarChanged
from collector.ledger import SqlLedger
from collector.model import Granularity, SliceState, Window, Zone
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import (
    ACCOUNT,
    ALWAYS,
    DAY,
    T0,
    commit,
    day,
    emission,
    registered,
    slice_at,
)
from tests.support.orgs import make_org


def delivered(n: int, emission_: Emission, org_id: str = "id-acme") -> DeliveredSlice:
    return DeliveredSlice(
        org="acme",
        org_id=org_id,
        org_name="Acme",
        population=ACCOUNT,
        window=Window(day(n), day(n + 1)),
        zone="UTC",
        granularity=Granularity.DAY,
        emission=emission_,
    )


def identified(ledger: SqlLedger) -> int:
    key = registered(ledger, make_org("acme"))[0].key
    ledger.identify(key, name="acme", org_id="id-acme", org_name="Acme")
    return key


def emitted(ledger: SqlLedger, key: int, n: int = 0) -> Emission | None:
    return ledger.rows([slice_at(key, n)])[slice_at(key, n)].emission


def test_the_newest_revision_of_each_product_is_known_after_it(ledger: SqlLedger) -> None:
    key = identified(ledger)
    mine, theirs = emission(5, revision=2), emission(6, revision=3, at=T0 + DAY)
    ledger.commit([commit(key, 0, emission=mine)], None)
    assert not ledger.is_behind(delivered(0, emission(4, revision=1)))
    assert not ledger.is_behind(delivered(0, mine))
    assert ledger.is_behind(delivered(0, theirs))
    smartui = emission(7, product="smartui", at=T0 - DAY)
    for _ in range(2):  # each transaction may be done twice
        ledger.adopt([delivered(0, emission(4, revision=1)), delivered(0, theirs)])
        ledger.adopt([delivered(0, smartui)])
    assert emitted(ledger, key) == replace(theirs, products={**theirs.products, **smartui.products})
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(0)].state is SliceState.COMPLETE


def test_a_slice_without_a_row_is_to_be_fetched(ledger: SqlLedger) -> None:
    key = identified(ledger)
    ledger.adopt([delivered(0, emission(5, revision=4))])
    assert emitted(ledger, key) == emission(5, revision=4)
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(0)].state is SliceState.NOT_ASKED


def test_a_calendar_that_was_changed_with_the_restore_is_compared_with_what_is_adopted(ledger: SqlLedger) -> None:
    key = identified(ledger)
    ledger.commit([commit(key, 0)], None)
    tokyo = make_org("acme", zone=Zone.parse("Asia/Tokyo"), since=date(2026, 6, 3))
    (standing,) = registered(ledger, tokyo)  # a run registers before it adopts
    ledger.adopt([delivered(4, emission(5))])
    changed = ledger.acquire([key], {key: (tokyo, standing.calendar_since)})[key]
    assert isinstance(changed, CalendarChanged)
    assert changed.covered_until == day(5)


def test_an_organization_without_a_row_is_bound_to_the_org_that_it_answers_for(ledger: SqlLedger) -> None:
    ledger.adopt([delivered(3, emission(5), "id-new"), delivered(1, emission(6), "id-new")])
    key = registered(ledger, make_org("renamed"))[0].key
    known = ledger.identify(key, name="renamed", org_id="id-new", org_name="New", entry=make_org("renamed"))
    assert isinstance(known, int)
    assert (emitted(ledger, known, 1), emitted(ledger, known, 3)) == (emission(6), emission(5))
    assert [(one.name, one.wanted_from) for one in ledger.organizations()] == [("renamed", T0)]


def test_what_is_adopted_stays_known_when_an_unsealed_file_is_lost(ledger: SqlLedger) -> None:
    key = identified(ledger)
    file = ledger.open_file("run-1", "out", "usage-run-1-0001.jsonl")
    newest = emission(9, revision=3, at=T0 + DAY)
    ledger.commit([commit(key, 0, emission=newest)], file)
    ledger.adopt([delivered(0, emission(8, revision=2))])
    assert emitted(ledger, key) == newest
    ledger.lost(file.file_id)
    assert emitted(ledger, key) == emission(8, revision=2)


def test_a_run_is_unsettled_if_it_is_unknown_or_its_process_died(opened: Open) -> None:
    ledger, other = opened(), opened()
    ledger.begin_run("ended", "collect", T0)
    ledger.end_run("ended", 0, T0)
    ledger.begin_run("running", "collect", T0)
    other.begin_run("killed", "collect", T0)
    other.abandon()
    assert ledger.unsettled({"ended", "running", "killed", "unknown"}) == {"killed": True, "unknown": False}
    assert ledger.unsettled(()) == {}


def test_an_adopted_run_is_settled_and_one_that_could_not_be_read_is_remembered(opened: Open) -> None:
    ledger, other = opened(), opened()
    other.begin_run("killed", "collect 0/4", T0)
    other.abandon()
    ledger.unsettled({"killed"})
    past = PastRun(run_id="killed", command="collect", started_at=T0, ended_at=T0 + timedelta(hours=1), exit_code=0)
    gone = replace(past, run_id="gone", ended_at=T0 + DAY, read=False)
    for _ in range(2):
        ledger.adopt_runs([past, gone])
    assert ledger.unsettled({"killed", "gone"}) == {}
    assert ledger.unread() == [T0 + DAY]
    assert ledger.begin_run("next", "collect", T0) == []
    assert [(run.run_id, run.exit_code) for run in ledger.ended_runs("collect 0/4", 9)] == [("killed", 0)]
