"""Access to the service over real sockets: methods, hosts, tokens, headers, and the content of each path."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest

from collector.core.anomalies import MEANING, Anomaly
from collector.core.budgets import BudgetMetric
from collector.core.identities import user_fingerprint
from collector.core.ledger_entries import CredentialUse
from collector.core.org_coverage import AnomalySpan
from collector.errors import ConfigError, Problem, RefusalReason, Refused
from collector.model import BasicCredential, BearerCredential, Window
from collector.service.view import Observed, Part
from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving
from collector.service.web.status_document import status_schema
from collector.service.web.status_json import status_bytes
from tests.support.budgets import budget, standing
from tests.support.fleets import HEALTHY, KINDS, NOW, REFUSED_NOW, make_fleet, numbered
from tests.support.sites import FakeSite, observed_of
from tests.support.waiting import BOUND_S
from tests.support.web_clients import running_site
from tests.unit.test_visible import CODES

PATHS = (
    "/",
    "/orgs/org-0001",
    "/orgs/nobody",
    "/api/status",
    "/metrics",
    "/healthz",
    "/readyz",
    "/static/nothing",
    "/x",
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    fleet = make_fleet(tmp_path_factory.mktemp("web"), numbered(6), lambda n: KINDS[n])
    return observed_of(fleet)


async def test_each_path_returns_its_content(seen: Observed) -> None:
    async with running_site(seen) as get:
        page, org = await get("/"), await get("/orgs/org-0002")
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "org-0002" in page.text
        assert "Organization 1 Ltd." in org.text
        assert (await get("/orgs/nobody")).status == 404
        metrics = await get("/metrics")
        assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "collector_up 1.0" in metrics.text
        assert (await get("/healthz")).text == (await get("/readyz")).text == "ok\n"
        assert (await get("/nothing")).status == 404


async def test_the_json_matches_its_schema_and_supports_the_filters_of_the_page(seen: Observed) -> None:
    async with running_site(seen) as get:
        answer = await get("/api/status")
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        document = json.loads(answer.body)
        jsonschema.Draft202012Validator(status_schema()).validate(document)
        assert [org["org"] for org in document["orgs"]] == list(seen.orgs)
        refused = json.loads((await get("/api/status?state=refused&q=org-0002")).body)
        assert [org["credential"]["reason"] for org in refused["orgs"]] == ["credential"]
        assert refused["orgs_total"] == len(seen.orgs)


async def test_budgets_are_on_the_page_and_in_the_json_with_what_is_unknown_of_them(seen: Observed) -> None:
    money = budget("<i>money</i>", "1250.50", BudgetMetric.COST, unit="USD", decimals=2, label=(("team", "qa"),))
    standings = [
        standing(unknown=3, coarse=1, too_new=2),
        standing(money, "1250.499", "1250.5001", not_priced=4),
        standing(budget("dark", products=("automation",), org="acme-*"), None, None, unknown=40),
        standing(budget("over"), "1000", None),
        standing(budget("odd", products=("<b>auto",)), None, None, absent=("<b>auto",), without_number=("smartui\n",)),
    ]
    async with running_site(replace(seen, budgets=standings, budgets_read_at=NOW)) as get:
        document = json.loads((await get("/api/status")).body)
        page = (await get("/")).text
    jsonschema.Draft202012Validator(status_schema()).validate(document)
    first, second, dark, over, odd = document["budgets"]
    assert [one["level"] for one in document["budgets"]] == ["ok", "forecast", "unknown", "over", "unknown"]
    assert (first["used"], first["used_ratio"], first["forecast_ratio"], first["windows_unknown"]) == (500, 0.5, 0.9, 3)
    assert (first["forecast_is_at_least"], first["orgs_coarse"], first["orgs_too_new"]) == (True, 1, 2)
    assert (second["amount"], second["unit"], second["label"]) == (1250.5, "USD", {"team": "qa"})
    assert (dark["used"], dark["forecast"], dark["org"], dark["products"]) == (None, None, "acme-*", ["automation"])
    assert (over["first_day"], over["last_day"]) == ("2026-11-01", "2026-11-30")
    assert (odd["products_absent"], odd["products_without_number"]) == (["<b>auto"], ["smartui\n"])
    assert odd["notes"][0] == "no window has the product <b>auto: compare its name with those in an export"
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "no window has the product &lt;b&gt;auto: compare" in text
    assert "smartui has" not in text, "controls are made visible"
    assert "Budgets of November 2026" in text
    assert "all all orgs within" in text
    assert "500 50 % 1,000 tests at least 900 90 % 3" in text
    assert "no forecast of 2 orgs or a part: fewer than 7 days of the last 4 weeks are known" in text
    assert (
        "&lt;i&gt;money&lt;/i&gt; team: qa will be over 4 windows with usage that has no price 1,250.50 100 %" in text
    )
    assert "1,250.50 100 % 1,250.50 USD 1,250.50 100 % 0" in text
    assert "dark org acme-*, automation nothing known not known 1,000 tests none 40" in text
    assert "over all orgs over 1,000 100 % 1,000 tests none 0" in text


async def test_without_budgets_or_before_they_are_read_the_page_has_no_section_of_them(seen: Observed) -> None:
    async with running_site(seen) as get:
        assert "Budgets of" not in (await get("/")).text
        assert json.loads((await get("/api/status")).body)["budgets_read_at"] is None


async def test_a_refused_org_is_shown_since_when_and_why_on_both_pages_and_in_the_json(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(1), lambda _: REFUSED_NOW)
    (org,) = fleet.orgs
    first, last = NOW - timedelta(days=8), NOW - timedelta(hours=3)
    refused = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused (401)")
    ledger = fleet.open()
    for at in (first, last):
        ledger.commit([], None, [CredentialUse(org=org, at=at, refused=refused)])
    ledger.close()
    fleet.orgs[0] = replace(org, credential=BasicCredential(username="another@example.test", access_key="key"))
    async with running_site(observed_of(fleet)) as get:
        for path in ("/", "/orgs/org-0001"):
            text = " ".join(re.sub("<[^>]*>", "", (await get(path)).text).split())
            assert "Credential refused (401) since 8 d ago, last tried 3 h ago: user name or access key is" in text
            assert "The config has another user by now. What to do: correct it;" in text
        (shown,) = json.loads((await get("/api/status")).body)["orgs"]
    assert shown["credential"] == {
        "standing": "refused",
        "reason": "credential",
        "message": "the credential is refused (401)",
        "since": first.isoformat(),
        "last_at": last.isoformat(),
        "user": str(user_fingerprint(org))[:12],
        "changed": True,
        "tried_again_at": None,
    }


async def test_a_refused_token_is_called_a_token(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(1), lambda _: REFUSED_NOW)
    fleet.orgs[0] = replace(fleet.orgs[0], credential=BearerCredential(token="t"))
    refused = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused (401)")
    ledger = fleet.open()
    ledger.commit([], None, [CredentialUse(org=fleet.orgs[0], at=NOW, refused=refused)])
    ledger.close()
    async with running_site(observed_of(fleet)) as get:
        for path in ("/", "/orgs/org-0001"):
            text = " ".join(re.sub("<[^>]*>", "", (await get(path)).text).split())
            assert "the token is wrong, has expired or was renewed. What to do: correct it;" in text
            assert "access key" not in text


async def test_no_sentence_of_a_page_runs_into_the_next(seen: Observed) -> None:
    async with running_site(seen) as get:
        for path in ("/", *(f"/orgs/{name}" for name in seen.orgs)):
            page = re.sub(r"<(style|script|code).*?</\1>", "", (await get(path)).text, flags=re.DOTALL)
            text = re.sub("<(?!/?(strong|bdi|span|time|a)\\b)[^>]*>", "\n", page)
            text = re.sub("<[^>]*>", "", text)
            assert re.findall(r".{0,30}[a-z)](?:\.[A-Z]|[;,][A-Za-z]).{0,30}", text) == []


async def test_answers_that_look_wrong_are_on_the_page_of_the_org_and_in_the_json(seen: Observed) -> None:
    """By population, window, anomaly and product; the names of products come from the API."""
    org = seen.orgs["org-0001"]
    span = Window(NOW - timedelta(days=9), NOW - timedelta(days=7))
    shrunk = AnomalySpan(Anomaly.SHRUNK, span, ("<b>automation</b>",))
    first, *others = org.populations
    populations = [replace(first, anomalies=[shrunk], anomalies_left_out=3), *others]
    seen = replace(seen, orgs={org.name: replace(org, populations=populations)})
    async with running_site(seen) as get:
        page = (await get("/orgs/org-0001")).text
        document = json.loads((await get("/api/status")).body)
    assert page.count("Answers that look wrong") == 1
    assert "<code>shrunk</code>" in page
    assert f"{MEANING[Anomaly.SHRUNK]} (&lt;b&gt;automation&lt;/b&gt;)" in page
    assert "and 3 older spans" in page
    jsonschema.Draft202012Validator(status_schema()).validate(document)
    shown, *rest = document["orgs"][0]["populations"]
    (part,) = shown["anomalies"]
    assert (part["anomaly"], part["products"], shown["anomalies_left_out"]) == ("shrunk", ["<b>automation</b>"], 3)
    assert datetime.fromisoformat(part["start"]) == span.start
    assert [one["anomalies"] for one in rest] == [[]] * len(rest)


async def test_ranges_that_are_wanted_are_on_the_page_and_in_the_json_with_the_holes_between(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(1), lambda _: HEALTHY)
    seen = observed_of(fleet)
    (org,) = seen.orgs.values()
    (newest,) = org.wanted
    year = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    seen.orgs = {org.name: replace(org, wanted=[year, newest])}
    async with running_site(seen) as get:
        text = " ".join(re.sub("<[^>]*>", "", (await get("/orgs/org-0001")).text).split())
        (shown,) = json.loads((await get("/api/status")).body)["orgs"]
    first, last = newest.start.date(), (newest.end - timedelta(days=1)).date()
    before = first - timedelta(days=1)
    assert f"Wanted and due2024-01-01 to 12-31, {first} to {last:%m-%d} never wanted: 2025-01-01 to {before}" in text
    assert [span["start"][:10] for span in shown["wanted"]] == ["2024-01-01", f"{first}"]


async def test_the_schema_knows_every_key_and_every_state(seen: Observed) -> None:
    validator = jsonschema.Draft202012Validator(status_schema())
    seen = replace(seen, budgets=[standing()], budgets_read_at=NOW)
    document = json.loads(status_bytes(seen, now=NOW))
    parts = [
        document,
        document["config"],
        document["budgets"][0],
        document["schedule"],
        document["runs"][0],
        *document["orgs"],
    ]
    parts += [population for org in document["orgs"] for population in org["populations"]]
    parts += [part for population in parts[-2:] for part in (population["days"], *population["newest_usage"].values())]
    for part in (*parts, *(org["credential"] for org in document["orgs"])):
        for key in list(part):
            value = part.pop(key)
            assert not validator.is_valid(document), key
            part[key] = value
    wrong: list[tuple[Any, Any, Any]] = [
        (document["orgs"][1]["populations"][0]["gaps"][0], "state", "not_due"),
        (document["orgs"][0]["populations"][0]["days"]["runs"][0], 0, "unheard of"),
        (document["orgs"][0]["populations"][0]["days"]["runs"][0], 1, 0),
        (document["orgs"][0]["populations"][0]["tests"], 0, -1),
        (document["orgs"][0]["populations"][0], "lag_s", -1),
        (document["orgs"][0]["credential"], "standing", "fine"),
        (document["orgs"][0], "granularity", "year"),
        (document["runs"][0]["states"], "complete", "3"),
        (document["budgets"][0], "level", "fine"),
        (document["budgets"][0], "windows_unknown", -1),
    ]
    for part, key, value in wrong:
        right, part[key] = part[key], value
        assert not validator.is_valid(document), (key, value)
        part[key] = right
    assert validator.is_valid(document)


async def test_health_says_in_one_line_what_hangs_and_readiness_what_can_not_be_used(seen: Observed) -> None:
    async with running_site(seen) as get:
        get.site.unfit = "the ledger can't be read: the disk is full"
        assert (await get("/healthz")).status == 200
        assert (await get("/readyz")).status == 503
        assert (await get("/readyz")).text == "the ledger can't be read: the disk is full\n"
        get.site.sick = "the writer hangs since 5 min"
        assert ((await get("/healthz")).status, (await get("/readyz")).status) == (503, 503)
        assert (await get("/healthz")).text == "the writer hangs since 5 min\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_only_get_and_head_are_answered(seen: Observed, method: str) -> None:
    async with running_site(seen) as get:
        for path in PATHS:
            answer = await get(path, method=method)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_head_answers_like_get_without_a_body(seen: Observed) -> None:
    async with running_site(seen) as get:
        for path in PATHS:
            answer, got = await get(path, method="HEAD"), await get(path)
            assert (answer.status, answer.body) == (got.status, b"")
            assert answer.headers["Content-Type"] == got.headers["Content-Type"]


async def test_every_answer_has_security_headers(seen: Observed) -> None:
    async with running_site(seen, Guarding(token=lambda: "t0ken")) as get:
        answers = [await get(path) for path in PATHS] + [
            await get("/", method="POST"),
            await get("/", Host="evil.test"),
        ]
    assert {answer.status for answer in answers} == {200, 401, 405, 421}
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "data:" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "aiohttp" not in answer.headers["Server"]
        assert "Set-Cookie" not in answer.headers


async def test_style_and_script_are_separate_files_that_may_be_cached(seen: Observed) -> None:
    async with running_site(seen) as get:
        page = (await get("/")).text
        assert "<style" not in page
        assert " style=" not in page
        assert " on" not in {part[:3] for part in page.split('"')}
        for name, kind in (("page-", "text/css"), ("page-", "text/javascript"), ("icon-", "image/svg+xml")):
            suffix = {"text/css": ".css", "text/javascript": ".js", "image/svg+xml": ".svg"}[kind]
            path = next(
                part for part in page.split('"') if part.startswith(f"./static/{name}") and part.endswith(suffix)
            )
            answer = await get(path.removeprefix("."))
            assert (answer.status, answer.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
            assert "immutable" in answer.headers["Cache-Control"]


async def test_a_client_that_has_the_newest_answer_is_sent_none(seen: Observed) -> None:
    async with running_site(seen) as get:
        for path in ("/", "/orgs/org-0001", "/api/status", "/metrics"):
            first = await get(path)
            tag = first.headers["ETag"]
            again = await get(path, If_None_Match=f'"other", {tag}')
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
            assert (await get(path, If_None_Match='W/"other"')).status == 200
        tag = (await get("/")).headers["ETag"]
        get.site.seen = replace(seen, warnings=["something new"])
        async with asyncio.timeout(BOUND_S):  # until a pause is over, it is sent what it has
            while (await get("/", If_None_Match=tag)).status != 200:  # noqa: ASYNC110 - a peer has no Event
                await asyncio.sleep(0.02)


async def test_a_failing_page_shows_no_details(seen: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_site(seen) as get:
        monkeypatch.setattr(FakeSite, "observed", lambda _: 1 / 0)
        said = await get("/")
        assert (said.status, said.text) == (500, "This page failed; the log of the service says why.\n")
        assert said.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert (await get("/healthz")).status == 200


async def test_large_pages_are_compressed_on_request(seen: Observed) -> None:
    async with running_site(seen) as get:
        answer = await get("/", Accept_Encoding="gzip")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in (await get("/healthz", Accept_Encoding="gzip")).headers
        assert "Content-Encoding" not in (await get("/", Accept_Encoding="identity")).headers


async def test_an_address_in_use_is_a_config_error_that_names_the_keys(seen: Observed) -> None:
    async with running_site(seen) as get:
        port = int(get.url.rpartition(":")[2])
        with pytest.raises(
            ConfigError, match=r"service\.host and service\.port: 127\.0\.0\.1:\d+ can't be listened on"
        ):
            async with serving(make_app(FakeSite(seen), Guarding()), host="127.0.0.1", port=port):
                raise AssertionError


async def test_any_query_returns_a_page(seen: Observed) -> None:
    async with running_site(seen) as get:
        odd = ["page=-1", "page=999999999999", "page=²", "state=%00", "sort=x&sort=name", "label=:", "label=team"]
        for query in [*odd, "q=%ff%fe", "q=" + "a" * 5000, "&&==", "label=a:b&" * 50]:
            assert (await get(f"/?{query}")).status == 200, query


CONTROLS = {"C0": range(0x20), "C1": range(0x7F, 0xA0), "separators": (0x2028, 0x2029)}


@pytest.mark.parametrize("name", CONTROLS)
async def test_no_page_contains_a_control_character_of_its_url(seen: Observed, name: str) -> None:
    odd = quote("".join(map(chr, CONTROLS[name])))
    paths = (f"/?q=a{odd}b&sort={odd}", f"/?label=a{odd}:b{odd}&label=c{odd}", f"/orgs/a{odd}", f"/orgs/?name={odd}")
    async with running_site(seen) as get:
        texts = [(await get(path)).text for path in (*paths, f"/{odd}", f"/static/{odd}", f"/api/status?q={odd}")]
    for text in texts:
        assert text.replace("\n", " ").isprintable()
    assert 'value="ab"' in texts[0]


async def test_texts_that_steer_a_terminal_are_escaped_on_the_page_and_in_the_json(tmp_path: Path) -> None:
    steering = "".join(map(chr, CODES))
    problem = Problem(message=f"is the name of {steering} already", file=f"/etc/{steering}", line=3)
    fleet = make_fleet(tmp_path, numbered(1), lambda _: HEALTHY)
    seen = observed_of(fleet, config_path=f"/etc/{steering}", config_problems=[problem], warnings=[f"x {steering}"])
    async with running_site(seen) as get:
        page, document = (await get("/")).text, (await get("/api/status")).text
    assert not set(steering) & set(page + document)
    assert json.loads(document)["config"]["path"] == f"/etc/{steering}"


async def test_a_service_that_can_not_work_never_says_that_all_is_complete(tmp_path: Path) -> None:
    seen = observed_of(make_fleet(tmp_path, numbered(2), lambda _: HEALTHY))
    troubles: list[tuple[Observed, str]] = [
        (replace(seen, troubles={Part.LEDGER: "it is gone"}), "No run can do its work"),
        (replace(seen, troubles={Part.OUTPUT: "it is gone"}, snapshot_at=None, orgs={}), "No run can do its work"),
        (replace(seen, config_problems=[Problem(message="wrong")]), "The new config is not in force"),
    ]
    for trouble, headline in troubles:
        async with running_site(trouble) as get:
            page, document = (await get("/")).text, json.loads((await get("/api/status")).text)
        assert document["headline"] == headline
        assert f"<title>{headline} · usage collector</title>" in page
        assert re.search(
            rf'<section class="verdict bad"[^>]*>\s*<h1[^>]*><span class="mark bad".*{headline}</h1>', page
        )
        assert "All due windows are complete" not in page


async def test_the_page_says_that_all_orgs_are_healthy(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, numbered(2), lambda _: HEALTHY)
    async with running_site(observed_of(fleet)) as get:
        assert "All due windows are complete" in (await get("/")).text
    refused = make_fleet(tmp_path / "other", numbered(1), lambda _: REFUSED_NOW)
    async with running_site(observed_of(refused)) as get:
        assert "1 org is incomplete; 1 org is refused" in (await get("/")).text
