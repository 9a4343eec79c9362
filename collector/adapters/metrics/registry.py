"""The registry: one for each process and command, with the process's own metrics where they are wanted."""

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
    """Return an empty registry that knows which build this is."""
    # When a counter was made says nothing that `process_start_time_seconds` doesn't, and costs a series for each.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry(auto_describe=True)
    build = Info("collector_build", "The build that runs", registry=registry)
    build.info({"version": __version__, "python": platform.python_version()})
    return registry


def add_process_metrics(registry: CollectorRegistry) -> None:
    """Add what the official client tells of a process: memory, CPU, files, garbage collection."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
