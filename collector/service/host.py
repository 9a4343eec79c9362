"""What the loop needs of the world: wired by `collector.service.serving`, replaced in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collector.app.command import Command
from collector.config import LoadedConfig
from collector.events import Listener
from collector.run.manifest import RunResult
from collector.run.stop import Stop
from collector.service.view import RunView
from collector.service.watcher import Fingerprint


class Host(Protocol):
    """Everything that touches files, threads or the ledger. Nothing here asks the API but `run`."""

    async def load(self) -> LoadedConfig:
        """Read the config anew. Raises ConfigError with all that is wrong."""
        ...

    async def accept(self, config: LoadedConfig) -> None:
        """Make a config's orgs known to the ledger. Raises ConfigError for overlapping calendars, and LedgerError."""
        ...

    async def look(self, config: LoadedConfig) -> Fingerprint:
        """Return the fingerprint of a config's files, and of those that its patterns match now."""
        ...

    async def run(
        self, config: LoadedConfig, command: Command, *, run_id: str, stop: Stop, watch: Listener
    ) -> RunResult:
        """Make one run. Raises whatever keeps it from being made."""
        ...

    async def recent_runs(self, config: LoadedConfig) -> Sequence[RunView]:
        """Return the service's own ended runs that the ledger knows of, newest first. Raises LedgerError."""
        ...
