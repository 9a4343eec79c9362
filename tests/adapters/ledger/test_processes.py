"""Real processes on one ledger, and `kill -9`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.ledger import SqlLedger
from tests.adapters.ledger.conftest import Open, Worker
from tests.adapters.ledger.support import ALWAYS, commit, registered
from tests.adapters.ledger.worker import BATCH
from tests.support.orgs import make_org

Start = Callable[[], Worker]


def keys_of(ledger: SqlLedger, n: int) -> list[int]:
    return [standing.key for standing in registered(ledger, *[make_org(f"org-{i}") for i in range(n)])]


def words(keys: list[int]) -> str:
    return " ".join(map(str, keys))


def test_a_living_process_keeps_its_leases_and_one_killed_loses_them_at_once(ledger: SqlLedger, worker: Start) -> None:
    keys = keys_of(ledger, 3)
    other = worker()
    holder_id, pid = other.ask("hello").split()
    assert other.ask(f"acquire {words(keys)}") == words(keys)
    held = ledger.acquire(keys)
    assert {(holder.holder_id, holder.pid, holder.command) for holder in held.values()} == {
        (holder_id, int(pid), "backfill")
    }
    assert held.keys() == set(keys)
    other.kill()
    assert ledger.acquire(keys) == {}


def test_a_killed_process_leaves_its_files_behind(ledger: SqlLedger, worker: Start) -> None:
    other = worker()
    file_id = int(other.ask("open-file"))
    assert ledger.left_behind() == []
    other.kill()
    assert [file.file_id for file in ledger.left_behind()] == [file_id]


def test_processes_that_race_for_the_same_orgs_never_both_get_one(ledger: SqlLedger, worker: Start) -> None:
    keys = keys_of(ledger, 100)
    racers = [worker() for _ in range(3)]
    dead = worker()
    for process in (*racers, dead):
        process.ask("hello")
    assert dead.ask(f"acquire {words(keys)}") == words(keys)
    dead.kill()  # all see at once that it is
    for racer in racers:
        racer.send(f"acquire {words(keys)}")
    got = [int(key) for racer in racers for key in racer.receive().split()]
    assert sorted(got) == keys


def test_a_kill_at_any_point_leaves_whole_bookings(opened: Open, worker: Start) -> None:
    ledger = opened()
    (key,) = keys_of(ledger, 1)
    chance = random.Random(3)
    for _ in range(5):
        process = worker()
        process.ask(f"commit {key}")
        for _ in range(chance.randrange(1, 6)):
            process.receive()
        process.kill()
        (file,) = ledger.left_behind()
        booked = ledger.lost(file.file_id)
        assert booked == file.bytes == file.records
        assert booked >= BATCH
        assert booked % BATCH == 0
        assert len(ledger.coverage(key, ALWAYS)) % BATCH == 0


def test_processes_that_create_one_ledger_at_once_all_work_on_it(worker: Start, opened: Open) -> None:
    workers = [worker() for _ in range(4)]
    names = {process.ask("hello").split()[0] for process in workers}
    assert len(names) == 4
    ledger = opened()
    (key,) = keys_of(ledger, 1)
    assert [process.ask(f"acquire {key}") for process in workers] == [str(key), "", "", ""]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_handles_of_one_process_that_come_and_go_leave_each_others_locks_in_force(
    path: Path, opened: Open, worker: Start
) -> None:
    # Closing any descriptor of a file drops all of a process's POSIX locks on it: whoever opens the file beside
    # SQLite takes the locks of its other handles away. Then another process takes itself for the last one when it
    # ends, and deletes the -wal under them (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
    ledger = opened()
    (key,) = keys_of(ledger, 1)
    opened()  # as each run of the service does, while its reader has the ledger open
    other = worker()
    other.ask("hello")
    other.end()
    assert path.with_name(f"{path.name}-wal").exists()
    ledger.commit([commit(key, n) for n in range(3)], None)
    assert len(opened().coverage(key, ALWAYS)) == len(ledger.coverage(key, ALWAYS)) == 3
