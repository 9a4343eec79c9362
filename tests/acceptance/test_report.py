"""`collector report`: usage of a period out of the ledger, against the truth of the API, by the real command."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.adapters.clock import SystemClock
from tests.support.commands import Done, SimulatedApi, collector, simulated_api
from tests.support.exports import NUMBERS, days_of
from tests.support.sites import FakeSite, served
from tests.support.terminals import at_terminal
from tests.support.views import observed

DAY = timedelta(days=1)
LAST = SystemClock().now().date() - 3 * DAY
FIRST = LAST - 6 * DAY
BEFORE = (FIRST - 7 * DAY, FIRST - DAY)
RANGE = ("--from", str(FIRST), "--to", str(LAST))

TEST_COSTS, SCREENSHOT_COSTS = Decimal("0.00517"), Decimal("0.0013")
PRICES = [
    {"product": "automation", "metric": "tests", "unit_price": str(TEST_COSTS), "from": "2020-01-01"},
    {"product": "smartui", "metric": "screenshots", "unit_price": str(SCREENSHOT_COSTS), "from": "2020-01-01"},
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("api"), orgs=4, faults=["org-003:refused"]) as api:
        yield api


@pytest.fixture(scope="module")
def home(api: SimulatedApi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a config and a ledger of two weeks and the days after them; org-003 is refused."""
    path = tmp_path_factory.mktemp("home")
    values = yaml.safe_load(api.config.read_text())
    for number, org in enumerate(values["orgs"]):
        org["labels"] = {"cost_center": ("qa", "web")[number % 2]}
    values["output"] = {"path": "usage"}
    values["state"] = {"url": "sqlite:///ledger.db"}
    values["budgets"] = [
        {"name": "money", "metric": "cost", "amount": "0.01"},
        {"name": "refused", "org": "org-003", "metric": "tests", "amount": 10},
    ]
    values["prices"] = {"currency": "EUR", "list": PRICES}
    (path / "collector.yaml").write_text(yaml.safe_dump(values))
    (path / "collector.yaml").chmod(0o600)
    done = run(path, "backfill", "--from", str(BEFORE[0]))  # until now: a budget's month may have begun after LAST
    assert done.code == 4, done.stderr
    return path


def run(home: Path, *words: str) -> Done:
    return collector(*words, cwd=home, env={"COLLECTOR_CONFIG": "collector.yaml"})


def report(home: Path, *words: str) -> Any:
    done = run(home, "report", *RANGE, "--json", *words)
    assert done.code == 0, done.stderr
    return json.loads(done.stdout)


def truth(api: SimulatedApi, first: date, last: date, *, without: str = "org-003") -> dict[str, dict[str, int]]:
    """Sums by product, of what the simulated API knows."""
    sums: dict[str, dict[str, int]] = {}
    for org in yaml.safe_load(api.config.read_text())["orgs"]:
        for population in ("account-user", "service-user") if org["name"] != without else ():
            for _, start, end in days_of(org["timezone"], first, last):
                for product, numbers in api.truth(org["name"], population, start, end)["products"].items():
                    of = sums.setdefault(product, {})
                    for name in NUMBERS.keys() & numbers.keys():
                        of[name] = of.get(name, 0) + numbers[name]
    return sums


def test_numbers_equal_the_truth_and_unknown_windows_stand_beside_them(api: SimulatedApi, home: Path) -> None:
    found = report(home)
    for line, of in ((line, side) for line in found["products"] for side in ("now", "before")):
        numbers = line if of == "now" else line["before"]
        expected = truth(api, *((FIRST, LAST) if of == "now" else BEFORE)).get(line["product"], {})
        shown = {
            "totalTests": "total_tests",
            "totalDuration": "total_duration",
            "totalScreenshots": "total_screenshots",
        }
        assert {name: numbers[field] for name, field in shown.items() if numbers[field] is not None} == expected
        assert numbers["windows_unknown"] == 2 * 7
    assert found["total"]["windows"] == 4 * 2 * 7
    assert found["total"]["windows_unknown"] == 2 * 7
    assert [(one["org"], one["state"], one["windows"]) for one in found["unknown"]] == [
        ("org-003", "missing", 7),
        ("org-003", "missing", 7),
    ]
    (refused,) = (line for line in found["orgs"] if line["org"] == "org-003")
    assert refused["total_tests"] is None, "never zero"
    assert {one["reason"] for one in found["unknown"]} == {"refused_credential"}
    assert found["before"] == {"first": str(BEFORE[0]), "last": str(BEFORE[1])}
    assert {line["cost_center"] for line in found["labels"]["cost_center"]} == {"qa", "web"}


