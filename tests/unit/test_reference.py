"""docs/reference/ is what the program says of itself, and docs/index.md names each document."""

from __future__ import annotations

import re

import pytest

from scripts.log_events import MEANINGS, events
from scripts.reference import FOLDER, pages

DOCS = FOLDER.parent


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_page_is_current(made: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text() == made.get(name), "run `make reference`"


def test_each_page_is_there(made: dict[str, str]) -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(made)


def test_each_event_of_the_log_has_a_meaning() -> None:
    """In scripts/log_events.py; and there is none of an event that is no longer logged."""
    assert set(events()) == set(MEANINGS), "write what it means into scripts/log_events.py"
    assert all(event.levels for event in events().values())


def test_the_contents_name_each_document_once() -> None:
    """Write a new one into docs/index.md, below a heading: the side bar of the site follows from it."""
    named = re.findall(r"^- \[[^\]]+\]\(([^)#:]+\.md)\)", (DOCS / "index.md").read_text(), re.MULTILINE)
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"index.md"}
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.relative_to(DOCS)}" for p in DOCS.rglob("*.md"))]
)
def test_make_has_each_target_that_is_named(document: str) -> None:
    root = DOCS.parent
    targets = set(re.findall(r"^([a-z0-9-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", (root / document).read_text(), re.MULTILINE)) <= targets
