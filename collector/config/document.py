"""A YAML file as plain values, with the line of each value.

Owns reading and composing a file: every scalar stays the text that was written (YAML 1.1
would make 19800 of +05:30 and 83 of 0123), except null. The nodes are kept, so lines are
looked up only for problems. Knows nothing of settings or orgs.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml

from collector.config.messages import KeyPath, dotted
from collector.config.syntax import syntax_problem
from collector.config.values import NO_SHARING, NULL_TAG, Builder
from collector.errors import ConfigError, Problem

try:
    from yaml import CSafeLoader as BaseLoader
except ImportError:  # PyYAML without libyaml: slower, the same otherwise
    from yaml import SafeLoader as BaseLoader  # type: ignore[assignment]

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 40  # deeper nesting is an attack or an accident; libyaml's composer recurses on the C stack
# In JSON, a character beyond U+FFFF may be written as two escapes; YAML has one of eight digits. `odd` backslashes.
_PAIR = re.compile(
    r"(?<!\\)(?P<odd>(?:\\\\)*\\)u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)
NULL = re.compile(r"(?:~|null|Null|NULL)?\Z")  # the resolver only calls match()


class Composing:
    """Makes a loader keep scalars as text: the only value that it recognises in a plain scalar is null."""

    yaml_implicit_resolvers: ClassVar = {first: [(NULL_TAG, NULL)] for first in ("~", "n", "N", "")}


class Loader(Composing, BaseLoader):
    """The loader in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's values (str, None, list, dict) with their lines, and the problems of its keys."""

    file: Path
    data: object
    mode: int
    root: yaml.Node = field(repr=False)
    problems: tuple[Problem, ...] = ()

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the key or list item at a path, else that of the nearest one above it."""
        line: int | None = None
        node = self.root
        for step in path:
            found = child(node, step)
            if found is None:
                break
            line, node = found
        return line

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return a problem of the value at a path."""
        return Problem(message=message, file=str(self.file), line=self.line(path), path=dotted(path) or None)


def child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line and node that a step leads to, if there is such a child."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item.start_mark.line + 1, item
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in node.value if key.value == step), None)
    return None


def read_document(file: Path) -> Document:
    """Read and compose a file. Raises ConfigError if it has no values to check."""
    text, mode = read_text(file)
    try:
        if text.lstrip().startswith("{"):
            text = _PAIR.sub(_joined, text)
        check_events(file, text)
        root = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise ConfigError([syntax_problem(error, file=str(file), text=text)]) from None
    if root is None:
        raise ConfigError([Problem(message="is empty", file=str(file))])
    builder = Builder(file)
    data = builder.build(root, ())
    return Document(file=file, data=data, mode=mode, root=root, problems=tuple(builder.problems))


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair["high"], 16), int(pair["low"], 16)
    return f"{pair['odd']}U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"


def check_events(file: Path, text: str) -> None:
    """Refuse nesting that is too deep, anchors and aliases. Raises ConfigError."""
    depth = 0
    shared: dict[int | None, None] = {}
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            message = f"lists or mappings are nested more than {MAX_DEPTH} levels deep"
            raise ConfigError([Problem(message=message, file=str(file), line=line)])
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            shared[line] = None
    if shared:
        raise ConfigError([Problem(message=NO_SHARING, file=str(file), line=line) for line in shared])


def read_text(file: Path) -> tuple[str, int]:
    """Return a file's text and mode. Raises ConfigError if the file can't be read, with the reason."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "is a directory, not a YAML file" if stat.S_ISDIR(status.st_mode) else "isn't a regular file"
            raise ConfigError([Problem(message=what, file=str(file))])
        if status.st_size > MAX_BYTES:
            raise ConfigError([Problem(message="is larger than 64 MiB", file=str(file))])
        raw = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError([Problem(message="there is no such file", file=str(file))]) from None
    except OSError as error:
        raise ConfigError([Problem(message=f"can't be read: {error.strerror}", file=str(file))]) from None
    try:
        return raw.decode("utf-8-sig"), status.st_mode
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = "isn't UTF-8 text: save the file with the encoding UTF-8"
        raise ConfigError([Problem(message=message, file=str(file), line=line)]) from None
