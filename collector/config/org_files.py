"""The files of orgs: which files there are, and the entries in each.

Owns globs, the order of files, and the shape of such a file. The keys of an org belong to `orgs`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from collector.adapters.paths import named
from collector.config.document import Document, read_document
from collector.config.messages import unknown_key
from collector.config.orgs import Entry
from collector.config.settings import Settings
from collector.disk import HomeError, at_home
from collector.errors import ConfigError, Problem

MAGIC = frozenset("*?[")


def find_org_files(patterns: Sequence[object], config: Document, problems: list[Problem]) -> list[Path]:
    """Return the files that paths and globs name, sorted, each once, without the config itself.

    A glob may match nothing. A path must exist, and a directory must be readable, so that no
    org is left out by mistake.
    """
    base = config.file.parent
    found: dict[str, Path] = {}
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str) or not pattern:
            continue  # the models report it
        try:
            matches, flaw = _matches(base, at_home(pattern))
        except HomeError as error:
            matches, flaw = [], str(error)
        if flaw:
            problems.append(config.problem(("org_files", index), flaw))
            continue
        for match in matches:
            found.setdefault(os.path.realpath(match), match)
    found.pop(os.path.realpath(config.file), None)
    return sorted(found.values())


def _matches(base: Path, pattern: str) -> tuple[list[Path], str | None]:
    """Return the files that a path or glob names, and why it can't be used, if there is a reason."""
    if MAGIC.isdisjoint(pattern):
        file = base / pattern
        if not file.exists():
            return [], f"the file {named(file)} doesn't exist"
        if file.is_dir():
            return [], f"{file} is a directory; for all files in it write {pattern.rstrip('/')}/*.yaml"
        return [file], None
    folder = fixed_part(base, pattern)
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        return [], f"the directory {folder} can't be read: permission denied"
    return [base / match for match in shell_glob(base, pattern)], None


def matching_now(patterns: Sequence[str], base: Path) -> list[Path]:
    """Return the files that the patterns of a config in that directory match now."""
    return [base / match for pattern in patterns for match in shell_glob(base, at_home(pattern))]


def shell_glob(base: Path, pattern: str) -> list[str]:
    """Return what a shell would match: unlike Path.glob, no hidden files (backups, Kubernetes' own `..data`)."""
    return glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207, RUF100


def fixed_part(base: Path, pattern: str) -> Path:
    """Return the directory that a glob begins to look in."""
    folder = base
    for part in Path(pattern).parts:
        if not MAGIC.isdisjoint(part):
            break
        folder = folder / part
    return folder


def entries_of_config(document: Document, orgs: object, problems: list[Problem]) -> Iterator[Entry]:
    """Yield the orgs of the config itself."""
    if isinstance(orgs, list):
        yield from (Entry(document, ("orgs", index), raw) for index, raw in enumerate(orgs))
    elif orgs is not None:
        kind = "a mapping" if isinstance(orgs, dict) else "text"
        message = f"expected a list of orgs, each beginning with `- name: …`, got {kind}"
        problems.append(document.problem(("orgs",), message))


def entries_of_file(file: Path, problems: list[Problem]) -> Iterator[Entry]:
    """Yield the orgs of another file: a mapping with `orgs`, or a bare list."""
    try:
        document = read_document(file)
    except ConfigError as error:
        problems += error.problems
        return
    problems += document.problems
    match document.data:
        case list() as orgs:
            yield from (Entry(document, (index,), raw) for index, raw in enumerate(orgs))
        case {"orgs": orgs, **others}:
            for name, value in others.items():
                key, text = unknown_key(str(name), ("orgs",), has_value=value is not None)
                if name in Settings.model_fields:
                    key, text = (
                        str(name),
                        f"`{name}` belongs in the main config: a file of orgs has only the key `orgs`",
                    )
                problems.append(document.problem((key,), text))
            yield from entries_of_config(document, orgs, problems)
        case _:
            message = "contains no orgs: write `orgs:` with a list below it, or only a list"
            problems.append(document.problem((), message))
