"""One process at a time works on an org."""

from __future__ import annotations

import os
import socket

import pytest

from collector.core.ledger_entries import Holder
from collector.errors import LedgerError
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import T0, registered
from tests.support.orgs import make_org


def test_a_lease_belongs_to_one_process_until_it_is_released(opened: Open) -> None:
    one, other = opened(command="backfill", holder_id="one"), opened()
    keys = [standing.key for standing in registered(one, make_org("a"), make_org("b"))]
    assert one.acquire(keys[:1]) == {}
    holder = Holder(holder_id="one", host=socket.gethostname(), pid=os.getpid(), command="backfill", since=T0)
    assert other.acquire(keys) == {keys[0]: holder}
    assert one.acquire(keys) == {keys[1]: other.holder}
    one.release(keys)
    assert other.acquire(keys) == {}


def test_our_own_lease_can_be_acquired_again(opened: Open) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    assert ledger.acquire([standing.key]) == ledger.acquire([standing.key]) == {}
    assert ledger.acquire([]) == {}


def test_the_lease_of_another_process_is_not_released(opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    other.release([standing.key])
    assert other.acquire([standing.key]) == {standing.key: one.holder}


def test_a_process_that_finds_an_org_busy_waits_for_it_until_it_gets_it(opened: Open) -> None:
    one, other = opened(), opened()
    a, b = (standing.key for standing in registered(one, make_org("a"), make_org("b")))
    one.acquire([a, b])
    assert set(one.waited_for([a, b])) == set()
    other.acquire([a])
    assert set(one.waited_for([a, b])) == {a}
    assert set(other.waited_for([a, b])) == set()
    one.release([a])
    assert set(one.waited_for([a])) == {a}
    assert other.acquire([a]) == {}
    assert set(one.waited_for([a])) == set()


def test_a_process_that_gives_up_waits_no_longer(opened: Open) -> None:
    one, other, third = opened(), opened(), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    for waiting in (other, third):
        assert waiting.acquire([standing.key]) == waiting.acquire([standing.key]) == {standing.key: one.holder}
    other.release([standing.key])
    assert set(one.waited_for([standing.key])) == {standing.key}
    third.release([standing.key])
    assert set(one.waited_for([standing.key])) == set()


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_a_dead_process_waits_no_longer(opened: Open, how: str) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    other.acquire([standing.key])
    getattr(other, how)()
    one.acquire([standing.key])
    assert set(one.waited_for([standing.key])) == set()


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_leases_are_free_when_their_holder_is_dead(opened: Open, how: str) -> None:
    one, other = opened(), opened()
    keys = [standing.key for standing in registered(one, *[make_org(f"org-{n}") for n in range(100)])]
    one.acquire(keys)
    assert other.acquire(keys) == dict.fromkeys(keys, one.holder)
    getattr(one, how)()
    assert other.acquire(keys) == {}


def test_the_id_of_a_living_process_is_refused(opened: Open) -> None:
    opened(holder_id="one")
    with pytest.raises(LedgerError, match=r"another process uses the ledger with the same id \(one\)"):
        opened(holder_id="one")


def test_the_id_of_a_dead_process_can_be_used_again(opened: Open) -> None:
    first = opened(holder_id="one")
    (standing,) = registered(first, make_org())
    first.acquire([standing.key])
    first.abandon()
    again, other = opened(holder_id="one"), opened()
    assert other.acquire([standing.key]) == {}
    assert again.acquire([standing.key]) == {standing.key: other.holder}


def test_an_org_without_a_row_can_t_be_leased(opened: Open) -> None:
    ledger = opened()
    with pytest.raises(LedgerError, match="run again"):
        ledger.acquire([999])


def test_closing_twice_is_allowed(opened: Open) -> None:
    ledger = opened()
    ledger.close()
    ledger.close()
