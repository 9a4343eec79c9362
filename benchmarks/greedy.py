"""What hostile clients cost a service: a run's time, the answers of health, memory, and the log.

Compared in one benchmark, with the real command and 1,024 file handles: the first run of a service that is left alone,
and that of others which a crowd stays with for two minutes: clients that send nothing, clients that request
`/api/status` and read nothing, and clients that request it again and again as fast as it comes.

    python -m benchmarks.greedy [--orgs 2000] [--seconds 120] [--idle 1100] [--unread 150] [--readers 8]
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.commands import COLLECTOR, environment, simulated_api, with_file_handles
from tests.support.waiting import wait_until

ALLOWED_TIMES = 1.3
ALLOWED_MB = 448  # the limit of memory in the manifests
ALLOWED_HEALTH_S = 1.0
ALLOWED_LOG_MB = 1.0
_HANDLES = 1024
_REQUEST = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
_LONGEST_S = 1200.0
_SETTINGS = {
    "COLLECTOR_SCHEDULE__CRON": "0 0 1 1 *",
    "COLLECTOR_SCHEDULE__JITTER": "0",
    "COLLECTOR_SERVICE__PORT": "0",
    "COLLECTOR_API__CONCURRENCY": "64",
    "COLLECTOR_API__RATE_LIMIT__REQUESTS": "100000",
}


@dataclass(frozen=True)
class Service:
    pid: int
    log: Path

    def event(self, name: str) -> dict[str, Any] | None:
        """Return the first event of that name."""
        lines = (line for line in self.log.read_text().splitlines(keepends=True) if f'"event": "{name}"' in line)
        return next((json.loads(line) for line in lines if line.endswith("\n")), None)

    def run_s(self) -> float:
        """Wait for the end of the first run, and return how long it took."""
        ended = wait_until(lambda: self.event("run.finished"), "the run is done", bound_s=_LONGEST_S)
        return (_instant(ended) - _instant(self.event("run.started"))).total_seconds()

    def port(self) -> int:
        """Wait until the service listens."""
        listening = wait_until(lambda: self.event("service.listening"), "the service listens")
        assert listening is not None
        return int(listening["port"])

    def mb(self, kind: str) -> float:
        """Return its memory: `VmRSS` is now, `VmHWM` the peak."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


def _instant(event: dict[str, Any] | None) -> datetime:
    assert event is not None
    return datetime.fromisoformat(event["timestamp"])


@contextmanager
def serving(config: Path, directory: Path) -> Iterator[Service]:
    """Start `collector serve` in a directory of its own, and end it with the block."""
    directory.mkdir()
    command = [
        *with_file_handles(_HANDLES),
        *COLLECTOR,
        "serve",
        "-c",
        str(config),
        "-o",
        "out",
        "--log-format",
        "json",
    ]
    env = environment(**_SETTINGS, COLLECTOR_STATE__URL=f"sqlite:///{directory}/ledger.db")
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, cwd=directory, env=env, stderr=log) as process,
    ):
        try:
            yield Service(process.pid, directory / "log")
        finally:
            process.terminate()
            process.wait(60)


class Health:
    """Requests `/healthz` twice a second, on a thread, until the block ends."""

    def __init__(self, port: int) -> None:
        self.answers = Counter[str]()
        self.slowest_s = 0.0
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            began_s = time.monotonic()
            self.answers[_status(self._port, _REQUEST.replace(b"/api/status", b"/healthz"))] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)


def _status(port: int, request: bytes) -> str:
    """Send a request on a connection of its own, read the answer to its end, and return its status."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
            one.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            start = one.recv(65536)
            while one.recv(1 << 20):
                pass
            return start[9:12].decode() or "closed"
    except OSError as error:
        return type(error).__name__


def hold(port: int, clients: int, first: bytes, ended: threading.Event) -> None:
    """Keep so many connections on which `first` is sent and nothing read; those that are closed come again."""
    held: list[socket.socket] = []
    while not ended.wait(0.2):
        held = [one for one in held if _is_open(one)]
        with suppress(OSError):
            while len(held) < clients and not ended.is_set():
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.settimeout(5)
                one.connect(("127.0.0.1", port))
                one.sendall(first)
                one.setblocking(False)
                held.append(one)
    for one in held:
        one.close()


def _is_open(one: socket.socket) -> bool:
    """Say whether the other side has not closed a connection; one with an answer that is not read counts as open."""
    try:
        closed = one.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return True
    except OSError:
        closed = True
    if closed:
        one.close()
    return not closed


def read_again_and_again(port: int, clients: int, ended: threading.Event) -> None:
    def read() -> None:
        while not ended.is_set():
            _status(port, _REQUEST)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_LONGEST_S)


@dataclass(frozen=True)
class Measured:
    """A service beside a crowd."""

    run_s: float
    health_s: float
    unhealthy: int
    peak_mb: float
    log_mb: float

    def holds(self, alone: Measured) -> bool:
        return (
            self.run_s <= alone.run_s * ALLOWED_TIMES
            and self.health_s <= ALLOWED_HEALTH_S
            and not self.unhealthy
            and self.peak_mb <= ALLOWED_MB
            and self.log_mb <= ALLOWED_LOG_MB
        )


def measure(config: Path, directory: Path, seconds: float, crowd: Callable[[int, threading.Event], None]) -> Measured:
    """Let a service make its first run beside a crowd, which stays for that long."""
    ended = threading.Event()
    with serving(config, directory) as service:
        port, until = service.port(), time.monotonic() + seconds
        thread = threading.Thread(target=crowd, args=(port, ended), daemon=True)
        with Health(port) as health:
            thread.start()
            run_s = service.run_s()
            time.sleep(max(0.0, until - time.monotonic()))
        ended.set()
        thread.join(_LONGEST_S)
        unhealthy = health.answers.total() - health.answers["200"]
        log_mb = service.log.stat().st_size / 1e6
        return Measured(run_s, health.slowest_s, unhealthy, service.mb("VmHWM"), log_mb)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--idle", type=int, default=1100)
    parser.add_argument("--unread", type=int, default=150)
    parser.add_argument("--readers", type=int, default=8)
    args = parser.parse_args()
    crowds: dict[str, Callable[[int, threading.Event], None]] = {
        "alone": lambda _port, _ended: None,
        f"{args.idle} idle": lambda port, ended: hold(port, args.idle, b"", ended),
        f"{args.unread} unread": lambda port, ended: hold(port, args.unread, _REQUEST, ended),
        f"{args.readers} greedy": lambda port, ended: read_again_and_again(port, args.readers, ended),
    }
    print(f"{'clients':12} {'run':>7} {'times':>6} {'health':>8} {'failed':>7} {'peak':>7} {'log':>8}")
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as name, simulated_api(Path(name), orgs=args.orgs) as api:
        for n, (title, crowd) in enumerate(crowds.items()):
            one = found[title] = measure(api.config, Path(name) / f"service-{n}", args.seconds if n else 0.0, crowd)
            times = one.run_s / found["alone"].run_s
            print(
                f"{title:12} {one.run_s:5.1f} s {times:6.2f} {one.health_s:6.2f} s {one.unhealthy:7} "
                f"{one.peak_mb:4.0f} MB {one.log_mb:5.2f} MB",
                flush=True,
            )
    print(
        f"allowed: {ALLOWED_TIMES} times, health within {ALLOWED_HEALTH_S:g} s and never failing, {ALLOWED_MB} MB, "
        f"a log of {ALLOWED_LOG_MB:g} MB"
    )
    return 0 if all(one.holds(found["alone"]) for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
