"""What greedy clients cost: a run's time beside readers of `/api/status`, and memory for clients that read nothing.

Compared in one benchmark, with the real command: the first run of a service without readers, and that of another one
beside clients that request `/api/status` again and again as fast as it comes. After it, more clients request it and
read nothing.

    python -m benchmarks.greedy [--orgs 2000] [--readers 8] [--unread 150]
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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.commands import COLLECTOR, environment, simulated_api
from tests.support.waiting import wait_until

ALLOWED_TIMES = 1.3
ALLOWED_MB = 448  # the limit of memory in the manifests
_REQUEST = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
_UNREAD_S = 30.0
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
    command = [*COLLECTOR, "serve", "-c", str(config), "-o", "out", "--log-format", "json"]
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


class Readers:
    """Clients that request again and again, each on a thread. `answers` counts by status, `slowest_s` is of health."""

    def __init__(self, port: int, readers: int) -> None:
        self.answers: dict[str, int] = {}
        self.slowest_s = 0.0
        self._port = port
        self._ended = threading.Event()
        targets = [self._read] * readers + [self._look_at_health]
        self._threads = [threading.Thread(target=target, daemon=True) for target in targets]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _read(self) -> None:
        while not self._ended.is_set():
            status = _status(self._port, _REQUEST)
            self.answers[status] = self.answers.get(status, 0) + 1

    def _look_at_health(self) -> None:
        while not self._ended.wait(0.5):
            began_s = time.monotonic()
            status = _status(self._port, _REQUEST.replace(b"/api/status", b"/healthz"))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            self.answers[f"health {status}"] = self.answers.get(f"health {status}", 0) + 1


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


def unread(service: Service, clients: int) -> None:
    """Let clients request and read nothing, for a while; some come again."""
    with ExitStack() as stack:
        for _ in range(clients):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", service.port()))
            one.sendall(_REQUEST)
        time.sleep(_UNREAD_S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=2000)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--unread", type=int, default=150)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, simulated_api(Path(name), orgs=args.orgs) as api:
        with serving(api.config, Path(name) / "alone") as service:
            alone_s = service.run_s()
            print(f"alone: {alone_s:.1f} s, peak {service.mb('VmHWM'):.0f} MB", flush=True)
        with serving(api.config, Path(name) / "read") as service:
            with Readers(service.port(), args.readers) as readers:
                beside_s = service.run_s()
            print(
                f"beside {args.readers} readers: {beside_s:.1f} s, peak {service.mb('VmHWM'):.0f} MB, answers "
                f"{readers.answers}, slowest health {readers.slowest_s:.2f} s",
                flush=True,
            )
            unread(service, args.unread)
            peak_mb = service.mb("VmHWM")
            print(f"{args.unread} clients that read nothing: peak {peak_mb:.0f} MB", flush=True)
    times = beside_s / alone_s
    print(f"beside readers a run takes {times:.2f} times as long; allowed are {ALLOWED_TIMES}, and {ALLOWED_MB} MB")
    return 0 if times <= ALLOWED_TIMES and peak_mb <= ALLOWED_MB else 1


if __name__ == "__main__":
    sys.exit(main())
