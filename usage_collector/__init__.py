"""The collector for programs: notebooks, and tasks of orchestrators. What stands here is public; all else may change.

`collect` runs once and yields the records as they are fetched; `latest` reads what was collected.
"""

from __future__ import annotations

from collector import __version__
from collector.errors import CollectorError, ConfigError, LedgerError, OutputError
from collector.model import Record
from usage_collector.collecting import Collection, Result, collect
from usage_collector.reading import LatestRecord, latest

__all__ = [
    "Collection",
    "CollectorError",
    "ConfigError",
    "LatestRecord",
    "LedgerError",
    "OutputError",
    "Record",
    "Result",
    "__version__",
    "collect",
    "latest",
]
