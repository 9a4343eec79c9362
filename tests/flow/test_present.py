"""The reader of numbers, beside the reader of coverage: the same windows in the same states, in little memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from collector.app.coverage import CoverageReader
from collector.app.present import PresentReader
from collector.app.scope import EVERYTHING, Scope
from collector.core.export_rows import record_row
from collector.core.present import PresentWindow, records_of
from collector.core.ranges import Between, Moment
from collector.ledger import LedgerReader, open_reader
from collector.model import Population
from tests.support.fleets import HEALTHY, IN_DOUBT, KINDS, NEW, NOW, Fleet, make_fleet, numbered
from tests.support.ledger_truth import Truth
from tests.support.memory import at_most_mb

ALL_KINDS = (*KINDS, IN_DOUBT, NEW)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path / "fleet", numbered(len(ALL_KINDS)), lambda n: ALL_KINDS[n])


def reader_of(fleet: Fleet) -> LedgerReader:
    reader = open_reader(fleet.url)
    assert reader is not None
    return reader


def windows_of(fleet: Fleet, scope: Scope = EVERYTHING, **more: object) -> list[PresentWindow]:
    reader = reader_of(fleet)
    try:
        return list(PresentReader(reader, fleet.config, scope, now=NOW, **more).windows())  # type: ignore[arg-type]
    finally:
        reader.close()


def test_it_has_the_windows_and_states_that_status_has(fleet: Fleet) -> None:
    ledger, coverage = reader_of(fleet), CoverageReader(fleet.config, days=None)
    lines = {
        (line.org, line.population, line.window_start): (line.state, line.reason, line.fetched_at, line.window_end)
        for org in coverage.read_all(ledger, NOW).values()
        for line in coverage.windows(ledger, org, NOW)
    }
    found = {
        (one.org.name, one.population, one.window_start): (one.state, one.reason, one.fetched_at, one.window_end)
        for one in windows_of(fleet)
    }
    assert found == lines
    assert len(lines) > 1000
    assert len({state for state, *_ in lines.values()}) == 6


def test_its_numbers_are_those_of_the_ledger(fleet: Fleet) -> None:
    truth = Truth(fleet.directory / "ledger.db", due=NOW.replace(hour=0, minute=0))
    for org in fleet.orgs:
        if fleet.kinds[org.name] is IN_DOUBT:  # its process is dead, but that is not written yet
            continue
        scope = Scope(orgs=(org.name,), populations=(Population.ACCOUNT_USER,))
        found = {
            one.window_start: sum(record.total_tests or 0 for record in records_of(one))
            for one in windows_of(fleet, scope)
            if not one.is_unknown() and one.window_start in truth.days
        }
        expected = dict(zip(truth.days, truth.tests(org.name, "account-user"), strict=True))
        states = dict(zip(truth.days, truth.states(org.name, "account-user"), strict=True))
        assert found == {day: expected[day] for day in truth.days if states[day] == "complete"}


def test_a_range_selects_the_windows_that_start_in_it(fleet: Fleet) -> None:
    chosen = Between(Moment.parse("2026-11-01"), Moment.parse("2026-11-07"))
    every, some = windows_of(fleet), windows_of(fleet, range_=chosen)
    assert some == [one for one in every if "2026-11-01" <= str(one.window_date) <= "2026-11-07"]
    assert len({one.window_date for one in some}) == 7


def test_a_pattern_means_the_orgs_of_the_config_also_where_it_fits_one_that_is_gone(fleet: Fleet) -> None:
    config = replace(fleet.config, orgs=tuple(fleet.orgs[1:]))
    ledger = fleet.open()
    ledger.note_config(fleet.orgs, NOW)
    ledger.note_config(config.orgs, NOW)
    pattern = Scope(orgs=(f"{fleet.orgs[0].name[:-1]}*",))
    found = {one.name for one in PresentReader(ledger, config, pattern, now=NOW).orgs}
    gone = {one.name for one in PresentReader(ledger, config, Scope(orgs=(fleet.orgs[0].name,)), now=NOW).orgs}
    ledger.close()
    assert found == {org.name for org in fleet.orgs}
    assert gone == {fleet.orgs[0].name}


@pytest.mark.slow
def test_more_orgs_take_no_more_memory(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet", numbered(60), lambda _: HEALTHY)
    ledger = reader_of(fleet)
    reader = PresentReader(ledger, fleet.config, EVERYTHING, now=NOW)
    assert sum(1 for one in reader.windows() for _ in records_of(one)) > 50_000
    with at_most_mb(3):
        for one in reader.windows():
            for record in records_of(one):
                record_row(record)
