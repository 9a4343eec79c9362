"""Budgets out of a ledger: the same sums as row by row, in little memory, and only of the orgs that are meant."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from collector.app.budgets import BudgetPass, read_budgets
from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig
from collector.core.budgets import Budget, BudgetStanding
from collector.core.shards import Shard
from collector.ledger import LedgerReader, open_reader
from collector.model import Granularity
from tests.support.budgets import budget, seen
from tests.support.fleets import HEALTHY, KINDS, NEW, NOW, Fleet, make_fleet, numbered
from tests.support.ledger_truth import POPULATIONS, Truth
from tests.support.memory import at_most_mb


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    kinds = (*KINDS, NEW)
    return make_fleet(tmp_path / "fleet", numbered(len(kinds)), lambda n: kinds[n])


def ledger_of(fleet: Fleet) -> LedgerReader:
    ledger = open_reader(fleet.url)
    assert ledger is not None
    return ledger


def standings(fleet: Fleet, *budgets: Budget, scope: Scope = EVERYTHING, config: LoadedConfig | None = None,
              ) -> Sequence[BudgetStanding]:  # fmt: skip
    ledger = ledger_of(fleet)
    try:
        return read_budgets(ledger, replace(config or fleet.config, budgets=budgets), scope, now=NOW)
    finally:
        ledger.close()


def used_by_hand(fleet: Fleet, name: str) -> tuple[int, Fraction | None]:
    """What a fleet's org used in November, and its forecast: of the ledger's rows, without the code under test."""
    truth = Truth(fleet.directory / "ledger.db", due=NOW.replace(hour=0, minute=0))
    used, to_come = 0, Fraction()
    for population in POPULATIONS:
        by_day = dict(zip((day.date() for day in truth.days), truth.tests(name, population), strict=True))
        of_month = {day: tests for day, tests in by_day.items() if day.month == NOW.month}
        used += sum(tests or 0 for tests in of_month.values())
        basis = [(day, by_day[day]) for day in by_day if day >= NOW.date() - timedelta(days=28)]
        known = [(day.weekday(), tests) for day, tests in basis if tests is not None]
        if len(known) < 7:
            return used, None
        for n in range(30):
            day = NOW.date().replace(day=n + 1)
            if of_month.get(day) is None:
                same = [tests for weekday, tests in known if weekday == day.weekday()] or [one for _, one in known]
                to_come += Fraction(sum(same), len(same))
    return used, used + to_come


def test_numbers_are_those_of_the_ledger(fleet: Fleet) -> None:
    healthy, failing = (next(n for n, kind in fleet.kinds.items() if kind.name == name)
                        for name in ("healthy", "failing"))  # fmt: skip
    of_one, of_other = standings(fleet, budget("one", org=healthy), budget("other", org=failing))
    assert seen(of_one.used, of_one.forecast) == used_by_hand(fleet, healthy)
    assert seen(of_other.used, of_other.forecast) == used_by_hand(fleet, failing)
    assert (of_one.unknown, of_other.unknown) == (0, 4)
    assert of_one.windows == of_other.windows == 2 * 23


def test_budgets_of_labels_patterns_and_all_are_sums_of_orgs(fleet: Fleet) -> None:
    names = [org.name for org in fleet.orgs]
    orgs = [replace(org, labels={"team": "qa" if n < 3 else "dev"}) for n, org in enumerate(fleet.orgs)]
    config = replace(fleet.config, orgs=tuple(orgs))
    of_each = standings(fleet, *(budget(name, org=name) for name in names), config=config)
    all_, qa, some = standings(
        fleet, budget(), budget("qa", label=(("team", "qa"),)), budget("some", org=f"{names[0][:-1]}*"), config=config
    )
    used = [one.used or 0 for one in of_each]
    assert (all_.used, qa.used, some.used) == (sum(used), sum(used[:3]), sum(used))
    assert all_.forecast == sum((one.forecast or 0) for one in of_each)
    assert (all_.orgs, all_.too_new, all_.is_at_least) == (len(names), 1, True)
    assert of_each[-1].forecast is None


def test_only_the_orgs_that_are_meant_are_read(fleet: Fleet) -> None:
    ledger = ledger_of(fleet)
    name = fleet.orgs[0].name
    reading = BudgetPass(ledger, replace(fleet.config, budgets=(budget(org=name),)), EVERYTHING, now=NOW)
    assert reading.read(10_000) == 2 * 29
    ledger.close()


def test_shards_have_the_parts_of_the_whole(fleet: Fleet) -> None:
    whole = standings(fleet, budget())[0]
    parts = [standings(fleet, budget(), scope=Scope(shard=Shard(n, 3)))[0] for n in range(3)]
    assert sum(one.used or 0 for one in parts) == whole.used
    assert sum(one.orgs for one in parts) == whole.orgs
    assert sum(one.unknown for one in parts) == whole.unknown


def test_of_an_org_that_the_config_has_no_more_what_it_used_counts(fleet: Fleet) -> None:
    name = fleet.orgs[0].name
    config = replace(fleet.config, orgs=tuple(fleet.orgs[1:]))
    writing = fleet.open()
    writing.note_config(fleet.orgs, NOW)
    writing.note_config(config.orgs, NOW)
    writing.close()
    before, (now,) = standings(fleet, budget(org=name))[0], standings(fleet, budget(org=name), config=config)
    assert (now.used, now.forecast) == (before.used, before.used)


def test_a_config_without_budgets_reads_nothing(fleet: Fleet) -> None:
    with closing(sqlite3.connect(fleet.directory / "ledger.db")) as connection:
        connection.execute("DROP TABLE slice")
    assert standings(fleet) == ()


def test_orgs_of_months_have_no_forecast(fleet: Fleet) -> None:
    org = replace(fleet.orgs[-1], granularity=Granularity.MONTH)  # nothing was fetched of it
    config = replace(fleet.config, orgs=(org,))
    (found,) = standings(fleet, budget(org=org.name), config=config)
    assert (found.coarse, found.forecast) == (1, None)


def test_a_pass_in_pieces_is_the_same_and_takes_no_more_memory_with_more_orgs(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path / "fleet", numbered(60), lambda _: HEALTHY)
    budgets = (budget(), budget("label", label=(("a", "b"),)), budget("one", org=fleet.orgs[7].name))
    ledger, config = ledger_of(fleet), replace(fleet.config, budgets=budgets)
    whole = read_budgets(ledger, config, EVERYTHING, now=NOW)
    reading = BudgetPass(ledger, config, EVERYTHING, now=NOW)
    with at_most_mb(3):
        assert sum(iter(lambda: reading.read(77), 0)) == 60 * 2 * 29
        assert reading.standings() == whole
    ledger.close()
