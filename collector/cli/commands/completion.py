"""How `collector completion` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import Choice


@click.command(
    short_help="Let the shell complete names.",
    epilog="""\b
Examples:
  eval "$(collector completion bash)"  # ~/.bashrc
  eval "$(collector completion zsh)"   # ~/.zshrc, after compinit
  collector completion fish | source   # ~/.config/fish/config.fish
""",
)
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
def completion(**options: Any) -> None:
    """Print the script with which a shell completes commands, options, orgs and labels.

    Names of orgs and labels come from the config that the command line names, else from the default one.
    """
    from collector.cli import completion as act  # noqa: PLC0415

    act.print_script(**options)
