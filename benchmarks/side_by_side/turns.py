"""Takes turns: A B C A B C …, each in a directory of its own. What a turn measured is kept in a file at once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.contenders import Contender
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import ContenderError, Used, run
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
        each = (
            f"{self.cpu_s * 1e3 / self.slices:6.3f} ms CPU/slice" if self.slices else f"{self.cpu_s * 1e3:.0f} ms CPU"
        )
        return (
            f"{self.turn:2} {self.contender:16} {self.slices:7} slices {self.seconds:7.3f} s "
            f"{self.slices / self.seconds:7.0f}/s {each}  "
            f"{self.requests} requests over {self.connections} connections"
        )


class Results:
    """The turns of one run. With a file, an interrupted run of the same kind goes on where it ended."""

    def __init__(self, file: Path | None, about: dict[str, Any]) -> None:
        self._file, self.turns = file, list[Turn]()
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
        used = run(pipeline, directory)
        sent = server.counters().since(before)
        return _checked(contender, job, directory, used, sent, turn=turn)
    finally:
        shutil.rmtree(directory)


def _checked(contender: Contender, job: Job, directory: Path, used: Used, sent: Counters, *, turn: int) -> Turn:
    slices = sent.requests
    if contender.fetched is not None:
        fetched, slices = contender.fetched(job, directory), job.slices
        if (fetched.slices, fetched.tests) != (job.slices, job.tests):
            raise ContenderError(f"{contender.name} fetched {fetched}, not {job.slices} slices with {job.tests} tests")
    return Turn(
        contender=contender.name,
        turn=turn,
        slices=slices,
        seconds=used.seconds,
        cpu_s=used.cpu_s,
        requests=sent.requests,
        connections=sent.connections,
    )
