"""docs/architecture.md names files and functions: each of them exists, and the rooms are the packages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`(collector/[a-z_/]+\.py)`(?: `([A-Za-z_.]+)`)?", TEXT)))


def names_in(path: Path) -> set[str]:
    """All classes, functions and methods that a module defines."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
            names |= {f"{node.name}.{one.name}" for one in node.body if hasattr(one, "name")}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_the_map_names_is_there(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert not name or name in names_in(ROOT / file)


def test_the_walk_is_long_enough_to_be_one() -> None:
    steps = [int(number) for number in re.findall(r"^\| (\d+) \| `collector/", TEXT, flags=re.MULTILINE)]
    assert steps == list(range(1, 21))


def test_every_room_is_on_the_map_and_nothing_else_lies_loose() -> None:
    rooms = {path.name for path in (ROOT / "collector").iterdir() if (path / "__init__.py").exists()}
    assert set(re.findall(r"^\| `([a-z]+)/`", TEXT, flags=re.MULTILINE)) | {"ports"} == rooms
    loose = {path.stem for path in (ROOT / "collector").glob("*.py")}
    assert loose == {"__init__", "__main__", "disk", "events", "model", "errors", "zone_rules"}
