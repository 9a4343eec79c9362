"""The pages: from what is observed and what was chosen to HTML, purely.

Templates escape everything; what else may be hostile about a name (controls, direction marks) is
made visible before it gets there, and each name is isolated from the text around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from collector.core.org_coverage import CoverageState
from collector.service.health import is_starting, unready
from collector.service.view import Observed
from collector.service.web.assets import Asset
from collector.service.web.budgets import budgets
from collector.service.web.choice import PER_PAGE, Choice, Shown, Sort, has_state, labels_of, ordered
from collector.service.web.detail import detail
from collector.service.web.removed import removed
from collector.service.web.rows import in_doubt_command, row
from collector.service.web.runs import runs
from collector.service.web.strip import MEANING, axis, shape
from collector.service.web.text import line_text, name_text, plural, sentence
from collector.service.web.verdict import tallies, verdict

CELL = 12  # a day in a calendar or a legend, in pixels
_LABELS_OFFERED = 200
_SORTS = {
    Sort.WORST: "worst first",
    Sort.NAME: "name",
    Sort.LAG: "largest lag",
    Sort.SUCCESS: "longest without success",
    Sort.TESTS: "most tests",
}
_SHOWN = {
    Shown.ALL: "all",
    Shown.INCOMPLETE: "incomplete",
    Shown.REFUSED: "refused",
    Shown.FAILED: "failed",
    Shown.MISSING: "missing",
    Shown.PARTIAL: "partial",
    Shown.IN_DOUBT: "in doubt",
    Shown.UNVERIFIED: "unverified",
    Shown.COMPLETE: "complete",
}


class Page:
    """The templates, and what all of them know."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._templates = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "assets": {name: asset.name for name, asset in assets.items()},
            "plural": plural,
            "meanings": MEANING,
            "cells": {state: shape(state, 0, CELL, edge=2) for state in MEANING},
            "states": [state for state in MEANING if state is not CoverageState.NOT_WANTED],
        }
        self._templates.filters |= {"name": name_text, "sentence": sentence}

    def overview(self, seen: Observed, choice: Choice, *, now: datetime) -> bytes:
        """Return the page of all orgs."""
        all_orgs = list(seen.orgs.values())
        found = [org for org in all_orgs if choice.matches(org)]
        chosen = ordered((org for org in found if has_state(org, choice.shown)), choice.sort)
        pages = max(1, -(-len(chosen) // PER_PAGE))
        page = min(choice.page, pages)
        shown = chosen[(page - 1) * PER_PAGE : page * PER_PAGE]
        return self._render(
            "overview.html",
            seen,
            now=now,
            root="",
            verdict=verdict(seen, now=now),
            removed=removed(seen, now=now),
            in_doubt=in_doubt_command(all_orgs, seen.invocation),
            runs=runs(seen, now=now),
            budgets=budgets(seen, now=now),
            choice=choice,
            tallies=tallies(found, choice),
            words=_SHOWN,
            sorts=_SORTS,
            labels=labels_of(all_orgs, _LABELS_OFFERED),
            rows=[row(org, seen.invocation, choice, root="", now=now) for org in shown],
            found=len(chosen),
            first=(page - 1) * PER_PAGE + 1,
            page=page,
            pages=pages,
            axis=axis(max((org.last_day for org in shown), default=now.date())),
        )

    def org(self, seen: Observed, name: str, *, now: datetime) -> bytes:
        """Return the page of one org, or the page that says that there is none of that name."""
        view = seen.orgs.get(name)
        if view is None:
            return self._render("unknown.html", seen, now=now, root="../", name=name_text(name))
        return self._render("org.html", seen, now=now, root="../", org=detail(view, seen, root="../", now=now))

    def _render(self, template: str, seen: Observed, *, now: datetime, root: str, **context: object) -> bytes:
        text = self._templates.get_template(template).render(
            seen=seen,
            unready=None if is_starting(seen) else unready(seen),
            problems=[line_text(str(problem)) for problem in seen.config_problems],
            warnings=[line_text(warning) for warning in seen.warnings],
            rendered_at=now,
            root=root or "./",
            **context,
        )
        return text.encode("utf-8", "replace")
