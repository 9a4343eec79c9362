"""The orgs: entries of the config and of its files of orgs, as values of the model.

Owns the keys of an org, and that names are unique over all files. Every org is checked by
itself, so that the problems of one don't hide those of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, WithJsonSchema

from collector.config.document import Document
from collector.config.messages import KeyPath
from collector.config.names import Labels, Name
from collector.config.problems import findings
from collector.config.secrets import Secrets
from collector.config.sections import Populations, Section, Text, key
from collector.config.settings import Settings
from collector.config.types import Date, ZoneName
from collector.config.urls import ApiUrl
from collector.errors import Problem
from collector.model import Credential, Granularity, Org

Secret = Annotated[
    SecretStr,
    WithJsonSchema({"type": ["string", "number", "boolean"], "format": "password", "writeOnly": True}),
]


class OrgSettings(Section):
    """One org: its name, its credential, and what differs from `defaults`."""

    name: Name = Field(description="the org's name in records, logs and reports; unique")
    username: Secret | None = key(None, "username for Basic, literally")
    username_env: str | None = key(None, "environment variable with the username")
    username_file: str | None = key(None, "file with the username, relative to this file")
    access_key: Secret | None = key(None, "access key for Basic, literally")
    access_key_env: str | None = key(None, "environment variable with the access key")
    access_key_file: str | None = key(None, "file with the access key, relative to this file")
    token: Secret | None = key(None, "token for Bearer, literally")
    token_env: str | None = key(None, "environment variable with the token")
    token_file: str | None = key(None, "file with the token, relative to this file")
    org_id: Text | None = key(None, "refuse answers of any other organization")
    base_url: ApiUrl | None = key(None, "URL of this org's API, if not api.base_url")
    timezone: ZoneName | None = key(None, "the org's calendar, if not defaults.timezone")
    granularity: Granularity | None = key(None, "length of the windows, if not defaults.granularity")
    populations: Populations | None = key(None, "the users whose usage is collected, if not defaults.populations")
    since: Date | None = key(None, "nothing older is wanted, if not defaults.since")
    labels: Labels | None = key(None, "copied to every record of this org")


@dataclass(frozen=True, slots=True)
class Entry:
    """One org as it is written, and its place."""

    document: Document
    path: KeyPath
    raw: object

    def problem(self, message: str, *below: str | int) -> Problem:
        """Return a problem of this org or of one of its keys."""
        return self.document.problem((*self.path, *below), message)


@dataclass(frozen=True, slots=True)
class ReadOrg:
    """An org that is valid by itself."""

    entry: Entry
    settings: OrgSettings
    credential: Credential

    def to_org(self, settings: Settings) -> Org:
        """Return the org as the rest of the collector knows it, with the defaults applied."""
        own, defaults = self.settings, settings.defaults
        return Org(
            name=own.name,
            base_url=own.base_url or settings.api.base_url,
            credential=self.credential,
            zone=own.timezone or defaults.timezone,
            granularity=own.granularity or defaults.granularity,
            populations=own.populations or defaults.populations,
            since=own.since or defaults.since,
            org_id=own.org_id,
            labels=own.labels or {},
        )


def read_org(entry: Entry, secrets: Secrets, problems: list[Problem]) -> ReadOrg | None:
    """Return an org, or None if it has problems, which are added to the list."""
    if not isinstance(entry.raw, dict):
        problems.append(entry.problem("expected a mapping: `name: …` and the org's other keys, one per line"))
        return None
    before = len(problems)
    settings = None
    try:
        settings = OrgSettings.model_validate(entry.raw)
    except ValidationError as error:
        for path, message in findings(error, OrgSettings):
            missing = path == ("name",) and "name" not in entry.raw
            problems.append(entry.problem(message, *(() if missing else path)))
    credential, wrong = secrets.credential(entry.raw, entry.document, entry.path)
    problems += wrong
    if settings is None or credential is None or len(problems) > before:
        return None
    return ReadOrg(entry, settings, credential)


def variables_of(entries: Iterable[Entry]) -> set[str]:
    """Return the names of the variables that orgs name for their secrets."""
    return {
        name
        for entry in entries
        if isinstance(entry.raw, dict)
        for key_, name in entry.raw.items()
        if isinstance(key_, str) and key_.endswith("_env") and isinstance(name, str)
    }


def duplicates(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Yield a problem for every name that another org has already."""
    first: dict[str, Entry] = {}
    for entry in entries:
        name = entry.raw.get("name") if isinstance(entry.raw, dict) else None
        if isinstance(name, str) and first.setdefault(name, entry) is not entry:
            other = first[name].problem("", "name")
            yield entry.problem(f"is already the name of the org at {other.file}:{other.line}", "name")
