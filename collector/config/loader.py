"""Loading: from the path of a config to settings and orgs, or to all its problems.

Owns the order of the steps. Sends nothing to the API, and reads only the files that the config names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ValidationError

from collector.adapters.clock import SystemClock
from collector.config.document import Document, read_document
from collector.config.fitting import exposed_files, misfits, same_credentials, unlikely_settings
from collector.config.layers import Layers, section, variables_tree
from collector.config.messages import KeyPath, or_null, says_off
from collector.config.org_files import entries_of_config, entries_of_file, find_org_files, matching_now
from collector.config.orgs import Entry, duplicates, read_org, variables_of
from collector.config.problems import findings
from collector.config.secrets import Secrets
from collector.config.settings import Settings
from collector.config.urls import contains_password, ledger_url_of_file
from collector.config.variables import misspelt
from collector.core.budgets import Budget
from collector.core.prices import PriceList
from collector.errors import ConfigError, Problem
from collector.model import Org

READ_PATHS = frozenset(
    {
        ("api", "ca_file"),
        ("service", "token_file"),
        ("state", "password_file"),
        ("output", "password_file"),
        ("push", "otlp", "headers_file"),
    }
)  # relative to the config
OFF_BY_NULL = frozenset({("schedule", "reconcile"), ("push",), ("push", "otlp")})  # sections
NO_ORGS = (
    "there are no orgs: add one below `orgs:` (`- name: …` with username_env and access_key_env), "
    "or a file with orgs that `org_files` matches"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A valid config: its settings and orgs, the files that were read, and warnings."""

    settings: Settings
    orgs: tuple[Org, ...]
    path: Path
    files: tuple[Path, ...]
    warnings: tuple[Problem, ...]
    places: Mapping[str, Problem] = field(default_factory=dict)  # each org's place, for later problems
    prices: PriceList = field(default_factory=PriceList)
    budgets: tuple[Budget, ...] = ()


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    reads_secrets: bool = True,
) -> LoadedConfig:
    """Return the config in a file, overridden by variables and options.

    `overrides` is a nested mapping of options; None in it means that an option isn't given. Without `reads_secrets`,
    the orgs' secrets in variables and files are not needed, and nothing can be sent.
    Raises ConfigError with all problems, in the order of files and lines.
    """
    document = read_document(path)
    if not isinstance(document.data, dict):
        message = "expected a mapping: `api:`, `orgs:` and so on, each at the start of a line"
        raise ConfigError([Problem(message=message, file=str(path), line=document.root.start_mark.line + 1)])
    problems = list(document.problems)
    data = with_valid_sections(Settings, document.data, document, problems)
    entries = list(entries_of_config(document, data.pop("orgs", None), problems))
    variables = variables_tree(Settings, environ)
    layers = Layers(overrides=given(overrides or {}), variables=variables, document=document, data=data)

    before = len(problems)
    org_files, more = read_org_files(document, data, problems)
    entries += more
    if not entries and document.data.get("orgs") in (None, []) and len(problems) == before:
        problems.append(Problem(message=NO_ORGS, file=str(path)))
    settings = read_settings(layers, problems)
    secrets = Secrets(environ, reads=reads_secrets)
    warn_of_ledger_password(document, data, secrets)
    orgs = [org for entry in entries if (org := read_org(entry, secrets, problems))]
    problems += duplicates(entries)
    problems += misspelt(Settings, environ, theirs=variables_of(entries))
    if settings:
        problems += misfits(settings, layers, orgs, last_year=SystemClock().now().year + 10)

    order = {str(file): place for place, file in enumerate([path, *org_files])}
    if settings is None or problems:
        raise ConfigError(in_order(problems, order))
    warnings = [
        *secrets.warnings,
        *exposed_files(settings, layers),
        *same_credentials(settings, orgs),
        *unlikely_settings(settings, layers, orgs),
    ]
    return LoadedConfig(
        settings=settings,
        orgs=tuple(org.to_org(settings) for org in orgs),
        path=path,
        files=(path, *org_files, *secrets.files, *filter(None, secret_files(settings))),
        warnings=in_order(warnings, order),
        places={org.settings.name: org.entry.problem("", "timezone") for org in orgs},
        prices=settings.prices.price_list(),
        budgets=tuple(one.budget(settings.prices) for one in settings.budgets),
    )


def secret_files(settings: Settings) -> tuple[Path | None, ...]:
    """Return the files that settings name, beside those of the orgs' secrets."""
    return settings.api.ca_file, settings.state.password_file, settings.output.password_file


def files_now(config: LoadedConfig) -> set[Path]:
    """Return the files that a load of this config would read now: those of the last load, and new ones."""
    return {*config.files, *matching_now(config.settings.org_files, config.path.parent)}


def warn_of_ledger_password(document: Document, data: Mapping[str, object], secrets: Secrets) -> None:
    """Warn if users other than the config's owner can read the ledger's password in it."""
    state = data.get("state")
    if isinstance(state, dict) and contains_password(str(state.get("url"))):
        message = "others on this machine can read the ledger's password"
        secrets.warn(document.file, document.mode, message, document, ("state", "url"))


def read_org_files(
    document: Document, data: Mapping[str, object], problems: list[Problem]
) -> tuple[list[Path], list[Entry]]:
    """Return the files that `org_files` names, and the orgs in them."""
    patterns = data.get("org_files", Settings.model_fields["org_files"].default)
    files = find_org_files(patterns, document, problems) if isinstance(patterns, list | tuple) else []
    return files, [entry for file in files for entry in entries_of_file(file, problems)]


def in_order(problems: list[Problem], order: Mapping[str, int]) -> tuple[Problem, ...]:
    """Return problems by file and line; those of options and variables first."""
    return tuple(sorted(problems, key=lambda one: (order.get(one.file or "", -1), one.line or 0)))


def given(overrides: Mapping[str, object]) -> dict[str, object]:
    """Return the options that are given."""
    return {
        name: given(value) if isinstance(value, Mapping) else value
        for name, value in overrides.items()
        if value is not None
    }


def with_valid_sections(
    model: type[BaseModel],
    tree: Mapping[str, object],
    document: Document,
    problems: list[Problem],
    above: KeyPath = (),
) -> dict[str, object]:
    """Return the file's values without sections that aren't mappings, and report those.

    They are removed first, since a variable for one of their keys would hide the problem.
    """
    kept: dict[str, object] = {}
    for name, value in tree.items():
        path = (*above, name)
        inner = section(model.model_fields[name]) if name in model.model_fields else None
        if inner and isinstance(value, dict):
            kept[name] = with_valid_sections(inner, value, document, problems, path)
        elif inner and value is not None:
            off = or_null(value) if path in OFF_BY_NULL else ""
            problems.append(document.problem(path, f"expected a mapping: its keys, indented, one per line{off}"))
        elif path in READ_PATHS and isinstance(value, str) and value and not (value.startswith("~") or says_off(value)):
            kept[name] = str(document.file.parent / value)
        elif path in {("state", "url"), ("output", "path")} and isinstance(value, str):
            kept[name] = ledger_url_of_file(value, document.file.parent)
        else:
            kept[name] = value
    return kept


def read_settings(layers: Layers, problems: list[Problem]) -> Settings | None:
    """Return the settings, or None if they have problems, which are added to the list."""
    try:
        return Settings.of(layers)
    except ValidationError as error:
        problems += [
            layers.problem(path, text) for path, text in findings(error, Settings, more=("orgs",), null_is_off=True)
        ]
        return None
