"""Commands that fetch nothing: how much CPU their start takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.side_by_side.contenders import ROOT, Contender
from benchmarks.side_by_side.contenders.collector import command, write_config
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import Command, run
from tests.support.commands import calm

_REPEATS = 5


def starts(python: str) -> list[Contender]:
    """Return Python's own start, and the commands that need no more than click."""
    return [
        _start("pass", "`python -c pass`", lambda _job, _directory: [Command([python, "-c", "pass"])]),
        _command(python, ROOT, "version", "--version"),
        _command(python, ROOT, "help", "--help"),
        replace(
            _command(python, ROOT, "usage-error", "collect", "--lats", "7d"), title="a misspelt option", codes=(2,)
        ),
    ]


def compared(python: str, checkout: Path, *, suffix: str = "") -> list[Contender]:
    """Return the commands that are compared with those of another checkout."""
    return [
        _command(python, checkout, f"check-help{suffix}", "check", "--help"),
        _with_a_ledger(python, checkout, f"status{suffix}", "status"),
        _with_a_ledger(python, checkout, f"nothing-due{suffix}", "collect", "-q", "-o", "out"),
    ]


def _command(python: str, checkout: Path, name: str, *args: str) -> Contender:
    return _start(name, _title(checkout, *args), lambda _job, _directory: [command(python, checkout, *args)])


def _with_a_ledger(python: str, checkout: Path, name: str, *args: str) -> Contender:
    """Collect what is due of a few orgs, so that nothing is due when the command is measured."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        write_config(replace(job, orgs=min(job.orgs, 10)), directory)
        run([command(python, checkout, "collect", "-q", "-o", "out", **calm())], directory)
        return [command(python, checkout, *args, **calm())]

    return _start(name, _title(checkout, args[0]), prepare)


def _title(checkout: Path, *args: str) -> str:
    return f"`collector {' '.join(args)}`" + ("" if checkout == ROOT else ", before")


def _start(name: str, title: str, prepare: Callable[[Job, Path], Sequence[Command]]) -> Contender:
    return Contender(name=name, title=title, prepare=prepare, repeats=_REPEATS, requests=0)
