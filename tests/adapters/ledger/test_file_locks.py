"""The locked files by which processes on one machine tell who lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import LedgerError
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import T0, commit, registered, url_of
from tests.support.orgs import make_org


@pytest.fixture
def url(path: Path) -> str:
    """These are about SQLite."""
    return url_of(path)


def lock_of(path: Path, holder_id: str) -> Path:
    return path.with_name("ledger.db.holders") / f"{holder_id}.holder"


def test_a_lease_of_one_whose_lock_was_removed_is_free_and_it_books_no_more(opened: Open, path: Path) -> None:
    one, other = opened(holder_id="one"), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    lock_of(path, "one").unlink()
    assert other.acquire([standing.key]) == {}
    with pytest.raises(LedgerError, match="took this one for dead"):
        one.commit([commit(standing.key, 0)], None)
    with pytest.raises(LedgerError, match="took this one for dead"):
        one.acquire([standing.key])


def test_locks_of_the_dead_are_removed_and_those_of_the_living_stay(opened: Open, path: Path) -> None:
    living, dead = opened(holder_id="living"), opened(holder_id="dead")
    dead.abandon()
    assert lock_of(path, "dead").exists()
    opened(holder_id="new")
    assert [lock_of(path, name).exists() for name in ("living", "dead", "new")] == [True, False, True]
    living.close()
    assert not lock_of(path, "living").exists()


def test_who_was_taken_for_dead_between_two_runs_is_alive_again_with_the_next(opened: Open, path: Path) -> None:
    one, other = opened(holder_id="one"), opened()
    (standing,) = registered(one, make_org())
    lock_of(path, "one").unlink()
    assert other.acquire([]) == {}
    assert one.begin_run("run", "serve", T0) == []
    assert one.acquire([standing.key]) == {}
    assert other.acquire([standing.key]) == {standing.key: one.holder}
