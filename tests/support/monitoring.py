"""The alert rules and the dashboard, read for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = tuple(sorted(set(PROMETHEUS.glob("rules*.yml")) - set(PROMETHEUS.glob("*.test.yml"))))
RULE_TESTS = tuple(sorted(PROMETHEUS.glob("*.test.yml")))
CONFIGS = tuple(sorted(PROMETHEUS.glob("prometheus*.yml")))
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"


def alerts() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


def panels() -> Iterator[dict[str, Any]]:
    """All panels, also those in rows."""
    for panel in dashboard()["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries() -> list[str]:
    """Every query: those of the panels and of the variables."""
    of_panels = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    variables = dashboard()["templating"]["list"]
    return of_panels + [variable["definition"] for variable in variables if variable["type"] == "query"]
