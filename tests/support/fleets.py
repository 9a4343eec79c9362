"""Fleets of orgs with a past in a ledger, made in seconds: one org of each kind is booked, the others are copies.

What each kind has in its last 90 days is plain to see here, so that a test can say what a page must show.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.config import LoadedConfig, Settings
from collector.core.emission import Emission, Emitted
from collector.core.ledger_entries import CredentialUse, SliceCommit, SliceKey, Standing
from collector.errors import RefusalReason, Refused
from collector.ledger import SqlLedger
from collector.model import Org, Population, ProductUsage, Quality, SliceState
from tests.support.orgs import make_org

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)  # what is due ends here: six hours to settle have passed
PAST_DAYS = 90
_PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice")

# Days before MIDNIGHT (1 is yesterday) → how they ended. Days that are not named are complete; None: never asked.
Ends = dict[int, SliceState | None]
PARTIAL, FAILED, REFUSED = SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED


def span(first: int, last: int, state: SliceState | None) -> Ends:
    return dict.fromkeys(range(first, last + 1), state)


@dataclass(frozen=True)
class Kind:
    """A kind of org: how its days ended, by population, and why."""

    name: str
    account: Ends
    service: Ends
    code: str | None = None
    in_doubt: int = 0  # of the newest complete days of accounts: their records are in a file of a killed process

    def ends(self, population: Population) -> Ends:
        return self.account if population is Population.ACCOUNT_USER else self.service

    @property
    def lacking(self) -> int:
        return sum(len(self.ends(population)) for population in Population) + self.in_doubt


HEALTHY = Kind("healthy", {}, {})
REFUSED_NOW = Kind("refused", span(1, 3, None) | {4: REFUSED}, span(1, 4, None), "refused_credential")
NO_ADMIN = Kind("no-admin", span(1, 8, None) | {9: REFUSED}, span(1, 9, None), "refused_not_admin")
PATCHY = Kind("patchy", {1: PARTIAL, 2: PARTIAL, 20: PARTIAL}, {2: PARTIAL}, None)
FAILING = Kind("failing", {1: FAILED, 5: FAILED, 6: FAILED}, {1: FAILED}, "http_503")
OLD_GAPS = Kind("old-gaps", span(60, 71, None), {}, None)
NEW = Kind("new", span(1, 90, None), span(1, 90, None), None)
IN_DOUBT = Kind("in-doubt", {}, {}, in_doubt=3)
KINDS = (HEALTHY, REFUSED_NOW, NO_ADMIN, PATCHY, FAILING, OLD_GAPS)


@dataclass
class Fleet:
    """Orgs, the kind of each, and the ledger that holds their past."""

    directory: Path
    orgs: list[Org]
    kinds: dict[str, Kind]

    @property
    def url(self) -> str:
        return f"sqlite:///{self.directory}/ledger.db"

    @property
    def config(self) -> LoadedConfig:
        values: dict[str, Any] = {"state": {"url": self.url}, "output": {"path": str(self.directory / "out")}}
        return LoadedConfig(
            settings=Settings(**values), orgs=tuple(self.orgs), path=self.directory, files=(), warnings=()
        )

    def open(self, **more: Any) -> SqlLedger:
        values: dict[str, Any] = {"command": "status", "now": lambda: NOW, "durable": False}
        return SqlLedger.open(self.url, **(values | more))


def make_fleet(
    directory: Path,
    orgs: Sequence[Org],
    kind_of: Callable[[int], Kind],
    *,
    org_name: Callable[[int], str] = lambda n: f"Organization {n} Ltd.",
    days: int = PAST_DAYS,
) -> Fleet:
    """Register orgs, identify them, and give each the past of its kind."""
    directory.mkdir(exist_ok=True)
    fleet = Fleet(directory, list(orgs), {org.name: kind_of(n) for n, org in enumerate(orgs)})
    ledger = fleet.open()
    try:
        wanted_from = dict.fromkeys((org.name for org in orgs), MIDNIGHT - days * DAY)
        standings = ledger.register(orgs, wanted_from=wanted_from, now=NOW)
        keys: dict[str, int] = {}
        for org in orgs:
            standing = standings[org.name]
            assert isinstance(standing, Standing)
            keys[org.name] = standing.key
        _kill_a_process_that_wrote(fleet, keys)
        first_of: dict[str, int] = {}
        copies: list[tuple[int, int]] = []
        for org in orgs:
            kind, key = fleet.kinds[org.name], keys[org.name]
            if kind is NEW or kind.in_doubt:
                continue
            if kind.name in first_of:
                copies.append((key, first_of[kind.name]))
            else:
                first_of[kind.name] = key
                ledger.commit(list(_bookings(key, kind, days, random.Random(kind.name))), None)
        ledger.commit([], None, [use for org in orgs for use in _refusals(org, fleet.kinds[org.name])])
    finally:
        ledger.close()
    named = [(keys[org.name], org_name(n)) for n, org in enumerate(orgs) if fleet.kinds[org.name] is not NEW]
    _copy(directory / "ledger.db", copies, named)
    return fleet


def _kill_a_process_that_wrote(fleet: Fleet, keys: dict[str, int]) -> None:
    """Commit the days of orgs that have some in doubt: the newest ones into a file that the killed process left."""
    orgs = {keys[name]: kind for name, kind in fleet.kinds.items() if kind.in_doubt}
    if not orgs:
        return
    killed = fleet.open(command="collect")
    killed.begin_run("killed", "collect", NOW)
    file = killed.open_file("killed", str(fleet.directory / "elsewhere"), "usage-killed.jsonl")
    for key, kind in orgs.items():
        commits = list(_bookings(key, kind, PAST_DAYS, random.Random(kind.name)))
        unsealed_from = MIDNIGHT - kind.in_doubt * DAY
        unsealed = [
            one
            for one in commits
            if one.slice.population is Population.ACCOUNT_USER and one.slice.start >= unsealed_from
        ]
        killed.commit([one for one in commits if one not in unsealed], None)
        killed.commit(unsealed, file)
    killed.abandon()


def numbered(count: int, **more: Any) -> list[Org]:
    """Orgs with names and labels to search and filter by."""
    teams = ("payments", "search", "checkout", "mobile", "platform")
    return [
        make_org(f"org-{n:04}", labels={"team": teams[n % 5], "region": ("eu", "us")[n % 2]}, **more)
        for n in range(1, count + 1)
    ]


def _copy(path: Path, copies: list[tuple[int, int]], named: list[tuple[int, str]]) -> None:
    database = sqlite3.connect(path)
    try:
        database.executemany(
            """INSERT INTO slice (org, population, start, "end", state, code, asked_at, complete_at, emission)
            SELECT ?, population, start, "end", state, code, asked_at, complete_at, emission
            FROM slice WHERE org = ?""",
            copies,
        )
        database.executemany("UPDATE org SET org_id = 10000 + ?1, org_name = ?2 WHERE id = ?1", named)
        database.commit()
    finally:
        database.close()


def _refusals(org: Org, kind: Kind) -> list[CredentialUse]:
    """Return that an org of such a kind was refused."""
    if REFUSED not in kind.account.values():
        return []
    reason = RefusalReason(str(kind.code).removeprefix("refused_"))
    refused = Refused(reason=reason, message="the credential is refused")
    return [CredentialUse(org=org, at=NOW - timedelta(minutes=10), refused=refused)]


def _bookings(key: int, kind: Kind, days: int, rng: random.Random) -> list[SliceCommit]:
    commits = []
    for population in Population:
        ends = kind.ends(population)
        for ago in range(days, 0, -1):
            state = ends.get(ago, SliceState.COMPLETE)
            if state is None:
                continue
            start = MIDNIGHT - ago * DAY
            asked_at = start + DAY + timedelta(hours=7, minutes=rng.randrange(60))
            if state is REFUSED:
                asked_at = NOW - timedelta(minutes=10)
            complete = state is SliceState.COMPLETE
            commits.append(
                SliceCommit(
                    slice=SliceKey(key=key, population=population, start=start),
                    end=start + DAY,
                    state=state,
                    code=None if complete or state is PARTIAL else kind.code,
                    asked_at=asked_at,
                    complete_at=asked_at if complete else None,
                    emission=emission(population, start, rng, complete=complete)
                    if complete or state is PARTIAL
                    else None,
                )
            )
    return commits


def emission(population: Population, start: datetime, rng: random.Random, *, complete: bool = True) -> Emission:
    """What a working day, or a weekend, comes to; a partial one lacks two products."""
    busy = (0.25 if start.weekday() >= 5 else 1.0) * (1.0 if population is Population.ACCOUNT_USER else 0.4)
    products = {}
    for n, name in enumerate(_PRODUCTS):
        tests = int(rng.uniform(300, 1200) * busy / (n + 1))
        usage = ProductUsage(total_tests=tests, total_duration=tests * 41)
        products[name] = Emitted(revision=1, quality=Quality.MEASURED, usage=usage)
    screenshots = ProductUsage(total_screenshots=int(200 * busy))
    products["smartui"] = Emitted(revision=1, quality=Quality.MEASURED, usage=screenshots)
    if not complete:
        unknown = Emitted(revision=1, quality=Quality.UNAVAILABLE, usage=ProductUsage())
        products |= {"realtime": unknown, "realdevice": unknown}
    users = rng.randrange(3, 40) if complete else None
    return Emission(emitted_at=start + DAY + timedelta(hours=7), users=users, products=products)
