"""How processes on a PostgreSQL server tell who lives, when sessions break, and servers go away and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import pytest

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
    """One of our own: it is stopped, killed and started again."""
    with running_server() as started:
        yield started


@pytest.fixture
def url(server: Server) -> str:
    return server.fresh()


@pytest.fixture
def opened(opened: Open) -> Open:
    """Durable ones: a server that is killed loses of the others what it committed last."""
    return partial(opened, durable=True)


def lock_session(ledger: SqlLedger) -> int:
    """The server's process behind the session that holds the lock."""
    assert isinstance(ledger._database, PostgresDatabase)
    session = ledger._database.liveness._session
    assert session is not None
    return session.info.backend_pid


def is_held(server: Server, ledger: SqlLedger) -> bool:
    assert isinstance(ledger._database, PostgresDatabase)
    key = ledger._database._place.lock_key(ledger.holder.holder_id) & (2**64 - 1)
    held = server.sql(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
        f"AND classid = {key >> 32} AND objid = {key & (2**32 - 1)}"
    )
    return held == [(1,)]


def kill(server: Server, pid: int) -> None:
    server.sql(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_a_lock_whose_session_broke_is_taken_again_and_the_leases_stay(server: Server, opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    before = lock_session(one)
    kill(server, before)
    wait_until(lambda: is_held(server, one))
    assert lock_session(one) != before
    assert other.acquire([standing.key]) == {standing.key: one.holder}
    one.commit([commit(standing.key, 0)], None)


def test_one_that_was_buried_before_it_came_back_books_nothing_and_says_so(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks.SessionLock, "_take_again", lambda _: None)  # it is slow
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    file = one.open_file("run", "out", "name")
    one.acquire([standing.key])
    kill(server, lock_session(one))
    wait_until(lambda: not is_held(server, one))
    assert other.acquire([standing.key]) == {}
    for attempt in (
        lambda: one.commit([commit(standing.key, 0)], None),
        lambda: one.acquire([standing.key]),
        lambda: one.open_file("run", "out", "another"),
        lambda: one.take_over([file.file_id]),
    ):
        with pytest.raises(LedgerError, match=r"took this one for dead, and its orgs over.*call again"):
            attempt()
    assert one.coverage(standing.key, ALWAYS) == {}
    assert [left.file_id for left in other.left_behind()] == [file.file_id]


def test_who_was_buried_between_two_runs_is_alive_again_with_the_next(server: Server, opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    server.sql(f"DELETE FROM {one._database.where.partition('=')[2]}.holder", "usage")
    assert one.begin_run("run", "serve", T0) == []
    assert one.acquire([standing.key]) == {}
    assert other.begin_run("another", "serve", T0) == []
    assert other.acquire([standing.key]) == {standing.key: one.holder}


def test_a_session_that_works_is_opened_again_when_it_broke(server: Server, opened: Open) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    pid = ledger._database.read(lambda tx: tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    kill(server, pid)
    ledger.commit([commit(standing.key, 0)], None)
    kill(server, ledger._database.read(lambda tx: tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()))
    assert len(ledger.coverage(standing.key, ALWAYS)) == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_the_server_takes_no_lease_from_the_living(server: Server, opened: Open, mode: str) -> None:
    holders = [opened() for _ in range(4)]
    keys = [standing.key for standing in registered(holders[0], *[make_org(f"org-{n}") for n in range(4)])]
    for ledger, key in zip(holders, keys, strict=True):
        ledger.acquire([key])
    server.restart(mode)
    for ledger, key in zip(holders, keys, strict=True):  # the first asks before the others are back
        assert ledger.acquire(keys) == {
            key_: other.holder for other, key_ in zip(holders, keys, strict=True) if other is not ledger
        }
        ledger.commit([commit(key, 0)], None)


def test_one_that_does_not_come_back_after_a_restart_is_dead_after_a_while(
    server: Server, opened: Open, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "COME_BACK_S", 1)
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    other = worker()
    assert other.ask(f"acquire {standing.key}") == str(standing.key)
    server.stop("immediate")
    other.kill()
    server.start()
    (holder,) = ledger.acquire([standing.key]).values()
    assert holder.pid == other.process.pid
    wait_until(lambda: not ledger.acquire([standing.key]))


def test_a_server_that_is_away_is_waited_for(server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_server_that_stays_away_is_told_and_later_all_goes_on(server: Server, opened: Open) -> None:
    ledger = opened(patience_s=0.5)
    (standing,) = registered(ledger, make_org())
    ledger.acquire([standing.key])
    server.stop()
    try:
        with pytest.raises(LedgerError, match=r"no server answers, or it went away: see whether it runs.*call again"):
            ledger.commit([commit(standing.key, 0)], None)
        ledger._database._patience_s = 1000.0  # type: ignore[attr-defined]
        with pytest.raises(LedgerError, match="no server answers"):  # at once: it was waited for
            ledger.coverage(standing.key, ALWAYS)
        with pytest.raises(LedgerError, match="no server answers"):
            opened()
    finally:
        server.start()
    ledger.commit([commit(standing.key, 0)], None)


def test_closing_while_the_server_is_away_waits_for_nothing_and_hinders_nobody(
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
    assert opened().open_runs() == []


def test_a_process_that_stops_in_mid_transaction_holds_up_the_others_only_for_a_while(opened: Open) -> None:
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
        database._drop()
    assert stuck.acquire([standing.key]) == {standing.key: ledger.holder}


def test_nothing_of_a_handle_is_left_when_it_is_closed(server: Server, opened: Open) -> None:
    threads = threading.active_count()
    opened().close()
    assert threading.active_count() == threads
    wait_until(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'collector'") == [(0,)])
