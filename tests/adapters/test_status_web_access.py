"""Who gets what of the service: by the name that a client uses, and by its token."""

from __future__ import annotations

import base64

import pytest

from collector.service.view import Observed
from collector.service.web.guard import Guarding
from tests.support.fleets import KINDS, make_fleet, numbered
from tests.support.sites import observed_of
from tests.support.web_clients import running_site


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    fleet = make_fleet(tmp_path_factory.mktemp("web"), numbered(1), lambda n: KINDS[n])
    return observed_of(fleet)


TOKEN = "t0ken-ünïcode"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.8.9.1", "[::1]:8080", "localhost.", "usage.example.test",
     "Usage.Example.test:443", "usage.example.test.", "10.1.2.3:8080"],
)  # fmt: skip
async def test_loopback_and_allowed_hosts_are_served(seen: Observed, host: str) -> None:
    guarding = Guarding(allowed_hosts=("usage.example.test", "10.1.2.3:8080"))
    async with running_site(seen, guarding) as get:
        assert (await get("/", Host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", "localhost.evil.test", "evil.test:8080", "10.1.2.3", "10.1.2.3:80", "usage.example.test.evil.test",
     "user@localhost", "localhost:80:80", "[::1", "localhost:x", "0.0.0.0", "127.0.0.1.evil.test"],  # noqa: S104
)  # fmt: skip
async def test_other_hosts_get_only_health(seen: Observed, host: str) -> None:
    guarding = Guarding(allowed_hosts=("usage.example.test", "10.1.2.3:8080"))
    async with running_site(seen, guarding) as get:
        for path in ("/", "/orgs/org-0001", "/api/status", "/static/page.css", "/x"):
            answer = await get(path, Host=host)
            assert (answer.status, "service.allowed_hosts" in answer.text, "org-0001" in answer.text) == (
                421,
                True,
                False,
            )
        for path in ("/healthz", "/readyz"):
            assert (await get(path, Host=host)).status == 200
        assert (await get("/metrics", Host=host)).status == (200 if host[0].isdigit() and host[-1].isdigit() else 421)


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "10.1.2.3:8080", "[fd00::7]:8080", "[::1]", "usage.example.test", "localhost"]
)
async def test_metrics_are_scraped_by_an_address_or_an_allowed_name(seen: Observed, host: str) -> None:
    async with running_site(seen, Guarding(allowed_hosts=("usage.example.test",))) as get:
        assert (await get("/metrics", Host=host)).status == 200


async def test_with_a_token_metrics_are_scraped_by_any_name(seen: Observed) -> None:
    async with running_site(seen, Guarding(token=lambda: TOKEN)) as get:
        assert (await get("/metrics", Host="collector.svc", Authorization=f"Bearer {TOKEN}")).status == 200
        assert (await get("/metrics", Host="collector.svc")).status == 401


def basic(password: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN), basic(TOKEN, user=""), basic(TOKEN).replace("B", "b", 1)],
)
async def test_a_client_with_the_token_gets_everything(seen: Observed, authorization: str) -> None:
    async with running_site(seen, Guarding(token=lambda: TOKEN)) as get:
        for path in ("/", "/orgs/org-0001", "/api/status", "/metrics"):
            assert (await get(path, Authorization=authorization)).status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, basic(""),
     basic("wrong"),
     "Basic", "Basic %%%", f"Basic {TOKEN.encode().hex()}", f"Digest {TOKEN}", basic("x", user=TOKEN)],
)  # fmt: skip
async def test_a_client_without_the_token_gets_only_health(seen: Observed, authorization: str) -> None:
    async with running_site(seen, Guarding(token=lambda: TOKEN)) as get:
        headers = {"Authorization": authorization} if authorization else {}
        for path in ("/", "/orgs/org-0001", "/api/status", "/metrics", "/static/page.css", "/x"):
            answer = await get(path, **headers)
            assert answer.status == 401
            assert "org-0001" not in answer.text
            assert TOKEN not in answer.text
            challenges = answer.headers.getall("WWW-Authenticate")
            assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]
        for path in ("/healthz", "/readyz"):
            assert (await get(path, **headers)).status == 200


async def test_an_empty_token_accepts_no_client(seen: Observed) -> None:
    async with running_site(seen, Guarding(token=lambda: "")) as get:
        for authorization in ("Bearer ", basic(""), "Bearer x"):
            assert (await get("/", Authorization=authorization)).status == 401


async def test_a_changed_token_and_changed_hosts_apply_to_the_next_request(seen: Observed) -> None:
    guardings = [Guarding(token=lambda: "old")]
    async with running_site(seen, lambda: guardings[-1]) as get:
        assert (await get("/", Authorization="Bearer old")).status == 200
        guardings.append(Guarding(token=lambda: "new", allowed_hosts=("usage.example.test",)))
        assert (await get("/", Authorization="Bearer old")).status == 401
        assert (await get("/", Authorization="Bearer new", Host="usage.example.test")).status == 200
