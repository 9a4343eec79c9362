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


def test_a_lease_is_one_s_until_it_is_given_back(opened: Open) -> None:
    one, other = opened(command="backfill", holder_id="one"), opened()
    keys = [standing.key for standing in registered(one, make_org("a"), make_org("b"))]
    assert one.acquire(keys[:1]) == {}
    holder = Holder(holder_id="one", host=socket.gethostname(), pid=os.getpid(), command="backfill", since=T0)
    assert other.acquire(keys) == {keys[0]: holder}
    assert one.acquire(keys) == {keys[1]: other.holder}
    one.release(keys)
    assert other.acquire(keys) == {}


def test_what_is_ours_is_claimed_again(opened: Open) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    assert ledger.acquire([standing.key]) == ledger.acquire([standing.key]) == {}
    assert ledger.acquire([]) == {}


def test_the_lease_of_another_is_not_given_back(opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    other.release([standing.key])
    assert other.acquire([standing.key]) == {standing.key: one.holder}


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_leases_are_free_when_their_holder_is_gone(opened: Open, how: str) -> None:
    one, other = opened(), opened()
    keys = [standing.key for standing in registered(one, *[make_org(f"org-{n}") for n in range(100)])]
    one.acquire(keys)
    assert other.acquire(keys) == dict.fromkeys(keys, one.holder)
    getattr(one, how)()
    assert other.acquire(keys) == {}


def test_nobody_is_called_as_one_who_lives(opened: Open) -> None:
    opened(holder_id="one")
    with pytest.raises(LedgerError, match="another process under the name one"):
        opened(holder_id="one")


def test_one_who_died_may_come_back_under_the_same_name(opened: Open) -> None:
    first = opened(holder_id="one")
    (standing,) = registered(first, make_org())
    first.acquire([standing.key])
    first.abandon()
    again, other = opened(holder_id="one"), opened()
    assert other.acquire([standing.key]) == {}
    assert again.acquire([standing.key]) == {standing.key: other.holder}


def test_an_org_that_is_no_more_can_t_be_claimed(opened: Open) -> None:
    ledger = opened()
    with pytest.raises(LedgerError, match="call again"):
        ledger.acquire([999])


def test_closing_twice_is_closing(opened: Open) -> None:
    ledger = opened()
    ledger.close()
    ledger.close()
