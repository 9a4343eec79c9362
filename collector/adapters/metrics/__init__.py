"""Metrics of runs with the official Prometheus client: a registry of our own, never the global one.

Owns the names `collector_*` of what runs do (docs/metrics.md lists all of them), and how
they leave a process that ends. Never lets a text from outside become a label without a bound.
"""

from collector.adapters.metrics.labels import Bounded, word_of
from collector.adapters.metrics.loop_lag import LoopLag
from collector.adapters.metrics.push import push, write_textfile
from collector.adapters.metrics.registry import add_process_metrics, new_registry
from collector.adapters.metrics.runs import EndedRun, RunMetrics

__all__ = [
    "Bounded",
    "EndedRun",
    "LoopLag",
    "RunMetrics",
    "add_process_metrics",
    "new_registry",
    "push",
    "word_of",
    "write_textfile",
]
