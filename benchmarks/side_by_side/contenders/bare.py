"""A bare aiohttp loop, in the collector's own environment: the practical limit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.side_by_side.contenders import Contender, Fetched
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import Command

_PROGRAM = Path(__file__).parents[2] / "peers" / "bare_aiohttp.py"


def bare(python: str) -> Contender:
    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        return [Command([python, _PROGRAM, job.write(directory)])]

    return Contender(name="bare", title="bare aiohttp loop", prepare=prepare, fetched=_fetched)


def _fetched(job: Job, directory: Path) -> Fetched:
    del job
    return Fetched(**json.loads((directory / "stdout").read_text()))
