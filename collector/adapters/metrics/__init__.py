"""Metrics of runs with the official Prometheus client, in a registry of their own, never the global one.

Owns the metrics `collector_*` of runs (docs/metrics.md lists all metrics), and how a process that ends
exports them. A text from outside never becomes a label value without a limit on their number.
"""

from collector.adapters.metrics.bounded import PushError
from collector.adapters.metrics.labels import Bounded, code_label
from collector.adapters.metrics.loop_lag import LoopLag
from collector.adapters.metrics.push import JOB, Labelled, push, write_textfile
from collector.adapters.metrics.registry import add_process_metrics, new_registry
from collector.adapters.metrics.runs import EndedRun, RunMetrics

__all__ = [
    "JOB",
    "Bounded",
    "EndedRun",
    "Labelled",
    "LoopLag",
    "PushError",
    "RunMetrics",
    "add_process_metrics",
    "code_label",
    "new_registry",
    "push",
    "write_textfile",
]
