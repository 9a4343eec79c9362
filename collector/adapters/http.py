"""The API over HTTP: one aiohttp session. Every failure of a request is returned as a value.

TLS is verified, redirects are refused, bodies have a maximum size, and the credential is sent in one
header of one request only. Exceptions of aiohttp contain URLs, headers and the proxy's password: only
their kind is passed on, never their text.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from collector import __version__
from collector.adapters.proxies import Proxy, ProxyError, proxy_for
from collector.adapters.resolver import Resolver
from collector.core.request import PATH
from collector.core.response import Reply
from collector.errors import ConfigError, Failure, Rejected, Retriable
from collector.model import ApiRequest, Org

MAX_BODY = 1024 * 1024  # bytes; a documented answer has about 1,000
USER_AGENT = f"usage-collector/{__version__}"
MAX_HEADERS = 1000  # of an answer; gateways add hundreds
MAX_HEADER = 64 * 1024  # bytes of each
_KEPT_HEADERS = ("retry-after", "date", "age")
_KEEP_ALIVE_S = 4.0  # an idle connection is not reused for longer: many servers close theirs after 5 s
_RESOLVING_S = 10.0  # at most, and at most half of the timeout: so a silent name server is reported as what it is
_DISTRUST_S = 60.0  # for which connections to a host are not reused after one of them turned out to be closed


@dataclass(slots=True)
class _Exchange:
    """What is known of one request while it is under way."""

    on_sent: Callable[[], None]
    reused: bool = False  # whether it went over a connection that had served another request
    leaving: bool = False  # whether it is being sent, and `on_sent` was not called yet

    def leaves(self) -> None:
        """Call `on_sent` in the loop's next turn: aiohttp reports a request just before it sends it."""
        self.leaving = True
        asyncio.get_running_loop().call_soon(self.has_left)

    def has_left(self) -> None:
        """Call `on_sent`, once."""
        if self.leaving:
            self.leaving = False
            self.on_sent()


