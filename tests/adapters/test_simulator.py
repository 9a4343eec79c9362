"""The simulated API over real sockets, and the command that serves it."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from click.testing import CliRunner
from yarl import URL

from collector.cli.simulate import simulate
from collector.simulator.endpoint import PATH
from collector.simulator.faults import FaultError
from collector.simulator.limits import Limit
from collector.simulator.scenario import Scenario
from collector.simulator.server import Simulator, running_simulator

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = {"type": "account-user", "from": "2026-11-17 00:00:00", "to": "2026-11-17 23:59:59"}
START = int(datetime(2026, 11, 17, tzinfo=UTC).timestamp())
COMMAND = [sys.executable, "-c", "from collector.cli.simulate import simulate; simulate()", "--port", "0"]


@dataclass
class Client:
    """Asks a simulator as an org of it."""

    simulator: Simulator
    session: aiohttp.ClientSession

    async def ask(
        self,
        org: str = "org-001",
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        of = self.simulator.org(org)
        auth = aiohttp.encode_basic_auth(of.username, of.access_key)
        headers = {"Authorization": auth} if headers is None else headers
        url = self.simulator.base_url + PATH
        async with self.session.request(method, url, params={**DAY, **(query or {})}, headers=headers) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def control(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        url = URL(self.simulator.base_url + path)
        async with self.session.request(method, url, json=body) as response:
            return await response.json() if response.status != 204 else None


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def products(self) -> dict[str, dict[str, int]]:
        products: dict[str, dict[str, int]] = self.json["data"]["products"]
        return products

    @property
    def partial(self) -> bool:
        return self.json["data"]["metadata"].get("partial", False) is True


@asynccontextmanager
async def simulated(*faults: str, orgs: int = 3, limit: Limit | None = None, **more: Any) -> AsyncIterator[Client]:
    scenario = Scenario(orgs=orgs, faults=faults, now=NOW, limit=limit, **more)
    async with running_simulator(scenario) as simulator, aiohttp.ClientSession() as session:
        yield Client(simulator, session)


def counts(products: dict[str, dict[str, int]]) -> list[int]:
    return [count for metrics in products.values() for count in metrics.values()]


# --- the endpoint as documented -------------------------------------------------------------


async def test_a_day_is_answered_in_the_documented_shape_with_the_truth() -> None:
    async with simulated() as client:
        reply = await client.ask(query={"timezone": "-330"})
        org = client.simulator.org("org-001")
        start = START - 19_800
        truth = client.simulator.usage.totals("org-001", "account-user", start, start + 86_400)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == {
        "status": "success",
        "data": {
            "metadata": {
                **DAY,
                "totalUsers": truth.users,
                "timezone": "+05:30",
                "organization": {"id": org.org_id, "name": org.display_name},
            },
            "products": truth.products,
        },
    }
    assert sum(counts(truth.products)) > 0


async def test_a_bearer_token_is_as_good_as_the_access_key() -> None:
    async with simulated() as client:
        bearer = await client.ask(headers={"Authorization": f"Bearer {client.simulator.org('org-001').token}"})
        assert bearer.status == 200
        assert bearer.body == (await client.ask()).body


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic /w==",
        "Bearer",
        "Bearer x",
        "Digest a=b",
        "Basic b3JnLTAwMUBleGFtcGxlLnRlc3Q6eA==",
    ],
)
async def test_without_a_good_credential_the_answer_is_401(authorization: str | None) -> None:
    async with simulated() as client:
        reply = await client.ask(headers={} if authorization is None else {"Authorization": authorization})
    assert reply.status == 401
    assert reply.json == {"status": "error", "message": "Invalid or missing Basic Auth credentials"}
    assert "WWW-Authenticate" in reply.headers


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_any_other_method_is_405_and_says_which_is_allowed(method: str) -> None:
    async with simulated() as client:
        reply = await client.ask(method=method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET")


async def test_a_bad_query_is_400_and_a_bad_credential_comes_first() -> None:
    async with simulated() as client:
        bad = await client.ask(query={"timezone": "IST"})
        unknown = await client.ask(query={"timezone": "IST"}, headers={})
    assert (bad.status, unknown.status) == (400, 401)
    assert bad.json["message"] == "invalid timezone format: IST (expected +HH:MM or -HH:MM, e.g. +05:30)"


async def test_nothing_has_happened_yet_after_the_simulators_now() -> None:
    async with simulated() as client:
        days = {"from": "2026-11-16 00:00:00", "to": "2026-12-16 23:59:59"}
        until_later, until_now = (
            await client.ask(query=days),
            await client.ask(query=days | {"to": "2026-11-19 23:59:59"}),
        )
    assert until_later.products == until_now.products


# --- faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("refused", 401, "Invalid or missing Basic Auth credentials"),
        ("not-admin", 403, "admin access required"),
        ("no-permission", 403, "access restricted: your role does not have the required permissions"),
        ("500", 500, "failed to resolve org users"),
        ("429", 429, "too many requests"),
        ("503,body=json", 503, "service unavailable"),
    ],
)
async def test_a_fault_meets_its_org_alone_with_the_documented_message(fault: str, status: int, message: str) -> None:
    async with simulated(f"org-002:{fault}") as client:
        hit, other = await client.ask("org-002"), await client.ask("org-001")
    assert hit.status == status
    assert hit.json["message"].startswith(message)
    assert other.status == 200


@pytest.mark.parametrize(
    ("fault", "content_type", "body"),
    [
        ("502", "text/html", b"<html>"),
        ("504,body=empty", "application/octet-stream", b""),
        ("429,body=html", "text/html", b"<html>"),
        ("garbage", "text/html", b"<html>"),
    ],
)
async def test_gateways_answer_in_html_or_not_at_all(fault: str, content_type: str, body: bytes) -> None:
    async with simulated(f"*:{fault}") as client:
        reply = await client.ask()
    assert reply.headers.get("Content-Type", "application/octet-stream").startswith(content_type)
    assert reply.body[:6] == body


async def test_retry_after_comes_in_every_form_that_was_asked_for() -> None:
    async with simulated(
        "org-001:429", "org-002:429,retry-after=0", "org-003:503,retry-after=7", "org-004:429,retry-after=date", orgs=4
    ) as client:
        got = [(await client.ask(f"org-00{number}")).headers.get("Retry-After") for number in (1, 2, 3, 4)]
    assert got[:3] == [None, "0", "7"]
    ahead = parsedate_to_datetime(got[3] or "") - datetime.now(UTC)  # noqa: TID251 -- HTTP dates are of the real clock
    assert timedelta(0) < ahead <= timedelta(seconds=2)


async def test_a_sequence_can_be_scripted_with_first_and_after() -> None:
    async with simulated("*:429,first=2", "*:500,after=3,first=4") as client:
        assert [(await client.ask()).status for _ in range(5)] == [429, 429, 200, 500, 200]
        assert (await client.ask("org-002")).status == 429


async def test_chance_is_the_same_in_every_run_of_a_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        async with simulated("*:500=0.5", seed=seed) as client:
            runs.append([(await client.ask()).status for _ in range(30)])
    assert runs[0] == runs[1] != runs[2]
    assert {200, 500} == set(runs[0])


async def test_latency_delays_its_org_alone() -> None:
    async with simulated("org-002:latency=200ms") as client:
        started = time.monotonic()
        await client.ask("org-001")
        between = time.monotonic()
        await client.ask("org-002")
        assert between - started < 0.2 <= time.monotonic() - between


async def test_a_reset_ends_the_connection_without_an_answer() -> None:
    async with simulated("*:reset") as client:
        with pytest.raises((aiohttp.ServerDisconnectedError, ConnectionResetError, aiohttp.ClientOSError)):
            await client.ask()
        entry = client.simulator.journal.requests()[-1]
        assert (entry.status, entry.fault) == (None, "reset")


async def test_a_truncated_body_is_shorter_than_its_length_says() -> None:
    async with simulated("*:truncate") as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.ask()


async def test_a_slow_body_sends_its_headers_at_once_and_is_whole_in_the_end() -> None:
    async with simulated("*:slow-body=200ms") as client:
        org = client.simulator.org("org-001")
        auth = {"Authorization": aiohttp.encode_basic_auth(org.username, org.access_key)}
        started = time.monotonic()
        async with client.session.get(client.simulator.base_url + PATH, params=DAY, headers=auth) as response:
            headers_after = time.monotonic() - started
            body = await response.json()
    assert headers_after < 0.15 < time.monotonic() - started
    assert body["status"] == "success"


async def test_partial_once_is_whole_the_second_time_for_every_query() -> None:
    async with simulated("*:partial=once") as client:
        seen = [(await client.ask(query={"type": of})).partial for of in ("account-user", "service-user") * 2]
    assert seen == [True, True, False, False]


async def test_partial_always_lacks_the_same_group_each_time() -> None:
    async with simulated("org-001:partial=always", "org-002:partial,group=automation") as client:
        replies = [await client.ask() for _ in range(5)]
        automation = await client.ask("org-002")
        truth = client.simulator.usage.totals("org-002", "account-user", START, START + 86_400)
    assert all(reply.partial for reply in replies)
    assert len({reply.body for reply in replies}) == 1
    assert counts(automation.products)[:8] == [0] * 8
    assert counts(automation.products)[8:] == counts(truth.products)[8:]


async def test_partial_often_lacks_now_one_group_and_now_another() -> None:
    async with simulated("*:partial=often") as client:
        replies = [await client.ask() for _ in range(40)]
    assert len({reply.body for reply in replies if reply.partial}) > 1
    assert 5 < sum(reply.partial for reply in replies) < 35


async def test_late_usage_is_counted_in_part() -> None:
    async with simulated("org-001:late=3d:0.5") as client:
        last, before = (
            await client.ask(),
            await client.ask(query={"from": "2026-11-16 00:00:00", "to": "2026-11-16 23:59:59"}),
        )
        usage = client.simulator.usage
        truth = usage.totals("org-001", "account-user", START, START + 86_400).products["automation"]["totalTests"]
        assert last.products["automation"]["totalTests"] == truth // 2
        assert before.products == usage.totals("org-001", "account-user", START - 86_400, START).products


async def test_an_exclusive_end_leaves_the_last_second_out() -> None:
    second = {"from": "2026-11-17 11:59:59", "to": "2026-11-17 12:00:00"}
    async with simulated("org-001:range-end=exclusive") as client:
        reply = await client.ask(query=second)
        whole_day = await client.ask(query={"to": "2026-11-18 00:00:00"})
        usage = client.simulator.usage
        noon = START + 12 * 3600
        assert reply.products == usage.totals("org-001", "account-user", noon - 1, noon).products
        assert whole_day.products == usage.totals("org-001", "account-user", START, START + 86_400).products


async def test_parts_that_do_not_add_up_differ_from_the_whole() -> None:
    async with simulated("*:not-additive") as client:
        whole = counts((await client.ask()).products)
        parts = [
            counts((await client.ask(query=part)).products)
            for part in ({"to": "2026-11-17 11:59:59"}, {"from": "2026-11-17 12:00:00"})
        ]
    assert sum(whole) < sum(map(sum, parts))


async def test_retention_answers_zeros_for_what_is_too_old() -> None:
    async with simulated("*:retention=3d") as client:
        old = await client.ask(query={"from": "2026-11-16 00:00:00", "to": "2026-11-16 23:59:59"})
        young = await client.ask()
    assert set(counts(old.products)) == {0}
    assert old.json["data"]["metadata"]["totalUsers"] == 0
    assert sum(counts(young.products)) > 0


async def test_same_types_answers_both_types_with_the_sum() -> None:
    async with simulated("org-002:same-types") as client:
        humans, machines = [await client.ask("org-002", {"type": of}) for of in ("account-user", "service-user")]
        usage = client.simulator.usage
        parts = [usage.totals("org-002", of, START, START + 86_400) for of in ("account-user", "service-user")]
    assert humans.products == machines.products
    assert counts(humans.products) == [
        sum(pair) for pair in zip(*(counts(part.products) for part in parts), strict=True)
    ]


async def test_same_as_answers_as_the_other_org() -> None:
    async with simulated("org-003:same-as=org-001") as client:
        assert (await client.ask("org-003")).body == (await client.ask("org-001")).body
        assert [entry.org for entry in client.simulator.journal.requests()] == ["org-003", "org-001"]


async def test_an_extra_product_and_metric_are_added() -> None:
    async with simulated("*:extra-product") as client:
        products = (await client.ask()).products
    assert set(products["kaneai"]) == {"totalTests", "totalDuration"}
    assert products["automation"]["totalMinutes"] > 0


async def test_faults_of_no_org_are_refused_at_once() -> None:
    for fault in ("org-9*:refused", "org-001:same-as=org-999"):
        with pytest.raises(FaultError, match="none of the orgs org-001 to org-003"):
            async with simulated(fault):
                pass


async def test_faults_are_replaced_while_it_runs_and_counting_goes_on_for_those_that_stay() -> None:
    async with simulated("org-001:refused", "org-002:500,first=2") as client:
        assert [(await client.ask(org)).status for org in ("org-001", "org-002")] == [401, 500]
        now = await client.control(
            "/_simulator/faults", method="PUT", body=["org-002:500,first=2", "org-001:503,first=1"]
        )
        assert now == await client.control("/_simulator/faults") == ["org-002:500,first=2", "org-001:503,first=1"]
        assert [(await client.ask("org-002")).status for _ in range(2)] == [500, 200]
        assert [(await client.ask("org-001")).status for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("body", ["refused", [1], ["org-001:refusd"], {"faults": []}])
async def test_bad_faults_change_nothing(body: object) -> None:
    async with simulated("org-001:refused") as client:
        refused = await client.control("/_simulator/faults", method="PUT", body=body)
        assert refused["status"] == "error"
        assert await client.control("/_simulator/faults") == ["org-001:refused"]


# --- limits and the journal -----------------------------------------------------------------


async def test_requests_above_the_limit_are_counted_and_answered() -> None:
    async with simulated(limit=Limit(requests=2, period_s=60), limit_all=Limit(requests=3, period_s=60)) as client:
        statuses = [(await client.ask(org)).status for org in ("org-001", "org-001", "org-001", "org-002")]
        journal = client.simulator.journal
    assert statuses == [200] * 4
    assert (journal.load("org-001").limit_exceeded, journal.load("org-002").limit_exceeded) == (1, 0)
    assert journal.total.limit_exceeded == 1


async def test_an_enforced_limit_answers_429_until_the_window_has_passed() -> None:
    async with simulated(limit=Limit(requests=2, period_s=0.3), enforce=True) as client:
        statuses = [(await client.ask()).status for _ in range(4)]
        await asyncio.sleep(0.3)
        assert [*statuses, (await client.ask()).status] == [200, 200, 429, 429, 200]
        assert (await client.ask("org-002")).status == 200


async def test_requests_in_flight_and_a_first_one_that_was_not_alone_are_noticed() -> None:
    async with simulated("*:latency=50ms") as client:
        await asyncio.gather(client.ask("org-001"), client.ask("org-001"), client.ask("org-002"))
        await asyncio.gather(client.ask("org-002"), client.ask("org-002"))
        stats = await client.control("/_simulator/stats")
    one, two = stats["orgs"]["org-001"], stats["orgs"]["org-002"]
    assert (one["asked"], one["max_in_flight"], one["first_alone"]) == (2, 2, False)
    assert (two["asked"], two["max_in_flight"], two["first_alone"]) == (3, 2, True)
    assert (stats["total"]["max_in_flight"], stats["total"]["in_flight"]) == (3, 0)
    assert stats["orgs"]["org-001"]["by_status"] == {"200": 2}
    assert 3 <= stats["connections"] <= 4


async def test_a_client_that_goes_away_is_no_longer_in_flight() -> None:
    async with simulated("*:latency=20s") as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.ask()
        await asyncio.sleep(0.05)
        load = client.simulator.journal.load("org-001")
        assert (load.in_flight, dict(load.answered)) == (0, {"none": 1})


async def test_the_query_is_kept_as_it_was_on_the_wire() -> None:
    async with simulated() as client:
        org = client.simulator.org("org-001")
        auth = {"Authorization": aiohttp.encode_basic_auth(org.username, org.access_key), "User-Agent": "me/1"}
        raw = "type=account-user&from=2026-11-17+00%3A00%3A00&to=2026-11-17%2023:59:59&timezone=%2b05:30"
        url = URL(f"{client.simulator.base_url}{PATH}?{raw}", encoded=True)
        async with client.session.get(url, headers=auth) as response:
            assert response.status == 200
        (entry,) = await client.control("/_simulator/requests?org=org-001&limit=5")
    assert entry["query"] == raw
    assert (entry["org"], entry["population"], entry["path"]) == ("org-001", "account-user", PATH)
    assert (entry["user_agent"], entry["auth_scheme"], entry["status"]) == ("me/1", "basic", 200)


async def test_the_journal_can_be_read_in_part_and_reset() -> None:
    async with simulated("*:500,first=1") as client:
        for org in ("org-001", "org-002", "org-001"):
            await client.ask(org)
        newest = await client.control("/_simulator/requests?limit=2")
        assert [entry["ordinal"] for entry in newest] == [2, 3]
        assert len(await client.control("/_simulator/requests?org=org-001")) == 2
        await client.control("/_simulator/requests", method="DELETE")
        assert await client.control("/_simulator/requests") == []
        assert (await client.control("/_simulator/stats"))["total"]["asked"] == 0
        assert (await client.ask()).status == 500  # first= begins again


async def test_the_truth_can_be_asked_for() -> None:
    async with simulated("*:refused") as client:
        truth = await client.control(
            f"/_simulator/truth?org=org-001&type=account-user&start={START}&end={START + 86_400}"
        )
        totals = client.simulator.usage.totals("org-001", "account-user", START, START + 86_400)
        assert truth == {"users": totals.users, "products": totals.products}
        assert (await client.control("/_simulator/truth?org=org-999"))["status"] == "error"
        assert (await client.control("/_simulator/truth?org=org-001&type=x"))["status"] == "error"
        assert (await client.control("/_simulator/truth?org=org-001&type=account-user&start=x"))["status"] == "error"


async def test_the_control_plane_never_shows_a_credential() -> None:
    async with simulated() as client:
        await client.ask()
        shown = ""
        for path in ("/", "/openapi.json", "/_simulator/requests", "/_simulator/stats", "/_simulator/faults"):
            async with client.session.get(client.simulator.base_url + path) as response:
                assert response.status == 200
                shown += await response.text()
        for org in client.simulator.orgs:
            assert org.access_key not in shown
            assert org.token not in shown
            assert org.access_key not in repr(org)
        assert client.simulator.base_url in shown


# --- the command ----------------------------------------------------------------------------


def test_the_command_tells_programs_where_it_is_and_stops_when_stdin_ends(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "simulated.yaml"
    command = [*COMMAND, "--orgs", "9", "--config-out", str(path), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        facts = json.loads(process.stdout.readline())
        config = yaml.safe_load(path.read_text())
        process.stdin.close()
        assert process.wait(5) == 0
        assert process.stdout.read() == b""
        told = process.stderr.read().decode()
    assert facts == {"base_url": config["api"]["base_url"], "orgs": 9, "seed": 1, "config": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("# A config for the simulated API")
    assert [org["name"] for org in config["orgs"]] == [f"org-00{number}" for number in range(1, 10)]
    assert {"UTC", "Australia/Lord_Howe", "-03:30"} <= {org["timezone"] for org in config["orgs"]}
    assert config["orgs"][0]["username"] == "org-001@example.test"
    assert config["orgs"][0]["access_key"].startswith("sim-")
    assert f"collector check -c {path}" in told
    assert facts["base_url"] in told
    assert config["orgs"][0]["access_key"] not in told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_stops_at_once_on_a_signal(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(3) == code


def test_a_config_that_the_simulator_did_not_write_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("orgs: []\n")
    result = CliRunner().invoke(simulate, ["--port", "0", "--config-out", str(path)])
    assert result.exit_code == 2
    assert "wasn't written by the simulator" in result.stderr
    assert path.read_text() == "orgs: []\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "no loopback address"),  # noqa: S104 -- that is what must not be
        (["--host", "example.test"], "no loopback address"),
        (["--fault", "org-001:refusd"], "did you mean 'refused'?"),
        (["--fault", "org-099:refused"], "none of the orgs org-001 to org-012"),
        (["--limit", "fast"], "is no limit: write REQUESTS/PERIOD"),
        (["--enforce"], "there is no limit to enforce"),
        (["--now", "today"], "is no instant"),
        (["--orgs", "0"], "--orgs"),
    ],
)
def test_bad_options_are_told_with_what_would_be_right(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(simulate, ["--port", "0", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    async def taken() -> int:
        async with running_simulator() as simulator:
            port = simulator.base_url.rpartition(":")[2]
            result = await asyncio.to_thread(
                subprocess.run,
                [*COMMAND, "--port", port],
                capture_output=True,
                timeout=5,
                check=False,
            )
            assert b"ddress already in use" in result.stderr or b"address in use" in result.stderr
            return int(result.returncode)

    assert asyncio.run(taken()) == 2


def test_help_lists_every_kind_of_fault() -> None:
    result = CliRunner().invoke(simulate, ["--help"])
    assert result.exit_code == 0
    assert "extra-product" in result.output
    assert "Examples:" in result.output
