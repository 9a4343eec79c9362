"""The commands by name. Each is imported when it is called: none waits for the imports of another."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

SUMMARIES: Mapping[str, str] = {
    "backfill": "Collect a past range.",
    "check": "Test the config and each credential.",
    "collect": "Collect what every org needs now.",
    "completion": "Let the shell complete names.",
    "demo": "Try it without an account.",
    "export": "Write the present numbers, or their sums.",
    "forget": "Say that orgs are meant to be gone.",
    "healthcheck": "Test whether `serve` is alive.",
    "init": "Write a first config.",
    "ledger": "Look at the ledger, check it, back it up.",
    "plan": "Show what would be fetched.",
    "reconcile": "Compare with the API's totals.",
    "relabel": "Restate records with new names and labels.",
    "report": "Show usage and its changes, also as a page.",
    "schema": "Print a JSON Schema, the Arrow schema, or SQL.",
    "serve": "Run as a service, with a status page.",
    "simulate": "Serve a simulated API.",
    "status": "Show what is complete and what is not.",
}


class Commands(click.Group):
    """A group whose commands are functions of modules, both with the command's name."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: click.Command(name, short_help=text) for name, text in SUMMARIES.items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; return None if there is none of that name."""
        del ctx
        if cmd_name not in self.commands:
            return None
        command: click.Command = getattr(import_module(f"collector.cli.commands.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in self.list_commands(ctx)])