def test_the_csv_has_the_lines_of_an_export_with_the_period_before(home: Path) -> None:
    done = run(home, "report", *RANGE, "--csv", "--by", "label:cost_center,product")
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    exported = run(home, "export", *RANGE, "--by", "label:cost_center,product", "-f", "csv")
    expected = list(csv.DictReader(io.StringIO(exported.stdout, newline="")))
    names = list(expected[0])
    assert sorted([row[name] for name in names] for row in rows) == sorted([*row.values()] for row in expected)
    ids = {line["org"]: line["org_id"] for line in report(home)["orgs"]}
    by_org = csv.DictReader(io.StringIO(run(home, "report", *RANGE, "--csv", "--by", "org,product").stdout))
    assert {(row["org"], row["org_id"] or None) for row in by_org} == set(ids.items())
    assert len(set(ids.values())) == 4
    before = run(home, "export", "--from", str(BEFORE[0]), "--to", str(BEFORE[1]), "--by", "label:cost_center,product")
    tests = {
        (one["cost_center"], one["product"]): one["total_tests"] for one in csv.DictReader(io.StringIO(before.stdout))
    }
    assert {(one["cost_center"], one["product"]): one["total_tests_before"] for one in rows} == tests


def test_tables_fit_80_columns_and_say_what_is_unknown(home: Path) -> None:
    for words in ([], ["--costs"]):
        command = [sys.executable, "-m", "collector", "report", *RANGE, *words, "--quiet"]
        with at_terminal(command, cwd=home, env={"COLLECTOR_CONFIG": "collector.yaml"}, columns=80) as terminal:
            assert terminal.end() == 0
        lines = [line.rstrip() for line in terminal.text.splitlines()]
        assert f"Usage {FIRST} to {LAST}, compared with {BEFORE[0]} to {BEFORE[1]}" in lines
        assert [line for line in lines if len(line) > 80] == []
        refused, *_ = (line.split() for line in lines if line.strip().startswith("org-003") and "account" not in line)
        assert refused == ["org-003", *["?"] * (3 if words else 4), "14", "of", "14"]
        assert "14 windows of the period unknown, or known in part: no number of them" in terminal.text


def test_costs_are_those_of_the_truth_and_columns_add_up(api: SimulatedApi, home: Path) -> None:
    found = report(home, "--costs")
    of = truth(api, FIRST, LAST)
    whole = of["automation"]["totalTests"] * TEST_COSTS + of["smartui"]["totalScreenshots"] * SCREENSHOT_COSTS
    assert found["total"]["cost"] == str(round(whole, 2))
    assert found["currency"] == "EUR"
    assert found["total"]["windows_cost_unknown"] == 2 * 7
    assert found["total"]["windows_not_priced"] > 0, "app-automation has no price"
    (refused,) = (line for line in found["orgs"] if line["org"] == "org-003")
    assert refused["cost"] is None, "never 0"
    shown = run(home, "report", *RANGE, "--costs", "--by", "org").stdout.splitlines()
    amounts = [
        Decimal(line.split()[-n].strip("*").replace(",", ""))
        for line in shown
        for n in [_cost_from_the_right(line)]
        if n
    ]
    *rows, total = amounts
    assert sum(rows) == total == round(whole, 2)


def _cost_from_the_right(line: str) -> int:
    """Where the cost stands in a line of a table by org, from the right; 0 if it has none."""
    words = line.split()
    if not words or words[0] not in {"org-001", "org-002", "org-004", "rounding", "all"}:
        return 0
    return next(n for n in range(1, len(words)) if "." in words[-n] and "%" not in words[-n])


def test_budgets_of_the_month_stand_in_tables_json_and_page(home: Path) -> None:
    money, refused = report(home, "--org", "org-00[13]")["budgets"]
    assert report(home, "--org", "org-001")["budgets"] == [money, refused], "whichever orgs are chosen"
    assert (money["level"], money["amount"], money["unit"]) == ("over", "0.01", "EUR")
    assert Decimal(money["used"]) > Decimal(money["amount"])  # of one day, where the month has just begun
    assert money["windows_unknown"] >= refused["windows_unknown"] == refused["windows"] > 0
    assert (refused["level"], refused["used"], refused["forecast"]) == ("unknown", None, None)
    shown = run(home, "report", *RANGE, "--org", "org-00[13]").stdout
    assert re.search(rf"^money +0\.01 +{re.escape(money['used'])} .* over *$", shown, re.MULTILINE)
    assert re.search(r"^refused +10 +\? +\? .* nothing known *$", shown, re.MULTILINE)
    page = run(home, "report", *RANGE, "--org", "org-00[13]", "--html", "-").stdout
    assert '<h2 id="budgets">' in page
    assert "nothing known" in page


