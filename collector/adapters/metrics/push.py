"""Export metrics from a process that ends: to a Pushgateway, or as a file for node_exporter's textfile collector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client import push_to_gateway, write_to_textfile
from prometheus_client.registry import Collector

from collector.adapters.proxies import proxy_for

JOB = "collector"


def push(gateway: str, registry: Collector, *, grouping: Mapping[str, str], timeout_s: float) -> None:
    """Replace the metrics of a group in a Pushgateway, within `timeout_s`. Raises OSError, TimeoutError or ProxyError.

    The client's own timeout limits each step, not their sum, and name resolution has none. So the client runs
    in a thread, which is abandoned on a timeout.
    """
    failure: list[BaseException] = []

    def work() -> None:
        try:
            push_to_gateway(
                gateway, job=JOB, registry=registry, grouping_key=dict(grouping), timeout=timeout_s, handler=_send
            )
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            if isinstance(error, HTTPError):
                error.close()  # an HTTPError is also an open response
            failure.append(error)

    thread = threading.Thread(target=work, name="push", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    if failure:
        raise failure[0]


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


def write_textfile(path: Path, registry: Collector) -> None:
    """Write the metrics to a file, atomically. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry, escaping="underscores")
