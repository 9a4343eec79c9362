"""The secrets of orgs: literal, from a variable or from a file.

Owns the three forms (literal, `_env`, `_file`), which keys exclude each other, and whether a
text can be that secret. No message contains any part of a secret. People do write the secret
itself in place of its variable or file, so such a name is shown only if it can't be a secret.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.adapters.paths import named
from collector.config.document import Document
from collector.config.messages import KeyPath
from collector.disk import HomeError, at_home
from collector.errors import Problem
from collector.model import BasicCredential, BearerCredential, Credential, UnreadCredential

NAMES = ("username", "access_key", "token")
FORMS = ("", "_env", "_file")
KEYS = frozenset(name + form for name in NAMES for form in FORMS)
MAX_BYTES = 64 * 2**10
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
SHOWN_VARIABLE = re.compile(r"(?=.*_|[A-Z]{1,12}\Z)[A-Z_][A-Z0-9_]{0,63}")  # access keys have small letters or digits
PLACEHOLDER = re.compile(r"\$\{[^{}]*\}|\$\([^()]*\)|\{\{.*\}\}|<[^<>]*>")
TOKEN = re.compile(r"[!-~]+")
OTHERS_READ = 0o044
SECRET_MOUNTS = ("/run/secrets/", "/var/run/secrets/")
KUBERNETES_VERSION = re.compile(r"\.\.(?:data|\d{4}_\d{2}_\d{2}.*)")

NO_CREDENTIAL = "has no credential: give username and access_key, or token (each literally, or as …_env or …_file)"
BOTH_KINDS = "give username and access_key, or a token, but not both"


class FlawError(Exception):
    """A secret can't be used; the message contains no part of it."""


@dataclass(slots=True)
class Secrets:
    """Finds the secrets of one load, and keeps the files that it read and its warnings.

    Unless it `reads`, no variable and no file with a secret is needed: only a user's name is read, if it is there.
    """

    environ: Mapping[str, str] = field(repr=False)
    reads: bool = True
    files: list[Path] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _read: dict[Path, str] = field(default_factory=dict, repr=False)
    _modes: dict[Path, int] = field(default_factory=dict)
    _warned: set[Path] = field(default_factory=set)

    def credential(
        self, org: Mapping[str, object], document: Document, path: KeyPath
    ) -> tuple[Credential | None, list[Problem]]:
        """Return an org's credential, or None and its problems."""
        given = {name: [name + form for form in FORMS if name + form in org] for name in NAMES}
        problems: list[Problem] = []
        found: dict[str, str | None] = {}
        for name, keys in given.items():
            filled = [key for key in keys if org[key] is not None] or keys[:1]
            for key in filled[1:]:
                message = f"`{filled[0]}` is given as well: give each secret in one form only"
                problems.append(document.problem((*path, key), message))
            if len(filled) == 1 and (org[filled[0]] is None or isinstance(org[filled[0]], str)):
                try:
                    found[name] = self._needed(name, filled[0], org[filled[0]], document, (*path, filled[0]))
                except FlawError as flaw:
                    problems.append(document.problem((*path, filled[0]), str(flaw)))
        problems += [document.problem((*path, key), text) for key, text in mismatches(given)]
        if not any(given.values()):
            problems.append(document.problem(path, NO_CREDENTIAL))
        if problems:
            return None, problems
        return self._credential(**found), []

    def _credential(
        self, *, username: str | None = None, access_key: str | None = None, token: str | None = None
    ) -> Credential | None:
        """Return the credential of what was found; None for a value of another type: the models report it."""
        if token is not None:
            return BearerCredential(token=token)
        if username is not None and access_key is not None:
            return BasicCredential(username=username, access_key=access_key)
        return None if self.reads else UnreadCredential(username=username)

    def _needed(self, name: str, key: str, value: object, document: Document, path: KeyPath) -> str | None:
        """Return one secret; None if it is in a variable or a file and not needed. Raises FlawError."""
        needed = self.reads or key == name or not value
        if not needed and name != "username":
            return None
        try:
            return self.secret(name, key, value, document, path)
        except FlawError:
            if needed:
                raise
            return None

    def secret(self, name: str, key: str, value: object, document: Document, path: KeyPath) -> str:
        """Return one secret. Raises FlawError."""
        if not isinstance(value, str) or not value:
            raise FlawError("is empty")
        if key.endswith("_env"):
            subject, text = self.from_variable(value)
        elif key.endswith("_file"):
            try:
                file = document.file.parent / at_home(value)
            except HomeError as error:
                raise FlawError(str(error)) from None
            subject = f"the secret file {named(file)}"
            text = self.from_file(file, subject)
            if name != "username":
                self.warn(file, self._modes[file], f"others on this machine can read {subject}", document, path)
        else:
            subject, text = "", value
            if name != "username":
                message = "others on this machine can read this secret"
                self.warn(document.file, document.mode, message, document, path)
        text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
        if what := flaw_of(name, text):
            raise FlawError(f"{subject} {what}".strip())
        return text

    def from_variable(self, variable: str) -> tuple[str, str]:
        """Return a variable's description for messages, and its value."""
        if not VARIABLE.fullmatch(variable):
            raise FlawError(
                "must be the name of an environment variable (letters, digits and _); "
                "the value isn't shown, as it may be the secret itself"
            )
        shown = variable if SHOWN_VARIABLE.fullmatch(variable) else "named here"
        subject = f"the environment variable {shown}"
        if variable not in self.environ:
            raise FlawError(f"{subject} is not set")
        return subject, self.environ[variable]

    def from_file(self, file: Path, subject: str) -> str:
        """Return the text of a secret file."""
        if file in self._read:
            return self._read[file]
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise FlawError(f"{subject} isn't a regular file")
            if status.st_size > MAX_BYTES:
                raise FlawError(f"{subject} is larger than 64 KiB")
            text = file.read_bytes().decode()
        except FileNotFoundError:
            raise FlawError(f"{subject} doesn't exist") from None
        except UnicodeDecodeError:
            raise FlawError(f"{subject} isn't UTF-8 text") from None
        except (OSError, ValueError) as error:
            raise FlawError(f"{subject} can't be read: {getattr(error, 'strerror', 'not a path')}") from None
        self._read[file], self._modes[file] = text, status.st_mode
        self.files.append(file)
        return text

    def warn(self, file: Path, mode: int, message: str, document: Document, path: KeyPath) -> None:
        """Warn once per file that users other than its owner can read a secret."""
        if file not in self._warned and exposed(file, mode):
            self._warned.add(file)
            self.warnings.append(document.problem(path, f"{message}: chmod 600 {file}"))


