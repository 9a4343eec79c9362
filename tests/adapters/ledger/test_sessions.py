"""Liveness in PostgreSQL: broken sessions, and servers that restart or are unreachable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import pytest

from collector.core.ledger_entries import Holder
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.ledger.postgresql import PostgresDatabase, engine, locks
from tests.adapters.ledger.conftest import Open, Worker
from tests.adapters.ledger.support import ALWAYS, T0, commit, registered
from tests.support.orgs import make_org
from tests.support.postgresql import Server, running_server
from tests.support.waiting import BOUND_S, wait_until

pytestmark = pytest.mark.slow  # needs PostgreSQL
Start = Callable[[], Worker]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this module's own, which tests stop, kill and start."""
    with running_server() as started:
        yield started


@pytest.fixture
def url(server: Server) -> str:
    return server.fresh()


@pytest.fixture
def opened(opened: Open) -> Open:
    """Opens durable ledgers: a killed server loses the last commits of others."""
    return partial(opened, durable=True)


def lock_session(ledger: SqlLedger) -> int:
    """The process id of the server's backend for the session with the lock."""
    assert isinstance(ledger._database, PostgresDatabase)
    session = ledger._database.liveness._session
    assert session is not None
    return session.info.backend_pid


def is_locked(server: Server, ledger: SqlLedger) -> bool:
    assert isinstance(ledger._database, PostgresDatabase)
    key = ledger._database._dsn.lock_key(ledger.holder.holder_id) & (2**64 - 1)
    count = server.sql(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
        f"AND classid = {key >> 32} AND objid = {key & (2**32 - 1)}"
    )
    return count == [(1,)]


def kill(server: Server, pid: int) -> None:
    server.sql(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_a_lock_is_acquired_again_after_its_session_broke_and_the_leases_stay(server: Server, opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    before = lock_session(one)
    kill(server, before)
    wait_until(lambda: is_locked(server, one))
    assert lock_session(one) != before
    assert other.acquire([standing.key]) == {standing.key: one.holder}
    one.commit([commit(standing.key, 0)], None)


def test_a_process_whose_row_was_removed_commits_nothing_and_raises(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks.SessionLock, "_reacquire", lambda _: None)  # as if it were slow
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    file = one.open_file("run", "out", "name")
    one.acquire([standing.key])
    kill(server, lock_session(one))
    wait_until(lambda: not is_locked(server, one))
    assert other.acquire([standing.key]) == {}
    for attempt in (
        lambda: one.commit([commit(standing.key, 0)], None),
        lambda: one.acquire([standing.key]),
        lambda: one.open_file("run", "out", "another"),
        lambda: one.take_over([file.file_id]),
    ):
        with pytest.raises(LedgerError, match=r"assumed that this one is dead and took over its orgs.*run again"):
            attempt()
    assert one.coverage(standing.key, ALWAYS) == {}
    assert [left.file_id for left in other.left_behind()] == [file.file_id]


def test_a_process_whose_row_was_removed_between_two_runs_registers_again(server: Server, opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    server.sql(f"DELETE FROM {one._database.where.partition('=')[2]}.holder", "usage")
    assert one.begin_run("run", "serve", T0) == []
    assert one.acquire([standing.key]) == {}
    assert other.begin_run("another", "serve", T0) == []
    assert other.acquire([standing.key]) == {standing.key: one.holder}


def test_a_broken_session_for_transactions_is_opened_again(server: Server, opened: Open) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    pid = ledger._database.read(lambda tx: tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    kill(server, pid)
    ledger.commit([commit(standing.key, 0)], None)
    kill(server, ledger._database.read(lambda tx: tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()))
    assert len(ledger.coverage(standing.key, ALWAYS)) == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_living_processes_keep_their_leases_when_the_server_restarts(server: Server, opened: Open, mode: str) -> None:
    holders = [opened() for _ in range(4)]
    keys = [standing.key for standing in registered(holders[0], *[make_org(f"org-{n}") for n in range(4)])]
    for ledger, key in zip(holders, keys, strict=True):
        ledger.acquire([key])
    server.restart(mode)
    for ledger, key in zip(holders, keys, strict=True):  # the first acquires before the others have their locks again
        assert ledger.acquire(keys) == {
            key_: other.holder for other, key_ in zip(holders, keys, strict=True) if other is not ledger
        }
        ledger.commit([commit(key, 0)], None)


def test_a_process_that_does_not_reconnect_after_a_restart_counts_as_dead(
    server: Server, opened: Open, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REACQUIRE_S", 1)
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    other = worker()
    assert other.call(f"acquire {standing.key}") == str(standing.key)
    server.stop("immediate")
    other.kill()
    server.start()
    (holder,) = ledger.acquire([standing.key]).values()
    assert isinstance(holder, Holder)
    assert holder.pid == other.process.pid
    wait_until(lambda: not ledger.acquire([standing.key]))


def test_a_transaction_waits_for_an_unreachable_server(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(patience_s=BOUND_S)
    (standing,) = registered(ledger, make_org())
    file = ledger.open_file("run", "out", "name")
    server.stop("immediate")
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        if not waited:
            server.start()
        waited.append(seconds)

    monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    ledger.commit([commit(standing.key, 0)], file)
    assert waited
    assert len(ledger.coverage(standing.key, ALWAYS)) == 1


def test_a_server_that_stays_unreachable_is_reported_and_later_commits_work_again(server: Server, opened: Open) -> None:
    ledger = opened(patience_s=0.5)
    (standing,) = registered(ledger, make_org())
    ledger.acquire([standing.key])
    server.stop()
    try:
        with pytest.raises(
            LedgerError, match=r"the server doesn't answer, or the connection broke: check that it runs.*run again"
        ):
            ledger.commit([commit(standing.key, 0)], None)
        ledger._database._patience_s = 1000.0  # type: ignore[attr-defined]
        with pytest.raises(
            LedgerError, match="the server doesn't answer"
        ):  # at once, since the first call already waited
            ledger.coverage(standing.key, ALWAYS)
        with pytest.raises(LedgerError, match="the server doesn't answer"):
            opened()
    finally:
        server.start()
    ledger.commit([commit(standing.key, 0)], None)


def test_closing_does_not_wait_for_an_unreachable_server(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(patience_s=1000.0)
    server.stop()
    waits = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("it waits"))
    monkeypatch.setattr(engine, "time", waits)
    try:
        ledger.close()
    finally:
        monkeypatch.undo()
        server.start()
    assert opened().begin_run("run-1", "collect", T0) == []


def test_a_process_that_stops_within_a_transaction_blocks_others_for_a_limited_time(opened: Open) -> None:
    stuck, ledger = opened(), opened()
    (standing,) = registered(ledger, make_org())
    database = stuck._database
    assert isinstance(database, PostgresDatabase)
    connection = database._connection
    assert connection is not None
    connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '300ms'")
    connection.commit()
    database._begin = database._write
    with connection.begin():
        assert ledger.acquire([standing.key]) == {}
        database._close_session()
    assert stuck.acquire([standing.key]) == {standing.key: ledger.holder}


def test_closing_leaves_no_thread_and_no_session(server: Server, opened: Open) -> None:
    threads = threading.active_count()
    opened().close()
    assert threading.active_count() == threads
    wait_until(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'collector'") == [(0,)])
