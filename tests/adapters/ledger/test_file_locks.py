"""Liveness in SQLite: the locked files of processes on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import LedgerError
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import T0, commit, registered, url_of
from tests.support.orgs import make_org


@pytest.fixture
def url(path: Path) -> str:
    """A ledger in SQLite."""
    return url_of(path)


def lock_of(path: Path, holder_id: str) -> Path:
    return path.with_name("ledger.db.holders") / f"{holder_id}.holder"


def test_a_process_whose_lock_file_was_removed_loses_its_leases_and_commits_nothing(opened: Open, path: Path) -> None:
    one, other = opened(holder_id="one"), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    lock_of(path, "one").unlink()
    assert other.acquire([standing.key]) == {}
    with pytest.raises(LedgerError, match="assumed that this one is dead"):
        one.commit([commit(standing.key, 0)], None)
    with pytest.raises(LedgerError, match="assumed that this one is dead"):
        one.acquire([standing.key])


def test_locks_of_dead_processes_are_removed_and_those_of_living_ones_stay(opened: Open, path: Path) -> None:
    living, dead = opened(holder_id="living"), opened(holder_id="dead")
    dead.abandon()
    assert lock_of(path, "dead").exists()
    opened(holder_id="new")
    assert [lock_of(path, name).exists() for name in ("living", "dead", "new")] == [True, False, True]
    living.close()
    assert not lock_of(path, "living").exists()


def test_a_process_that_lost_its_row_between_two_runs_registers_again(opened: Open, path: Path) -> None:
    one, other = opened(holder_id="one"), opened()
    (standing,) = registered(one, make_org())
    lock_of(path, "one").unlink()
    assert other.acquire([]) == {}
    assert one.begin_run("run", "serve", T0) == []
    assert one.acquire([standing.key]) == {}
    assert other.acquire([standing.key]) == {standing.key: one.holder}