def exposed(file: Path, mode: int) -> bool:
    """Return whether users other than its owner can read a file, by its mode."""
    return bool(mode & OTHERS_READ) and not is_secret_mount(file)


def mismatches(given: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Return the keys that exclude each other or lack another, with the problem."""
    if given["token"]:
        return [(keys[0], BOTH_KINDS) for name, keys in given.items() if keys and name != "token"]
    for here, missing in (("username", "access_key"), ("access_key", "username")):
        if given[here] and not given[missing]:
            return [(given[here][0], f"needs {missing} as well ({missing}, {missing}_env or {missing}_file)")]
    return []


def flaw_of(name: str, text: str) -> str | None:
    """Return the reason why a text can't be that secret, if there is one."""
    odd = next((character for character in text if not character.isprintable()), None)
    checks = (
        (not text, "is empty"),
        (PLACEHOLDER.fullmatch(text), f"is a placeholder, which nothing replaces: name the variable in {name}_env"),
        (odd in ("\n", "\r"), "contains a line break"),
        (odd is not None, f"contains an invisible character (U+{ord(odd or ' '):04X})"),
        (text != text.strip(), "begins or ends with a space"),
        (name == "username" and ":" in text, "contains a colon, which Basic authentication doesn't allow"),
        (name == "token" and text[:7].lower() == "bearer ", "begins with `Bearer`: write only the token"),
        (name == "token" and not TOKEN.fullmatch(text), "contains a character that isn't allowed in a token"),
    )  # fmt: skip
    return next((message for wrong, message in checks if wrong), None)


def is_secret_mount(file: Path) -> bool:
    """Return whether Kubernetes or Docker mounted the file as a secret: they set its mode, not the user."""
    for place in (file.absolute(), file.resolve()):
        if str(place).startswith(SECRET_MOUNTS) or any(map(KUBERNETES_VERSION.fullmatch, place.parts)):
            return True
    return False
