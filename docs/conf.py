"""Build the documents as a site: `make docs`. docs/index.md is its list of contents."""

from __future__ import annotations

import hashlib
import re
from typing import Any

project = "Usage collector"
html_title = project
extensions = ["myst_parser"]
root_doc = "index"
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # a page that was opened from a folder may not read another one
html_static_path = ["_static"]
html_favicon = "../collector/service/web/static/icon.svg"
html_js_files = ["readable.js"]
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
# The addresses of headings are those of a forge.
myst_heading_anchors = 4
myst_number_code_blocks: list[str] = []
nitpicky = True
# JSON in the documents is shortened with "…": it is shown as it is.
suppress_warnings = ["misc.highlighting_failure"]

_LINK = re.compile(r"^(?:- |\| )\[[^\]]+\]\(([^):#]+)\.md\)", re.MULTILINE)
_UP = re.compile(r"\]\(((?:\.\./)+)([^)#]+\.md)(?:#[^)]*)?\)")
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _contents(text: str) -> str:
    """Return the list of contents with what Sphinx makes the side bar of: each heading, and the pages below it."""
    first, *sections = text.split("\n## ")
    trees = [
        f"```{{toctree}}\n:hidden:\n:caption: {section.splitlines()[0]}\n\n"
        + "\n".join(_LINK.findall(section))
        + "\n```"
        for section in sections
    ]
    return "\n\n".join([first, *(f"## {section}" for section in sections), *trees])


def picture_of(diagram: str) -> str:
    """Return the file of a diagram's picture: another diagram has another one (`make pictures`)."""
    return f"images/diagram-{hashlib.sha256(diagram.encode()).hexdigest()[:12]}.svg"


def diagrams_in(text: str) -> list[str]:
    """Return the diagrams of a document."""
    return _DIAGRAM.findall(text)


def _outside(text: str, depth: int) -> str:
    """Return a document whose links to Markdown of the project outside docs/ lead to copies of those files."""
    return _UP.sub(lambda link: f"](path:{link[1]}{link[2]})" if link[1].count("/") > depth else link[0], text)


def _read(app: Any, name: str, source: list[str]) -> None:
    del app
    text = source[0]
    if name == root_doc:
        text = _contents(text)
    text = _outside(text, name.count("/"))
    up = "../" * name.count("/")
    source[0] = _DIAGRAM.sub(lambda found: f"![A diagram]({up}{picture_of(found[1])})\n", text)


def setup(app: Any) -> None:
    """Connect what changes a document when it is read."""
    app.connect("source-read", _read)
