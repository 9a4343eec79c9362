"""Statuses, headers, bodies and exceptions at the client's edge: each is a reply or a failure, never an exception.

What happens to the bytes on the wire is not here: that is tested over real sockets.
"""

from __future__ import annotations

import asyncio
import errno
import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from collector.adapters.http import _FAILURES, MAX_BODY, HttpTransport
from collector.core.response import Reply, interpret
from collector.errors import Failure, Rejected, Retriable
from collector.model import BearerCredential
from tests.support.aioresponses_adapter import Responses
from tests.support.orgs import make_org
from tests.unit.answers.bodies import ANSWER, MARKER, NOW, REQUEST, success
from tests.unit.answers.broken import BROKEN
from tests.unit.answers.statuses import FAILING_STATUSES, Case

BASE = "https://api.example.test"
ANY = re.compile(re.escape(BASE) + ".*")
ORG = replace(make_org(), base_url=BASE)
SECRETS = (MARKER, "key-of-acme", "acme@example.test", "YWNtZUBleGFtcGxlLnRlc3Q6a2V5LW9mLWFjbWU=", BASE)
Caught = tuple[Reply | Failure, list[Any]]


async def fetched(**answer: Any) -> Caught:
    """Fetch once and return what came of it, with the calls that were made."""
    with Responses() as responses:
        responses.get(ANY, **answer)
        async with HttpTransport(timeout_s=5.0, connections=4) as transport:
            result = await transport.fetch(ORG, REQUEST, on_sent=lambda: None)
        return result, [call for calls in responses.requests.values() for call in calls]


@pytest.mark.parametrize("case", [case for case in FAILING_STATUSES if case.status >= 200], ids=lambda case: case.name)
async def test_every_status_is_returned_with_its_body_and_retry_after(case: Case) -> None:
    headers = {name.title(): value for name, value in case.headers.items()} | {"X-Other": MARKER}
    result, calls = await fetched(status=case.status, headers=headers, body=case.body)
    assert result == Reply(status=case.status, headers=dict(case.headers), body=case.body)
    assert len(calls) == 1
    assert interpret(result, REQUEST, now=NOW) == interpret(
        Reply(status=case.status, headers=case.headers, body=case.body), REQUEST, now=NOW
    )


async def test_every_body_is_returned_unchanged() -> None:
    with Responses() as responses:
        for case in BROKEN:
            responses.get(ANY, status=200, body=case.body, content_type="text/html")
        async with HttpTransport(timeout_s=5.0, connections=4) as transport:
            for case in BROKEN:
                result = await transport.fetch(ORG, REQUEST, on_sent=lambda: None)
                assert result == Reply(status=200, body=case.body)


async def test_a_complete_answer_is_returned() -> None:
    result, _ = await fetched(status=200, body=success())
    assert isinstance(result, Reply)
    assert interpret(result, REQUEST, now=NOW) == ANSWER


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
async def test_only_the_retry_after_header_is_kept_in_any_spelling(name: str) -> None:
    headers = {name: "17", "Set-Cookie": f"session={MARKER}", "Location": f"https://{MARKER}", "Server": "nginx"}
    result, _ = await fetched(status=503, headers=headers)
    assert isinstance(result, Reply)
    assert dict(result.headers) == {"retry-after": "17"}


async def test_the_first_of_two_retry_after_headers_counts() -> None:
    result, _ = await fetched(status=503, headers=CIMultiDict([("Retry-After", "17"), ("Retry-After", "5")]))
    assert isinstance(result, Reply)
    assert dict(result.headers) == {"retry-after": "17"}


@pytest.mark.parametrize("size", [0, 1, MAX_BODY - 1, MAX_BODY])
async def test_a_body_up_to_the_maximum_size_is_read(size: int) -> None:
    result, _ = await fetched(status=200, body=b"x" * size)
    assert result == Reply(status=200, body=b"x" * size)


@pytest.mark.parametrize("status", [200, 403, 500])
@pytest.mark.parametrize("size", [MAX_BODY + 1, 3 * MAX_BODY])
async def test_a_body_over_the_maximum_size_is_rejected_with_any_status(status: int, size: int) -> None:
    result, _ = await fetched(status=status, body=b"x" * size)
    assert isinstance(result, Rejected)
    assert result.code == "too_large"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(status: int) -> None:
    result, calls = await fetched(status=status, headers={"Location": f"{BASE}/elsewhere"}, repeat=True)
    assert isinstance(result, Reply)
    assert result.status == status
    assert len(calls) == 1
    assert calls[0].kwargs["allow_redirects"] is False


async def test_the_credential_is_sent_in_one_header_only() -> None:
    _, (call,) = await fetched(status=200)
    assert call.kwargs["headers"]["Authorization"] == ORG.credential.authorization()
    assert call.kwargs["headers"]["Accept"] == "application/json"
    bearer = replace(ORG, credential=BearerCredential(token="t-1"))
    with Responses() as responses:
        responses.get(ANY, status=200)
        async with HttpTransport(timeout_s=5.0, connections=4) as transport:
            await transport.fetch(bearer, REQUEST, on_sent=lambda: None)
        (sent,) = next(iter(responses.requests.values()))
    assert sent.kwargs["headers"]["Authorization"] == "Bearer t-1"


async def test_the_query_is_the_one_of_the_slice() -> None:
    with Responses() as responses:
        responses.get(ANY, status=200)
        async with HttpTransport(timeout_s=5.0, connections=4) as transport:
            await transport.fetch(ORG, REQUEST, on_sent=lambda: None)
        ((method, url),) = responses.requests
    assert method == "GET"
    assert url.path == "/insights/api/v3/public/usage-report/summary"
    assert dict(url.query) == REQUEST.query()


