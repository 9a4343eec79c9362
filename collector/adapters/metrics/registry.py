"""Create the registry of a process or command, optionally with the metrics of the process."""

from __future__ import annotations

import platform

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from collector import __version__


def new_registry() -> CollectorRegistry:
    """Return a registry that only has the build info."""
    # `_created` series cost one series per counter, and say no more than `process_start_time_seconds`.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry(auto_describe=True)
    build = Info("collector_build", "Version of the running build", registry=registry)
    build.info({"version": __version__, "python": platform.python_version()})
    return registry


def add_process_metrics(registry: CollectorRegistry) -> None:
    """Add the official client's metrics of the process: memory, CPU, files, garbage collection."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
