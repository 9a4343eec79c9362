"""What is written down about metrics, held against the metrics: the table, the alert rules, the dashboard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from collector.adapters.metrics import EndedRun
from collector.cli.commands import SUMMARIES
from collector.core.org_coverage import CredentialStanding, CredentialStatus
from collector.errors import RefusalReason
from collector.model import Population
from collector.service.metrics import ServiceMetrics
from collector.service.org_text import Wanted
from collector.service.view import RunView
from tests.support.budgets import standing
from tests.support.monitoring import CONFIGS, PROMETHEUS, ROOT, RULE_TESTS, RULES, alerts, dashboard, panels, queries
from tests.support.views import DAY, NOW, observed, org_view, population_view

RUNBOOK = ROOT / "docs/runbook.md"
TABLE = ROOT / "docs/metrics.md"

# What is not ours: Prometheus itself, node_exporter, the Pushgateway.
FOREIGN = {"up", "push_time_seconds", "node_textfile_mtime_seconds"}
_NAME = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")
_SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass(frozen=True)
class Documented:
    type: str
    labels: frozenset[str]


def everything() -> ServiceMetrics:
    """Metrics with a sample of each, whatever is shown only sometimes."""
    run: EndedRun = RunView(
        run_id="1", command="serve", started_at=NOW - DAY, ended_at=NOW, exit_code=0, why="", exception="KeyError"
    )
    behind = population_view(Population.ACCOUNT_USER, counts={"partial": 1})
    refused = CredentialStatus(standing=CredentialStanding.REFUSED, reason=RefusalReason.CREDENTIAL)
    org = org_view(populations=[behind], credential=refused)
    seen = observed(org, config_refused_at=NOW, budgets=[standing()], budgets_read_at=NOW)
    metrics = ServiceMetrics(seen, lambda: Wanted(usage=True))
    assert isinstance(run, RunView)
    metrics.run_ended(run)
    return metrics


def exposed() -> dict[str, Documented]:
    """The families of `/metrics`: their names as scraped, their types and the labels of their samples."""
    types: dict[str, str] = {}
    labels: dict[str, set[str]] = {}
    for line in everything().text().decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
            labels[name] = set()
        elif not line.startswith("#"):
            name = _family(re.split(r"[{ ]", line, maxsplit=1)[0], types)
            found = re.findall(r'[{,](\w+)="', line.rpartition(" ")[0])
            labels[name] |= set(found) - {"le"}
    return {name: Documented(kind, frozenset(labels[name])) for name, kind in types.items()}


def _family(sample: str, types: dict[str, str]) -> str:
    for suffix in _SUFFIXES:
        if sample.removesuffix(suffix) in types:
            return sample.removesuffix(suffix)
    return sample


def documented() -> dict[str, Documented]:
    """The rows of the tables: name, type, labels, meaning."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TABLE.read_text().splitlines()
        if line.startswith("| `collector_")
    ]
    assert all(len(row) == 4 and row[3] for row in rows), "each has a meaning"
    names = [row[0].strip("`") for row in rows]
    assert len(set(names)) == len(names)
    return {row[0].strip("`"): Documented(row[1], frozenset(re.findall(r"`(\w+)`", row[2]))) for row in rows}


def test_the_table_has_every_metric_with_its_type_and_labels_and_no_other() -> None:
    ours = {name: metric for name, metric in exposed().items() if name.startswith("collector_")}
    assert documented() == ours


def test_names_follow_prometheus_customs() -> None:
    for name, metric in exposed().items():
        if name.startswith("collector_"):
            assert (metric.type == "counter") == name.endswith("_total"), name
            assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|mb)(_|$)", name), "base units"


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression: its words with underscores, without strings, labels and functions."""
    expression = re.sub(r'"[^"]*"', "", expression)
    expression = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", "", expression)
    expression = re.sub(r"\{[^}]*\}", "", expression)
    expression = re.sub(r"\b\w+\s*(?=\()", "", expression)
    expression = re.sub(r"\$\w+|,\s*\w+\)$", "", expression)
    return set(_NAME.findall(expression)) | ({"up"} & set(re.findall(r"\bup\b", expression)))


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in alerts()), *queries()])
def test_rules_and_dashboard_use_only_metrics_that_exist(expression: str) -> None:
    used = metrics_in(expression)
    assert used, "what names no metric shows nothing"
    known = exposed()
    assert {_family(name, {n: m.type for n, m in known.items()}) for name in used} - FOREIGN <= set(known)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_has_a_severity_words_and_a_section_of_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    annotations = rule["annotations"]
    assert annotations["summary"]
    assert annotations["description"]
    file, _, anchor = annotations["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor in {_anchor(heading) for heading in headings}
    (section,) = (text for text in RUNBOOK.read_text().split("\n## ")[1:] if _anchor(text.partition("\n")[0]) == anchor)
    assert f"`{rule['alert']}`" in section


def test_each_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    tests = [test for file in RULE_TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for rule in alerts():
        expected = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]]
        assert expected[0] is False
        assert True in expected
        assert False in expected[expected.index(True) :], "it resolves"


def test_the_table_of_alerts_says_of_each_where_it_can_fire_and_each_file_is_shipped() -> None:
    text = TABLE.read_text()
    rows = re.findall(r"^\| `(Collector\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted({rule["alert"] for rule in alerts()})
    named = set(re.findall(r"`((?:rules|prometheus)[\w.]*\.yml)`", text))
    assert named == {file.name for file in (*RULES, *CONFIGS)}


def test_each_config_loads_the_common_rules_and_those_of_its_way_of_running() -> None:
    for file in CONFIGS:
        common, own = yaml.safe_load(file.read_text())["rule_files"]
        assert common == "rules.yml"
        assert own in {rules.name for rules in RULES} - {common}


def test_only_rules_of_one_way_of_running_take_absence_for_a_fault() -> None:
    assert "absent" not in re.sub(r"#.*", "", (PROMETHEUS / "rules.yml").read_text())


def test_the_runbook_names_only_commands_and_metrics_that_exist() -> None:
    text = RUNBOOK.read_text()
    known = set(exposed()) | FOREIGN
    assert set(re.findall(r"`(collector_\w+)", text)) <= known
    used = set(re.findall(r"^\s*(?:kubectl exec .* -- )?collector ([a-z]+)", text, re.MULTILINE))
    assert used
    assert used <= set(SUMMARIES)


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_panels_have_titles_descriptions_and_units_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    shown = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels()}) == len(list(panels()))
    for panel in shown:
        assert panel["title"]
        assert panel["description"]
        box = panel["gridPos"]
        cells = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert box["x"] + box["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_no_query_of_the_dashboard_returns_a_series_for_each_of_ten_thousand_orgs() -> None:
    """A panel that draws 10,000 lines helps nobody, and may take the browser down."""
    for panel in panels():
        for target in panel.get("targets", ()):
            if re.search(r"collector_org_", target["expr"]):
                bounded = re.match(r"\s*(topk|bottomk|sum|max|min|avg|count)\b", target["expr"])
                assert bounded, target["expr"]
