"""The slices in the ledger, and how a commit changes them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.core.coverage import Known
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import SliceKey, SliceRow
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.model import ProductUsage, Quality, SliceState, Window
from collector.ports import Ledger
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import (
    ACCOUNT,
    ALWAYS,
    DAY,
    SERVICE,
    commit,
    day,
    days,
    emission,
    registered,
    slice_at,
)
from tests.support.orgs import make_org


def test_the_sql_ledger_implements_the_port(ledger: SqlLedger) -> None:
    port: Ledger = ledger  # mypy is the test
    assert port is ledger


def test_slices_that_were_never_fetched_are_left_out(ledger: SqlLedger, key: int) -> None:
    assert ledger.coverage(key, ALWAYS) == {}
    assert ledger.rows([slice_at(key, 0)]) == {}
    assert ledger.rows([]) == {}


def test_a_slice_is_read_as_it_was_committed(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0)], None)
    known = Known(state=SliceState.COMPLETE, complete_at=day(2))
    assert ledger.coverage(key, ALWAYS) == {(ACCOUNT, day(0)): known}
    assert ledger.rows([slice_at(key, 0), slice_at(key, 1)]) == {
        slice_at(key, 0): SliceRow(
            start=day(0), end=day(1), known=known, code=None, asked_at=day(2), emission=emission()
        )
    }


@pytest.mark.parametrize("state", SliceState)
def test_every_state_is_stored(ledger: SqlLedger, key: int, state: SliceState) -> None:
    ledger.commit([commit(key, 0, state)], None)
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(0)].state is state


def test_instants_are_stored_to_the_microsecond(ledger: SqlLedger, key: int) -> None:
    at = day(2) + timedelta(microseconds=123_457)
    ledger.commit([commit(key, 0, complete_at=at, emission=emission(at=at))], None)
    row = ledger.rows([slice_at(key, 0)])[slice_at(key, 0)]
    assert row.known.complete_at == at
    assert row.emission is not None
    assert row.emission.emitted_at == at


def test_a_failure_keeps_the_emission(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0)], None)
    ledger.commit([commit(key, 0, SliceState.FAILED, complete_at=day(2))], None)
    row = ledger.rows([slice_at(key, 0)])[slice_at(key, 0)]
    assert row.known == Known(state=SliceState.FAILED, complete_at=day(2))
    assert row.emission == emission()


def test_a_restatement_replaces_the_emission(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0)], None)
    ledger.commit([commit(key, 0, emission=emission(9, revision=2))], None)
    assert ledger.rows([slice_at(key, 0)])[slice_at(key, 0)].emission == emission(9, revision=2)


def test_coverage_contains_the_slices_that_start_within_the_span(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n) for n in range(5)], None)
    assert [start for _, start in ledger.coverage(key, days(1, 3))] == [day(1), day(2)]
    late = Window(day(1) + timedelta(microseconds=1), day(3) + timedelta(microseconds=1))
    assert [start for _, start in ledger.coverage(key, late)] == [day(2), day(3)]


def test_orgs_and_populations_are_separate(ledger: SqlLedger) -> None:
    one, other = (standing.key for standing in registered(ledger, make_org("one"), make_org("other")))
    ledger.commit([commit(one, 0)], None)
    ledger.commit([commit(one, 0, SliceState.FAILED, slice=slice_at(one, 0, SERVICE))], None)
    assert {slice_: known.state for slice_, known in ledger.coverage(one, ALWAYS).items()} == {
        (ACCOUNT, day(0)): SliceState.COMPLETE,
        (SERVICE, day(0)): SliceState.FAILED,
    }
    assert ledger.coverage(other, ALWAYS) == {}


def test_of_two_commits_of_a_slice_at_once_the_later_counts(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0, SliceState.FAILED), commit(key, 0)], None)
    assert ledger.coverage(key, ALWAYS)[ACCOUNT, day(0)].state is SliceState.COMPLETE


def test_recent_slices_are_returned_newest_first(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n, emission=emission(n)) for n in range(6)], None)
    ledger.commit([commit(key, 3, slice=slice_at(key, 3, SERVICE))], None)
    found = ledger.recent(key, ACCOUNT, before=day(4), limit=3)
    assert [(row.end, row.emission) for row in found] == [(day(n + 1), emission(n)) for n in (3, 2, 1)]


def test_a_commit_is_all_or_nothing(ledger: SqlLedger, key: int) -> None:
    with pytest.raises(LedgerError):
        ledger.commit([commit(key, 0), commit(key + 999, 0)], None)
    assert ledger.coverage(key, ALWAYS) == {}


def test_commits_survive_closing_and_a_crash(opened: Open) -> None:
    first = opened()
    key = registered(first, make_org())[0].key
    first.commit([commit(key, 0)], None)
    first.close()
    second = opened()
    second.commit([commit(key, 1)], None)
    second.abandon()
    assert len(opened().coverage(key, ALWAYS)) == 2


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_twenty_thousand_slices_are_committed_in_batches_of_five_hundred(ledger: SqlLedger) -> None:
    keys = [standing.key for standing in registered(ledger, *[make_org(f"org-{n}") for n in range(20)])]
    slices = [slice_at(key, n, population) for n in range(500) for key in keys for population in (ACCOUNT, SERVICE)]
    for first in range(0, len(slices), 500):
        batch = slices[first : first + 500]
        assert ledger.rows(batch) == {}
        ledger.commit([commit(of.key, 0, slice=of, end=of.start + DAY) for of in batch], None)
        assert ledger.rows(batch).keys() == set(batch)
    assert all(len(ledger.coverage(key, ALWAYS)) == 1000 for key in keys)


def test_more_slices_than_fit_in_one_statement_are_read(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n) for n in range(2500)], None)
    keys: list[SliceKey] = [slice_at(key, n) for n in range(5000)]
    assert ledger.rows(keys).keys() == set(keys[:2500])


def test_emitted_totals_are_those_of_one_population_within_a_span(ledger: SqlLedger, key: int) -> None:
    other = registered(ledger, make_org("other"))[0].key
    unknown = Emission(
        emitted_at=day(9),
        users=None,
        products={"automation": Emitted(revision=1, quality=Quality.UNAVAILABLE, usage=ProductUsage())},
    )
    ledger.commit(
        [
            *(commit(key, n, emission=emission(n)) for n in range(5)),
            commit(key, 5, emission=unknown),
            commit(key, 6, SliceState.FAILED),
            commit(key, 2, slice=slice_at(key, 2, SERVICE), emission=emission(99)),
            commit(other, 2, emission=emission(77)),
        ],
        None,
    )
    found = ledger.emitted(key, ACCOUNT, days(1, 9))
    assert found == {
        **{day(n): {("automation", "total_tests"): n, ("automation", "total_duration"): n * 1000} for n in range(1, 5)},
        day(5): None,
    }
    assert ledger.emitted(key, SERVICE, days(0, 2)) == {}


def test_emitted_totals_are_those_of_the_newest_revision(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0, emission=emission(4))], None)
    ledger.commit([commit(key, 0, emission=emission(2**40, revision=2, at=day(3)))], None)
    assert ledger.emitted(key, ACCOUNT, days(0, 1))[day(0)] == {
        ("automation", "total_tests"): 2**40,
        ("automation", "total_duration"): 2**40 * 1000,
    }
