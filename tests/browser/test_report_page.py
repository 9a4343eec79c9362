"""The page of a report in a real browser: its numbers, its looks, and that it asks nobody for anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page

from collector.adapters.report import page_of
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.model import Population
from tests.browser.visits import NARROW, WIDE, Visitor, violations
from tests.support.commands import collector, simulated_api
from tests.unit.test_present import START
from tests.unit.test_report import a_day, reported

pytestmark = pytest.mark.slow

FEW, MANY = 3, 500
LOOKS = [("light", WIDE), ("dark", WIDE), ("light", NARROW), ("dark", NARROW)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a config with prices, and the ledger of 60 days of which some are unknown."""
    path = tmp_path_factory.mktemp("home")
    faults = ["org-002:partial=often", "org-003:refused"]
    with simulated_api(path, orgs=FEW, faults=faults) as api:
        values = yaml.safe_load(api.config.read_text())
        for number, org in enumerate(values["orgs"]):
            org["labels"] = {"cost_center": ("qa", "web")[number % 2]}
        prices = [{"product": "automation", "metric": "tests", "unit_price": "0.00517", "from": "2020-01-01"}]
        values |= {
            "output": {"path": "usage"},
            "state": {"url": f"sqlite:///{path}/ledger.db"},
            "budgets": [{"name": "tests", "metric": "tests", "amount": 1000}],
            "prices": {"currency": "EUR", "list": prices},
        }
        (path / "collector.yaml").write_text(yaml.safe_dump(values))
        (path / "collector.yaml").chmod(0o600)
        assert collector("backfill", "-c", "collector.yaml", "--last", "62d", cwd=path).code == 4
        done = collector("report", "-c", "collector.yaml", "--costs", "--html", "few.html", cwd=path)
        assert done.code == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a year of 500 orgs."""
    days = 365
    period = Period(START.date(), START.date() + timedelta(days=days - 1))
    products = ("automation", "hyperexecute", "smartui")

    def windows(first: int) -> Iterator[object]:
        for org in range(MANY):
            for n in range(first + org % 7, first + days, 7):  # each week has one, each day some
                missing = (org * 7 + n) % 97 == 0
                yield a_day(
                    n,
                    None if missing else (org * 31 + n * n) % 9973,
                    state=CoverageState.MISSING if missing else CoverageState.COMPLETE,
                    product=products[(org + n) % 3],
                    org=f"organization-{org:03}",
                    labels={"cost_center": f"center-{org % 12}"},
                    population=Population.ACCOUNT_USER,
                )

    file = tmp_path_factory.mktemp("many") / "many.html"
    file.write_bytes(page_of(reported([*windows(0)], [*windows(-days)], period=period)))  # type: ignore[list-item]
    return file


def test_numbers_of_the_page_equal_the_ledgers(home: Path, visit: Visitor) -> None:
    page = visit(f"file://{home}/few.html")
    done = collector("report", "-c", "collector.yaml", "--costs", "--json", cwd=home)
    found = json.loads(done.stdout)
    for title, key, lines in (
        ("By org", "org", found["orgs"]),
        ("By product", "product", found["products"]),
        ("By cost_center", "cost_center", found["labels"]["cost_center"]),
    ):
        rows = page.get_by_role("region", name=title).locator("tbody tr").all()
        shown = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}
        assert shown.keys() == {line[key] for line in lines}
        for line in lines:
            tests, _, _, cost, _, unknown = shown[line[key]]
            is_known = line["windows_unknown"] < line["windows"]
            assert tests == _text(line["total_tests"], is_known=is_known)
            amount = "" if line["cost"] is None and is_known else _text(line["cost"])
            assert cost.rstrip("\xa0 *") == amount
            assert ("*" in cost) == (line["windows_not_priced"] > 0)
            assert unknown == (f"{line['windows_unknown']} of {line['windows']}" if line["windows_unknown"] else "")
    total = found["total"]
    assert (
        f"{total['windows_unknown']} of {total['windows']} windows are unknown"
        in page.locator(".missing").first.inner_text()
    )


def _text(value: int | str | None, *, is_known: bool = False) -> str:
    if value is None:
        return "" if is_known else "?"
    return f"{value:,}" if isinstance(value, int) else f"{float(value):,.2f}"


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_axe_finds_nothing_and_no_page_is_wider_than_its_screen(
    home: Path, visit: Visitor, scheme: str, size: tuple[int, int]
) -> None:
    page = visit(f"file://{home}/few.html", scheme=scheme, size=size)
    page.locator("details").first.evaluate("one => one.open = true")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_axe_finds_nothing_with_500_orgs(many: Path, visit: Visitor) -> None:
    assert violations(visit(f"file://{many}")) == []


def test_500_orgs_and_a_year_are_a_page_of_less_than_two_megabytes(many: Path, visit: Visitor) -> None:
    assert many.stat().st_size < 2_000_000
    page = visit(f"file://{many}")
    assert page.locator(".small li").count() == MANY
    assert page.get_by_role("region", name="By org").locator("tbody tr").count() == MANY


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_each_chart_is_drawn_once_in_the_width_of_the_screen(home: Path, visit: Visitor, size: tuple[int, int]) -> None:
    page = visit(f"file://{home}/few.html", size=size)
    charts = [one for one in page.get_by_role("img").all() if one.is_visible()]
    boxes = [box for one in charts if (box := one.bounding_box())]
    assert len(boxes) >= 3
    assert all(box["width"] <= size[0] and box["height"] > 20 for box in boxes)
    texts = [one.bounding_box() for one in page.locator("figure svg text:visible").all()]
    assert texts
    assert min(box["height"] for box in texts if box) >= 9, "legible"


def test_in_print_it_is_light_and_charts_stay_whole(home: Path, visit: Visitor) -> None:
    page = visit(f"file://{home}/few.html", scheme="dark")
    assert _colour(page, "--paper") == "#14171a"
    page.emulate_media(media="print", color_scheme="dark")
    assert _colour(page, "--paper") == "#fcfcfa"
    for figure in page.locator("figure").all():
        assert figure.evaluate("one => getComputedStyle(one).breakInside") == "avoid"
    pdf = page.pdf(format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8


def _colour(page: Page, name: str) -> str:
    value: str = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    return value
