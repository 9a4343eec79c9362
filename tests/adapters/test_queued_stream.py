"""stderr behind a queue: a real pipe that is read, read late, or never read."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.adapters.queued_stream import QueuedStream

FULL = 2**20


@dataclass
class Pipe:
    read_fd: int
    write_fd: int

    def read(self, lines: int) -> list[str]:
        """Read until so many lines are there."""
        data = b""
        while data.count(b"\n") < lines:
            data += os.read(self.read_fd, FULL)
        return data.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(*os.pipe())
    yield pipe
    for fd in (pipe.read_fd, pipe.write_fd):
        os.close(fd)


def stream(pipe: Pipe, **more: float) -> QueuedStream:
    return QueuedStream(io.StringIO(), pipe.write_fd, longest=100_000, **more)


def test_everything_comes_in_its_order(pipe: Pipe) -> None:
    queued = stream(pipe)
    for number in range(2000):
        queued.write(f"{number}\n")
    assert pipe.read(2000) == [str(number) for number in range(2000)]
    queued.drain()


def test_where_nobody_reads_lines_are_dropped_and_the_count_stands_where_they_are_missing(pipe: Pipe) -> None:
    queued = stream(pipe, patience_s=0.0)
    for number in range(100_000):
        queued.write(f"{number}\n")
    queued.write("after\n")
    text = ""
    while not text.endswith("dropped\n"):
        text += os.read(pipe.read_fd, FULL).decode()
    *kept, report = text.splitlines()
    assert kept == [str(number) for number in range(len(kept))]
    assert report == f"{100_001 - len(kept)} lines of the log were dropped"
    assert queued.lines_dropped == 100_001 - len(kept)
    queued.write("again\n")
    assert pipe.read(1) == ["again"]


def test_a_command_that_ends_gives_a_slow_reader_everything(pipe: Pipe) -> None:
    queued, read = stream(pipe), bytearray()
    last = b"9999 " + b"x" * 90 + b"\n"

    def slowly() -> None:
        while not read.endswith(last):
            read.extend(os.read(pipe.read_fd, 4096))

    reader = threading.Thread(target=slowly)
    reader.start()
    for number in range(10_000):
        queued.write(f"{number} {'x' * 90}\n")
    queued.drain()
    reader.join()
    assert [int(line.split()[0]) for line in read.splitlines()] == list(range(10_000))


def test_lines_lost_to_a_full_disk_are_reported_once_there_is_room() -> None:
    with Path("/dev/full").open("wb") as full:
        reported: list[int] = []

        def note(lines: int) -> str:
            reported.append(lines)
            return ""

        queued = QueuedStream(io.StringIO(), full.fileno())
        queued.write("lost\n")
        queued.drain()
        queued.dropped = note
        with Path("/dev/null").open("wb") as there:
            os.dup2(there.fileno(), full.fileno())
        queued.write("written\n")
        queued.drain()
    assert reported == [1]


def test_lines_whose_report_is_lost_too_are_reported_later_and_counted_once() -> None:
    with Path("/dev/full").open("wb") as full:
        queued = QueuedStream(io.StringIO(), full.fileno())
        for number in range(3):
            queued.write(f"{number}\n" * 5)
            queued.drain()
        assert queued.lines_dropped == 15
        reported: list[int] = []
        queued.dropped = lambda lines: f"{reported.append(lines)}\n"  # type: ignore[func-returns-value]
        with Path("/dev/null").open("wb") as there:
            os.dup2(there.fileno(), full.fileno())
        queued.write("written\n")
        queued.drain()
    assert reported == [15]
    assert queued.lines_dropped == 15
