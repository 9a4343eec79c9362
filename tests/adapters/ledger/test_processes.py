"""Real processes on one ledger, and `kill -9`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.core.ledger_entries import Holder
from collector.ledger import SqlLedger
from tests.adapters.ledger.conftest import Open, Worker
from tests.adapters.ledger.support import ALWAYS, commit, registered
from tests.adapters.ledger.worker import BATCH
from tests.support.orgs import make_org

Start = Callable[[], Worker]


def keys_of(ledger: SqlLedger, n: int) -> list[int]:
    return [standing.key for standing in registered(ledger, *[make_org(f"org-{i}") for i in range(n)])]


def joined(keys: list[int]) -> str:
    return " ".join(map(str, keys))


def test_a_killed_process_loses_its_leases_at_once(ledger: SqlLedger, worker: Start) -> None:
    keys = keys_of(ledger, 3)
    other = worker()
    holder_id, pid = other.call("hello").split()
    assert other.call(f"acquire {joined(keys)}") == joined(keys)
    holders = [holder for holder in ledger.acquire(keys).values() if isinstance(holder, Holder)]
    assert {(holder.holder_id, holder.pid, holder.command) for holder in holders} == {(holder_id, int(pid), "backfill")}
    assert len(holders) == len(keys)
    other.kill()
    assert ledger.acquire(keys) == {}


def test_a_killed_process_leaves_its_files_behind(ledger: SqlLedger, worker: Start) -> None:
    other = worker()
    file_id = int(other.call("open-file"))
    assert ledger.left_behind() == []
    other.kill()
    assert [file.file_id for file in ledger.left_behind()] == [file_id]


def test_an_org_is_never_leased_by_two_racing_processes(ledger: SqlLedger, worker: Start) -> None:
    keys = keys_of(ledger, 100)
    racers = [worker() for _ in range(3)]
    dead = worker()
    for process in (*racers, dead):
        process.call("hello")
    assert dead.call(f"acquire {joined(keys)}") == joined(keys)
    dead.kill()  # all racers notice at the same time
    for racer in racers:
        racer.send(f"acquire {joined(keys)}")
    got = [int(key) for racer in racers for key in racer.receive().split()]
    assert sorted(got) == keys


def test_a_kill_at_any_point_leaves_whole_commits(opened: Open, worker: Start) -> None:
    ledger = opened()
    (key,) = keys_of(ledger, 1)
    chance = random.Random(3)
    for _ in range(5):
        process = worker()
        process.call(f"commit {key}")
        for _ in range(chance.randrange(1, 6)):
            process.receive()
        process.kill()
        (file,) = ledger.left_behind()
        committed = ledger.lost(file.file_id)
        assert committed == file.bytes == file.records
        assert committed >= BATCH
        assert committed % BATCH == 0
        assert len(ledger.coverage(key, ALWAYS)) % BATCH == 0


def test_processes_that_create_a_ledger_at_once_share_it(worker: Start, opened: Open) -> None:
    workers = [worker() for _ in range(4)]
    names = {process.call("hello").split()[0] for process in workers}
    assert len(names) == 4
    ledger = opened()
    (key,) = keys_of(ledger, 1)
    assert [process.call(f"acquire {key}") for process in workers] == [str(key), "", "", ""]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_closing_one_connection_keeps_the_locks_of_other_connections_of_the_process(
    path: Path, opened: Open, worker: Start
) -> None:
    # Closing any descriptor of a file releases all POSIX locks of the process on that file. So if our code opened
    # the file without SQLite, SQLite's locks would be lost, and another process that ends would delete the -wal
    # while it is in use (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
    ledger = opened()
    (key,) = keys_of(ledger, 1)
    opened()  # as each run of the service does while the reader has the ledger open
    other = worker()
    other.call("hello")
    other.end()
    assert path.with_name(f"{path.name}-wal").exists()
    ledger.commit([commit(key, n) for n in range(3)], None)
    assert len(opened().coverage(key, ALWAYS)) == len(ledger.coverage(key, ALWAYS)) == 3
