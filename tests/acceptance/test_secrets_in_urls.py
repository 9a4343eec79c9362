"""A password with any reserved character, in any URL, over every command: no piece of it is in any output or file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.acceptance.test_serve import serving
from tests.support.commands import Here
from tests.support.secrets import pieces_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # a process for each command and each kind of URL
RESERVED = (*"/?#[]@%&:; ", "!$'()*+,=")
NOBODY = "127.0.0.1:9"  # nothing listens there
CONFIG = """\
orgs: [{name: acme, token_env: TOKEN}]
api:
  base_url: "https://api.invalid"
  retry: {attempts: 1, budget: 0}
  rate_limit: {requests: 1000}
  org_rate_limit: {requests: 1000}
output: {path: out}
"""
URLS = {
    "ledger": {"COLLECTOR_STATE__URL": f"postgresql://bob:{{}}@{NOBODY}/usage?connect_timeout=2"},
    "ledger-parameter": {"COLLECTOR_STATE__URL": f"postgresql://{NOBODY}/usage?connect_timeout=2&password={{}}"},
    "ledger-first-parameter": {"COLLECTOR_STATE__URL": f"postgresql://{NOBODY}?password={{}}&dbname=usage"},
    "sqlite": {"COLLECTOR_STATE__URL": "sqlite://bob:{}@host/x"},
    "api": {"COLLECTOR_API__BASE_URL": f"https://bob:{{}}@{NOBODY}"},
    "api-query": {"COLLECTOR_API__BASE_URL": f"https://{NOBODY}/?token={{}}"},
    "gateway": {"COLLECTOR_PUSH__GATEWAY": f"http://bob:{{}}@{NOBODY}"},
    "gateway-query": {"COLLECTOR_PUSH__GATEWAY": f"http://{NOBODY}/?token={{}}"},
    "https-proxy": {"https_proxy": f"http://bob:{{}}@{NOBODY}"},
    "all-proxy": {"https_proxy": "", "ALL_PROXY": f"bob:{{}}@{NOBODY}"},
    "gateway-proxy": {"http_proxy": f"http://bob:{{}}@{NOBODY}", "COLLECTOR_PUSH__GATEWAY": "http://gateway.invalid"},
    "org": {"ORG": f"https://bob:{{}}@{NOBODY}"},
}
COMMANDS = {
    "collect": ["collect", "--last", "2d", "--population", "account-user"],
    "backfill": ["backfill", "--last", "2d", "--population", "account-user"],
    "check": ["check"],
    "plan": ["plan", "--last", "2d"],
    "status": ["status"],
    "forget": ["forget", "beta"],
    "relabel": ["relabel", "--last", "2d"],
    "healthcheck": ["healthcheck"],
    "ledger backup": ["ledger", "backup", "copy.db"],
    "ledger info": ["ledger", "info"],
}


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    (tmp_path / "work").mkdir()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    # Without a proxy, nothing may leave this machine, and names need no server.
    monkeypatch.setenv("http_proxy", f"http://{NOBODY}")
    monkeypatch.setenv("https_proxy", f"http://{NOBODY}")
    return Here(capfd, monkeypatch, tmp_path / "work")


def shown(here: Here, directory: Path, command: list[str], urls: dict[str, str]) -> str:
    """Return all that a command shows and writes."""
    config = directory / "c.yaml"
    config.write_text(CONFIG.replace("TOKEN}", f'TOKEN, base_url: "{urls["ORG"]}"}}' if "ORG" in urls else "TOKEN}"))
    options = [] if command[0] == "healthcheck" else ["--log-level", "debug"]
    done = here(*command, "-c", config, *options, env={"TOKEN": "t0k3n", **urls})
    files = [file for file in (directory / "work").rglob("*") if file.is_file()]
    written = "".join(f"{file} {file.read_bytes().decode(errors='replace')}" for file in files)
    return f"{done.stdout} {done.stderr} {written}"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", URLS)
def test_no_command_shows_a_piece_of_a_password_with_a_reserved_character(
    here: Here, tmp_path: Path, place: str, command: str
) -> None:
    for character in RESERVED:
        for secret in (f"Xq7v{character}Zw9K", f"47{character}xQ9wZ"):
            urls = {name: url.format(secret) for name, url in URLS[place].items()}
            found = pieces_in(shown(here, tmp_path, COMMANDS[command], urls), secret)
            assert not found, (secret, found)


@pytest.mark.parametrize("secret", ["Xq7v/Zw9K", "47@xQ9wZ", "47%2FxQ9wZ", "Xq7v%40:Zw9K"])
def test_no_page_of_the_service_shows_a_piece_of_a_proxys_password(secret: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    proxy = f"http://bob:{secret}@{NOBODY}"
    env = {"TOKEN": "t0k3n", "https_proxy": proxy, "http_proxy": proxy, "COLLECTOR_LOG__LEVEL": "debug"}
    with serving(tmp_path / "c.yaml", tmp_path, **env) as service:
        wait_until(lambda: any(event["event"] == "run.finished" for event in service.log))
        paths = ("/", "/api/status", "/metrics", "/readyz", "/healthz", "/orgs/acme")
        pages = [service.get(path)[1] for path in paths]
    written = [file.read_bytes().decode(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert "acme" in pages[0]
    assert not pieces_in("".join([*pages, *written]), unquote(secret))


CLEAR = ("ledger-parameter", "ledger-first-parameter")  # with a slash they are good URLs


@pytest.mark.parametrize("place", [place for place in URLS if "proxy" not in place])
def test_a_service_that_refuses_its_urls_shows_no_piece_of_a_password(here: Here, tmp_path: Path, place: str) -> None:
    for character in "#@%" if place in CLEAR else "/#@%":
        secret = f"Xq7v{character}Zw9K"
        urls = {name: url.format(secret) for name, url in URLS[place].items()}
        assert not pieces_in(shown(here, tmp_path, ["serve"], urls), secret)


@pytest.mark.parametrize("place", CLEAR)
def test_a_service_that_waits_for_its_ledger_shows_no_piece_of_a_password(tmp_path: Path, place: str) -> None:
    secret = "Xq7v/Zw9K"
    (tmp_path / "c.yaml").write_text(CONFIG)
    env = {"TOKEN": "t0k3n", "COLLECTOR_LOG__LEVEL": "debug"}
    env |= {name: url.format(secret) for name, url in URLS[place].items()}
    with serving(tmp_path / "c.yaml", tmp_path, **env) as service:
        wait_until(lambda: any(event["event"] == "ledger.down" for event in service.log))
        pages = [service.get(path)[1] for path in ("/", "/api/status", "/readyz", "/metrics")]
    written = [file.read_bytes().decode(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert not pieces_in("".join([*pages, *written]), secret)
