"""The options that commands share, and the values made from them: a loaded config, a range, a scope."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import structlog

from collector.adapters.logs import configure_logs, resolve_format
from collector.app.command import Permits
from collector.app.scope import Scope
from collector.cli.completion import complete_label, complete_org
from collector.config import LoadedConfig, find_config, load
from collector.config.messages import WORD
from collector.config.types import missing_unit, parse_duration
from collector.config.urls import contains_password
from collector.core.echo import echo
from collector.core.ranges import Between, Last, Moment, Range
from collector.core.shards import Shard
from collector.errors import ConfigError
from collector.model import Population

log = structlog.get_logger("collector")

Command = TypeVar("Command", bound=Callable[..., Any])


class MomentType(click.ParamType[Moment]):
    """A date or a time of day."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """Return the moment, or fail with a message that shows the right format."""
        if isinstance(value, Moment):
            return value
        try:
            return Moment.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Choice(click.Choice[str]):
    """One of some words."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return click's message, without a value that isn't a word: it may be a secret in the wrong place."""
        return super().get_invalid_choice_message(value if WORD.fullmatch(str(value)) else "…", ctx)


class DurationType(click.ParamType[timedelta]):
    """A duration with a unit: `7d`, `36h`; 0 needs none."""

    name = "duration"

    def __init__(self, *, or_zero: bool = False) -> None:
        self._or_zero = or_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration, or fail with a message that shows the right format."""
        if isinstance(value, timedelta):
            return value
        try:
            duration = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if hint := missing_unit(value):
            self.fail(hint, param, ctx)
        if not duration and not self._or_zero:
            self.fail("must be longer than 0", param, ctx)
        return duration


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


def apply(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that adds options in the order in which they are given."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The config file. Default: $COLLECTOR_CONFIG, config/collector.yaml, /etc/collector/collector.yaml.",
)
_log_options = apply(
    click.option(
        "--log-level", type=Choice(["debug", "info", "warning", "error"]), help="Lowest level that is logged."
    ),
    click.option("--log-format", type=Choice(["auto", "console", "json"]), help="Format of the logs."),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        help="Only warnings and errors, each warning once an hour: no progress, no summary.",
    ),
)
config_options = apply(
    _config_option,
    click.option(
        "--org",
        "orgs",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_org,
        help="Only this org; a glob such as 'acme-*' for several. Repeatable.",
    ),
    click.option(
        "--label",
        "labels",
        multiple=True,
        metavar="KEY=VALUE",
        shell_complete=complete_label,
        help="Only orgs with this label; repeatable: with all of them.",
    ),
    click.option(
        "--population",
        "populations",
        multiple=True,
        type=Choice([p.value for p in Population]),
        help="Only this population; repeatable.",
    ),
    _log_options,
)
state_option = click.option("--state", metavar="URL", help="The ledger: sqlite:///FILE, postgresql://…, or none.")
ledger_options = apply(_config_option, state_option, _log_options)  # of a command about the ledger alone
output_option = click.option(
    "-o", "--output", metavar="DIR", help="A directory for sealed files, or - for stdout. Default: `output.path`."
)
service_options = apply(
    output_option,
    click.option("-f", "--format", "format_", type=Choice(["jsonl"]), help="Format of the records."),
    state_option,
    click.option(
        "--elsewhere",
        is_flag=True,
        help="Deliver to an output that isn't the one where this ledger's records are. What is there stays there.",
    ),
    click.option(
        "--adopt",
        is_flag=True,
        help="Take over an output directory that belongs to another ledger, which is lost for good.",
    ),
)
output_options = apply(
    service_options,
    click.option(
        "--progress",
        type=Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="The progress bar; auto shows it on a terminal.",
    ),
)
range_options = apply(
    click.option(
        "--from",
        "from_",
        type=MomentType(),
        metavar="DATE",
        help="Start in each org's zone: 2026-06-23 or 2026-06-23T14:00.",
    ),
    click.option(
        "--to",
        "to",
        type=MomentType(),
        metavar="DATE",
        help="End; a date alone includes that day. Default: all that is due.",
    ),
    click.option(
        "--last",
        type=DurationType(),
        metavar="DURATION",
        help="Instead of a range, such as 7d or 36h: the windows that ended within this time and are due. 7d is the "
        "last 7 days, or 6 for the first hours of a day (`schedule.settle`).",
    ),
)


wait_option = click.option(
    "--wait",
    type=DurationType(or_zero=True),
    metavar="DURATION",
    default="5m",
    show_default=True,
    help="How long to wait for orgs that other processes work on, such as 30s or 2h; 0: not at all.",
)


shard_option = click.option(
    "--shard",
    metavar="I/N",
    help="Only the orgs of shard I (from 0) of N; auto/N takes I from Kubernetes, as COLLECTOR_SHARDS=N does.",
)


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
        "output": {"path": output, "format": format_},
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