KEY = ConnectionKey(
    host=f"{MARKER}.example.test",
    port=443,
    is_ssl=True,
    ssl=True,
    proxy=URL(f"http://user:{MARKER}@proxy.example.test"),
    proxy_auth=None,
    proxy_headers_hash=None,
    server_hostname=None,
)
OS_ERROR = OSError(errno.ECONNREFUSED, MARKER)
INFO = aiohttp.RequestInfo(
    url=URL(f"{BASE}/?{MARKER}"),
    method="GET",
    headers=CIMultiDictProxy(CIMultiDict({"Authorization": f"Basic {MARKER}"})),
    real_url=URL(f"{BASE}/?{MARKER}"),
)
Kind = Literal["retriable", "rejected"]
EXCEPTIONS: tuple[tuple[Callable[[], Exception], Kind, str], ...] = (
    (
        lambda: aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError(MARKER)),
        "rejected",
        "tls_certificate",
    ),
    (lambda: aiohttp.ServerFingerprintMismatch(b"a", b"b", MARKER, 443), "rejected", "tls_certificate"),
    (lambda: aiohttp.ClientConnectorDNSError(KEY, OS_ERROR), "retriable", "dns"),
    (lambda: aiohttp.ClientProxyConnectionError(KEY, OS_ERROR), "retriable", "proxy"),
    (lambda: aiohttp.ClientHttpProxyError(INFO, (), status=502, message=MARKER), "retriable", "proxy"),
    (lambda: aiohttp.ClientHttpProxyError(INFO, (), status=407, message=MARKER), "rejected", "http_407"),
    (lambda: aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, MARKER)), "retriable", "tls"),
    (lambda: aiohttp.ClientConnectorError(KEY, OS_ERROR), "retriable", "connect"),
    (lambda: aiohttp.client_exceptions.UnixClientConnectorError("sock", KEY, OS_ERROR), "retriable", "connect"),
    (lambda: aiohttp.ClientPayloadError(MARKER), "retriable", "truncated"),
    (lambda: aiohttp.ClientResponseError(INFO, (), status=400, message=MARKER), "retriable", "not_http"),
    (lambda: aiohttp.ContentTypeError(INFO, (), status=200, message=MARKER), "retriable", "not_http"),
    (lambda: aiohttp.InvalidURL(f"http://{MARKER}", MARKER), "rejected", "url"),
    (lambda: aiohttp.InvalidUrlClientError(f"http://{MARKER}"), "rejected", "url"),
    (lambda: aiohttp.ClientConnectionError(MARKER), "retriable", "connection_lost"),
    (lambda: aiohttp.ClientConnectionResetError(MARKER), "retriable", "connection_lost"),
    (lambda: aiohttp.ClientOSError(errno.EPIPE, MARKER), "retriable", "connection_lost"),
    (lambda: aiohttp.ServerDisconnectedError(MARKER), "retriable", "connection_lost"),
    (lambda: aiohttp.ServerConnectionError(MARKER), "retriable", "connection_lost"),
    (lambda: ConnectionResetError(errno.ECONNRESET, MARKER), "retriable", "connection_lost"),
    (lambda: BrokenPipeError(errno.EPIPE, MARKER), "retriable", "connection_lost"),
    (lambda: ssl.SSLError(1, MARKER), "retriable", "connection_lost"),
    (lambda: OSError(errno.EMFILE, MARKER), "retriable", "connection_lost"),
    (lambda: aiohttp.ServerTimeoutError(MARKER), "retriable", "timeout"),
    (lambda: aiohttp.ConnectionTimeoutError(MARKER), "retriable", "timeout"),
    (lambda: aiohttp.SocketTimeoutError(MARKER), "retriable", "timeout"),
    (lambda: TimeoutError(errno.ETIMEDOUT, MARKER), "retriable", "timeout"),
    (lambda: asyncio.TimeoutError(MARKER), "retriable", "timeout"),  # noqa: UP041
    (lambda: aiohttp.ClientError(MARKER), "rejected", "client"),
    (lambda: aiohttp.NonHttpUrlClientError(f"ftp://{MARKER}"), "rejected", "client"),
    (lambda: ValueError(MARKER), "rejected", "client"),
    (lambda: UnicodeError(MARKER), "rejected", "client"),
)


@pytest.mark.parametrize(
    ("make", "kind", "code"), EXCEPTIONS, ids=[f"{type(make()).__name__}-{code}" for make, _, code in EXCEPTIONS]
)
async def test_exceptions_of_the_client_become_failures_without_their_text(
    make: Callable[[], Exception], kind: Kind, code: str
) -> None:
    result, calls = await fetched(exception=make())
    assert isinstance(result, Retriable if kind == "retriable" else Rejected)
    assert result.code == code
    assert len(calls) == 1
    assert not any(secret in repr(result) for secret in SECRETS)


def test_every_exception_class_of_the_transport_is_in_the_table() -> None:
    raised = {type(make()) for make, _, _ in EXCEPTIONS} | {OSError}
    known = {class_ for classes, _ in _FAILURES for class_ in classes}
    assert known <= raised
    assert {failure.code for _, failure in _FAILURES} <= {code for _, _, code in EXCEPTIONS}


async def test_a_cancelled_request_raises_cancelled_error() -> None:
    async def never(_url: URL, **_: Any) -> None:
        await asyncio.sleep(60)

    task = asyncio.ensure_future(fetched(callback=never))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_defect_of_ours_is_raised() -> None:
    with pytest.raises(RuntimeError, match="outside its context"):
        await HttpTransport(timeout_s=5.0, connections=4).fetch(ORG, REQUEST, on_sent=lambda: None)
    with pytest.raises(ZeroDivisionError):
        await fetched(exception=ZeroDivisionError())
