"""Records on stdout: whole lines for every kind of reader, and no reader blocks the event loop."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collector.adapters.sinks import StdoutSink
from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.tabular.compression import decompress
from collector.core.layout import Compression, Layout, RecordFormat
from collector.errors import OutputError
from collector.model import Record
from tests.support.outputs import records
from tests.support.waiting import BOUND_S, wait_until_async

WENT_AWAY = "stdout's reader went away"


@dataclass
class Pipe:
    """A pipe with the sink at one end. A thread reads the other end, as another process would."""

    read_fd: int
    write_fd: int
    received: bytearray = field(default_factory=bytearray)

    def read_all(self, piece: int = 65536) -> None:
        while content := os.read(self.read_fd, piece):
            self.received += content

    @asynccontextmanager
    async def reader(self, piece: int = 65536) -> AsyncIterator[None]:
        """Read during the block, and until the sink's end is closed after it."""
        thread = threading.Thread(target=self.read_all, args=(piece,))
        thread.start()
        try:
            yield
        finally:
            self.close_sink_end()
            await asyncio.to_thread(thread.join, BOUND_S)
        assert not thread.is_alive()

    def is_full(self) -> bool:
        return not select.select([], [self.write_fd], [], 0)[1]

    def close_reader_end(self) -> None:
        os.close(self.read_fd)
        self.read_fd = -1

    def close_sink_end(self) -> None:
        os.close(self.write_fd)
        self.write_fd = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(*os.pipe())
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(made.write_fd, fcntl.F_SETPIPE_SZ, 4096)  # the smallest possible size
    yield made
    for fd in (made.read_fd, made.write_fd):
        if fd >= 0:
            os.close(fd)


# --- readers --------------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("piece", [65536, 1000, 7])
async def test_every_line_arrives_whole_and_in_order_with_a_slow_reader(pipe: Pipe, blocking: bool, piece: int) -> None:
    os.set_blocking(pipe.write_fd, blocking)
    sink = StdoutSink(pipe.write_fd)
    batches = [records(n) for n in (1, 200, 3, 150)]
    async with pipe.reader(piece):
        for batch in batches:
            await asyncio.to_thread(sink.append, batch)
        assert not sink.close_file()
        sink.write_manifest(b"never shown")
    assert bytes(pipe.received) == b"".join(to_lines(batch) for batch in batches)


async def test_append_returns_when_all_lines_are_written(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.write_fd)
    await asyncio.to_thread(sink.append, records(2))
    assert os.read(pipe.read_fd, 65536) == to_lines(records(2))
    sink.write_manifest(b"{}")


async def test_a_file_is_a_reader_too(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    sink = StdoutSink(fd)
    await asyncio.to_thread(sink.append, records(100))
    sink.write_manifest(b"{}")
    os.close(fd)
    assert os.stat(path).st_size == len(to_lines(records(100)))  # noqa: PTH116 -- of what was opened as a descriptor


async def test_a_socket_is_a_reader_too() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        pipe = Pipe(os.dup(theirs.fileno()), mine.detach())
        sink = StdoutSink(pipe.write_fd)
        theirs.close()
        async with pipe.reader(1000):
            await asyncio.to_thread(sink.append, records(500))
            sink.write_manifest(b"{}")
        pipe.close_reader_end()
    assert bytes(pipe.received) == to_lines(records(500))


# --- readers that fail ----------------------------------------------------------------------


async def test_a_closed_reader_is_reported(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.write_fd)
    pipe.close_reader_end()
    with pytest.raises(OutputError) as caught:
        await asyncio.to_thread(sink.append, records(1))
    assert str(caught.value) == WENT_AWAY


async def test_a_reader_that_closes_during_a_write_is_reported_at_once(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.write_fd)
    writing = asyncio.create_task(asyncio.to_thread(sink.append, records(5000)))
    await asyncio.to_thread(os.read, pipe.read_fd, 4096)
    assert not writing.done()
    pipe.close_reader_end()
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(OutputError, match=WENT_AWAY):
            await writing


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
async def test_a_full_disk_behind_stdout_is_reported() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    sink = StdoutSink(fd)
    with pytest.raises(OutputError) as caught:
        await asyncio.to_thread(sink.append, records(1))
    assert str(caught.value) == "stdout can't be written: No space left on device"
    os.close(fd)


async def test_a_closed_stdout_is_reported(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.write_fd)
    pipe.close_sink_end()
    with pytest.raises(OutputError, match="stdout can't be written: Bad file descriptor"):
        await asyncio.to_thread(sink.append, records(1))


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_reader_that_does_not_read_blocks_neither_the_loop_nor_the_shutdown(pipe: Pipe, blocking: bool) -> None:
    os.set_blocking(pipe.write_fd, blocking)
    sink = StdoutSink(pipe.write_fd)
    writing = asyncio.create_task(asyncio.to_thread(sink.append, records(100)))
    await wait_until_async(pipe.is_full)  # which this loop sees, as nothing stops it
    assert not writing.done()
    sink.abandon()
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(OutputError, match="stdout's reader stopped reading, and the run had to end"):
            await writing


async def test_an_abandoned_stdout_writes_nothing_and_raises(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.write_fd)
    sink.abandon()
    with pytest.raises(OutputError):
        await asyncio.to_thread(sink.append, records(1))
    assert not sink.close_file()
    sink.write_manifest(b"{}")
    pipe.close_sink_end()
    assert os.read(pipe.read_fd, 1) == b""


# --- large streams ---------------------------------------------------------------------------


async def test_all_of_a_hundred_thousand_records_arrive(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.write_fd)
    batch = records(1250)  # about as many as the writer appends at once
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(pipe.write_fd, fcntl.F_SETPIPE_SZ, 65536)
    async with pipe.reader():
        for _ in range(80):
            await asyncio.to_thread(sink.append, batch)
        sink.write_manifest(b"{}")
    assert pipe.received.count(b"\n") == 100_000


# --- formats --------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", Compression)
async def test_csv_has_its_names_once_for_each_stream_whatever_number_of_runs_write_to_it(
    pipe: Pipe, compression: Compression
) -> None:
    layout = Layout(format=RecordFormat.CSV, compression=compression, labels=("team",))
    async with pipe.reader(1000):
        for n in (2, 1):  # two runs of a service
            await asyncio.to_thread(StdoutSink(pipe.write_fd, layout=layout).append, records(n))
    head, *lines = decompress(bytes(pipe.received), compression).decode().split("\r\n")
    assert head == ",".join([*Record._fields, "label_team"])
    assert len(lines) == 3 + 1


@pytest.mark.parametrize("compression", Compression)
def test_of_csv_and_of_what_is_compressed_a_full_disk_leaves_nothing_torn_and_the_names_come_again(
    tmp_path: Path, compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    layout = Layout(format=RecordFormat.CSV, compression=compression)
    written: list[int] = []
    write = os.write

    def full(to: int, content: bytes) -> int:
        if to == fd and written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(write(to, content[:10]))
        return written[-1]

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OutputError, match="No space left"):
            StdoutSink(fd, layout=layout).append(records(2))
    assert path.stat().st_size == 0
    for _ in range(2):
        StdoutSink(fd, layout=layout).append(records(1))
    os.close(fd)
    lines = decompress(path.read_bytes(), compression).decode().split("\r\n")
    assert [line.split(",")[0] for line in lines] == ["record_id", "0-0", "0-0", ""]
