"""Export metrics from a process that ends: to a Pushgateway, or as a file for node_exporter's textfile collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import HTTPError

from prometheus_client import push_to_gateway, write_to_textfile
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

JOB = "collector"


def push(gateway: str, registry: Collector, *, grouping: Mapping[str, str], timeout_s: float) -> None:
    """Replace the metrics of a group in a Pushgateway, within `timeout_s`. Raises OSError or TimeoutError.

    The client's own timeout limits each step, not their sum, and name resolution has none. So the client runs
    in a thread, which is abandoned on a timeout.
    """
    failure: list[BaseException] = []

    def work() -> None:
        try:
            push_to_gateway(gateway, job=JOB, registry=registry, grouping_key=dict(grouping), timeout=timeout_s)
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
