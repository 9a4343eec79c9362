"""The transport on the wire: the bytes that it sends, and what it returns for the server's bytes."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import zlib
from pathlib import Path

import pytest

from collector import __version__
from collector.adapters.http import MAX_BODY, HttpTransport
from collector.core.request import PATH
from collector.core.response import Reply
from collector.errors import Rejected, Retriable
from collector.model import BasicCredential, BearerCredential
from collector.simulator.scenario import Scenario
from collector.simulator.server import running_simulator
from tests.support.memory import at_most_mb
from tests.support.orgs import make_org
from tests.support.raw_server import (
    REQUEST,
    Behaviour,
    answering,
    client_of,
    flooding,
    raw_server,
    response,
)

QUERY = "type=account-user&from=2026-06-01%2000:00:00&to=2026-06-01%2023:59:59&timezone=%2B05:30"
PROMISED_100 = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = Reply(status=200, body=b"{}")
TOO_LARGE = Rejected(code="too_large", message="the answer is larger than 1048576 bytes")
LOST = Retriable(code="connection_lost", message="the connection was lost")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- requests -------------------------------------------------------------------------------


async def test_a_plus_and_a_space_in_the_query_are_percent_encoded() -> None:
    async with raw_server(answering(response())) as server, client_of(server.base_url) as client:
        assert await client.fetch() == OK
    assert server.request_lines == [f"GET {PATH}?{QUERY} HTTP/1.1"]


async def test_the_simulated_api_parses_the_same_query() -> None:
    async with running_simulator(Scenario(orgs=1)) as simulator, client_of(simulator.base_url) as client:
        of = simulator.org("org-001")
        credential = BasicCredential(username=of.username, access_key=of.access_key)
        reply = await client.fetch(org=make_org(base_url=simulator.base_url, credential=credential))
        (entry,) = simulator.journal.requests()
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert (entry.query, entry.path, entry.auth_scheme) == (QUERY, PATH, "basic")


async def test_the_path_of_a_base_url_is_kept() -> None:
    async with raw_server(answering(response())) as server, client_of(f"{server.base_url}/gateway") as client:
        await client.fetch()
    assert server.request_lines[0].startswith(f"GET /gateway{PATH}?type=")


@pytest.mark.parametrize(
    ("credential", "header"),
    [
        (
            BasicCredential(username="jürgen@example.test", access_key="k:e+y/="),
            "Basic " + base64.b64encode("jürgen@example.test:k:e+y/=".encode()).decode(),
        ),
        (BearerCredential(token="t0ken.x-y_z"), "Bearer t0ken.x-y_z"),
    ],
)
async def test_the_credential_is_sent_in_the_header_only(
    credential: BasicCredential | BearerCredential, header: str
) -> None:
    async with raw_server(answering(response())) as server, client_of(server.base_url) as client:
        await client.fetch(org=make_org(base_url=server.base_url, credential=credential))
    assert server.headers()["authorization"] == header
    assert server.heads[0].count(header.partition(" ")[2].encode()) == 1
    assert "@" not in server.request_lines[0]


async def test_a_request_has_a_user_agent_and_an_accept_header() -> None:
    async with raw_server(answering(response())) as server, client_of(server.base_url) as client:
        await client.fetch()
    headers = server.headers()
    assert headers["user-agent"] == f"usage-collector/{__version__}"
    assert headers["accept"] == "application/json"
    assert {"gzip", "deflate"} <= set(headers["accept-encoding"].split(", "))
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding", "authorization"}


async def test_cookies_are_not_kept() -> None:
    answer = response(b"{}", "200 OK", "Set-Cookie: session=1; Path=/", "Retry-After: 7")
    async with raw_server(answering(answer)) as server, client_of(server.base_url) as client:
        assert (
            await client.fetch() == await client.fetch() == Reply(status=200, headers={"retry-after": "7"}, body=b"{}")
        )
    assert b"ookie" not in server.heads[1]


async def test_netrc_is_not_used_for_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\ndefault login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    async with raw_server(answering(response())) as server, client_of(server.base_url) as client:
        await client.fetch()
    assert server.headers()["authorization"] == client.org.credential.authorization()


async def test_a_connection_is_reused_for_sequential_requests() -> None:
    async with running_simulator(Scenario(orgs=1)) as simulator, client_of(simulator.base_url) as client:
        for _ in range(50):
            assert isinstance(await client.fetch(), Reply)
        assert simulator.journal.total.asked == 50
        assert simulator.journal.connections == 1


async def test_there_are_never_more_connections_than_allowed() -> None:
    async with running_simulator(Scenario(orgs=1)) as simulator, client_of(simulator.base_url, connections=3) as client:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(30):
                tasks.create_task(client.fetch())
        assert simulator.journal.total.asked == client.sent == 30
        assert simulator.journal.connections <= 3


# --- answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(b"{}" * 500, mtime=0)), ("deflate", zlib.compress(b"{}" * 500)), ("identity", b"{}" * 500)],
)
async def test_compressed_answers_are_decoded(encoding: str, body: bytes) -> None:
    answer = response(body, "200 OK", f"Content-Encoding: {encoding}")
    async with raw_server(answering(answer)) as server, client_of(server.base_url) as client:
        assert await client.fetch() == Reply(status=200, body=b"{}" * 500)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_redirect_is_never_followed(status: str, elsewhere: bool) -> None:
    async with raw_server(answering(response())) as other:
        location = f"{other.base_url if elsewhere else ''}/other"
        answer = response(b"", status, f"Location: {location}")
        async with raw_server(answering(answer)) as server, client_of(server.base_url) as client:
            assert await client.fetch() == Reply(status=int(status[:3]))
            assert await client.fetch() == Reply(status=int(status[:3]))
    assert (len(server.heads), server.connections, client.sent) == (2, 1, 2)
    assert other.connections == 0


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    mebibyte = bytes(1024 * 1024)
    return b"".join([*(packer.compress(mebibyte) for _ in range(size // len(mebibyte))), packer.flush()])


@pytest.mark.parametrize(
    "behave",
    [
        flooding(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", bytes(65536)),
        flooding(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
        flooding(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"),
        flooding(CHUNKED, (b"10\r\n" + bytes(16) + b"\r\n") * 1024),
        answering(response(bomb(64 * 1024 * 1024), "200 OK", "Content-Encoding: gzip")),
    ],
    ids=["content-length", "until-close", "chunked", "tiny-chunks", "gzip-bomb"],
)
async def test_a_body_that_is_too_large_is_rejected_and_not_kept_in_memory(behave: Behaviour) -> None:
    async with raw_server(behave) as server, client_of(server.base_url) as client:
        with at_most_mb(16):
            result = await client.fetch()
        assert result == TOO_LARGE
        await server.until_all_ended()


@pytest.mark.parametrize(
    ("size", "result"), [(MAX_BODY, Reply(status=200, body=bytes(MAX_BODY))), (MAX_BODY + 1, TOO_LARGE)]
)
async def test_the_maximum_size_of_a_body_is_exact(size: int, result: Reply | Rejected) -> None:
    async with raw_server(answering(response(bytes(size)))) as server, client_of(server.base_url) as client:
        assert await client.fetch() == result


@pytest.mark.parametrize("headers", [[b"X-Long: " + b"y" * 60_000], [b"X-%d: y" % n for n in range(400)]])
async def test_the_many_headers_of_a_gateway_are_taken(headers: list[bytes]) -> None:
    reply = b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: 2", *headers, b"", b"{}"])
    async with raw_server(answering(reply)) as server, client_of(server.base_url) as client:
        assert await client.fetch() == OK


async def test_a_request_counts_as_sent_when_its_bytes_have_left() -> None:
    """It was counted just before: on a busy machine it left later than it counted, and the next one came too soon."""
    arrived: list[bytes] = []

    def on_sent() -> None:
        peer, _ = listening.accept()
        with peer:
            peer.setblocking(False)
            arrived.append(peer.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        org = make_org(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}")
        async with HttpTransport(timeout_s=60, connections=1) as transport:
            await transport.fetch(org, REQUEST, on_sent=on_sent)
    assert arrived[0].startswith(b"GET ")
