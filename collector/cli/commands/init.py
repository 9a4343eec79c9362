"""How `collector init` is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.commands.options import Choice, PathType, apply, complete_directory, complete_zone

_FILE = PathType(path_type=Path)
_secrets = apply(
    *(
        click.option(f"--{name}-{form}", metavar=metavar, type=kind, help=f"{help_} {text}.")
        for name, text in (("username", "user name"), ("access-key", "access key"), ("token", "token (Bearer)"))
        for form, metavar, kind, help_ in (
            ("env", "VARIABLE", None, "The environment variable that holds the"),
            ("file", "FILE", _FILE, "The file that holds the"),
        )
    )
)


@click.command(
    short_help="Write a first config.",
    epilog="""\b
Examples:
  collector init  # asks for all that it needs
  collector init -c eu.yaml --org acme --timezone Europe/Berlin \\
      --username-env ACME_USERNAME --access-key-env ACME_ACCESS_KEY
""",
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=PathType(path_type=Path),
    help="The file to write. Default: $COLLECTOR_CONFIG, config/collector.yaml.",
)
@click.option("--org", metavar="NAME", help="The name of the org, in records, logs and reports.")
@click.option(
    "--timezone", metavar="ZONE", shell_complete=complete_zone, help="Its calendar, such as Europe/Berlin or +05:30."
)
@_secrets
@click.option(
    "--population",
    "populations",
    multiple=True,
    type=Choice(["account-user", "service-user"]),
    help="The users whose usage is collected; repeatable. Default: both.",
)
@click.option("--base-url", metavar="URL", help="The URL of the API, if it isn't the usual one.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    shell_complete=complete_directory,
    help="A directory for sealed files, or - for stdout. Default: usage.",
)
def init(**options: Any) -> int:
    """Write a config with a first org, with mode 0600, and run `check` on it.

    At a terminal it asks for what no option gives. A secret that is typed there is not shown, and goes into a file of
    mode 0600 beside the config. Elsewhere, options give the org, its zone and its credential. A file that is there is
    never replaced.
    """
    from collector.cli import init as act  # noqa: PLC0415

    return act.init(**options)
