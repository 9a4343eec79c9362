"""A small API in a process of its own, for benchmarks: it answers well, costs little, and notes when requests came.

`stub_api` starts it. Org number n has the token `tn`. The kernel says when a request arrived, so a process that is
kept waiting by others notes no false time.

    python -m benchmarks.stub_api      (reads its latencies from stdin, and runs until stdin ends)
"""

from __future__ import annotations

import json
import mmap
import os
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from heapq import heappop, heappush
from pathlib import Path
from urllib.parse import unquote

from tests.support.commands import environment

_SO_TIMESTAMPNS = 35  # Linux: the kernel gives the time of arrival with the data
_HTTP = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}"


@dataclass(frozen=True)
class Arrival:
    """A request: when it came by the kernel's clock, when the server's process read it, and of which org."""

    at: float
    seen_at: float
    org: int


@dataclass
class StubApi:
    """The server process, as the benchmark sees it."""

    base_url: str
    _count: mmap.mmap
    arrivals: list[Arrival] = field(default_factory=list)  # after the block

    @property
    def requests(self) -> int:
        """How many requests have come."""
        return int(struct.unpack_from("q", self._count)[0])

    def config(self, file: Path, since: Sequence[date | None]) -> Path:
        """Write a config with an org for each, from that date on."""
        entries = "".join(
            f"- {{name: org-{n:05}, token: t{n}, timezone: UTC, since: {first or 'null'}}}\n"
            for n, first in enumerate(since)
        )
        file.write_text(f"api: {{base_url: {self.base_url}}}\norgs:\n{entries}")
        file.chmod(0o600)
        return file


@contextmanager
def stub_api(latencies_s: Sequence[float] = (0.0,), *, notes: bool = False) -> Iterator[StubApi]:
    """Run the server; org n has the n-th latency, modulo their number.

    With `notes`, `arrivals` is filled at the end.
    """
    with (
        tempfile.TemporaryFile() as file,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stub_api"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[file.fileno()],
            env=environment(),
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        file.truncate(mmap.PAGESIZE)
        settings = {"latencies_s": list(latencies_s), "notes": notes, "count_fd": file.fileno()}
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        api = StubApi(f"http://127.0.0.1:{int(process.stdout.readline())}", mmap.mmap(file.fileno(), mmap.PAGESIZE))
        try:
            yield api
        finally:
            process.stdin.close()
            api.arrivals = [Arrival(*one) for one in json.loads(process.stdout.read() or "[]")]
            process.wait(60)


class _Server:
    """One thread, one selector, no HTTP beyond what the collector sends."""

    def __init__(self, latencies_s: Sequence[float], *, notes: bool, count_fd: int) -> None:
        self._latencies_s = latencies_s
        self._notes = notes
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, socket.socket, bytes]] = []
        self._requests = 0
        self._count = mmap.mmap(count_fd, mmap.PAGESIZE)  # for the benchmark
        self.arrivals: list[tuple[float, float, int]] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listening.setblocking(False)
        self._listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # so its connections have it from the start
        self.port: int = self._listening.getsockname()[1]

    def run(self) -> None:
        """Serve until stdin ends."""
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            wait_s = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
            for key, _ in self._selector.select(wait_s):
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is self._listening:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)
            while self._later and self._later[0][0] <= time.monotonic():
                _, _, peer, reply = heappop(self._later)
                _send(peer, reply)

    def _accept(self) -> None:
        peer, _ = self._listening.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(peer, selectors.EVENT_READ)

    def _read(self, peer: socket.socket) -> None:
        """Read a request: the collector sends it in one piece, and the next one only after the answer."""
        try:
            head, ancillary, _, _ = peer.recvmsg(65536, 128)
        except OSError:
            head, ancillary = b"", []
        if not head:
            self._selector.unregister(peer)
            peer.close()
            return
        org, reply = _answer(head.decode())
        if self._notes:
            seen_at = time.time()  # noqa: TID251 - a benchmark has no port for the clock
            self.arrivals.append((_arrived_at(ancillary) or seen_at, seen_at, org))
        latency_s = self._latencies_s[org % len(self._latencies_s)]
        self._requests += 1
        struct.pack_into("q", self._count, 0, self._requests)
        if latency_s:
            heappush(self._later, (time.monotonic() + latency_s, self._requests, peer, reply))
        else:
            _send(peer, reply)


def _send(peer: socket.socket, reply: bytes) -> None:
    try:
        peer.send(reply)
    except OSError:
        return  # it was closed meanwhile; `_read` sees that


def _arrived_at(ancillary: Sequence[tuple[int, int, bytes]]) -> float | None:
    """Return the time of the kernel; None for the first requests, as it begins to note times when it is asked to."""
    if not ancillary:
        return None
    _, _, value = ancillary[0]
    seconds, nanoseconds = struct.unpack("qq", value)
    return float(seconds) + float(nanoseconds) / 1e9


def _answer(head: str) -> tuple[int, bytes]:
    target = head.split(" ", 2)[1]
    query = dict(pair.split("=", 1) for pair in target.split("?", 1)[1].split("&"))
    start = head.index("Bearer t") + len("Bearer t")
    org = int(head[start : head.index("\r", start)])
    count = zlib.crc32(f"{org} {query['from']} {query['type']}".encode()) % 9000 + 1000
    both = f'{{"totalTests": {count}, "totalDuration": {count * 3700}}}'
    products = ", ".join(
        f'"{name}": {both}' for name in ("automation", "app-automation", "hyperexecute", "realtime", "realdevice")
    )
    body = (
        f'{{"status": "success", "data": {{"metadata": {{"type": "{query["type"]}", "totalUsers": {count % 40}, '
        f'"from": "{unquote(query["from"])}", "to": "{unquote(query["to"])}", '
        f'"timezone": "{unquote(query["timezone"])}", '
        f'"organization": {{"id": "{10_000 + org}", "name": "Org {org}"}}}}, '
        f'"products": {{{products}, "smartui": {{"totalScreenshots": {count}}}}}}}}}'
    )
    return org, _HTTP.format(len(body), body).encode()


def main() -> int:
    server = _Server(**json.loads(_line(sys.stdin.fileno())))
    print(server.port, flush=True)
    server.run()
    print(json.dumps(server.arrivals), flush=True)
    return 0


def _line(fd: int) -> bytes:
    """Read a line without reading ahead, so that the selector sees the rest."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(fd, 1)
    return line


if __name__ == "__main__":
    sys.exit(main())
