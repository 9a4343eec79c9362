"""Questions at a terminal. An answer is that of an option, else what a person types, else the default."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import click

from collector.adapters.text import printable

Flaw = Callable[[str], str | None]
_LONGEST = 400  # of a message


def is_terminal() -> bool:
    """Say whether a person can be asked here."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks, if there is a terminal; else notes which options are missing."""

    asks: bool
    missing: list[str] = field(default_factory=list)

    def answer(
        self, given: str | None, option: str, question: str, flaw: Flaw, *, default: str | None, needed: bool = False
    ) -> str:
        """Return an answer without a flaw. A `needed` one has no default where nobody can be asked.

        Raises UsageError for an option with a flaw.
        """
        if given is not None:
            if message := flaw(given):
                raise click.UsageError(f"{option}: {printable(message, _LONGEST)}")
            return given
        if self.asks:
            return ask(question, flaw, default=default)
        if needed or default is None:
            self.missing.append(option)
        return default or ""


def ask(question: str, flaw: Flaw, *, default: str | None = None, hidden: bool = False) -> str:
    """Ask until the answer has no flaw."""
    while True:
        text = str(click.prompt(question, default=default, hide_input=hidden, show_default=not hidden))
        if not (message := flaw(text)):
            return text
        click.echo(f"  {printable(message, _LONGEST)}")


def choose(question: str, choices: Sequence[str], default: str) -> str:
    """Ask for one of some words."""

    def flaw(text: str) -> str | None:
        return None if text in choices else f"type one of these: {', '.join(choices)}"

    return ask(f"{question} ({', '.join(choices)})", flaw, default=default)
