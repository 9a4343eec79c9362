"""How metrics leave a process that ends: to a Pushgateway, or as a file for node_exporter's textfile collector."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError

from prometheus_client import push_to_gateway, write_to_textfile
from prometheus_client.registry import Collector

JOB = "collector"


def push(gateway: str, registry: Collector, *, grouping: Mapping[str, str], timeout_s: float) -> None:
    """Replace what a Pushgateway holds of a group. Raises OSError or TimeoutError, and never takes longer.

    The client's own time-out is for each step alone, and looking up a name has none at all: so it works
    on a thread that is left behind if need be.
    """
    failure: list[BaseException] = []

    def work() -> None:
        try:
            push_to_gateway(gateway, job=JOB, registry=registry, grouping_key=dict(grouping), timeout=timeout_s)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            if isinstance(error, HTTPError):
                error.close()  # it is a response, too
            failure.append(error)

    thread = threading.Thread(target=work, name="push", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    if failure:
        raise failure[0]


def write_textfile(path: Path, registry: Collector) -> None:
    """Write a file at once or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry, escaping="underscores")
