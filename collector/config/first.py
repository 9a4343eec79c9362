"""A first config, with one org: the answers of a person, each by the rules of the config, and the text of the file.

Owns no default and no description of a key: they are those of the sections. Reads and writes no config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from collector.config.document import Document
from collector.config.orgs import Entry, OrgSettings, read_org
from collector.config.problems import findings
from collector.config.secrets import SHOWN_VARIABLE, Secrets
from collector.config.sections import Api, Defaults, Output
from collector.errors import Problem

Value = str | Sequence[str]
DEFAULT_ZONE = Defaults().timezone.name
DEFAULT_POPULATIONS = tuple(map(str, Defaults().populations))
DEFAULT_URL = Api().base_url
_ONLY_OWNER = 0o600
_COMMENTS_AT = 42  # column
_OTHERS = {"username": {"access_key": "x"}, "access_key": {"username": "x"}}  # without which a credential isn't whole
_EXAMPLES = {"org_id": "12345", "since": "2026-01-31", "labels": "{cost_center: qa-platform}"}
_HEAD = """\
# A config of the usage collector, begun by `collector init`. After each change: collector check
# All other keys have defaults. Every key: `collector schema config`, or collector.example.yaml.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstConfig:
    """What the file says; a key without a value has its default."""

    org: Mapping[str, Value]
    base_url: str | None = None
    output: str | None = None

    def text(self) -> str:
        """Return the file: the keys, each with its description, and some keys of an org as comments."""
        return "\n".join([_HEAD, *self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        if self.base_url is not None:
            yield "api:"
            yield _line("  ", Api, "base_url", self.base_url)
            yield ""
        yield "orgs:"
        for n, (key, value) in enumerate(self.org.items()):
            yield _line("    " if n else "  - ", OrgSettings, key, value)
        for key, example in _EXAMPLES.items():
            quoted = example if key == "labels" else f'"{example}"'
            yield _commented(f"    # {key}: {quoted}", OrgSettings, key)
        if self.output is not None:
            yield ""
            yield "output:"
            yield _line("  ", Output, "path", self.output)


def flaw_of_org(key: str, value: Value, *, config: Path, environ: Mapping[str, str]) -> str | None:
    """Return why an org in that file can't have a value, if there is a reason."""
    name, problems = key.removesuffix("_env").removesuffix("_file"), list[Problem]()
    raw = {"name": "org", **_OTHERS.get(name, {} if name == "token" else {"token": "x"}), key: value}
    root = yaml.MappingNode("", [])
    document = Document(file=config, data={}, mode=_ONLY_OWNER, root=root)
    read_org(Entry(document, (), raw), Secrets(environ), problems)
    return next((one.message for one in problems if (one.path or "").partition("[")[0] == key), None)


def is_unset(variable: str, environ: Mapping[str, str]) -> bool:
    """Say whether a variable isn't set, and can be nothing but a variable: people paste the secret itself."""
    return variable not in environ and bool(SHOWN_VARIABLE.fullmatch(variable))


def flaw_of_url(value: str) -> str | None:
    """Return why the API can't have that URL, if there is a reason."""
    return _flaw(Api, "base_url", value)


def flaw_of_output(value: str) -> str | None:
    """Return why the records can't go there, if there is a reason."""
    return _flaw(Output, "path", value)


def _flaw(section: type[BaseModel], key: str, value: str) -> str | None:
    try:
        section.model_validate({key: value})
    except ValidationError as error:
        return next(message for _, message in findings(error, section))
    return None


def _line(indent: str, section: type[BaseModel], key: str, value: Value) -> str:
    text = _quoted(value) if isinstance(value, str) else f"[{', '.join(map(_quoted, value))}]"
    return _commented(f"{indent}{key}: {text}", section, key)


def _commented(text: str, section: type[BaseModel], key: str) -> str:
    return f"{text:<{_COMMENTS_AT}}  # {section.model_fields[key].description}"


def _quoted(value: str) -> str:
    """Return a text as YAML, plain where every reader of YAML takes it for this text: some read +05:30 as a number."""
    plain = yaml.safe_dump(value, allow_unicode=True, width=float("inf")).removesuffix("\n...\n").rstrip("\n")
    if plain == value and value[0].isalpha():
        return plain
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")
