"""Export metrics from a process that ends: to a Pushgateway, or as a file for node_exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client import push_to_gateway, write_to_textfile
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from collector.adapters.metrics.bounded import within
from collector.adapters.proxies import proxy_for

JOB = "collector"


def push(gateway: str, registry: Collector, *, grouping: Mapping[str, str], timeout_s: float) -> None:
    """Replace the metrics of a group in a Pushgateway, within `timeout_s`. Raises PushError."""

    def work() -> None:
        push_to_gateway(
            gateway, job=JOB, registry=registry, grouping_key=dict(grouping), timeout=timeout_s, handler=_send
        )

    within(timeout_s, work, peer="gateway")


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
    write_to_textfile(str(path), Labelled(registry, labels), escaping="underscores")


class Labelled(Collector):
    """Yields the metrics of another collector, each sample with these labels, too."""

    def __init__(self, inner: Collector, labels: Mapping[str, str]) -> None:
        self._inner = inner
        self._labels = dict(labels)

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        for family in self._inner.collect():
            family.samples = [one._replace(labels=self._labels | one.labels) for one in family.samples]
            yield family
