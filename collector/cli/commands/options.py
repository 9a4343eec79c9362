"""The options that commands share.

A command line with a mistake in it, or with `--help`, waits for no other import than click's: types that need more
import it when they convert a value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from collector.core.echo import WORD

if TYPE_CHECKING:
    from collector.core.ranges import Moment

Command = TypeVar("Command", bound=Callable[..., Any])


def _completing(name: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return a function of `collector.cli.completion`, which is imported when it is called."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from collector.cli import completion  # noqa: PLC0415 - see above

        found: list[Any] = getattr(completion, name)(ctx, param, incomplete)
        return found

    return complete


complete_org = _completing("complete_org")
complete_label = _completing("complete_label")
complete_dimension = _completing("complete_dimension")
complete_product = _completing("complete_product")
complete_removed = _completing("complete_removed")
complete_run = _completing("complete_run")
complete_awaited = _completing("complete_awaited")


def complete_zone(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the time zones that begin so."""
    del ctx, param
    from collector.zone_rules import zone_names  # noqa: PLC0415 - see above

    return sorted(zone for zone in zone_names() if zone.casefold().startswith(incomplete.casefold()))


def complete_directory(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Let the shell complete names of directories."""
    del ctx, param
    return [CompletionItem(incomplete, type="dir")]


class PathType(click.Path):
    """A path. `~` is a home directory also where the shell leaves it, as in `--config=~/collector.yaml`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail if there is no such home directory."""
        from collector.disk import HomeError, at_home  # noqa: PLC0415 - see above

        try:
            return super().convert(at_home(str(value)), param, ctx)
        except HomeError as error:
            self.fail(str(error), param, ctx)


class MomentType(click.ParamType["Moment"]):
    """A date or a time of day."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """Return the moment, or fail with a message that shows the right format."""
        from collector.core.ranges import Moment  # noqa: PLC0415 - see above

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
        from collector.config.types import missing_unit, parse_duration  # noqa: PLC0415 - see above

        try:
            duration = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if hint := missing_unit(value):
            self.fail(hint, param, ctx)
        if not duration and not self._or_zero:
            self.fail("must be longer than 0", param, ctx)
        return duration


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
    type=PathType(path_type=Path),
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
        type=Choice(["account-user", "service-user"]),
        help="Only this population; repeatable.",
    ),
    _log_options,
)
state_option = click.option("--state", metavar="URL", help="The ledger: sqlite:///FILE, postgresql://…, or none.")
ledger_options = apply(_config_option, state_option, _log_options)  # of a command about the ledger alone
output_option = click.option(
    "-o",
    "--output",
    metavar="DIR",
    shell_complete=complete_directory,
    help="A directory for sealed files, s3://…, gs://…, az://…, postgresql://…/table, or - for stdout. "
    "Default: `output.path`.",
)
service_options = apply(
    output_option,
    click.option(
        "-f",
        "--format",
        "format_",
        type=Choice(["jsonl", "csv", "parquet", "singer"]),
        help="Format of the records. Default: `output.format`.",
    ),
    click.option(
        "--compression",
        type=Choice(["none", "gzip", "zstd"]),
        help="Compression of the files, or of stdout. Default: `output.compression`.",
    ),
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

shard_option = click.option(
    "--shard",
    metavar="I/N",
    help="Only the orgs of shard I (from 0) of N; auto/N takes I from Kubernetes, as COLLECTOR_SHARDS=N does.",
)

# Of commands that read numbers out of a ledger, and may sum them.
number_options = apply(
    config_options,
    state_option,
    shard_option,
    range_options,
    click.option(
        "--product",
        "products",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_product,
        help="Only this product; repeatable.",
    ),
    click.option(
        "--by",
        multiple=True,
        metavar="DIMENSIONS",
        shell_complete=complete_dimension,
        help="Sum over day, week or month, and org, population, product, label:KEY: with commas, or repeated.",
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
