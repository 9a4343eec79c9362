"""Who takes part: each contender makes its processes for a job, and reads what they fetched from what they wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import Command

ROOT = Path(__file__).parents[3]
PEERS = ROOT / "benchmarks" / "peers"


@dataclass(frozen=True)
class Fetched:
    """What a contender wrote: how many different slices, and all their automation tests."""

    slices: int
    tests: int

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, int]]) -> Fetched:
        """Count rows: which slice it is, and its tests."""
        slices, tests = set[Any](), 0
        for which, number in rows:
            slices.add(which)
            tests += number
        return cls(len(slices), tests)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Something that is measured."""

    name: str
    title: str
    prepare: Callable[[Job, Path], Sequence[Command]]
    """Write what the processes read into an empty directory, and return them."""
    fetched: Callable[[Path], Fetched] | None = None
    """Read what they wrote there; None if they write nothing."""
    codes: Sequence[int] = (0,)
    """The exit codes of a success."""
    repeats: int = 1
    """How often it runs in a turn, of which the median counts."""
    requests: int | None = None
    """How many it sends, if it fetches nothing of the job; None if nobody knows."""
