from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from collector.ledger import SqlLedger
from tests.adapters.ledger.support import open_ledger, registered, url_of
from tests.support.orgs import make_org
from tests.support.postgresql import Server
from tests.support.waiting import wait_until

Open = Callable[..., SqlLedger]
BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a ledger in SQLite."""
    return tmp_path / "state" / "ledger.db"


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, path: Path) -> str:
    """The URL of a new ledger, in either database. Modules about one database override it."""
    if request.param == "sqlite":
        return url_of(path)
    server: Server = request.getfixturevalue("server")
    return server.fresh()


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Opens ledgers, and closes those that are still open at the end."""
    ledgers: list[SqlLedger] = []

    def open_(at: Path | str = url, **more: Any) -> SqlLedger:
        ledgers.append(open_ledger(at, **more))
        return ledgers[-1]

    yield open_
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(opened: Open) -> SqlLedger:
    return opened()


@pytest.fixture
def key(ledger: SqlLedger) -> int:
    """The key of an org."""
    return registered(ledger, make_org())[0].key


class Worker:
    """Another process that works on a ledger. It gets a command per line, and answers with a line each."""

    def __init__(self, url: str) -> None:
        self._url, self._name = url, f"worker-{secrets.token_hex(6)}"
        if url.startswith("postgresql:"):
            url += f"&application_name={self._name}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.adapters.ledger.worker", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error"},
        )

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def receive(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def call(self, line: str) -> str:
        self.send(line)
        return self.receive()

    def kill(self) -> None:
        """End it with SIGKILL; return when the server has noticed it too."""
        self.process.kill()
        self.process.wait(120)
        if self._url.startswith("postgresql:"):
            wait_until(lambda: not self._has_sessions())

    def _has_sessions(self) -> bool:
        try:
            with psycopg.connect(self._url.partition("?")[0]) as session:
                named = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
                return session.execute(named, [self._name]).fetchone() != (0,)
        except psycopg.OperationalError:  # no server, no session
            return False

    def end(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(120)
        finally:
            self.process.kill()


@pytest.fixture
def worker(url: str) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def start() -> Worker:
        workers.append(Worker(url))
        return workers[-1]

    yield start
    for one in workers:
        one.end()
