"""What readers downstream have: every record of every sealed file, and what must be true of them by themselves."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from collector.adapters.sinks.reading import json_lines_of
from collector.model import Population
from tests.simulation.trace import Broken
from tests.simulation.truth import SliceId

Newest = Mapping["SliceId", Mapping[str, "Row"]]
METRICS = ("total_tests", "total_duration", "total_screenshots")
_BEST_FIRST = ("measured", "inferred", "unverified", "unavailable")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a sealed file."""

    record_id: str
    revision: int
    org: str
    slice: SliceId
    product: str
    numbers: tuple[int | None, ...]
    extra: Any
    users: int | None
    quality: str
    collected_at: datetime
    run_id: str
    names: tuple[object, ...]  # of the org, and its labels

    @property
    def content(self) -> tuple[object, ...]:
        """What makes a restatement, if it differs."""
        return self.numbers, self.extra, self.users, self.quality

    @property
    def is_zero(self) -> bool:
        return not any(self.numbers) and not any((self.extra or {}).values())


@dataclass(slots=True)
class Archive:
    """The sealed files so far; each is read once and then only held against its digest."""

    rows: dict[str, dict[int, Row]] = field(default_factory=lambda: defaultdict(dict))
    relabels: set[str] = field(default_factory=set)  # runs that only restate names and labels
    _digests: dict[Path, str] = field(default_factory=dict)
    _read: set[Path] = field(default_factory=set)

    def take(self, files: dict[Path, bytes]) -> None:
        """Read what is new. Raises Broken for a file that has changed, is torn, or says something again."""
        for path, content in sorted(files.items()):
            digest = hashlib.blake2b(content).hexdigest()
            if self._digests.setdefault(path, digest) != digest:
                raise Broken("sealed", f"{path.name} has changed")
        for path in self._digests.keys() - files.keys():
            raise Broken("sealed", f"{path.name} is gone")
        for path in sorted(files.keys() - self._read):
            self._read.add(path)
            if path.name.startswith("usage-"):
                self._take(path, files[path])

    def _take(self, path: Path, content: bytes) -> None:
        try:
            content = json_lines_of(path.name, content)
        except ValueError as error:
            raise Broken("lines", f"{path.name} is damaged: {error}") from error
        if not content.endswith(b"\n"):
            raise Broken("lines", f"{path.name} ends within a line")
        for line in content.splitlines():
            try:
                row = _row(orjson.loads(line))
            except (ValueError, KeyError) as error:
                raise Broken("lines", f"{path.name} has a line that is no record") from error
            revisions = self.rows[row.record_id]
            if row.revision in revisions:
                raise Broken("revisions", f"{_name(row)} is in {revisions[row.revision].run_id} and in {row.run_id}")
            revisions[row.revision] = row

    def histories(self) -> Iterator[list[Row]]:
        """Yield the revisions of each record, oldest first. Raises Broken if one is missing or out of order."""
        for revisions in self.rows.values():
            history = [revisions[n] for n in sorted(revisions)]
            if [row.revision for row in history] != list(range(1, len(history) + 1)):
                raise Broken("revisions", f"{_name(history[-1])} has only the revisions {sorted(revisions)}")
            for old, new in pairwise(history):
                _compare(old, new, relabelled=new.run_id in self.relabels)
            yield history

    def newest(self) -> dict[SliceId, dict[str, Row]]:
        """Return what counts downstream: by slice and product."""
        newest: dict[SliceId, dict[str, Row]] = defaultdict(dict)
        for revisions in self.rows.values():
            row = max(revisions.values(), key=lambda row: row.collected_at)
            newest[row.slice][row.product] = row
        return newest


def _compare(old: Row, new: Row, *, relabelled: bool) -> None:
    if new.collected_at <= old.collected_at:
        raise Broken("collected_at", f"{_name(new)}: {new.collected_at} is not after {old.collected_at}")
    if relabelled and new.content != old.content:
        raise Broken("relabel", f"{_name(new)} has other numbers: {new.content} instead of {old.content}")
    if new.content == old.content and not relabelled:
        raise Broken("equal", f"{_name(new)} says the same again: {new.content}")
    if _BEST_FIRST.index(new.quality) > _BEST_FIRST.index(old.quality):
        raise Broken("worse", f"{_name(new)}: {new.quality} replaces {old.quality}")


def _name(row: Row) -> str:
    return f"{row.slice}/{row.product} revision {row.revision}"


def _row(line: dict[str, Any]) -> Row:
    start, end = (datetime.fromisoformat(line[name]) for name in ("window_start", "window_end"))
    if end - start < timedelta(minutes=30):
        raise ValueError("a window of minutes")
    return Row(
        record_id=line["record_id"],
        revision=line["revision"],
        org=line["org"],
        slice=SliceId(line["org_id"], Population(line["population"]), _utc(start), _utc(end)),
        product=line["product"],
        numbers=tuple(line[name] for name in METRICS),
        extra=line.get("extra"),
        users=line["org_users"],
        quality=line["quality"],
        collected_at=datetime.fromisoformat(line["collected_at"]),
        run_id=line["run_id"],
        names=(line["org"], line["org_name"], tuple(sorted(line["labels"].items()))),
    )


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)
