"""Who takes part: each contender makes its processes for a job, and reads what they fetched from what they wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import Command


@dataclass(frozen=True)
class Fetched:
    """What a contender wrote: how many different slices, and all their automation tests."""

    slices: int
    tests: int


@dataclass(frozen=True, kw_only=True)
class Contender:
    name: str
    title: str
    prepare: Callable[[Job, Path], Sequence[Command]]
    """Write what the processes read into an empty directory, and return them: a pipeline."""
    fetched: Callable[[Job, Path], Fetched] | None
    """Read what they wrote there; None if they write nothing that tells."""
