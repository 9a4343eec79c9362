"""YAML nodes as plain values: every scalar stays the text that was written, except null.

Owns keys, aliases, `<<` and their limits. What is wrong is noted with its line, and the
rest goes on. Knows nothing of settings or orgs.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from collector.config.messages import PLAIN_KEY, Hidden, dotted
from collector.config.messages import Path as KeyPath
from collector.errors import ConfigError, Problem

MAX_VALUES = 2_000_000  # after aliases are expanded
TAG = "tag:yaml.org,2002:"
NULL_TAG = TAG + "null"
TEXT_TAGS = frozenset(TAG + name for name in ("str", "int", "float", "bool", "timestamp"))
SHARED = object()  # stands for a value that is still being built


def is_merge(key: yaml.Node) -> bool:
    """Whether a key is an unquoted `<<`."""
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style


class Builder:
    """Turns nodes into values; an alias gives the same object again, so that it costs nothing."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.values = 0
        self.built: dict[int, tuple[object, int]] = {}

    def build(self, node: yaml.Node, path: KeyPath) -> object:
        """Return the value of a node; what is wrong with it is noted, and the rest goes on."""
        if isinstance(node, yaml.ScalarNode):
            self.count(1, node)
            return self.scalar(node, path)
        if (known := self.built.get(id(node))) is not None:
            if known[0] is SHARED:
                self.note(node, path, "an alias (`*…`) stands inside the very value that it repeats")
                return None
            self.count(known[1], node)
            return known[0]
        before = self.values
        self.count(1, node)
        self.built[id(node)] = (SHARED, 0)
        value = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.built[id(node)] = (value, self.values - before)
        return value

    def count(self, values: int, node: yaml.Node) -> None:
        """Bound what aliases of aliases expand to."""
        self.values += values
        if self.values > MAX_VALUES:
            message = f"more than {MAX_VALUES:,} values, aliases (`*…`) counted as often as they stand"
            raise ConfigError([Problem(message=message, file=str(self.file), line=node.start_mark.line + 1)])

    def note(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        """Note a problem of a node."""
        line = node.start_mark.line + 1
        place = dotted(path) or None
        self.problems.append(Problem(message=message, file=str(self.file), line=line, path=place))

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> str | None:
        """Return the text as it is written, or None."""
        if node.tag == NULL_TAG:
            return None
        if node.tag not in TEXT_TAGS:
            self.note(node, path, "tags (`!…`) aren't supported; quote a value that begins with `!`")
        text: str = node.value
        return text

    def sequence(self, node: yaml.Node, path: KeyPath) -> list[object]:
        """Return a list's values."""
        self.refuse_tag(node, path, "seq")
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        """Return a mapping's values, what `<<` brings first, so that own keys win."""
        self.refuse_tag(node, path, "map")
        own: dict[str, object] = {}
        lines: dict[str, int] = {}
        merged: dict[str, object] = {}
        for key_node, value_node in node.value:
            if is_merge(key_node):
                merged = {**self.merge(value_node, path), **merged}
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not key:
                self.note(key_node, path, "a key must be text, followed by `: ` and a value")
                continue
            if key in own:
                message = f"the key stands here twice, first on line {lines[key]}"
                shown = PLAIN_KEY.fullmatch(key) and value_node.value  # else it may be a secret
                self.note(key_node, (*path, key if shown else Hidden(key)), message)
                continue
            lines[key] = key_node.start_mark.line + 1
            own[key] = self.build(value_node, (*path, key))
        return {**merged, **own} if merged else own

    def merge(self, node: yaml.Node, path: KeyPath) -> dict[str, object]:
        """Return what a `<<` brings: of several mappings the first wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, object] = {}
        for source in sources:
            value = self.build(source, path)
            if value is None and isinstance(source, yaml.MappingNode):
                continue  # the mapping itself, which is told
            if not isinstance(value, dict):
                self.note(source, path, "`<<` takes an alias (`*…`) of a mapping")
                continue
            merged = {**value, **merged}
        return merged

    def refuse_tag(self, node: yaml.Node, path: KeyPath, kind: str) -> None:
        """Note a tag on a list or mapping."""
        if node.tag != TAG + kind:
            self.note(node, path, "tags (`!…`) aren't supported")
