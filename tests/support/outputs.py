"""A sink of files that a test drives as the writer does, and records for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.adapters.sinks import DirectorySink
from collector.adapters.sinks.converting import PLAIN
from collector.core.layout import Layout
from collector.model import Granularity, Population, Quality, Record
from collector.ports import SealedFile

RUN_ID = "20260624T102000Z-abc123"
LINE = 500  # bytes that a record takes, roughly


def records(n: int, day: int = 0) -> list[Record]:
    start = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=day)
    return [
        Record(
            record_id=f"{day}-{i}",
            revision=1,
            org="acme",
            org_id="12345",
            org_name="Acme — ünïcode",
            labels={"cost_center": "qa-platform", "team": "a team with quite a long name"},
            population=Population.ACCOUNT_USER,
            product=f"product-{i}",
            granularity=Granularity.DAY,
            timezone="UTC",
            window_date=start.date(),
            window_start=start,
            window_end=start + timedelta(days=1),
            total_tests=i,
            total_duration=1000 * i,
            total_screenshots=None,
            org_users=3,
            quality=Quality.MEASURED,
            anomalies=[],
            collected_at=start + timedelta(days=1, hours=10),
            run_id=RUN_ID,
        )
        for i in range(n)
    ]


@dataclass
class Output:
    """Drives a sink as the writer does: it seals the file whenever it is full."""

    sink: DirectorySink
    sealed: list[SealedFile] = field(default_factory=list)

    def write(self, batch: list[Record]) -> None:
        self.sink.append(batch)
        if self.sink.full:
            self.seal()

    def seal(self) -> tuple[SealedFile, ...]:
        """Seal the open file, and return all files that this run sealed."""
        if files := self.sink.close_file():
            self.sink.publish(files)
            self.sealed += files
        return tuple(self.sealed)

    def discard(self) -> None:
        self.sink.discard()

    def finish(self, manifest: bytes) -> None:
        self.sink.write_manifest(manifest)


def open_sink(directory: Path, *, run_id: str = RUN_ID, seal_at: int = 10**9, layout: Layout = PLAIN) -> Output:
    return Output(DirectorySink.open(directory, run_id=run_id, seal_at=seal_at, layout=layout))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
