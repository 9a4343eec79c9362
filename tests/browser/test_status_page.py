"""The status page in a real browser, on 5 and on 2,000 orgs: it shows what the ledger holds, to everybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from collector.app.coverage import CoverageReader
from collector.core.budgets import BudgetMetric
from collector.core.org_coverage import CoverageState, CredentialStanding, CredentialStatus, OrgCoverage
from collector.errors import Problem, RefusalReason
from collector.run.progress import Progress
from collector.service.view import CurrentRun, Observed, Part
from collector.service.web.guard import Guarding
from tests.browser.visits import NARROW, WIDE, Visitor, violations
from tests.support.budgets import budget, standing
from tests.support.fleets import (
    FAILING,
    HEALTHY,
    IN_DOUBT,
    MIDNIGHT,
    NEW,
    NO_ADMIN,
    NOW,
    OLD_GAPS,
    PATCHY,
    REFUSED_NOW,
    Fleet,
    make_fleet,
    numbered,
)
from tests.support.ledger_truth import POPULATIONS, Truth
from tests.support.orgs import make_org
from tests.support.sites import FakeSite, observed_of, run_view, served

pytestmark = pytest.mark.slow  # needs Chromium
MANY = 2000
ODD_ONES = {17: REFUSED_NOW, 230: PATCHY, 999: FAILING, 1500: OLD_GAPS, 1700: NO_ADMIN, 1999: NEW}
FIVE = (HEALTHY, REFUSED_NOW, PATCHY, FAILING, IN_DOUBT)
OVERRIDE = "\u202e"  # of the direction of a text
PLACES_OF_TEXTS = """(row) => [...row.querySelectorAll("td")].flatMap((cell) => {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
    for (let node; (node = walker.nextNode());) {
        const range = document.createRange();
        range.selectNodeContents(node);
        const box = range.getBoundingClientRect();
        if (node.textContent.trim() && !node.parentElement.closest("svg")) found.push([box.left, box.right]);
    }
    return found;
})"""
HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    f"{OVERRIDE}txet tfel-ot-thgir",
    "{{ 7*7 }}{% raw %}",
    "Ünïcode und sehr-sehr-" + "lang" * 68,
    "..",
    "a/b?c#d%2e",
)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return make_fleet(tmp_path_factory.mktemp("five"), numbered(5), lambda n: FIVE[n])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return make_fleet(tmp_path_factory.mktemp("many"), numbered(MANY), lambda n: ODD_ONES.get(n, HEALTHY))


@pytest.fixture(scope="module")
def seen_five(five: Fleet) -> Observed:
    return observed_of(five)


@pytest.fixture(scope="module")
def seen_many(many: Fleet) -> Observed:
    return observed_of(many)


@pytest.fixture
def small(seen_five: Observed) -> Iterator[tuple[str, FakeSite]]:
    site = FakeSite(replace(seen_five))
    with served(site) as url:
        yield url, site


@pytest.fixture
def large(seen_many: Observed) -> Iterator[tuple[str, FakeSite]]:
    site = FakeSite(replace(seen_many))
    with served(site) as url:
        yield url, site


def truth_of(fleet: Fleet) -> Truth:
    return Truth(fleet.directory / "ledger.db", due=MIDNIGHT)


def names_on(page: Page) -> list[str]:
    return page.locator(".orgs-table .name").all_inner_texts()


def test_each_strip_and_count_is_what_the_ledger_holds(
    visit: Visitor, five: Fleet, small: tuple[str, FakeSite]
) -> None:
    page, truth = visit(small[0]), truth_of(five)
    bodies = page.locator("tbody.org")
    assert sorted(names_on(page)) == sorted(org.name for org in five.orgs)
    for n in range(len(five.orgs)):
        body = bodies.nth(n)
        name = body.locator(".name").inner_text()
        for m, population in enumerate(POPULATIONS):
            line = body.locator("tr").nth(m)
            assert line.locator(".strip title").text_content() == truth.strip_text(name, population)
            incomplete = 90 - truth.counts(name, population, windows=90)["complete"]
            assert line.locator("[data-name=incomplete]").inner_text() == str(incomplete)
            newest = next(tests for tests in reversed(truth.tests(name, population)) if tests is not None)
            assert line.locator(".newest").inner_text() == f"{newest:,}"


def test_what_is_drawn_is_what_is_said(visit: Visitor, five: Fleet, small: tuple[str, FakeSite]) -> None:
    page, truth = visit(small[0]), truth_of(five)
    at_each_day = """(strip) => [...Array(90).keys()].map((day) => [...strip.querySelectorAll("path")]
        .filter((path) => [0.5, 3, 5, 7, 9, 11.5].some((y) => path.isPointInFill(new DOMPoint(day + 0.1, y))))
        .map((path) => path.getAttribute("class").slice(2)))"""
    for name in (org.name for org in five.orgs):
        for m, population in enumerate(POPULATIONS):
            strip = page.locator(f"#org-{name} .strip").nth(m)
            # The line of a day that isn't due yet is thin; all other shapes are hit by one of the heights.
            drawn = [states or ["not_due"] for states in strip.evaluate(at_each_day)]
            assert drawn == [[state] for state in truth.states(name, population)]


def test_on_2000_orgs_headline_and_filters_count_what_status_counts(
    visit: Visitor, many: Fleet, large: tuple[str, FakeSite]
) -> None:
    ledger = many.open()
    try:
        orgs = list(CoverageReader(many.config, days=None).read_all(ledger, NOW).values())
    finally:
        ledger.close()
    incomplete = [org.name for org in orgs if org.incomplete]
    page = visit(large[0])
    assert page.locator("h1").inner_text() == f"{len(incomplete)} orgs are incomplete; 2 orgs are refused"
    assert page.title().startswith(f"{len(incomplete)} orgs are incomplete")
    complete = sum(org.count(CoverageState.COMPLETE) for org in orgs)
    wanted = complete + sum(org.incomplete for org in orgs)
    assert f"{complete:,} of {wanted:,} due" in page.locator("#verdict").inner_text()
    assert page.locator("#tally-lacking .count").inner_text() == str(len(incomplete))
    assert page.locator("#tally-complete .count").inner_text() == f"{MANY - len(incomplete):,}"
    assert set(names_on(page)[: len(incomplete)]) == set(incomplete)  # worst first
    assert len(names_on(page)) == 50


def test_the_json_is_what_status_says_of_all_2000(visit: Visitor, many: Fleet, large: tuple[str, FakeSite]) -> None:
    answer: dict[str, Any] = visit(large[0]).request.get(f"{large[0]}/api/status").json()
    truth = truth_of(many)
    assert [org["org"] for org in answer["orgs"]] == [org.name for org in many.orgs]
    for org in answer["orgs"]:
        for population in org["populations"]:
            where = (org["org"], population["population"])
            shown = [state for state, length in population["days"]["runs"] for _ in range(length)]
            windows = 3 if many.kinds[org["org"]] is NEW else 90
            assert shown[-4:] == truth.states(*where)[-4:], where
            if windows == 90:
                assert shown == truth.states(*where), where
                assert population["tests"] == truth.tests(*where), where
                counts = truth.counts(*where, windows=90)
                assert {state: population[state] for state in counts} == counts, where


def test_the_failing_org_is_found_in_two_actions_and_says_what_to_do(
    visit: Visitor, large: tuple[str, FakeSite]
) -> None:
    page = visit(large[0])
    page.locator("#tally-failed").click()
    page.locator(".orgs-table .name").first.click()
    assert page.locator("h1").inner_text() == "org-1000"
    assert "http_503" in page.locator(".population").first.inner_text()
    page.goto(large[0])
    page.get_by_label("Search").fill("org-0018")
    expect(page.locator("#found")).to_have_text("1 org")
    page.locator(".orgs-table .name").click()
    told = page.locator(".trouble").inner_text()
    assert "Credential refused (401)" in told
    assert "user name or access key is wrong or was renewed" in told
    assert "collector check -c /etc/collector/collector.yaml --org org-0018" in told


def test_gaps_that_no_collect_fills_come_with_the_command_that_does(
    visit: Visitor, large: tuple[str, FakeSite]
) -> None:
    page = visit(f"{large[0]}/orgs/org-1501")
    assert page.locator(".old .cmd").inner_text() == (
        "collector backfill -c /etc/collector/collector.yaml --org org-1501 --from 2026-09-14 --to 2026-09-25"
    )
    assert page.locator(".gaps li").first.inner_text().split() == ["missing", "2026-09-14", "to", "09-25"]


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_search_label_order_and_pages_work(visit: Visitor, large: tuple[str, FakeSite], javascript: bool) -> None:
    page = visit(large[0], javascript=javascript)
    page.get_by_label("Label").fill("team:payments")
    page.get_by_label("Order").select_option("name")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#found")).to_have_text("1 to 50 of 400 orgs")
    assert names_on(page)[0] == "org-0005"
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#found")).to_have_text("51 to 100 of 400 orgs")
    assert names_on(page)[0] == "org-0255"
    page.get_by_label("Search").fill("nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#found")).to_have_text("No org matches.")


def test_it_refreshes_itself_and_keeps_focus_and_what_is_open(visit: Visitor, small: tuple[str, FakeSite]) -> None:
    url, site = small
    page = visit(url)
    page.locator("#ended summary").click()
    link = page.locator("#org-org-0004 .name")
    link.focus()
    healthy = {
        name: replace(view, credential=CredentialStatus(standing=CredentialStanding.ACCEPTED))
        for name, view in site.seen.orgs.items()
    }
    site.seen.orgs = healthy
    site.seen.runs = (run_view(-1, 4), *site.seen.runs)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("h1")).to_have_text("4 orgs are incomplete")
    expect(page.locator("#said")).to_have_text("4 orgs are incomplete")
    assert link.evaluate("(link) => link === document.activeElement")
    assert page.locator("#ended").get_attribute("open") is not None
    assert "an org was refused" in page.locator("#ended tbody tr").first.inner_text()


def test_when_the_service_is_gone_the_page_says_so_and_keeps_what_it_showed(
    visit: Visitor, seen_five: Observed
) -> None:
    with served(FakeSite(seen_five)) as url:
        page = visit(url)
    for _ in range(20):  # two failures in a row: the page may begin the next try before it has counted the last one
        with page.expect_event("requestfailed"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        if page.locator("#refresh").inner_text():
            break
    expect(page.locator("#refresh")).to_have_text("· not refreshed: the service doesn't answer")
    assert len(names_on(page)) == 5
    visit.complaints.clear()  # that it could not connect: what the test is about


def test_a_run_under_way_and_a_refused_config_are_shown(visit: Visitor, small: tuple[str, FakeSite]) -> None:
    url, site = small
    progress = Progress(
        left={"a": 3, "b": 0},
        planned={"a": 10, "b": 7},
        done=14,
        orgs_done=1,
        retries=2,
        hosts_down={"api.example.test"},
    )
    site.seen.current = CurrentRun(run_id="r", started_at=NOW - timedelta(minutes=3), progress=progress)
    site.seen.config_problems = [Problem(message="unknown key <b>`cron`</b>", file="c.yaml", line=7, path="schedul")]
    site.seen.config_refused_at = NOW
    page = visit(url)
    bar = page.get_by_role("progressbar", name="Run under way since 3 min ago")
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("14", "17")
    assert "The API is down" in page.locator("#runs").inner_text()
    assert "c.yaml:7: schedul: unknown key <b>`cron`</b>" in page.locator(".problems").inner_text()
    assert violations(page) == []


@pytest.mark.parametrize("path", ["/", "/orgs/org-0002"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_why_no_run_can_do_its_work_is_at_the_top(
    visit: Visitor, small: tuple[str, FakeSite], path: str, size: tuple[int, int]
) -> None:
    url, site = small
    site.seen.note_trouble(Part.LEDGER, "the ledger /srv/<b>state</b>/ledger.db is gone: move it back")
    page = visit(f"{url}{path}", size=size)
    region = page.get_by_role("region", name="No run can do its work")
    if path == "/":
        assert page.title().startswith("No run can do its work; ")
    assert region.get_by_text("The ledger /srv/<b>state</b>/ledger.db is gone: move it back").is_visible()
    assert violations(page) == []
    site.seen.note_trouble(Part.LEDGER, None)
    page.reload()
    assert not region.is_visible()


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", NARROW)], ids=["light", "dark", "narrow"]
)
def test_axe_finds_nothing(
    visit: Visitor, small: tuple[str, FakeSite], large: tuple[str, FakeSite], scheme: str, size: tuple[int, int]
) -> None:
    for url in (f"{large[0]}/", f"{small[0]}/?state=lacking", f"{small[0]}/orgs/org-0002"):
        page = visit(url, scheme=scheme, size=size)
        for details in page.locator("details > summary").all():
            details.click()
        assert violations(page) == [], url


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", NARROW)], ids=["light", "dark", "narrow"]
)
def test_budgets_are_readable_without_colour_and_on_a_narrow_screen(
    visit: Visitor, small: tuple[str, FakeSite], scheme: str, size: tuple[int, int], tmp_path: Path
) -> None:
    url, site = small
    site.seen.budgets = [
        standing(unknown=3, too_new=1),
        standing(budget("qa-" + "very-long-name-" * 4, label=(("cost_center", "qa"),)), "850", "1250"),
        standing(budget("acme", "2500.00", BudgetMetric.COST, unit="USD", decimals=2, org="acme"), "3400.129", "4100"),
        standing(budget(f"{OVERRIDE}kcab"), None, None, unknown=46),
    ]
    site.seen.budgets_read_at = NOW - timedelta(minutes=3)
    page = visit(url, scheme=scheme, size=size)
    region = page.locator("#budgets")
    rows = region.locator("tbody tr").all_inner_texts()
    for row, words in zip(rows, ("within", "will be over", "over", "nothing known"), strict=True):
        assert words in row
    assert "as of 3 min ago" in region.inner_text()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert visit.complaints == []
    region.screenshot(path=tmp_path / "budgets.png")


@pytest.mark.parametrize("width", [1000, 1200])
def test_on_a_laptop_no_column_of_budgets_is_cut_off(
    visit: Visitor, small: tuple[str, FakeSite], width: int, tmp_path: Path
) -> None:
    url, site = small
    money = budget("acme", "2500000.00", BudgetMetric.COST, unit="USD", decimals=2, org="acme")
    site.seen.budgets = [
        standing(money, "3400000.129", "337950000", unknown=1234, newly_priced=6, not_priced=117),
        standing(budget("automation of all", products=("automaton",)), None, None, absent=("automaton",)),
    ]
    site.seen.budgets_read_at = NOW - timedelta(minutes=3)
    page = visit(url, size=(width, 800))
    region = page.locator("#budgets .scroll")
    region.screenshot(path=tmp_path / f"{width}.png")
    assert region.evaluate("(found) => found.scrollWidth - found.clientWidth") == 0
    assert "13,518 %" in region.inner_text()
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1000, 1200])
def test_numbers_of_an_org_never_touch(visit: Visitor, small: tuple[str, FakeSite], width: int) -> None:
    url, site = small
    behind: dict[str, Any] = {
        "counts": {CoverageState.MISSING: 11_700},
        "newest_due": NOW,
        "newest_complete": NOW - timedelta(days=1117, hours=23),
        "tests": [*[0] * 89, 1_234_567],
    }
    site.seen.orgs = {
        name: replace(org, populations=[replace(one, **behind) for one in org.populations])
        for name, org in site.seen.orgs.items()
    }
    row = visit(url, size=(width, 800)).locator("tbody.org tr").first
    assert [one.inner_text() for one in row.locator("td.num").all()][:2] == ["11,700", "1117 d 23 h"]
    places = row.evaluate(PLACES_OF_TEXTS)
    assert len(places) == 5
    assert [right[0] - left[1] for left, right in pairwise(places) if right[0] - left[1] < 8] == []


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    labels = {"team": "<b>bold</b>", "note": '"><script>alert(3)</script>' + "x" * 900, "k.8": f"{OVERRIDE}oof"}
    orgs = [make_org(name, labels=labels) for name in HOSTILE]
    names = (*HOSTILE, "")
    fleet = make_fleet(
        tmp_path_factory.mktemp("hostile"), orgs, lambda n: (REFUSED_NOW, OLD_GAPS)[n % 2], org_name=lambda n: names[n]
    )
    seen = observed_of(fleet, config_path="/etc/" + "deep/" * 50 + "c.yaml")
    said = CredentialStatus(
        standing=CredentialStanding.REFUSED,
        reason=RefusalReason.IDENTITY,
        message=f"<i>organization</i> \x07 {OVERRIDE}",
    )
    seen.orgs = {name: _with(view, said) for name, view in seen.orgs.items()}
    return seen


def _with(view: OrgCoverage, credential: CredentialStatus) -> OrgCoverage:
    return replace(view, credential=credential) if view.credential.standing is CredentialStanding.REFUSED else view


def test_hostile_names_are_shown_as_text_and_the_layout_holds(visit: Visitor, hostile: Observed) -> None:
    with served(FakeSite(hostile)) as url:
        for size in (NARROW, WIDE):
            page = visit(url, size=size)
            shown = page.locator(".orgs-table .name bdi").all_text_contents()
            assert {name.replace(OVERRIDE, "\\u202e") for name in HOSTILE} == set(shown)
            assert page.locator("script").count() == 1
            assert page.locator("main img, main i, main b").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        for link in page.locator(".orgs-table .name").all():
            other = visit(url + "/" + (link.get_attribute("href") or ""), size=NARROW)
            assert other.locator("h1 bdi").text_content() in shown
            assert other.evaluate("document.documentElement.scrollWidth") == NARROW[0]
        assert violations(visit(url, size=NARROW)) == []


def test_all_of_it_can_be_reached_with_the_keyboard_in_the_order_of_the_eye(
    visit: Visitor, small: tuple[str, FakeSite]
) -> None:
    page = visit(small[0])
    describe = (
        "document.activeElement.id || document.activeElement.className || document.activeElement.textContent.trim()"
    )
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(describe))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
    order = ["skip", "brand", "tally-all", "tally-lacking", "q", "label", "sort", "Show", "Reset", "name"]
    assert [reached.index(one) for one in order] == sorted(reached.index(one) for one in order)
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_person_opens_the_guarded_page_with_the_token_as_password(visit: Visitor, seen_five: Observed) -> None:
    guarding, site = Guarding(token=lambda: "s3cret-token"), FakeSite(replace(seen_five))
    with served(site, guarding) as url:
        page = visit(url, http_credentials={"username": "anybody", "password": "s3cret-token"})
        assert len(names_on(page)) == 5
        site.seen.orgs = dict(list(site.seen.orgs.items())[:1])
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("h1")).to_have_text("All due windows are complete")
        assert "s3cret" not in page.content()
