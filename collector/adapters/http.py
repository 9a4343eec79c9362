"""The API over HTTP: one aiohttp session. Every failure of a request is returned as a value.

TLS is verified, redirects are refused, bodies have a maximum size, and the credential is sent in one
header of one request only. Exceptions of aiohttp contain URLs, headers and the proxy's password: only
their kind is passed on, never their text.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Self
from urllib.parse import quote, urlencode
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from collector import __version__
from collector.core.request import PATH
from collector.core.response import Reply
from collector.errors import ConfigError, Failure, Rejected, Retriable
from collector.model import ApiRequest, Org

MAX_BODY = 1024 * 1024  # bytes; a documented answer has about 1,000
USER_AGENT = f"usage-collector/{__version__}"
_KEPT_HEADERS = ("retry-after", "date", "age")


class HttpTransport:
    """A pool of connections to the API. Enter its context before `fetch`."""

    def __init__(self, *, timeout_s: float, connections: int, ca_file: Path | None = None) -> None:
        self._timeout_s = timeout_s
        self._connections = connections
        self._tls = _tls_context(ca_file)
        self._proxies: dict[tuple[str, str | None, int | None], URL | Rejected | None] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_report_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._tls, ttl_dns_cache=60),
            # asyncio.timeout in `fetch` limits the whole attempt; aiohttp's timeout doesn't cover all of it.
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing],
        )
        # aiohttp repeats a GET by itself when the server has closed a reused connection. No limit counts that
        # request. There is no public option to switch it off; a test checks that this attribute works.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        """Send one request and return the reply, or the failure as a value. Network errors are never raised."""
        # A space becomes %20 and a plus %2B: every server decodes these correctly.
        url = URL(f"{org.base_url}{PATH}?{urlencode(request.query(), quote_via=quote, safe=':')}", encoded=True)
        proxy = self._proxy_for(url)
        if isinstance(proxy, Rejected):
            return proxy
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(url, proxy, org, on_sent)
        except TimeoutError:
            return Retriable(code="timeout", message=f"no complete answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _failure(error, proxied=proxy is not None)

    async def _exchange(self, url: URL, proxy: URL | None, org: Org, on_sent: Callable[[], None]) -> Reply | Failure:
        if self._session is None:
            raise RuntimeError("the transport was used outside its context")
        async with self._session.get(
            url,
            headers={"Authorization": org.credential.authorization()},
            proxy=proxy,
            allow_redirects=False,
            trace_request_ctx=on_sent,
        ) as response:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    response.close()
                    return Rejected(code="too_large", message=f"the answer is larger than {MAX_BODY} bytes")
            return Reply(status=response.status, headers=headers, body=bytes(body))

    def _proxy_for(self, url: URL) -> URL | Rejected | None:
        key = (url.scheme, url.host, url.port)
        if key not in self._proxies:
            self._proxies[key] = _proxy_of_environment(url)
        return self._proxies[key]


def _proxy_of_environment(url: URL) -> URL | Rejected | None:
    """Return the proxy that the environment sets for a URL; None for loopback.

    aiohttp's `trust_env` isn't used: it would also take credentials from ~/.netrc.
    """
    host = url.host or ""
    if is_loopback(host) or proxy_bypass(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    proxies = getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named:
        return None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")  # curl and others accept a proxy without a scheme
    except ValueError:
        return _PROXY_UNUSABLE
    return proxy if proxy.scheme in ("http", "https") and proxy.host else _PROXY_UNUSABLE


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _report_sent(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    del session, params
    context.trace_request_ctx()


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"api.ca_file: {ca_file} contains no certificates in PEM format") from error
    return context


_PROXY = Retriable(
    code="proxy",
    message="the proxy is unreachable or refuses to connect: check the proxy variables (HTTPS_PROXY and the like)",
)
_PROXY_UNUSABLE = Rejected(
    code="proxy",
    message="the proxy variables (HTTPS_PROXY and the like) name no http:// or https:// proxy: use one of these",
)
_PROXY_CREDENTIAL = Rejected(
    code="http_407",
    message="the proxy requires a credential (407): check the proxy variables (HTTPS_PROXY and the like)",
)

# The first entry that matches counts, since aiohttp's classes inherit from one another.
_FAILURES: tuple[tuple[tuple[type[Exception], ...], Failure], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        Rejected(
            code="tls_certificate",
            message="the server's certificate is not trusted: if your proxy signs it, set api.ca_file",
        ),
    ),
    ((aiohttp.ClientConnectorDNSError,), Retriable(code="dns", message="the host name could not be resolved")),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), _PROXY),
    ((aiohttp.ClientConnectorSSLError,), Retriable(code="tls", message="the TLS handshake failed")),
    ((aiohttp.ClientConnectorError,), Retriable(code="connect", message="no connection could be made")),
    (
        (aiohttp.ClientPayloadError,),
        Retriable(code="truncated", message="the answer was incomplete or could not be decoded"),
    ),
    ((aiohttp.ClientResponseError,), Retriable(code="not_http", message="the answer is not HTTP")),
    ((aiohttp.InvalidURL,), Rejected(code="url", message="the base_url can't be requested: check it")),
    (
        (aiohttp.ClientConnectionError, OSError),
        Retriable(code="connection_lost", message="the connection was lost"),
    ),
)


def _failure(error: Exception, *, proxied: bool) -> Failure:
    """Return the failure for an exception. Unknown kinds are not retried."""
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == 407:
        return _PROXY_CREDENTIAL
    if proxied and isinstance(error, aiohttp.ClientConnectorDNSError):
        return _PROXY  # with a proxy, only the proxy's own name is resolved here
    for classes, failure in _FAILURES:
        if isinstance(error, classes):
            return failure
    return Rejected(code="client", message=f"unknown error of the HTTP client ({type(error).__name__})")
