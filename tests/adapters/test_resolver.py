"""Host names that a name server answers late, in vain or never; the lookups' own threads are real."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from collector.adapters.http import HttpTransport
from collector.adapters.resolver import Resolver
from collector.errors import Retriable
from tests.support.orgs import make_org
from tests.support.waiting import wait_until_async
from tests.unit.answers.bodies import REQUEST

FOREVER_S = 3600.0


class NameServer:
    """What `getaddrinfo` asks: it is silent for `*.silent.test` until it is told to answer."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answers = threading.Event()
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: str, *args: Any, **more: Any) -> Any:
        self.asked[host] += 1
        if host.endswith(".silent.test"):
            self.answers.wait()
            return self._real("127.0.0.1", *args, **more)
        if host.endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._real(host, *args, **more)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answers.set()


async def test_silent_name_servers_take_no_thread_of_the_loop(name_server: NameServer) -> None:
    with ThreadPoolExecutor(2) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        resolver = Resolver(deadline_s=FOREVER_S)
        lookups = [asyncio.create_task(resolver.resolve(f"{n}.silent.test", 443)) for n in range(20)]
        await wait_until_async(lambda: len(name_server.asked) == 20)
        assert await asyncio.to_thread(lambda: "rendered") == "rendered"
        assert not any(lookup.done() for lookup in lookups)
        name_server.answers.set()
        found = await asyncio.gather(*lookups)
        await resolver.close()
    assert {(one["host"], one["port"]) for infos in found for one in infos} == {("127.0.0.1", 443)}


async def test_a_silent_name_server_is_a_failure_of_name_resolution_after_a_deadline(name_server: NameServer) -> None:
    async with HttpTransport(timeout_s=0.2, connections=4) as transport:
        org = make_org(base_url="https://a.silent.test")
        failure = await transport.fetch(org, REQUEST, on_sent=lambda: None)
        assert isinstance(failure, Retriable)
        assert failure.code == "dns"
        # Another attempt joins the lookup that is still under way, instead of taking one more thread.
        await transport.fetch(org, REQUEST, on_sent=lambda: None)
    assert name_server.asked == {"a.silent.test": 1}


@pytest.mark.usefixtures("name_server")
async def test_a_name_that_does_not_exist_is_a_failure_of_name_resolution() -> None:
    async with HttpTransport(timeout_s=30, connections=4) as transport:
        failure = await transport.fetch(make_org(base_url="https://nobody.test"), REQUEST, on_sent=lambda: None)
    assert isinstance(failure, Retriable)
    assert failure.code == "dns"


async def test_a_lookup_that_fails_is_made_again(name_server: NameServer) -> None:
    resolver = Resolver(deadline_s=FOREVER_S)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("nobody.test")
    assert name_server.asked == {"nobody.test": 2}
    assert {one["host"] for one in await resolver.resolve("localhost", 80)} <= {"127.0.0.1", "::1"}
