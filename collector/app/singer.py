"""A run as a Singer tap: what it is handed, the ledger that comes with a STATE, and what its end means for Meltano."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import structlog
from pydantic import SecretStr

from collector.adapters.paths import named
from collector.adapters.sinks import SingerSink
from collector.app.backfills import log_backfills, old_gaps
from collector.app.command import Command, Messages, ages_of, has_ledger
from collector.app.ledgers import open_ledger_to_read
from collector.config import LoadedConfig
from collector.core.exit_codes import ExitCode
from collector.core.singer import CatalogError, bookmark_of, fields, selected
from collector.errors import ConfigError, LedgerError
from collector.ledger import CarriedError, NoLedger, SqlLedger, restore
from collector.ports import Clock

log = structlog.get_logger("collector")

State = Mapping[str, Any]
_BEGIN_ANEW = "To begin anew, give none: then the run collects the windows of `schedule.lookback` again"
_MOST_BYTES = 2**30


def messages_of(ledger: SqlLedger | NoLedger, config: LoadedConfig, command: Command, clock: Clock) -> SingerSink:
    """Return the output for a run's messages."""
    messages, ages = command.messages, ages_of(config.settings.schedule)

    def carry(*, ended: bool) -> Mapping[str, Any]:
        if not isinstance(ledger, SqlLedger):
            raise TypeError("a run without a ledger knows nothing to carry")
        return ledger.carry(ages, now=clock.now(), ended=ended)

    return SingerSink(selected=messages.selected, bookmark=messages.bookmark, carry=carry if messages.carry else None)


def read_catalog(path: Path | None) -> tuple[str, ...]:
    """Return the fields that a catalog selects; without one, all of them. Raises ConfigError."""
    if path is None:
        return fields()
    try:
        chosen = selected(_json_of(path, "catalog"))
    except CatalogError as error:
        raise ConfigError(f"--catalog: {named(path)}: {error}") from error
    if not chosen:
        log.warning("singer.nothing_selected", message="the catalog doesn't select the stream `usage`: nothing is done")
    return chosen


def read_state(path: Path | None) -> State:
    """Return a STATE; without one, an empty one. Raises ConfigError."""
    state = {} if path is None else _json_of(path, "state")
    if not isinstance(state, dict):
        raise ConfigError(f"--state: {named(path or Path())} has no STATE: it is no JSON object")
    return state


@contextmanager
def begin_with(config: LoadedConfig, state: State, *, now: datetime) -> Iterator[tuple[LoadedConfig, Messages]]:
    """Yield the config with the ledger of the run, and what its messages begin with.

    A config that names no ledger gets one that is made of the STATE, and that is removed at the end: the last STATE of
    the run has all of it. Raises ConfigError for a STATE that can't be used, and LedgerError.
    """
    bookmark = bookmark_of(state)
    if "url" in config.settings.state.model_fields_set:
        if "ledger" in state:
            log.warning(
                "singer.state_ignored",
                message="the STATE is the ledger of a run whose config named none. This config names one (state.url): "
                "it alone says what is complete",
            )
        yield config, Messages(bookmark=bookmark)
        return
    try:
        directory = tempfile.TemporaryDirectory(prefix="collector-singer-", ignore_cleanup_errors=True)
    except OSError as error:
        raise LedgerError(
            f"no temporary directory for the ledger can be created: {error.strerror}. Set TMPDIR"
        ) from error
    with directory as place:
        path = Path(place) / "ledger.db"
        _restore(state, path, now=now)
        yield _with_ledger(config, path), Messages(bookmark=bookmark, carry=True)


def exit_code_of(config: LoadedConfig, code: ExitCode, messages: Messages, *, now: datetime) -> ExitCode:
    """Return what a run's end means for a pipeline, which fails for anything but 0.

    A slice that is partial or failed is fetched again by later runs, and until then its records say so or are not
    there: the pipeline goes on. It fails as soon as something is wanted that no later run will fetch.
    """
    if code not in {ExitCode.OK, ExitCode.INCOMPLETE} or not has_ledger(config):
        return code
    ledger = open_ledger_to_read(config)
    try:
        gaps = old_gaps(config, ledger, now)
    finally:
        ledger.close()
    if not gaps:
        if code is ExitCode.INCOMPLETE:
            log.warning(
                "singer.incomplete",
                message="some slices are partial or failed: the next runs fetch them again. The exit code is 0, as "
                "nothing is left to do",
            )
        return ExitCode.OK
    if messages.carry:
        log.error(
            "singer.gaps",
            gaps=[f"{gap.org}: {gap.start.isoformat()} to {gap.end.isoformat()}" for gap in gaps[:20]],
            gaps_left_out=max(0, len(gaps) - 20),
            message="these ranges are wanted and not complete, and too old to be fetched: raise `schedule.catch_up` "
            "and `schedule.repair_for` above their age. If they are not wanted: set `since` of the org to their end",
        )
    else:
        log_backfills(config, gaps)
    return ExitCode.INCOMPLETE


def _restore(state: State, path: Path, *, now: datetime) -> None:
    """Create the ledger of a STATE; an empty one has none. Raises ConfigError."""
    if not state:
        return
    carried = state.get("ledger")
    try:
        if not isinstance(carried, dict):
            raise CarriedError("it has no ledger: it is from another tap, or the config of its run named a ledger")
        restore(carried, path, now=now)
    except CarriedError as error:
        raise ConfigError(f"--state: the STATE can't be used: {error}. {_BEGIN_ANEW}") from error


def _with_ledger(config: LoadedConfig, path: Path) -> LoadedConfig:
    settings = config.settings
    state = settings.state.model_copy(update={"url": SecretStr(f"sqlite:///{path}")})
    return replace(config, settings=settings.model_copy(update={"state": state}))


def _json_of(path: Path, option: str) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ConfigError(f"--{option}: {named(path)} is larger than 1 GiB")
        return orjson.loads(content)
    except OSError as error:
        raise ConfigError(f"--{option}: {named(path)} can't be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"--{option}: {named(path)} is no JSON") from error
