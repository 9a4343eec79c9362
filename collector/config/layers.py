"""The layers that settings come from, highest first: options, environment, file, defaults.

Owns which layer a value comes from, so that a problem can name it. Validates nothing:
the layers contain text, and the models parse it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from collector.config.document import Document
from collector.config.messages import KeyPath, dotted
from collector.errors import Problem

PREFIX = "COLLECTOR_"
Tree = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The layers of one load."""

    overrides: Tree = field(default_factory=dict)
    variables: Tree = field(default_factory=dict, repr=False)
    document: Document | None = None
    data: Tree = field(default_factory=dict, repr=False)  # the document's settings

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return a problem of a setting, with the place in the layer that the value comes from."""
        if has_value(self.variables, path) and not has_value(self.overrides, path):
            return Problem(message=message, path=variable(path))
        if self.document is None or has_value(self.overrides, path):
            return Problem(message=message, path=dotted(path))
        return self.document.problem(path, message)

    def is_set(self, path: KeyPath) -> bool:
        """Return whether any layer sets a value, so that the default isn't used."""
        return any(has_value(tree, path) for tree in (self.overrides, self.variables, self.data))


def has_value(tree: object, path: KeyPath) -> bool:
    """Return whether a tree has a value at a path, or instead of one of its sections."""
    for step in path:
        if not isinstance(tree, Mapping):
            return tree is not None
        if step not in tree:
            return False
        tree = tree[step]
    return True


def variable(path: KeyPath) -> str:
    """Return the environment variable that overrides a setting."""
    return PREFIX + "__".join(str(step).upper() for step in path)


def section(field_info: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a section."""
    kind = field_info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def section_paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every section."""
    for name, field_info in model.model_fields.items():
        if inner := section(field_info):
            yield (*above, name)
            yield from section_paths(inner, (*above, name))


def leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield the path and field of every setting; sections aren't settings."""
    for name, field_info in model.model_fields.items():
        if inner := section(field_info):
            yield from leaves(inner, (*above, name))
        else:
            yield (*above, name), field_info


def is_list(field_info: FieldInfo) -> bool:
    """Return whether a setting is a list, which no variable can override."""
    return get_origin(field_info.annotation) is tuple


class TreeSource(PydanticBaseSettingsSource):
    """A layer that is a nested mapping: the options, the variables or the file."""

    def __init__(self, settings_cls: type[BaseSettings], tree: Tree) -> None:
        super().__init__(settings_cls)
        self.tree = tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return one top-level value; it is parsed by the models alone."""
        return self.tree.get(field.alias or field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the whole layer, unknown keys included: the models refuse them."""
        return dict(self.tree)


def variables_tree(settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in the environment: every setting that isn't a list has a variable."""
    tree: dict[str, Any] = {}
    for path, field_info in leaves(settings_cls):
        text = environ.get(variable(path))
        if text is None or is_list(field_info):
            continue
        at = tree
        for step in path[:-1]:
            at = at.setdefault(step, {})
        at[path[-1]] = None if text in ("null", "~") else text
    return tree
