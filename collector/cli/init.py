"""`collector init`: ask for the first org, write a config, and check it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from collector.adapters.new_files import write_new_files
from collector.adapters.text import printable
from collector.app.invocation import Invocation, invocation_of
from collector.app.prepare import refuse_file_as_output
from collector.cli.check import check
from collector.cli.credential import CredentialQuestions
from collector.cli.questions import Questions, is_terminal
from collector.config import Settings, load
from collector.config.find import PLACES, of_variable
from collector.config.first import (
    DEFAULT_POPULATIONS,
    DEFAULT_URL,
    DEFAULT_ZONE,
    FirstConfig,
    flaw_of_org,
    flaw_of_output,
    flaw_of_url,
)
from collector.config.sections import Output
from collector.core.exit_codes import ExitCode
from collector.disk import at_home, reason_of
from collector.errors import ConfigError

EU_URL = "https://eu-api.lambdatest.com"
_OUTPUT = "usage"  # to begin with; the config's own default is stdout, for pipes
_LONGEST = 400  # of a path
_UNCHANGED: Mapping[str, Any] = {  # the options of `check`
    **dict.fromkeys(("orgs", "labels", "populations"), ()),
    **dict.fromkeys(("log_level", "log_format", "state")),
    **dict.fromkeys(("quiet", "deep", "as_json"), False),
}


def init(config_path: Path | None, **options: Any) -> int:
    """Do what `collector init` is called for; return the exit code of the check."""
    path = config_path or of_variable(os.environ) or PLACES[0]
    _refuse(path)
    questions = Questions(is_terminal())
    credential = CredentialQuestions(path, questions, options)
    if questions.asks:
        click.echo(f"This writes {printable(str(path), _LONGEST)}. Enter takes what is in brackets; Ctrl-C ends it.")
    try:
        first = _answers(questions, credential, options)
    except click.Abort:
        click.echo("\nended: nothing is written", err=True)
        raise
    _write(path, first, credential.typed)
    return _check(path, first)


def _refuse(path: Path) -> None:
    """Raise ConfigError for a file that is there already, or that this user can't write."""
    if os.path.lexists(path):
        raise ConfigError(
            f"{path} is there already, and is never replaced. To add an org, write it below `orgs:` in that file, and "
            "run `collector check`. To write another config, name its file: -c FILE"
        )
    there = next(one for one in path.absolute().parents if os.path.lexists(one))
    if not (os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)):  # noqa: PTH112 - never raises
        raise ConfigError(f"{path} can't be written: {there} is not a directory in which this user can create files")


def _answers(questions: Questions, credential: CredentialQuestions, options: Mapping[str, Any]) -> FirstConfig:
    """Return all answers. Raises UsageError for wrong and for missing options."""

    def flaw(key: str, text: str) -> str | None:
        value = _split(text) if key == "populations" else text
        return flaw_of_org(key, value, config=credential.config, environ=os.environ)

    def answer(key: str, question: str, default: str | None, *, needed: bool = False) -> str:
        option = f"--{key}".replace("_", "-")
        return questions.answer(options[key], option, question, rules[key], default=default, needed=needed)

    rules = {
        "org": lambda text: flaw("name", text),
        "timezone": lambda text: flaw("timezone", text),
        "population": lambda text: flaw("populations", text),
        "base_url": flaw_of_url,
        "output": _flaw_of_output,
    }
    options = {**options, "population": ", ".join(options["populations"]) or None}
    name = answer("org", "Name of the org, in records and reports", None)
    keys = credential.keys(name)
    zone = answer("timezone", "Time zone whose days are counted", DEFAULT_ZONE, needed=True)
    populations = _split(answer("population", "Populations", ", ".join(DEFAULT_POPULATIONS)))
    url = answer("base_url", f"URL of the API (EU: {EU_URL})", DEFAULT_URL)
    output = answer("output", "Directory for the records, or - for stdout", _OUTPUT)
    if questions.missing:
        raise click.UsageError(f"there is no terminal to ask at: add {', '.join(questions.missing)}")
    chosen = {} if set(populations) == set(DEFAULT_POPULATIONS) else {"populations": populations}
    return FirstConfig(
        org={"name": name, **keys, "timezone": zone, **chosen},
        base_url=None if url == DEFAULT_URL else url,
        output=None if output == Output().path else at_home(output),
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"[,\s]+", text.strip(", ")))


def _flaw_of_output(text: str) -> str | None:
    if message := flaw_of_output(text):
        return message
    try:
        refuse_file_as_output(Settings(output=Output(path=text)))
    except ConfigError as error:
        return str(error)
    return None


def _write(path: Path, first: FirstConfig, typed: Mapping[Path, str]) -> None:
    files = {**typed, path: first.text()}
    try:
        write_new_files(files)
    except OSError as error:
        raise ConfigError(f"{path} can't be written, and nothing is: {reason_of(error)}") from error
    click.echo(f"Written, for this user only: {', '.join(printable(str(file), _LONGEST) for file in files)}")


def _check(path: Path, first: FirstConfig) -> int:
    """Run `check` on what was written, and show the next command."""
    again = f"When that is corrected, run: {Invocation(config=str(path.absolute())).check}"
    try:
        code = check(config_path=path, **_UNCHANGED)
    except ConfigError:
        unset = [value for key, value in first.org.items() if key.endswith("_env") and value not in os.environ]
        click.echo(f"Set {' and '.join(map(str, unset))}, then run: {again.partition(': ')[2]}" if unset else again)
        raise
    if code != ExitCode.OK:
        click.echo(again)
        return code
    invocation = invocation_of(load(path, environ=os.environ))
    click.echo(f"Next, collect what is due now, and what is older:\n  {invocation.collect}")
    click.echo(f"  {invocation.backfill} --last 90d")
    return code
