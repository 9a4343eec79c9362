"""What a fleet's ledger holds, read row by row and without any of the code under test."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import orjson

POPULATIONS = ("account-user", "service-user")
_STATES = ("complete", "partial", "failed", "refused")
_WORDS = {"not_due": "not due yet", "in_doubt": "in doubt"}
DAY = timedelta(days=1)


class Truth:
    """For orgs whose days are UTC's, and all of whose days before `due` are wanted, the last 90 of them."""

    def __init__(self, database: Path, *, due: datetime) -> None:
        self.due = due
        self.days = [due - n * DAY for n in range(89, -1, -1)]  # the last one begins at `due` and isn't due
        self._slices: dict[tuple[str, str], dict[datetime, tuple[str, str | None]]] = {}
        connection = sqlite3.connect(database)
        rows = connection.execute(
            "SELECT org.name, population, start, state, emission, file.id IS NOT NULL AND file.holder IS NULL "
            "FROM slice JOIN org ON org.id = slice.org LEFT JOIN file ON file.id = slice.file"
        )
        for name, population, start, state, emission, in_doubt in rows:
            of_org = self._slices.setdefault((name, POPULATIONS[population]), {})
            of_org[datetime.fromtimestamp(start / 1e6, UTC)] = ("in_doubt" if in_doubt else _STATES[state], emission)
        connection.close()

    def states(self, org: str, population: str) -> list[str]:
        """Of the days shown, oldest first."""
        held = self._slices.get((org, population), {})
        return ["not_due" if day >= self.due else held.get(day, ("missing", None))[0] for day in self.days]

    def counts(self, org: str, population: str, *, windows: int) -> Counter[str]:
        """Of all windows that are wanted and due."""
        counts = Counter(state for state, _ in self._slices.get((org, population), {}).values())
        counts["missing"] += windows - counts.total()
        return +counts

    def strip_text(self, org: str, population: str) -> str:
        """The strip in words."""
        texts, at = [], 0
        for state, run in groupby(self.states(org, population)):
            length = len(list(run))
            first, last = self.days[at].date(), self.days[at + length - 1].date()
            when = f"{first}" if first == last else f"{first} to {last:%m-%d}"
            texts.append(f"{when} {_WORDS.get(state, state)}")
            at += length
        return "; ".join(texts)

    def tests(self, org: str, population: str) -> list[int | None]:
        """Of the days shown: all products' tests, None where the day isn't complete."""
        held = self._slices.get((org, population), {})
        return [_tests(*held.get(day, ("missing", None))) for day in self.days]


def _tests(state: str, emission: str | None) -> int | None:
    if state != "complete" or emission is None:
        return None
    _, _, products = orjson.loads(emission)
    return sum((values[2] or 0) for values in products.values() if len(values) > 2)
