"""Draws Vega-Lite specifications as SVG, without a browser: by the extra `report`."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from collector.adapters.tabular.extras import extra

_SIZE = re.compile(r'(?<=<svg )[^>]*?width="(\d+)" height="(\d+)" viewBox="([^"]*)"[^>]*(?=>)')
_TAG = re.compile(r"<[^>]*>")
_MARKS = re.compile(r' (?:class|role|aria-hidden|aria-roledescription|pointer-events|xmlns:xlink|version)="[^"]*"')
_HIDDEN = re.compile(r'<path [^>]*d=""[^>]*display="none"[^>]*/>')


def svg_of(spec: Mapping[str, Any], describing: str = "") -> str:
    """Return a chart as an element of a page, as wide as its place up to its own width; described for who can't see it.

    Raises MissingExtraError if the package is missing.
    """
    with extra("report", "a page with charts"):
        import vl_convert  # noqa: PLC0415 - heavy, and an extra
    text = _TAG.sub(_without_marks, str(vl_convert.vegalite_to_svg(dict(spec))))
    return _SIZE.sub(lambda found: _attributes(found, describing), text, count=1)


def _attributes(found: re.Match[str], describing: str) -> str:
    width, _, box = found.groups()
    about = f'role="img" aria-label="{html.escape(describing)}"' if describing else 'aria-hidden="true"'
    return f'{about} viewBox="{box}" width="{width}"'


def _without_marks(tag: re.Match[str]) -> str:
    """Return a tag without what only Vega's own scripts use: half of a small chart, and no role inside an image."""
    return "" if _HIDDEN.fullmatch(tag[0]) else _MARKS.sub("", tag[0])
