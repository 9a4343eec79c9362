"""`collector-singer`: a run as a Singer tap. Its ledger comes and goes with the STATE, unless the config has one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import orjson

from collector.adapters.clock import SystemClock
from collector.app.command import Command
from collector.app.singer import begin_with, exit_code_of, read_catalog, read_state
from collector.cli.collect import run_and_show
from collector.cli.context import open_context
from collector.core.exit_codes import ExitCode
from collector.core.singer import catalog as all_of_it


def singer(*, config_path: Path | None, catalog: Path | None, state: Path | None, discover: bool) -> int:
    """Do what `collector-singer` is called for; return the exit code."""
    if discover:
        click.echo(orjson.dumps(all_of_it(), option=orjson.OPT_INDENT_2))
        return ExitCode.OK
    context = open_context(
        config_path=config_path,
        log_level=None,
        log_format=None,
        quiet=False,
        output="-",
        format_="singer",
        compression="none",
    )
    selected = read_catalog(catalog)
    before = read_state(state)
    if not selected:
        return ExitCode.OK
    with begin_with(context.config, before, now=SystemClock().now()) as (config, messages):
        context = replace(context, config=config, carried=messages.carry)
        command = Command(name="collect", range_=None, messages=replace(messages, selected=selected))
        code = run_and_show(context, command, progress="never")
        return exit_code_of(config, ExitCode(code), messages, now=SystemClock().now())
