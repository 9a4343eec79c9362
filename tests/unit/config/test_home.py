"""`~` in the paths of a config: a home directory, wherever a path stands; a path is refused if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import files_now, find_config, load
from collector.errors import ConfigError
from collector.ledger.postgresql.dsn import Dsn
from tests.unit.config.cases import CONFIG, HERE, write

ORG = "orgs:\n- {name: acme, token_file: ~/token}\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory; the working directory is another, where nothing is called `~`."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    for name in ("token", "password", "headers"):
        write(home / name, "x").chmod(0o600)
    write(home / "ca.pem", (HERE / "ca.pem").read_bytes())
    return home


def test_each_path_of_a_config_may_begin_in_the_home_directory(home: Path) -> None:
    write(home / "more" / "orgs.yaml", "- {name: beta, token: t}")
    text = f"""
api: {{ca_file: ~/ca.pem}}
output: {{path: ~/usage}}
state: {{url: "sqlite:///~/state/ledger.db"}}
service: {{token_file: ~/token}}
push: {{textfile: ~/metrics.prom, otlp: {{headers_file: ~/headers}}}}
org_files: [~/more/*.yaml]
{ORG}"""
    config = load(write(CONFIG, text), environ={})
    settings = config.settings
    assert settings.api.ca_file == home / "ca.pem"
    assert settings.output.path == f"{home}/usage"
    assert settings.state.url.get_secret_value() == f"sqlite:///{home}/state/ledger.db"
    assert settings.service.token_file == home / "token"
    assert settings.push.textfile == home / "metrics.prom"
    assert settings.push.otlp.headers_file == home / "headers"
    assert [org.name for org in config.orgs] == ["acme", "beta"]
    assert {home / "token", home / "more" / "orgs.yaml"} <= files_now(config)


def test_so_may_the_files_of_a_server_s_url(home: Path) -> None:
    text = f"""
state: {{url: "postgresql://h/d?sslrootcert=~/ca.pem", password_file: ~/password}}
{ORG}"""
    settings = load(write(CONFIG, text), environ={}).settings
    assert settings.state.password_file == home / "password"
    assert Dsn.parse(settings.state.url.get_secret_value()).params["sslrootcert"] == f"{home}/ca.pem"


def test_so_may_variables_and_options(home: Path) -> None:
    config = load(
        write(CONFIG, ORG),
        environ={"COLLECTOR_OUTPUT__PATH": "~/usage"},
        overrides={"state": {"url": "sqlite:///~/ledger.db"}},
    )
    assert config.settings.output.path == f"{home}/usage"
    assert config.settings.state.url.get_secret_value() == f"sqlite:///{home}/ledger.db"
    write(home / "c.yaml", ORG)
    assert find_config(None, {"COLLECTOR_CONFIG": "~/c.yaml"}) == home / "c.yaml"


def test_a_path_elsewhere_keeps_its_tilde() -> None:
    settings = load(write(CONFIG, f"output: {{path: ./~/usage}}\n{ORG}"), environ={}).settings
    assert settings.output.path == "./~/usage"


@pytest.mark.parametrize(
    "text",
    [
        "output: {path: ~nobody-here/usage}\n" + ORG,
        'state: {url: "sqlite:///~nobody-here/l.db"}\n' + ORG,
        'state: {url: "postgresql://h/d?passfile=~nobody-here/p"}\n' + ORG,
        "api: {ca_file: ~nobody-here/ca.pem}\n" + ORG,
        "org_files: [~nobody-here/*.yaml]\n" + ORG,
        "orgs:\n- {name: acme, token_file: ~nobody-here/token}\n",
    ],
)
def test_a_home_directory_that_is_not_there_is_an_error_at_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match="there is no such home directory: write the whole path") as caught:
        load(write(CONFIG, text), environ={})
    (problem,) = caught.value.problems
    assert problem.line is not None
    assert "nobody-here" not in str(problem)  # it may be a secret that was pasted


def test_without_a_home_directory_nothing_is_written_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ConfigError, match="there is no such home directory"):
        load(write(CONFIG, "output: {path: ~/usage}\norgs:\n- {name: acme, token: t}\n"), environ={})
