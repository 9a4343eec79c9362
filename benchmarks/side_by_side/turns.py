"""Takes turns: A B C A B C …, each in a directory of its own. What a turn measured is kept in a file at once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.side_by_side.contenders import Contender, Fetched
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import ContenderError, run
from benchmarks.side_by_side.server import Counters, Server


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One contender, once."""

    contender: str
    turn: int
    slices: int
    seconds: float
    cpu_s: float
    requests: int
    connections: int

    def __str__(self) -> str:
        spent = f"{self.turn:2} {self.contender:18} {self.seconds:7.3f} s {self.cpu_s:7.3f} s CPU"
        if not self.slices:
            return spent
        return (
            f"{spent} {self.slices:7} slices {self.slices / self.seconds:6.0f}/s "
            f"{self.cpu_s * 1e3 / self.slices:6.3f} ms CPU/slice  "
            f"{self.requests} requests over {self.connections} connections"
        )


class Results:
    """The turns of one run. With a file, an interrupted run of the same kind goes on where it ended."""

    def __init__(self, file: Path | None, about: dict[str, Any]) -> None:
        self._file, self.about, self.turns = file, about, list[Turn]()
        if file is None:
            return
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        if lines and lines[0] == about:
            self.turns = [Turn(**line) for line in lines[1:]]
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{json.dumps(about)}\n")

    def has(self, contender: str, turn: int) -> bool:
        return any(one.contender == contender and one.turn == turn for one in self.turns)

    def add(self, turn: Turn) -> None:
        self.turns.append(turn)
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(f"{json.dumps(asdict(turn))}\n")


def take_turns(
    contenders: Sequence[Contender], job: Job, server: Server, results: Results, *, turns: int
) -> Iterator[Turn]:
    """Yield each new turn. Before the first ones, each contender fetches a little, so that all modules are compiled."""
    warm = set[str]()
    for n in range(1, turns + 1):
        for contender in contenders:
            if results.has(contender.name, n):
                continue
            if contender.name not in warm:
                one_turn(contender, job.small(), server, turn=0)
                warm.add(contender.name)
            turn = one_turn(contender, job, server, turn=n)
            results.add(turn)
            yield turn


def one_turn(contender: Contender, job: Job, server: Server, *, turn: int) -> Turn:
    """Run a contender once; raise `ContenderError` if it did not fetch exactly the job's slices."""
    directory = Path(tempfile.mkdtemp(prefix=f"{contender.name}-"))
    try:
        pipeline = contender.prepare(job, directory)
        before = server.counters()
        used = [run(pipeline, directory, codes=contender.codes) for _ in range(contender.repeats)]
        sent = server.counters().since(before)
        return Turn(
            contender=contender.name,
            turn=turn,
            slices=_slices(contender, job, directory, sent),
            seconds=median(one.seconds for one in used),
            cpu_s=median(one.cpu_s for one in used),
            requests=sent.requests,
            connections=sent.connections,
        )
    finally:
        shutil.rmtree(directory)


def _slices(contender: Contender, job: Job, directory: Path, sent: Counters) -> int:
    if contender.fetched is None:
        expected = contender.requests
    else:
        expected, fetched = job.slices, contender.fetched(directory)
        if fetched != Fetched(job.slices, job.tests):
            raise ContenderError(f"{contender.name} fetched {fetched}, not {job.slices} slices with {job.tests} tests")
    if expected not in {None, sent.requests}:
        raise ContenderError(f"{contender.name} sent {sent.requests} requests, not {expected}")
    return sent.requests
