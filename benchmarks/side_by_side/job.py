"""What all contenders fetch: the slices, the numbers that nginx.conf answers, and the file for the programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from collector.core.request import PATH
from collector.model import Population

POPULATIONS = tuple(map(str, Population))


@dataclass(frozen=True, kw_only=True)
class Job:
    """So many orgs, both populations, so many days: one slice each."""

    base_url: str
    orgs: int
    days: int
    concurrency: int
    last: date

    @classmethod
    def recent(cls, base_url: str, *, orgs: int, days: int, concurrency: int) -> Job:
        """Return the job whose last day is the day before yesterday: due, whenever it is."""
        last = datetime.now(UTC).date() - timedelta(days=2)  # noqa: TID251 - a benchmark has no port for the clock
        return cls(base_url=base_url, orgs=orgs, days=days, concurrency=concurrency, last=last)

    def small(self) -> Job:
        """Return a job of a few slices."""
        return replace(self, orgs=min(self.orgs, 2), days=min(self.days, 2))

    @property
    def first(self) -> date:
        return self.last - timedelta(days=self.days - 1)

    @property
    def dates(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range(self.days)]

    @property
    def slices(self) -> int:
        return self.orgs * len(POPULATIONS) * self.days

    @property
    def tests(self) -> int:
        """The automation tests of all slices: each slice has a number of its own."""
        return sum(
            automation_tests(org, population, day)
            for org in range(self.orgs)
            for population in POPULATIONS
            for day in self.dates
        )

    def about(self) -> dict[str, int | str]:
        """Return what makes turns comparable."""
        return {"orgs": self.orgs, "days": self.days, "concurrency": self.concurrency}

    def write(self, directory: Path) -> Path:
        """Write what the peers' programs read."""
        file = directory / "job.json"
        document = {
            "base_url": self.base_url,
            "path": PATH,
            "concurrency": self.concurrency,
            "populations": POPULATIONS,
            "orgs": [{"username": username(org), "access_key": "key"} for org in range(self.orgs)],
            "days": [str(day) for day in self.dates],
        }
        file.write_text(json.dumps(document))
        return file


def username(org: int) -> str:
    return f"user-{org:03}"


def automation_tests(org: int, population: str, day: date) -> int:
    """Return the automation tests that nginx.conf answers."""
    return int(f"{1 if population == Population.ACCOUNT_USER else 2}{org:03}{day:%m%d}")
