"""The group of commands. Errors become exit codes here and nowhere else."""

from __future__ import annotations

import errno
import os
import sys
import textwrap
import traceback
from collections.abc import Sequence

import click

from collector import __version__
from collector.adapters.text import printable
from collector.adapters.uncaught import log_what_is_uncaught
from collector.cli.commands import Commands
from collector.cli.streams import drain_stderr, forget_stdout, guard_streams
from collector.core.exit_codes import ExitCode
from collector.errors import CollectorError, ConfigError, LedgerError, OutputError

NAME = "collector"
VARIABLE = "_COLLECTOR_COMPLETE"  # with which a shell asks
_LONGEST_LINE = 4000
_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(
    textwrap.fill(code.meaning, 76, initial_indent=f"{code:>5}  ", subsequent_indent=" " * 7) for code in ExitCode
)


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from collector.zone_rules import VERSION  # noqa: PLC0415 - nothing else here needs it

        click.echo(f"collector, version {__version__} (time zones: tzdata {VERSION})")
        ctx.exit()


@click.group(
    cls=Commands,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Collect the usage of many TestMu AI (formerly LambdaTest) organizations.

    Records, and only records, go to stdout or into files. Everything else goes to stderr.

    \b
    Try it without an account:    collector demo
    With your own organizations:  collector init
                                  collector collect
    Complete names in bash:       eval "$(collector completion bash)"
    """  # noqa: D301 - click's mark for text that isn't rewrapped


def main(
    args: Sequence[str] | None = None, *, warnings: Sequence[str] = (), command: click.Command = cli, name: str = NAME
) -> int:
    """Run a command as all that the process is for; return its exit code once what it said is written."""
    guard_streams()
    log_what_is_uncaught()
    try:
        return run(args, warnings=warnings, command=command, name=name)
    finally:
        drain_stderr()


def run(
    args: Sequence[str] | None = None, *, warnings: Sequence[str] = (), command: click.Command = cli, name: str = NAME
) -> int:
    """Run a command and return its exit code. It logs the warnings if it reads credentials."""
    if VARIABLE in os.environ:
        from collector.cli.shells import register  # noqa: PLC0415 - a shell asks for what it completes

        register()
    try:
        code = int(command.main(args=args, obj=tuple(warnings), prog_name=name, standalone_mode=False) or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:  # click raises it after a completion, and for a closed pipe
        if not stop.code:
            return ExitCode.OK
        return _explain(BrokenPipeError(errno.EPIPE, "stdout's reader went away"))
    except Exception as error:  # noqa: BLE001 - the last resort, which must not show a secret
        return _explain(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return code


def _explain(error: Exception) -> ExitCode:
    """Print on stderr what went wrong and what to do; return the exit code."""
    match error:
        case click.Abort():
            return ExitCode.INTERRUPTED
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case ConfigError():
            for problem in error.problems:
                _print_error(problem)
            return ExitCode.USAGE
        case OSError(errno=errno.EPIPE):
            forget_stdout()
            click.echo("error: stdout's reader went away before everything was written", err=True)
            return ExitCode.OUTPUT
        case OSError(errno=errno.ENOSPC | errno.EFBIG | errno.EDQUOT | errno.EIO):
            forget_stdout()
            click.echo(f"error: stdout can't be written: {error.strerror}", err=True)
            return ExitCode.OUTPUT
        case OutputError() | LedgerError():
            _print_error(error)
            return ExitCode.OUTPUT
        case CollectorError():
            _print_error(error)
            return ExitCode.DEFECT
        case _:
            frames = "".join(traceback.format_tb(error.__traceback__))
            click.echo(f"{frames}a defect of the collector: {type(error).__name__}; please report it", err=True)
            return ExitCode.DEFECT


def _print_error(error: object) -> None:
    """Print a message, which may quote names and paths that steer a terminal."""
    for line in f"error: {error}".split("\n"):
        click.echo(printable(line, _LONGEST_LINE), err=True)
