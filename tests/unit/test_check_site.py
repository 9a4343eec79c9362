"""`make docs` finds what a reader's browser would not: broken links, and what a page loads from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.conf import diagrams_in, picture_of
from scripts.check_site import problems

DOCS = Path(__file__).parents[2] / "docs"
GOOD = '<h1 id="top">A</h1><a href="#top">a</a><a href="b.html">b</a><a href="https://example.com">c</a>'
GOOD += '<img src="p.png">'


def site(directory: Path, body: str, style: str = "a { color: red }") -> list[str]:
    (directory / "a.html").write_text(f"<html><body>{body}</body></html>")
    (directory / "b.html").write_text('<p id="there">b</p>')
    (directory / "p.png").write_bytes(b"")
    (directory / "s.css").write_text(style)
    return list(problems(directory))


def test_a_good_site_has_no_problem(tmp_path: Path) -> None:
    assert site(tmp_path, GOOD, "a { background: url(p.png); src: url('data:font/woff2;base64,AA') }") == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="c.html">', "leads nowhere"),
        ('<a href="b.html#elsewhere">', "a heading that there isn't"),
        ('<a href="#elsewhere">', "a heading that there isn't"),
        ('<a href="https://">', "is no address"),
        ('<a href="htps://example.com">', "is no address"),
        ('<script src="https://cdn.example.com/x.js"></script>', "from elsewhere"),
        ('<link rel="stylesheet" href="//fonts.example.com/x.css">', "from elsewhere"),
        ('<img src="q.png">', "which is no file"),
    ],
)
def test_each_kind_of_problem_is_found(tmp_path: Path, body: str, problem: str) -> None:
    (found,) = site(tmp_path, body)
    assert problem in found


@pytest.mark.parametrize(
    "style", ["@import 'https://fonts.example.com/x.css';", "a { src: url(//example.com/f.woff2) }"]
)
def test_styles_load_nothing_from_elsewhere(tmp_path: Path, style: str) -> None:
    (found,) = site(tmp_path, GOOD, style)
    assert "from elsewhere" in found


def test_a_folder_without_pages_is_no_site(tmp_path: Path) -> None:
    assert list(problems(tmp_path)) == [f"{tmp_path} has no page"]


def test_each_diagram_has_a_picture_and_each_picture_a_diagram() -> None:
    """`make pictures` draws those that are missing."""
    drawn = {picture_of(diagram) for path in DOCS.rglob("*.md") for diagram in diagrams_in(path.read_text())}
    assert drawn == {str(path.relative_to(DOCS)) for path in (DOCS / "images").glob("diagram-*.svg")}
