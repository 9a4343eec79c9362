"""A ledger with the June of 2026 of two orgs, as it was when that month was closed and as it is now.

One day was restated before the month was closed, two after it, one is unknown, and one is known in part. The price of a
test changes in mid-month. What the API counted is kept apart, so that a test can calculate by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import Replaced, SliceCommit, SliceKey, Standing
from collector.core.windows import start_of_date
from collector.ledger import SqlLedger
from collector.model import Org, Population, ProductUsage, Quality, SliceState, Zone
from tests.support.orgs import make_org

JUNE = date(2026, 6, 1)
DAYS = 30
DAY = timedelta(days=1)
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
ORGS = {"acme": ("UTC", "qa", "77"), "globex": ("America/New_York", "web", "88")}
EARLY, LATE, LATER = date(2026, 6, 10), date(2026, 6, 20), date(2026, 6, 21)
RESTATED = {EARLY: datetime(2026, 6, 12, tzinfo=UTC), LATE: datetime(2026, 7, 20, tzinfo=UTC)}
RESTATED |= {LATER: datetime(2026, 8, 10, tzinfo=UTC)}
CLOSED = datetime(2026, 7, 6, tzinfo=UTC)
UNKNOWN = ("globex", Population.SERVICE_USER, date(2026, 6, 25))
PARTIAL = ("globex", Population.ACCOUNT_USER, date(2026, 6, 26))
CONFIG = """
state: {url: "sqlite:///ledger.db"}
defaults: {since: "2026-06-01"}
prices:
  currency: EUR
  duration_unit: seconds
  list:
  - {product: automation, metric: tests, unit_price: 0.0125, from: 2026-01-01}
  - {product: automation, metric: tests, unit_price: 0.0099, from: 2026-06-16}
  - {product: automation, metric: minutes, unit_price: 0.021, from: 2026-01-01, label: {team: qa}}
  - {metric: screenshots, unit_price: 0.0031, from: 2026-01-01}
orgs:
- {name: acme, token_env: NOT_SET, labels: {team: qa}}
- {name: globex, token_env: NOT_SET, timezone: America/New_York, labels: {team: web}}
"""
Where = tuple[str, Population, date]
Numbers = Mapping[str, tuple[int | None, int | None, int | None]]  # tests, seconds and screenshots, by product


@dataclass
class Invoiced:
    """The ledger's directory, and the numbers of each window: now, and when June was closed."""

    directory: Path
    now: dict[Where, Numbers] = field(default_factory=dict)
    at_closing: dict[Where, Numbers] = field(default_factory=dict)


def counted(org: str, population: Population, day: date, *, before: bool = False) -> Numbers:
    """Return what the API counted in a day; `before` more came."""
    n = day.day * 7 + len(org) + len(population) * 3
    tests = n // 2 if before else n * 11
    return {"automation": (tests, tests * 60, None), "visual": (3, 90, n * 13), "tunnel": (n, None, None)}


def invoiced(directory: Path, *, prefix: str = "") -> Invoiced:
    """Make the ledger, and the config beside it. Ids of organizations are numbers, unless they have a prefix."""
    (directory / "collector.yaml").write_text(CONFIG)
    made = Invoiced(directory)
    ledger = SqlLedger.open(f"sqlite:///{directory}/ledger.db", command="collect", now=lambda: NOW, durable=False)
    try:
        orgs = [make_org(name, zone=Zone.parse(zone), labels={"team": team}) for name, (zone, team, _) in ORGS.items()]
        standings = ledger.register(orgs, wanted_from={org.name: _start(org, JUNE) for org in orgs}, now=NOW)
        for org in orgs:
            standing = standings[org.name]
            assert isinstance(standing, Standing)
            for n in range(DAYS):
                for population in Population:
                    _book(ledger, made, standing.key, org, population, JUNE + n * DAY)
    finally:
        ledger.close()
    with sqlite3.connect(directory / "ledger.db") as database:
        for name, (_, _, org_id) in ORGS.items():
            database.execute(
                "UPDATE org SET org_id = ?, org_name = ? WHERE name = ?", (prefix + org_id, name.title(), name)
            )
    database.close()
    return made


def _book(ledger: SqlLedger, made: Invoiced, key: int, org: Org, population: Population, day: date) -> None:
    where = (org.name, population, day)
    start = _start(org, day)
    asked_at = start + timedelta(hours=31)
    slice_ = SliceKey(key=key, population=population, start=start)
    state = SliceState.COMPLETE
    whole = _emission(counted(*where), asked_at)
    emission: Emission | None = whole
    replaced = None
    if where == UNKNOWN:
        state, emission = SliceState.FAILED, None
    elif where == PARTIAL:
        state = SliceState.PARTIAL
        unknown = Emitted(revision=1, quality=Quality.UNAVAILABLE, usage=ProductUsage())
        emission = Emission(emitted_at=asked_at, users=None, products={**whole.products, "visual": unknown})
    if day in RESTATED and org.name == "acme" and population is Population.ACCOUNT_USER:
        first = _emission(counted(*where, before=True), asked_at)
        ledger.commit([_commit(slice_, start, state, asked_at, first, None)], None)
        changed = {name: old for name, old in first.products.items() if old.usage != whole.products[name].usage}
        replaced = Replaced(emission=Emission(emitted_at=asked_at, users=3, products=changed), run_id="again")
        asked_at = RESTATED[day]
        emission = _emission(counted(*where), asked_at, revision=2, only=changed)
    ledger.commit([_commit(slice_, start, state, asked_at, emission, replaced)], None)
    made.now[where] = {} if emission is None else _numbers(emission)
    made.at_closing[where] = made.now[where]
    if replaced is not None and asked_at > CLOSED:
        made.at_closing[where] = counted(*where, before=True)


def _commit(
    slice_: SliceKey,
    start: datetime,
    state: SliceState,
    asked_at: datetime,
    emission: Emission | None,
    replaced: Replaced | None,
) -> SliceCommit:
    complete = state is SliceState.COMPLETE
    return SliceCommit(
        slice=slice_,
        end=start.astimezone(UTC) + DAY,
        state=state,
        code="http_500" if state is SliceState.FAILED else None,
        asked_at=asked_at,
        complete_at=asked_at if complete else None,
        emission=emission,
        replaced=replaced,
    )


def _emission(
    numbers: Numbers, at: datetime, *, revision: int = 1, only: Mapping[str, object] | None = None
) -> Emission:
    products = {
        name: Emitted(
            revision=revision if only is None or name in only else 1,
            quality=Quality.MEASURED,
            usage=ProductUsage(total_tests=tests, total_duration=seconds, total_screenshots=pictures),
        )
        for name, (tests, seconds, pictures) in numbers.items()
    }
    return Emission(emitted_at=at, users=3, products=products)


def _numbers(emission: Emission) -> Numbers:
    return {
        name: (one.usage.total_tests, one.usage.total_duration, one.usage.total_screenshots)
        for name, one in emission.products.items()
    }


def _start(org: Org, day: date) -> datetime:
    return start_of_date(day, org.zone)
