"""Create the registry of a process or command, optionally with the metrics of the process."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from collector import __version__
from collector.adapters.logs import lines_dropped


def new_registry() -> CollectorRegistry:
    """Return a registry that has the build info and the lost log lines only."""
    # `_created` series cost one series per counter, and say no more than `process_start_time_seconds`.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry(auto_describe=True)
    build = Info("collector_build", "Version of the running build", registry=registry)
    build.info({"version": __version__, "python": platform.python_version()})
    registry.register(_Log())
    return registry


class _Log(Collector):
    def collect(self) -> Iterator[Metric]:
        text = "Lines of the log that were dropped: nobody read them, or they could not be written"
        yield CounterMetricFamily("collector_log_lines_dropped", text, value=lines_dropped())


def add_process_metrics(registry: CollectorRegistry) -> None:
    """Add the official client's metrics of the process: memory, CPU, files, garbage collection."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
