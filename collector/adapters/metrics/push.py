"""Export metrics from a process that ends: to a Pushgateway, or as a file for node_exporter's textfile collector."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client import push_to_gateway, write_to_textfile
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from collector.adapters.proxies import ProxyError, proxy_for
from collector.errors import CollectorError, kind_of, place_of

JOB = "collector"
_TUNNEL = re.compile("Tunnel connection failed: ([0-9]{3}) ")  # of http.client, which has no other sign of it


class PushError(CollectorError):
    """A push failed. The message is ours."""


def push(gateway: str, registry: Collector, *, grouping: Mapping[str, str], timeout_s: float) -> None:
    """Replace the metrics of a group in a Pushgateway, within `timeout_s`. Raises PushError.

    The client's own timeout limits each step, not their sum, and name resolution has none. So the client runs
    in a thread, which is abandoned on a timeout.
    """
    failure: list[str] = []

    def work() -> None:
        try:
            push_to_gateway(
                gateway, job=JOB, registry=registry, grouping_key=dict(grouping), timeout=timeout_s, handler=_send
            )
        except Exception as error:  # noqa: BLE001 - raised again in the calling thread, as what it means
            failure.append(_reason(error))

    thread = threading.Thread(target=work, name="push", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise PushError(f"the gateway gave no answer within {timeout_s:g} s")
    if failure:
        raise PushError(failure[0])


def _reason(error: Exception) -> str:
    """Return why a push failed, without the text of a library: that may quote a URL with a credential."""
    match error:
        case HTTPError():
            error.close()  # an HTTPError is also an open response
            return f"the gateway, or a proxy before it, answered {error.code}"
        case ProxyError():
            return str(error)
        case URLError(reason=Exception() as reason):
            return _reason(reason)
        case socket.gaierror():
            return "the host name of the gateway, or of a proxy before it, could not be resolved"
        case ssl.SSLCertVerificationError():
            return f"the gateway's certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return "the TLS handshake with the gateway, or with a proxy before it, failed"
        case TimeoutError(errno=None):
            return "the gateway, or a proxy before it, gave no answer in time"
        case OSError(errno=int(number)):
            return f"the gateway, or a proxy before it, is not reached: {os.strerror(number)}"
        case OSError() if found := _TUNNEL.match(str(error)):
            return f"the proxy answered {found[1]} to CONNECT: it refuses to reach the gateway"
    return f"{kind_of(error)} at {place_of(error)}"


def _send(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """Return what sends a push, through the same proxy as every other request of ours."""

    def send() -> None:
        parts = urlsplit(url)
        proxy = proxy_for(parts.scheme, parts.hostname or "", parts.port)
        opener = build_opener(ProxyHandler({parts.scheme: proxy.whole_url} if proxy else {}))
        with opener.open(Request(url, data, dict(headers), method=method), timeout=timeout):  # noqa: S310 - http(s)
            pass  # urllib raises an HTTPError for a status that isn't 2xx

    return send


def write_textfile(path: Path, registry: Collector, *, labels: Mapping[str, str]) -> None:
    """Write the metrics to a file, atomically, each sample with these labels, too. Raises OSError.

    Without labels of its own, a sample would collide with one of another file, or of node_exporter's own process:
    node_exporter then shows neither.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), _Labelled(registry, labels), escaping="underscores")


class _Labelled(Collector):
    def __init__(self, inner: Collector, labels: Mapping[str, str]) -> None:
        self._inner = inner
        self._labels = dict(labels)

    def collect(self) -> Iterator[Metric]:
        for family in self._inner.collect():
            family.samples = [one._replace(labels=self._labels | one.labels) for one in family.samples]
            yield family