def test_what_nobody_ever_collected_is_said_and_never_called_known(home: Path) -> None:
    first = BEFORE[0] - 20 * DAY
    done = run(home, "report", "--from", str(first), "--to", str(LAST), "--org", "org-001", "--html", "-")
    assert "Not everything is known" in done.stdout
    assert "Everything is known" not in done.stdout
    assert "40 of 68 windows of the period were never collected, of 1 organization" in done.stdout
    shown = run(home, "report", "--from", str(first), "--to", str(LAST), "--org", "org-001").stdout
    assert "40 of 68 windows of the period were never collected, of 1 org: they are in no number" in shown
    assert "Every window of the period is known" not in shown
    assert "Every window of the period is known" in run(home, "report", *RANGE, "--org", "org-001").stdout
    long_ago = run(home, "report", "--from", "2020-01-01", "--to", "2020-01-31", "--org", "org-001").stdout
    assert "62 of 62 windows of the period were never collected" in long_ago


def test_the_page_is_one_file_and_replaces_one_that_was_there(home: Path) -> None:
    file = home / "report.html"
    file.write_text("older")
    done = run(home, "report", *RANGE, "--html", "report.html", "--log-format", "json")
    assert done.code == 0, done.stderr
    page = file.read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert not [word for word in page.split('"') if word.startswith(("http:", "https:", "//")) and "w3.org" not in word]
    found = report(home)
    assert f"{found['total']['total_tests']:,}" in page
    assert "14 of 56 windows are unknown" in page
    assert "report.written" in done.stderr
    assert [path.name for path in home.iterdir() if path.name.startswith(".report")] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--csv"], "give one of --json, --csv and --html"),
        (["--by", "colour"], "--by: expected day, week, month, org, population, product or label:KEY"),
        (["--by", "label:team"], "--by: no org in the config has a label of that key; the labels are cost_center"),
        (["--last", "36h"], "--last: a report is of whole days: write 7d or 30d"),
        (["--from", "2099-01-01"], "is the last day that is due for all orgs"),
        (["--html", "missing/report.html"], "missing is not an existing directory"),
        (["--html", "usage"], "usage is a directory: name a file in it"),
        (["--state", "none"], "report reads a ledger: `state.url` is none"),
        (["--metric", "minutes"], "'minutes' is not one of 'tests', 'duration', 'screenshots', 'cost'"),
    ],
)
def test_what_can_not_be_reported_is_said_with_what_would_be_right(home: Path, words: list[str], message: str) -> None:
    done = run(home, "report", *words)
    assert done.code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_costs_need_prices(home: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((home / "collector.yaml").read_text())
    del values["prices"], values["budgets"]
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "collector.yaml").chmod(0o600)
    done = run(tmp_path, "report", "--costs")
    assert done.code == 2
    assert "--costs needs prices: add them to the config" in done.stderr


def test_without_a_ledger_there_is_nothing_to_report(home: Path) -> None:
    done = run(home, "report", "--state", "sqlite:///other.db")
    assert done.code == 5
    assert "other.db, so there is nothing to report" in done.stderr
    assert not (home / "other.db").exists()


def test_the_service_shows_the_page_of_a_range_that_one_chooses(home: Path) -> None:
    options = ("--config", str(home / "collector.yaml"), "--state", f"sqlite:///{home}/ledger.db", "--org", "org-001")
    with served(FakeSite(observed(), report=options)) as address:

        def get(query: str) -> tuple[int, str, str]:
            try:
                with urllib.request.urlopen(f"{address}/report?{query}") as answer:
                    return answer.status, answer.read().decode(), answer.headers["Content-Security-Policy"]
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode(), error.headers["Content-Security-Policy"]

        status, page, policy = get(f"from={FIRST}&to={LAST}&metric=screenshots")
        assert status == 200
        assert f"Usage {FIRST} to {LAST}" in page
        assert "org-001" in page
        assert "org-002" not in page, "its scope is the service's"
        assert "Everything is known" in page
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
        status, text, policy = get("from=yesterday")
        assert (status, "write 2026-06-23" in text) == (400, True)
        assert "unsafe" not in policy
        status, text, _ = get("from=2099-01-01")
        assert (status, "is the last day that is due" in text) == (400, True)
        assert get("metric=--html")[0] == 400
        for query, why in (
            ("last=7d", "there is no last, only from, to, metric"),
            (f"to={LAST}", "`to` needs `from`"),
            (f"from={LAST}&to={FIRST}", "`to` is before `from`"),
        ):
            status, text, _ = get(query)
            assert (status, why in text) == (400, True), text
    with served(FakeSite(observed(), report=("--config", str(home / "none.yaml")))) as address:
        status, text, _ = get("")
        assert status == 400
        assert "none.yaml" in text
