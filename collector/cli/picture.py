"""The table of collected usage: one row per org, with its tests per day as bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import printable
from collector.cli.colours import COLOURS
from collector.cli.tables import add_name, new_table

_BARS = "▁▂▃▄▅▆▇█"
_ROWS = 25
_WIDE = 100  # columns


@dataclass(slots=True)
class _OrgUsage:
    name: str = ""
    tests: int = 0
    screenshots: int = 0
    unknown: int = 0
    by_window: dict[str, int | None] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        self.name = record["org_name"]
        window = record["window_start"]
        tests = record["total_tests"]
        self.by_window.setdefault(window, 0)
        if record["quality"] == "unavailable":
            self.unknown += 1
            self.by_window[window] = None
        elif tests is not None:
            self.tests += tests
            before = self.by_window[window]
            self.by_window[window] = None if before is None else before + tests
        self.screenshots += record["total_screenshots"] or 0


def usage_table(console: Console, directory: Path, files: Sequence[str]) -> Table:
    """Return a table of the usage in sealed files: orgs with unknown totals (`?`) first, then those with most tests."""
    orgs: dict[str, _OrgUsage] = defaultdict(_OrgUsage)
    for record in _records(directory, files):
        orgs[record["org"]].add(record)
    table = new_table(console, "Tests per day, all populations")
    wide = console.width >= _WIDE
    table.add_column("org", no_wrap=True)
    if wide:
        add_name(table, "organization")
    table.add_column("tests", justify="right", no_wrap=True)
    table.add_column("unknown", justify="right")
    table.add_column("by day", overflow="fold")
    ranked = sorted(orgs.items(), key=lambda item: (item[1].unknown > 0, item[1].tests), reverse=True)
    for name, usage in ranked[:_ROWS]:
        unknown = Text(str(usage.unknown or ""), style=COLOURS["partial"])
        strip = sparkline([usage.by_window[window] for window in sorted(usage.by_window)])
        names = [Text(name), Text(printable(usage.name))] if wide else [Text(name)]
        table.add_row(*names, f"{usage.tests:,}", unknown, Text(strip, style="cyan"))
    if len(ranked) > _ROWS:
        table.add_row(f"… {len(ranked) - _ROWS} more")
    return table


def sparkline(values: Sequence[int | None]) -> str:
    """Return a bar for each value, `?` for an unknown one."""
    most = max((value for value in values if value), default=0)
    return "".join("?" if v is None else _BARS[v * (len(_BARS) - 1) // most] if most else _BARS[0] for v in values)


def _records(directory: Path, files: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name in files:
        with (directory / name).open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)
