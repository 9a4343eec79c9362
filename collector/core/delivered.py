"""What an output directory says of the runs that wrote to it: by names of files, by manifests, by records.

A ledger that was restored from a backup learns from it what was delivered since (docs/ledger.md). Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from collector.core.emission import Emission, Emitted, newest_of
from collector.core.layout import RecordsName
from collector.model import Granularity, Population, ProductUsage, Quality, Window

WITHOUT_LEDGER = "-noledger"  # how the id of a run that has no ledger ends
_UNSEALED = re.compile(r"\.(.+)\.unsealed")
_MANIFEST = re.compile(r"run-([\w-]{1,64})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredSlice:
    """A slice as sealed files have it."""

    org: str
    org_id: str
    org_name: str
    population: Population
    window: Window
    zone: str
    granularity: Granularity
    emission: Emission
    run_id: str = ""  # that emitted its newest record; empty: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that has ended, as its manifest or its files have it. `read`: all that it delivered could be read."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime
    exit_code: int | None
    read: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a ledger has taken over from the slices of a file."""

    unknown: Sequence[DeliveredSlice] = ()  # of which it knew nothing
    newer: int = 0  # of which it knew something older


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgRange:
    """A range of an org, by the org's name. Its times are those of the org's zone, as far as that is known."""

    org: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What a ledger that was behind its output directory has taken over from it."""

    runs: int  # that it didn't know
    files: int
    slices: int
    unread: tuple[str, ...] = ()  # runs of which files are gone or can't be read
    ranges: tuple[OrgRange, ...] = ()  # that are wanted again: the ledger didn't know that they were fetched

    def __add__(self, other: Adopted) -> Adopted:
        """Return what was taken over from two directories."""
        return Adopted(
            runs=self.runs + other.runs,
            files=self.files + other.files,
            slices=self.slices + other.slices,
            unread=self.unread + other.unread,
            ranges=merged([*self.ranges, *other.ranges]),
        )

    @property
    def only_seals(self) -> bool:
        """Whether the ledger knew all that was delivered, but not that a file was sealed."""
        return not (self.runs or self.files or self.unread or self.ranges)

    @property
    def as_json(self) -> dict[str, Any]:
        """Return it for a manifest or a log."""
        ranges = [{"org": one.org, "start": one.start.isoformat(), "end": one.end.isoformat()} for one in self.ranges]
        counts = {"runs": self.runs, "files": self.files, "slices": self.slices}
        return {**counts, "unread": list(self.unread), "ranges": ranges}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastManifest:
    """A manifest: its run, the names of the files that it lists, by the runs that wrote them, and the ranges given."""

    run: PastRun
    files: Mapping[str, Sequence[str]]
    ranges: Sequence[OrgRange] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The names in an output directory: files of records by their run, oldest first, and runs with a manifest.

    Those of partitioned files have their directories. `unsealed` are the working names of hidden files of records.
    """

    files: Mapping[str, Sequence[str]]
    manifests: frozenset[str]
    unsealed: Sequence[str] = ()

    @classmethod
    def of(cls, names: Iterable[str]) -> Listing:
        """Sort the names of a directory; names of other things are left out."""
        files: dict[str, list[str]] = defaultdict(list)
        manifests, unsealed = set(), []
        for name in names:
            if run_id := run_of(name):
                files[run_id].append(name)
            elif found := _MANIFEST.fullmatch(name):
                manifests.add(found[1])
            elif (found := _UNSEALED.fullmatch(name)) and run_of(found[1]):
                unsealed.append(found[1])
        return cls(
            files={run_id: sorted(of, key=_in_order) for run_id, of in files.items()},
            manifests=frozenset(manifests),
            unsealed=sorted(unsealed),
        )


def has_no_ledger(run_id: str) -> bool:
    """Return whether a run had no ledger: each of its records has revision 1, and nobody wants its windows again."""
    return run_id.endswith(WITHOUT_LEDGER)


