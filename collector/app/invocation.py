"""The options of a command that is shown: with them it means the same config, ledger and output wherever it is pasted.

Without them its records may go to a terminal, while the ledger calls their windows complete.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from collector.adapters.paths import place_path
from collector.adapters.sinks.directory_id import id_of
from collector.adapters.sinks.files import OsFiles
from collector.adapters.text import shell_word
from collector.app.outputs import directory_of
from collector.config import LoadedConfig
from collector.core.outputs import KnownOutputs, is_remote
from collector.ledger import name_of

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """Config, ledger and output by absolute paths. A URL of PostgreSQL may hold a secret: it is left to the config."""

    config: str
    state: str | None = None
    output: str | None = None

    @property
    def check(self) -> str:
        """The beginning of `collector check`."""
        return f"collector check -c {shell_word(self.config)}"

    @property
    def status(self) -> str:
        """The beginning of `collector status`."""
        return f"collector status {self._ledger}"

    @property
    def forget(self) -> str:
        """The beginning of `collector forget`."""
        return f"collector forget {self._ledger}"

    @property
    def collect(self) -> str:
        """The beginning of `collector collect`."""
        return f"collector collect {self._run}"

    @property
    def backfill(self) -> str:
        """The beginning of `collector backfill`."""
        return f"collector backfill {self._run}"

    @property
    def _ledger(self) -> str:
        state = "" if self.state is None else f" --state {shell_word(self.state)}"
        return f"-c {shell_word(self.config)}{state}"

    @property
    def _run(self) -> str:
        return self._ledger + ("" if self.output is None else f" -o {shell_word(self.output)}")


def plain_path(path: Path) -> str:
    """Return an absolute path without `..`, links unresolved. It keeps a `..` that leads elsewhere, behind a link."""
    absolute = path.absolute()
    plain = Path(os.path.normpath(absolute))
    with suppress(OSError):
        if plain.samefile(absolute):
            return str(plain)
    return str(absolute)


def _where_it_is(known: KnownOutputs) -> Path | None:
    """Return the directory of the ledger's records: where it is now, else where it was last; None if there is none."""
    for one in known.outputs:
        if is_remote(one.path):
            return place_path(one.path)
        if one.directory_id is not None and id_of(OsFiles(), Path(one.path)) == one.directory_id:
            return Path(one.path)
    return place_path(known.directories[0].path) if known.directories else None


def invocation_of(config: LoadedConfig, known: KnownOutputs | None = None) -> Invocation:
    """Return what commands need; `known` says where the records are if the config has no directory for them."""
    url = config.settings.state.url.get_secret_value()
    directory = directory_of(config.settings)
    if directory is None and known is not None:
        directory = _where_it_is(known)
    return Invocation(
        config=plain_path(config.path),
        state=f"{_SQLITE}{Path(name_of(url)).absolute()}" if url.startswith(_SQLITE) else None,
        output=None if directory is None else str(directory),
    )
