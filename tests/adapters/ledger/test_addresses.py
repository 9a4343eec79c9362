"""Host names of a DSN are resolved before the driver connects, within a deadline."""

from __future__ import annotations

import socket
import threading
from typing import Any

import psycopg
import pytest

from collector.ledger.postgresql.addresses import with_addresses
from tests.support.waiting import wait_until

ADDRESSES = {"one.test": ["10.0.0.1", "10.0.0.2"], "two.test": ["10.0.0.3"]}


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Names resolve as above; until the event is set, `silent.test` gets no answer."""
    answers = threading.Event()

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        if host == "silent.test":
            answers.wait()
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.9", 0))]
        if host not in ADDRESSES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ADDRESSES[host]]

    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "getnameinfo", lambda address, _flags: (address[0], "0"))
    return answers


@pytest.mark.parametrize(
    ("params", "resolved"),
    [
        ({"host": "two.test"}, {"host": "two.test", "hostaddr": "10.0.0.3"}),
        (
            {"host": "one.test,two.test", "port": "1,2"},
            {"host": "one.test,one.test,two.test", "hostaddr": "10.0.0.1,10.0.0.2,10.0.0.3", "port": "1,1,2"},
        ),
        (
            {"host": "one.test", "port": "5433"},
            {"host": "one.test,one.test", "hostaddr": "10.0.0.1,10.0.0.2", "port": "5433"},
        ),
        (
            {"host": "/run/postgresql,two.test,::1,unknown.test"},
            {"host": "/run/postgresql,two.test,::1", "hostaddr": ",10.0.0.3,"},
        ),
        *(
            (left, left)
            for left in (
                {},
                {"host": "127.0.0.1"},
                {"host": "/run/postgresql"},
                {"host": "two.test", "hostaddr": "10.9.9.9"},
                {"host": "two.test", "service": "s"},
                {"host": "two.test,one.test", "port": "1,2,3"},
            )
        ),
    ],
)
@pytest.mark.usefixtures("silent")
def test_each_address_stands_beside_its_name(params: dict[str, str], resolved: dict[str, str]) -> None:
    assert with_addresses(params, deadline_s=9.0) == resolved


@pytest.mark.usefixtures("silent")
def test_the_host_of_the_environment_is_resolved_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "two.test")
    assert with_addresses({"dbname": "d"}, deadline_s=9.0)["hostaddr"] == "10.0.0.3"


def test_a_name_server_that_does_not_answer_is_an_error_after_the_deadline_and_one_lookup(
    silent: threading.Event,
) -> None:
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError, match=r"silent\.test can't be resolved: the name server doesn't"):
            with_addresses({"host": "silent.test"}, deadline_s=0.01)
    assert threading.active_count() <= before + 1
    silent.set()
    assert with_addresses({"host": "silent.test"}, deadline_s=9.0)["hostaddr"] == "10.0.0.9"
    wait_until(lambda: threading.active_count() == before)


@pytest.mark.usefixtures("silent")
def test_a_name_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(psycopg.OperationalError, match=r"unknown\.test can't be resolved: Name or service not known"):
        with_addresses({"host": "unknown.test"}, deadline_s=9.0)
