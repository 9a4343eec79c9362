"""What the loop needs from outside. `collector.service.serving` implements it, and tests have a fake."""

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
    """Everything that uses files, threads or the ledger. Only `run` sends requests to the API."""

    async def load(self) -> LoadedConfig:
        """Read the config again. Raises ConfigError with all problems."""
        ...

    async def accept(self, config: LoadedConfig) -> None:
        """Register a config's orgs in the ledger. Raises ConfigError if it doesn't fit the ledger, and LedgerError."""
        ...

    async def look(self, config: LoadedConfig) -> Fingerprint:
        """Return the fingerprint of a config's files, including those that its patterns match now."""
        ...

    async def run(
        self, config: LoadedConfig, command: Command, *, run_id: str, stop: Stop, watch: Listener
    ) -> RunResult:
        """Execute one run. Raises the exception that ended it, if any."""
        ...

    async def recent_runs(self, config: LoadedConfig) -> Sequence[RunView]:
        """Return the service's ended runs that are in the ledger, newest first, reconciles too. Raises LedgerError."""
        ...