class HttpTransport:
    """A pool of connections to the API. Enter its context before `fetch`."""

    def __init__(self, *, timeout_s: float, connections: int, ca_file: Path | None = None) -> None:
        self._timeout_s = timeout_s
        self._connections = connections
        self._tls = _tls_context(ca_file)
        self._proxies: dict[tuple[str, str | None, int | None], Proxy | Rejected | None] = {}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether connections are reused
        self._resolver: Resolver | None = None  # the sessions' own
        self._fresh_until: dict[str, float] = {}  # by host, by the loop's clock

    async def __aenter__(self) -> Self:
        resolver = Resolver(deadline_s=min(_RESOLVING_S, self._timeout_s / 2))
        self._sessions = {reuse: self._open_session(resolver, reuse=reuse) for reuse in (True, False)}
        self._resolver = resolver
        return self

    def _open_session(self, resolver: Resolver, *, reuse: bool) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_report_sent)
        tracing.on_connection_reuseconn.append(_note_reuse)
        keep_alive = {"keepalive_timeout": _KEEP_ALIVE_S} if reuse else {"force_close": True}
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, ssl=self._tls, resolver=resolver, ttl_dns_cache=60, **keep_alive
            ),
            # asyncio.timeout in `fetch` limits the whole attempt; aiohttp's timeout doesn't cover all of it.
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing],
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
        )
        # aiohttp repeats a GET by itself when the server has closed a reused connection. No limit counts that
        # request. There is no public option to switch it off; a test checks that this attribute works.
        session._retry_connection = False  # noqa: SLF001
        return session

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions = {}
        if self._resolver is not None:
            await self._resolver.close()

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        """Send one request and return the reply, or the failure as a value. Network errors are never raised."""
        # A space becomes %20 and a plus %2B: every server decodes these correctly.
        url = URL(f"{org.base_url}{PATH}?{urlencode(request.query(), quote_via=quote, safe=':')}", encoded=True)
        proxy = self._proxy_for(url)
        if isinstance(proxy, Rejected):
            return proxy
        if not self._sessions:
            raise RuntimeError("the transport was used outside its context")
        loop, host = asyncio.get_running_loop(), url.authority
        exchange = _Exchange(on_sent)
        session = self._sessions[self._fresh_until.get(host, 0.0) <= loop.time()]
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(session, url, proxy, org, exchange)
        except TimeoutError:
            return Retriable(code="timeout", message=f"no complete answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _failure(error, proxied=proxy is not None)
            if exchange.reused and isinstance(failure, Retriable) and failure.code == "connection_lost":
                self._fresh_until[host] = loop.time() + _DISTRUST_S
                return replace(failure, reused_connection=True)
            return failure
        finally:
            exchange.has_left()

    async def _exchange(
        self, session: aiohttp.ClientSession, url: URL, proxy: Proxy | None, org: Org, exchange: _Exchange
    ) -> Reply | Failure:
        async with session.get(
            url,
            headers={"Authorization": org.credential.authorization()},
            proxy=proxy.url if proxy else None,
            # aiohttp would encode the credential of a proxy's URL in Latin-1.
            proxy_headers={"Proxy-Authorization": proxy.authorization} if proxy and proxy.authorization else None,
            allow_redirects=False,
            trace_request_ctx=exchange,
        ) as response:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    response.close()
                    return Rejected(code="too_large", message=f"the answer is larger than {MAX_BODY} bytes")
            return Reply(status=response.status, headers=headers, body=bytes(body))

    def _proxy_for(self, url: URL) -> Proxy | Rejected | None:
        key = (url.scheme, url.host, url.port)
        if key not in self._proxies:
            self._proxies[key] = _proxy_of_environment(url)
        return self._proxies[key]


def _proxy_of_environment(url: URL) -> Proxy | Rejected | None:
    """Return the proxy that the environment sets for a URL; None for loopback.

    aiohttp's `trust_env` isn't used: it would also take credentials from ~/.netrc.
    """
    try:
        return proxy_for(url.scheme, url.host or "", url.port)
    except ProxyError as error:
        return Rejected(code="proxy", message=str(error))


async def _report_sent(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    del session, params
    context.trace_request_ctx.leaves()


async def _note_reuse(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    del session, params
    context.trace_request_ctx.reused = True


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"api.ca_file: {ca_file} contains no certificates in PEM format") from error
        # From Python 3.13 on, the strict check of RFC 5280 is the default. Many companies' own CAs fail it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


_CHECK_PROXY = "check the proxy variables (HTTPS_PROXY and the like)"
_PROXY = Retriable(code="proxy", message=f"the proxy is unreachable or refuses to connect: {_CHECK_PROXY}")
_PROXY_UNKNOWN = Retriable(code="proxy", message=f"the proxy's host name could not be resolved: {_CHECK_PROXY}")
_PROXY_CREDENTIAL = Rejected(
    code="http_407",
    message=f"the proxy requires a credential (407): {_CHECK_PROXY}",
)

# The first entry that matches counts, since aiohttp's classes inherit from one another.
_FAILURES: tuple[tuple[tuple[type[Exception], ...], Failure], ...] = (
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
    if isinstance(error, aiohttp.ClientProxyConnectionError) and (number := error.os_error.errno):
        return replace(_PROXY, message=f"the proxy is not reached ({os.strerror(number)}): {_CHECK_PROXY}")
    if proxied and isinstance(error, aiohttp.ClientConnectorDNSError):
        return _PROXY_UNKNOWN  # with a proxy, only the proxy's own name is resolved here
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch):
        return _untrusted(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return replace(_PROXY, message=f"the proxy answered {error.status} to CONNECT: it refuses to reach the host")
    if isinstance(error, aiohttp.ClientResponseError) and _is_about_headers(error):
        return Retriable(
            code="headers",
            message=f"the answer has more than {MAX_HEADERS} headers, or one of more than {MAX_HEADER} bytes",
        )
    for classes, failure in _FAILURES:
        if isinstance(error, classes):
            return failure
    return Rejected(code="client", message=f"unknown error of the HTTP client ({type(error).__name__})")


def _untrusted(error: Exception) -> Rejected:
    """Return why a certificate is not trusted. OpenSSL's reason holds no secret."""
    cause = getattr(error, "certificate_error", None)
    message = getattr(cause, "verify_message", "") if isinstance(cause, ssl.SSLCertVerificationError) else ""
    reason = f" ({message.rstrip('.')})" if message else ""
    return Rejected(
        code="tls_certificate",
        message=(
            f"the server's certificate is not trusted{reason}: if your company or proxy signs it, set api.ca_file to "
            "its CA; if that is set, check that it is the right one"
        ),
    )


def _is_about_headers(error: aiohttp.ClientResponseError) -> bool:
    return isinstance(error.__cause__, aiohttp.http_exceptions.LineTooLong) or error.message.startswith(
        "Too many headers"
    )
