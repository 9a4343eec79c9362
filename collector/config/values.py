"""YAML nodes as plain values: every scalar stays the text that was written, except null.

Owns which keys and tags are allowed. Reports every problem with its line and continues with the
rest. Knows nothing of settings or orgs.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from collector.config.messages import SHOWN_KEY, Hidden, KeyPath, dotted
from collector.errors import Problem

TAG = "tag:yaml.org,2002:"
NULL_TAG = TAG + "null"
TEXT_TAGS = frozenset(TAG + name for name in ("str", "int", "float", "bool", "timestamp"))
NO_SHARING = (
    "anchors (`&…`), aliases (`*…`) and merge keys (`<<`) aren't supported: repeat the value in each place, "
    "or write what all orgs share below `defaults:`; quote a value that begins with `&` or `*`"
)


class Builder:
    """Turns nodes into values and collects problems."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, path: KeyPath) -> object:
        """Return the value of a node, and note its problems."""
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        return self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)

    def note(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        """Note a problem of a node."""
        line = node.start_mark.line + 1
        place = dotted(path) or None
        self.problems.append(Problem(message=message, file=str(self.file), line=line, path=place))

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> str | None:
        """Return the text as it was written, or None."""
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
        """Return a mapping's values; of a key that is set twice, the first."""
        self.refuse_tag(node, path, "map")
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key == "<<" and not key_node.style:
                self.note(key_node, path, NO_SHARING)
                continue
            if not key:
                self.note(key_node, path, "a key must be text, followed by `: ` and a value")
                continue
            if key in values:
                message = f"this key is already set on line {lines[key]}"
                shown = SHOWN_KEY.fullmatch(key) and value_node.value  # else it may be a secret
                self.note(key_node, (*path, key if shown else Hidden(key)), message)
                continue
            lines[key] = key_node.start_mark.line + 1
            values[key] = self.build(value_node, (*path, key))
        return values

    def refuse_tag(self, node: yaml.Node, path: KeyPath, kind: str) -> None:
        """Note a tag on a list or mapping."""
        if node.tag != TAG + kind:
            self.note(node, path, "tags (`!…`) aren't supported")
