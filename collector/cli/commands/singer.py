"""How `collector-singer` is called: as Meltano calls a tap. It is no command of `collector`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector import __version__
from collector.cli.commands.options import PathType

NAME = "collector-singer"
_FILE = PathType(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", "config_path", type=_FILE, metavar="FILE", help="The collector's config, in JSON or YAML.")
@click.option("--catalog", type=_FILE, metavar="FILE", help="What is selected. Default: everything.")
@click.option("--state", "state", type=_FILE, metavar="FILE", help="The last STATE that the target handed back.")
@click.option("--discover", is_flag=True, help="Print the catalog and end.")
@click.version_option(__version__, prog_name=NAME, message="%(prog)s, version %(version)s")
def singer(**options: Any) -> int:
    """Collect what every org needs now, as a Singer tap: SCHEMA, RECORD and STATE messages on stdout.

    Without `state.url` in the config, STATE is the ledger: it has all that a later run has to know.
    The options that `collector collect --format singer` has are keys of the config here.
    """
    from collector.cli import singer as act  # noqa: PLC0415 - see `options`

    return act.singer(**options)