def run_of(name: str) -> str | None:
    """Return the id of the run that wrote a file of records, by the file's name; None for any other file."""
    found = RecordsName.of(name)
    return found.run_id if found else None


def number_of(name: str) -> int:
    """Return which of its run's working files a file of records was, by the file's name."""
    found = RecordsName.of(name)
    return found.number if found else 0


def _in_order(name: str) -> tuple[int, str]:
    return number_of(name), name


def manifest_of(content: bytes) -> PastManifest | None:
    """Return what a manifest says; None if it isn't one."""
    try:
        told = orjson.loads(content)
        run = PastRun(
            run_id=told["run_id"],
            command=told["command"],
            started_at=datetime.fromisoformat(told["started_at"]),
            ended_at=datetime.fromisoformat(told["ended_at"]),
            exit_code=told["exit_code"],
        )
        names = [file["name"] for file in (*told["files"], *told.get("recovered", ()))]
        is_one = run.started_at.tzinfo and run.ended_at.tzinfo and isinstance(run.exit_code, int | None)
        if not is_one:
            return None
        return PastManifest(run=run, files=Listing.of(names).files, ranges=_ranges(told.get("ranges", ())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def merged(ranges: Iterable[OrgRange]) -> tuple[OrgRange, ...]:
    """Return ranges by org, oldest first; those of an org that touch as one."""
    by_org: dict[str, list[OrgRange]] = defaultdict(list)
    for one in sorted(ranges, key=lambda one: (one.org, one.start)):
        of = by_org[one.org]
        if of and one.start <= of[-1].end:
            of[-1] = replace(of[-1], end=max(of[-1].end, one.end))
        else:
            of.append(one)
    return tuple(one for of in by_org.values() for one in of)


def _ranges(told: Sequence[dict[str, Any]]) -> list[OrgRange]:
    """Return the ranges of a manifest. Raises ValueError, TypeError or KeyError."""
    found = []
    for one in told:
        start, end = datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"])
        if not start.tzinfo or not end.tzinfo or start >= end:
            raise ValueError("it is no range")
        found += [OrgRange(org=str(org), start=start, end=end) for org in one["orgs"]]
    return found


def slices_of(content: bytes) -> list[DeliveredSlice]:
    """Return the slices of a sealed file, each with its newest records. Raises ValueError for what is no record."""
    slices: dict[tuple[str, Population, datetime, datetime], DeliveredSlice] = {}
    for line in content.splitlines():
        try:
            one = _slice(orjson.loads(line))
        except (TypeError, KeyError, OverflowError) as error:
            raise ValueError("a line is no record") from error
        key = (one.org_id, one.population, one.window.start, one.window.end)
        if before := slices.get(key):
            one = replace(one, emission=newest_of(before.emission, one.emission))
        slices[key] = one
    return list(slices.values())


def last_line(content: bytes | None) -> bytes | None:
    """Return the last line of a file's content."""
    return None if content is None else content[content.rstrip(b"\n").rfind(b"\n") + 1 :]


def _slice(record: dict[str, Any]) -> DeliveredSlice:
    usage = ProductUsage(
        total_tests=record["total_tests"],
        total_duration=record["total_duration"],
        total_screenshots=record["total_screenshots"],
        extra=record.get("extra") or {},
    )
    if not isinstance(record["revision"], int):
        raise TypeError("the revision is no number")
    emitted = Emitted(revision=record["revision"], quality=Quality(record["quality"]), usage=usage)
    return DeliveredSlice(
        org=record["org"],
        org_id=record["org_id"],
        org_name=record["org_name"],
        population=Population(record["population"]),
        window=Window(_instant(record["window_start"]), _instant(record["window_end"])),
        zone=record["timezone"],
        granularity=Granularity(record["granularity"]),
        emission=Emission(
            emitted_at=_instant(record["collected_at"]),
            users=record["org_users"],
            products={record["product"]: emitted},
        ),
        run_id=str(record.get("run_id") or ""),
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
