"""The values of the options that commands share: a loaded config, a range, a scope."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import click
import structlog

from collector.adapters.logs import configure_logs, resolve_format
from collector.app.command import Permits
from collector.app.scope import Scope
from collector.config import LoadedConfig, find_config, load
from collector.config.urls import contains_password
from collector.core.echo import echo
from collector.core.ranges import Between, Last, Moment, Range
from collector.core.shards import Shard
from collector.errors import ConfigError
from collector.model import Population

log = structlog.get_logger("collector")

NOT_IN_OPTION = (
    "--state: others on this machine can read a password on the command line, in the list of processes. Give the URL "
    "without it, and the password in a file: state.password_file, or the variable "
    "COLLECTOR_STATE__PASSWORD_FILE"
)
SHARDS = "COLLECTOR_SHARDS"


def read_shard(text: str | None, environ: Mapping[str, str]) -> Shard | None:
    """Return the shard of the option, else of COLLECTOR_SHARDS=N, else None: all orgs. Raises UsageError."""
    shards = environ.get(SHARDS)
    try:
        if text is not None:
            return Shard.parse(text, environ)
        if not shards:
            return None
        if not (shards.isascii() and shards.isdigit()):
            raise ValueError(f"expected the number of shards, got {echo(shards, None)}")
        return Shard.parse(f"auto/{shards}", environ)
    except ValueError as error:
        raise click.UsageError(f"{SHARDS if text is None else '--shard'}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The values of the shared options. `reload` loads the config again, with the same options applied."""

    config: LoadedConfig
    reload: Callable[[], LoadedConfig]
    scope: Scope
    permits: Permits
    quiet: bool
    log_format: Literal["console", "json"]


def open_context(
    *,
    config_path: Path | None,
    orgs: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
    populations: tuple[str, ...] = (),
    log_level: str | None,
    log_format: str | None,
    quiet: bool,
    output: str | None = None,
    format_: str | None = None,
    compression: str | None = None,
    state: str | None = None,
    elsewhere: bool = False,
    adopt: bool = False,
    shard: str | None = None,
    sharded: bool = False,
    logs_warnings: bool = True,
    sends: bool = True,
) -> Context:
    """Load the config, apply the options, and set up the logs. Raises ConfigError.

    The warnings of the config are logged, unless the command shows them itself. A command that `sends` nothing needs
    no secret of an org.
    A `sharded` command has `shard_option`; without that option its shard comes from the environment.
    """
    if state is not None and contains_password(state):
        raise ConfigError(NOT_IN_OPTION)
    level = log_level or ("warning" if quiet else None)
    overrides = {
        "output": {"path": output, "format": format_, "compression": compression},
        "state": {"url": state},
        "log": {"level": level, "format": log_format},
    }
    path = find_config(config_path, os.environ)

    def reload() -> LoadedConfig:
        return load(path, environ=os.environ, overrides=overrides, reads_secrets=sends)

    config = reload()
    format_used = resolve_format(config.settings.log.format, sys.stderr)
    configure_logs(level=config.settings.log.level, format_=format_used, once=quiet)
    for message in click.get_current_context().obj or ():
        log.warning("process.warning", message=message)
    for warning in config.warnings if logs_warnings else ():
        log.warning("config.warning", message=str(warning))
    scope = Scope(
        orgs=orgs,
        labels=labels,
        populations=tuple(Population(p) for p in populations),
        shard=read_shard(shard, os.environ) if sharded else None,
    )
    scope.of(config.orgs)  # before anything else: it raises for a name that isn't there
    permits = Permits(elsewhere=elsewhere, adopt=adopt)
    return Context(config=config, reload=reload, scope=scope, permits=permits, quiet=quiet, log_format=format_used)


def read_range(from_: Moment | None, to: Moment | None, last: timedelta | None) -> Range | None:
    """Return the range of the options, None if none is given. Raises ConfigError for options that contradict."""
    if last is not None:
        if from_ is not None or to is not None:
            raise ConfigError("give either --last, or --from and --to: not both")
        return Last(last)
    if from_ is None:
        if to is not None:
            raise ConfigError("--to needs --from: give the start of the range, too")
        return None
    return Between(from_, to)
