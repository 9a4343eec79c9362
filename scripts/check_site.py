"""Check a folder of HTML: what it loads is in it, each link leads to a page and a heading, each address is well formed.

It sends no request: whether another site answers is not looked at.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}
IN_STYLES = re.compile(r"(?:url\(|@import\s+)\s*[\"']?(?!data:)([^\"')\s;]+)")


@dataclass
class Page(HTMLParser):
    """What a page has and what it names."""

    path: Path
    ids: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the page."""
        super().__init__()
        self.feed(self.path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links and what is loaded."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id":
                self.ids.add(value)
            elif (tag, name) in LOADING and not value.startswith("data:"):
                self.loads.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def problems(site: Path) -> Iterator[str]:
    """Yield a message for each link or asset of a site that is wrong."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} has no page"
    for page in pages.values():
        for target in page.loads:
            yield from _loaded(page.path, target)
        for target in page.links:
            yield from _linked(page, target, pages)
    for style in sorted(site.rglob("*.css")):
        for target in IN_STYLES.findall(style.read_text()):
            yield from _loaded(style, target)


def _loaded(path: Path, target: str) -> Iterator[str]:
    address = urlsplit(target)
    if address.scheme or address.netloc:
        yield f"{path}: loads {target} from elsewhere"
    elif address.path and not (path.parent / unquote(address.path)).is_file():
        yield f"{path}: loads {target}, which is no file"


def _linked(page: Page, target: str, pages: dict[Path, Page]) -> Iterator[str]:
    address = urlsplit(target)
    if address.scheme or address.netloc:
        if address.scheme not in {"https", "http"} or not address.hostname or " " in target:
            yield f"{page.path}: {target} is no address"
        return
    path = (page.path.parent / unquote(address.path)).resolve() if address.path else page.path.resolve()
    if not path.is_file():
        yield f"{page.path}: {target} leads nowhere"
    elif address.fragment and path in pages and unquote(address.fragment) not in pages[path].ids:
        yield f"{page.path}: {target} names a heading that there isn't"


def main() -> None:
    """Check the site that is named; exit code 1 if anything is wrong."""
    found = list(problems(Path(sys.argv[1])))
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
