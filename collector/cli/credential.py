"""Where the credential of a first org comes from: variables, files, or what is typed. No secret is an argument."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from collector.adapters.text import printable
from collector.cli.questions import Flaw, Questions, ask, choose
from collector.config.first import flaw_of_org, is_unset
from collector.config.secrets import BOTH_KINDS
from collector.disk import HomeError, at_home

_ASKED = {"username": "User name of an admin", "access_key": "Access key", "token": "Token"}
_LONGEST_SLUG = 40


@dataclass(frozen=True, slots=True)
class CredentialQuestions:
    """Asks for the credential of an org in a config, which isn't written yet."""

    config: Path
    questions: Questions
    options: Mapping[str, Any]
    typed: dict[Path, str] = field(default_factory=dict, repr=False)  # secrets, by the files that are to hold them

    def keys(self, org: str) -> dict[str, str]:
        """Return the keys of the credential and their values. Raises UsageError for options that can't be."""
        given = {name: self._given(name) for name in _ASKED}
        has_basic = bool(given["username"] or given["access_key"])
        if given["token"] and has_basic:
            raise click.UsageError(BOTH_KINDS)
        is_token = bool(given["token"])
        if self.questions.asks and not is_token and not has_basic:
            question = "Credential: a user name with an access key, or a token"
            is_token = choose(question, ("access-key", "token"), "access-key") == "token"
        names = ("token",) if is_token else ("username", "access_key")
        return dict(given[name] or self._found(name, org) for name in names)

    def _given(self, name: str) -> tuple[str, str] | None:
        """Return the key and the value that an option gives."""
        given = [key for key in (f"{name}_env", f"{name}_file") if self.options[key] is not None]
        if len(given) > 1:
            raise click.UsageError(f"give either {_option(given[0])} or {_option(given[1])}: not both")
        if not given:
            return None
        flaw = self._flaw_of_variable if given[0].endswith("_env") else self._flaw_of_file
        text = self.questions.answer(str(self.options[given[0]]), _option(given[0]), "", flaw(given[0]), default=None)
        return given[0], text if given[0].endswith("_env") else self._as_written(text)

    def _found(self, name: str, org: str) -> tuple[str, str]:
        """Return the key and the value that a person gives."""
        if not self.questions.asks:
            self.questions.missing.append(f"{_option(name)}-env or {_option(name)}-file")
            return name, ""
        slug = re.sub(r"[^a-z0-9]+", "-", org.casefold())[:_LONGEST_SLUG].strip("-") or "org"
        variable = re.sub(r"^(?=[0-9])", "ORG_", f"{slug}_{name}".upper().replace("-", "_"))
        file = self.config.parent / "secrets" / f"{slug}-{name}".replace("_", "-")
        is_there = os.path.lexists(file)
        default = "env" if variable in os.environ else "file" if is_there else "type"
        while True:
            source = choose(f"{_ASKED[name]}: where from", ("type", "env", "file"), default)
            if source == "env":
                key = f"{name}_env"
                return key, ask("  environment variable", self._flaw_of_variable(key), default=variable)
            if source == "file":
                key = f"{name}_file"
                return key, self._as_written(ask("  file", self._flaw_of_file(key), default=str(file)))
            if name == "username":
                return name, ask("  user name", self._flaw(name))
            if not is_there:
                text = ask(f"  {_ASKED[name].lower()}, not shown", self._flaw(name), hidden=True)
                self.typed[file] = f"{text}\n"
                return f"{name}_file", self._as_written(str(file))
            click.echo(f"  {printable(str(file), 400)} is there already, and is never replaced")

    def _as_written(self, file: str) -> str:
        """Return a file as the config names it: relative to the config, if it is below its directory."""
        absolute, directory = Path(at_home(file)).absolute(), self.config.absolute().parent
        return str(absolute.relative_to(directory) if absolute.is_relative_to(directory) else absolute)

    def _flaw(self, key: str) -> Flaw:
        return lambda text: flaw_of_org(key, text, config=self.config, environ=os.environ)

    def _flaw_of_file(self, key: str) -> Flaw:
        def flaw(text: str) -> str | None:
            try:
                return self._flaw(key)(self._as_written(text))
            except HomeError as error:
                return str(error)

        return flaw

    def _flaw_of_variable(self, key: str) -> Flaw:
        """Accept also a variable that is to be set later: the check names it."""
        return lambda text: None if is_unset(text, os.environ) else self._flaw(key)(text)


def _option(key: str) -> str:
    return f"--{key}".replace("_", "-")
