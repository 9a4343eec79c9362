"""The queries of `status`."""

from __future__ import annotations

from dataclasses import replace

from collector.core.emission import Emission
from collector.ledger import Organization, SqlLedger, Stretch
from collector.model import ProductUsage, SliceState
from tests.adapters.ledger.support import (
    ACCOUNT,
    SERVICE,
    T0,
    commit,
    day,
    days,
    emission,
    registered,
    slice_at,
)
from tests.support.orgs import make_org


def test_orgs_are_listed_by_name(ledger: SqlLedger) -> None:
    registered(ledger, make_org("b"), make_org("a"))
    assert [org.name for org in ledger.organizations()] == ["a", "b"]
    assert ledger.organizations()[0] == Organization(
        key=2,
        name="a",
        org_id=None,
        org_name=None,
        wanted_from=T0,
        zone="UTC",
        granularity="day",
        calendar_since=None,
    )


def test_adjacent_slices_of_one_state_are_one_stretch(ledger: SqlLedger, key: int) -> None:
    assert ledger.stretches(key) == []
    states = [SliceState.COMPLETE] * 3 + [SliceState.FAILED] * 2 + [SliceState.COMPLETE]
    ledger.commit([commit(key, n, state) for n, state in enumerate(states)], None)
    ledger.commit([commit(key, 8), commit(key, 0, SliceState.PARTIAL, slice=slice_at(key, 0, SERVICE))], None)
    assert ledger.stretches(key) == [
        Stretch(population=ACCOUNT, state=SliceState.COMPLETE, span=days(0, 3), slices=3),
        Stretch(population=ACCOUNT, state=SliceState.FAILED, span=days(3, 5), slices=2),
        Stretch(population=ACCOUNT, state=SliceState.COMPLETE, span=days(5, 6), slices=1),
        Stretch(population=ACCOUNT, state=SliceState.COMPLETE, span=days(8, 9), slices=1),
        Stretch(population=SERVICE, state=SliceState.PARTIAL, span=days(0, 1), slices=1),
    ]


def test_a_stretch_never_spans_two_populations(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, 0), commit(key, 1, slice=slice_at(key, 1, SERVICE))], None)
    assert [(s.population, s.slices) for s in ledger.stretches(key)] == [(ACCOUNT, 1), (SERVICE, 1)]


def test_the_oldest_usage_is_the_first_window_with_any_count(ledger: SqlLedger, key: int) -> None:
    assert ledger.oldest_usage(key, ACCOUNT) is None
    nothing = Emission(emitted_at=day(1), users=0, products=emission(0).products)
    ledger.commit([commit(key, n, emission=nothing) for n in range(2)], None)
    ledger.commit([commit(key, 2, SliceState.FAILED)], None)
    assert ledger.oldest_usage(key, ACCOUNT) is None
    ledger.commit([commit(key, 4), commit(key, 3, emission=replace(nothing, users=1))], None)
    assert ledger.oldest_usage(key, ACCOUNT) == days(3, 4)
    assert ledger.oldest_usage(key, SERVICE) is None


def test_smaller_answers_are_listed_oldest_first(ledger: SqlLedger, key: int) -> None:
    smaller = {"automation": ProductUsage(total_tests=1)}
    ledger.commit([commit(key, 2, shrunk=smaller), commit(key, 0, shrunk=smaller), commit(key, 1)], None)
    assert list(ledger.shrunk(key)) == [(ACCOUNT, days(0, 1)), (ACCOUNT, days(2, 3))]
