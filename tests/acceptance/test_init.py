"""`collector init` at a terminal, as a person uses it; and with options alone, as a script does."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.cli.commands.init import init
from collector.cli.init import EU_URL
from collector.config import load
from tests.support.commands import COLLECTOR, SimulatedApi, collector, records_in, simulated_api
from tests.support.terminals import CTRL_C, CTRL_D, Terminal, at_terminal

INIT = [*COLLECTOR, "init"]
ROOT = Path(__file__).parents[2]
KEY = "Access key: where from (type, env, file) [type]: "
HIDDEN = "  access key, not shown: "


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("init"), orgs=2) as api:
        yield api


@pytest.fixture
def simulated(api: SimulatedApi) -> dict[str, Any]:
    org: dict[str, Any] = yaml.safe_load(api.config.read_text())["orgs"][0]
    return org


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def to_the_key(terminal: Terminal, username: str) -> None:
    """Answer up to the access key."""
    terminal.answer("Name of the org, in records and reports: ", "acme")
    terminal.answer("(access-key, token) [access-key]: ", "")
    terminal.answer("User name of an admin: where from (type, env, file) [type]: ", "")
    terminal.answer("  user name: ", username)


def test_from_nothing_to_accepted_by_check(api: SimulatedApi, simulated: dict[str, Any], tmp_path: Path) -> None:
    with at_terminal(INIT, cwd=tmp_path, columns=200) as terminal:
        to_the_key(terminal, simulated["username"])
        terminal.answer(KEY, "")
        terminal.wait_for(HIDDEN)
        assert not terminal.echoes
        terminal.type(f"{simulated['access_key']}\n")
        terminal.answer("Time zone whose days are counted [UTC]: ", "america/newyork")
        advice = terminal.answer("Time zone whose days are counted [UTC]: ", "America/New_York")
        assert "unknown time zone 'america/newyork'; did you mean America/New_York?" in advice
        terminal.answer("Populations [account-user, service-user]: ", "account-user")
        terminal.answer(f"URL of the API (EU: {EU_URL}) [https://api.lambdatest.com]: ", api.base_url)
        terminal.answer("Directory for the records, or - for stdout [usage]: ", "")
        assert terminal.end() == 0
    assert simulated["access_key"] not in terminal.text
    assert "1 of 1 org accepted" in terminal.text
    config, secret = tmp_path / "config/collector.yaml", tmp_path / "config/secrets/acme-access-key"
    assert (mode(config), mode(secret)) == (0o600, 0o600)
    assert left(tmp_path) == ["config", "config/collector.yaml", "config/secrets", "config/secrets/acme-access-key"]
    assert simulated["access_key"] not in config.read_text()
    (org,) = load(config, environ={}).orgs
    assert (org.name, org.zone.name, org.populations) == ("acme", "America/New_York", ("account-user",))
    assert load(config, environ={}).warnings == ()
    command = next(line for line in terminal.text.splitlines() if line.startswith("  collector collect "))
    done = collector(*command.split()[1:], "--last", "3d", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert {record["org"] for record in records_in(tmp_path / "usage")} == {"acme"}


def test_it_takes_the_secret_where_the_user_has_it(
    api: SimulatedApi, simulated: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(simulated["access_key"])
    (tmp_path / "key").chmod(0o600)
    env = {"ACME_EU_USERNAME": simulated["username"], "COLLECTOR_CONFIG": "mine.yaml"}
    with at_terminal(INIT, cwd=tmp_path, columns=200, env=env) as terminal:
        terminal.answer("Name of the org, in records and reports: ", "Acme (EU)")
        terminal.answer("(access-key, token) [access-key]: ", "")
        terminal.answer("User name of an admin: where from (type, env, file) [env]: ", "")
        terminal.answer("  environment variable [ACME_EU_USERNAME]: ", "")
        terminal.answer(KEY, "file")
        terminal.answer("  file [secrets/acme-eu-access-key]: ", "kee")
        assert "kee" not in terminal.answer("  file [secrets/acme-eu-access-key]: ", "key").partition("\n")[2]
        for question, answer in (
            ("[UTC]: ", ""),
            ("[account-user, service-user]: ", ""),
            ("lambdatest.com]: ", api.base_url),
        ):
            terminal.answer(question, answer)
        terminal.answer("[usage]: ", "-")
        assert terminal.end() == 0
    assert left(tmp_path) == ["key", "mine.yaml"]
    values = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    assert values == {
        "api": {"base_url": api.base_url},
        "orgs": [
            {"name": "Acme (EU)", "username_env": "ACME_EU_USERNAME", "access_key_file": "key", "timezone": "UTC"}
        ],
    }


def test_a_refused_credential_is_shown_with_what_to_do(api: SimulatedApi, tmp_path: Path) -> None:
    options = [
        "-c",
        "c.yaml",
        "--timezone",
        "UTC",
        "--base-url",
        api.base_url,
        "--population",
        "account-user",
        "-o",
        "u",
    ]
    with at_terminal([*INIT, *options], cwd=tmp_path, columns=200) as terminal:
        to_the_key(terminal, "nobody@example.test")
        terminal.answer(KEY, "type")
        terminal.answer(HIDDEN, "not-the-key-4711")
        assert terminal.end() == 4
    assert "the credential is refused (401)" in terminal.text
    assert f"When that is corrected, run: collector check -c {tmp_path}/c.yaml" in terminal.text
    assert "4711" not in terminal.text


def test_a_secret_file_that_is_there_is_used_and_not_replaced(
    api: SimulatedApi, simulated: dict[str, Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secrets/acme-access-key"
    secret.parent.mkdir()
    secret.write_text(simulated["access_key"])
    options = ["--timezone", "UTC", "--base-url", api.base_url, "--population", "account-user", "-o", "-"]
    with at_terminal([*INIT, "-c", "c.yaml", *options], cwd=tmp_path, columns=200) as terminal:
        to_the_key(terminal, simulated["username"])
        question = KEY.replace("[type]", "[file]")
        terminal.answer(question, "type")
        assert "secrets/acme-access-key is there already, and is never replaced" in terminal.answer(question, "")
        terminal.answer("  file [secrets/acme-access-key]: ", "")
        assert terminal.end() == 0
    assert secret.read_text() == simulated["access_key"]
    assert "chmod 600" in terminal.text  # others can read it


def test_a_token_is_a_credential_too(api: SimulatedApi, tmp_path: Path) -> None:
    options = ["--org", "7 Seas", "--timezone", "UTC", "--base-url", api.base_url, "--population", "account-user"]
    with at_terminal([*INIT, "-c", "c.yaml", *options, "-o", "-"], cwd=tmp_path, columns=200) as terminal:
        assert "type one of these: access-key, token" in terminal.answer(
            "(access-key, token) [access-key]: ", "bearer"
        ) + terminal.answer("(access-key, token) [access-key]: ", "token")
        terminal.answer("Token: where from (type, env, file) [type]: ", "env")
        assert "must be the name of an environment variable" in (
            terminal.answer("  environment variable [ORG_7_SEAS_TOKEN]: ", "no name")
            + terminal.answer("  environment variable [ORG_7_SEAS_TOKEN]: ", "")
        )
        assert terminal.end() == 2
    assert "Set ORG_7_SEAS_TOKEN, then run: collector check -c" in terminal.text
    assert left(tmp_path) == ["c.yaml"]


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("question", ["Name of the org", HIDDEN, "Directory for the records"])
def test_who_ends_it_leaves_nothing_behind(question: str, key: str, tmp_path: Path) -> None:
    answers = {
        "Name of the org, in records and reports: ": "acme",
        "[access-key]: ": "",
        "User name of an admin: where from (type, env, file) [type]: ": "",
        "  user name: ": "me@example.test",
        KEY: "",
        HIDDEN: "k-1234567890",
        "[UTC]: ": "",
        "service-user]: ": "",
        "lambdatest.com]: ": "",
        "Directory for the records, or - for stdout [usage]: ": "",
    }
    with at_terminal(INIT, cwd=tmp_path, columns=200) as terminal:
        for shown, answer in answers.items():
            terminal.wait_for(shown)
            if shown.startswith(question):
                break
            terminal.type(f"{answer}\n")
        terminal.press_until(key, "ended: nothing is written")
        assert terminal.end() == 130
        assert terminal.echoes
    assert left(tmp_path) == []


def script(api: SimulatedApi, *args: str) -> list[str]:
    secrets = ["--username-env", "ACME_USERNAME", "--access-key-file", "key"]
    return ["init", "-c", "new/c.yaml", "--org", "acme", *secrets, "--base-url", api.base_url, *args]


@pytest.fixture
def key(simulated: dict[str, Any], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "key").write_text(simulated["access_key"])
    (tmp_path / "key").chmod(0o600)
    return {"ACME_USERNAME": simulated["username"]}


def test_without_a_terminal_options_give_all_answers(api: SimulatedApi, key: dict[str, str], tmp_path: Path) -> None:
    done = collector(*script(api, "--timezone", "Asia/Kolkata"), cwd=tmp_path, env=key)
    assert done.code == 0, done.stderr
    assert "1 of 1 org accepted" in done.stdout
    values = yaml.safe_load((tmp_path / "new/c.yaml").read_text())
    assert values["orgs"][0]["access_key_file"] == str(tmp_path / "key")
    assert values["output"] == {"path": "usage"}


def test_a_path_that_begins_with_a_tilde_is_in_the_home_directory(
    api: SimulatedApi, simulated: dict[str, Any], tmp_path: Path
) -> None:
    """Also where the shell leaves the tilde: in `--output=~/usage`, and at the question."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / "key").write_text(simulated["access_key"])
    args = ["--username-env=U", "--access-key-file=~/key", "--org=acme", "--timezone=UTC", f"--base-url={api.base_url}"]
    env = {"HOME": str(home), "U": simulated["username"]}
    done = collector("init", "--config=~/c.yaml", "--output=~/usage", *args, cwd=work, env=env)
    assert done.code == 0, done.stderr
    values = yaml.safe_load((home / "c.yaml").read_text())
    assert (values["orgs"][0]["access_key_file"], values["output"]["path"]) == ("key", f"{home}/usage")
    assert left(work) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "add --org, --username-env or --username-file, --access-key-env or --access-key-file, --timezone"),
        (["--org", "a", "--token-env", "A_TOKEN"], "add --timezone"),
        (["--org", "a", "--token-env", "A_TOKEN", "--username-env", "U"], "or a token, but not both"),
        (["--org", "a", "--token-env", "A_TOKEN", "--token-file", "f"], "give either --token-env or --token-file"),
        (["--org", "a", "--token-env", "s3cr3tPasted"], "--token-env: the environment variable named here is not set"),
        (["--org", "a", "--token-file", "s3cr3tPasted"], "--token-file: the secret file named here (of its path, only"),
        (["--org", " a"], "--org: begins or ends with a space"),
        (["--org", ".."], "--org: must not be `.` or `..`"),
        (["--org", "ac\u202eme"], "--org: contains the invisible character U+202E"),
        (["--token-file", "~nobody-here/s3cr3t"], "'--token-file': begins with `~`, and there is no such home"),
        (["--token-env", "A_TOKEN", "--output", "~nobody-here/x"], "--output: begins with `~`"),
        (["--timezone", "Europe/Berln"], "--timezone: unknown time zone 'Europe/Berln'; did you mean Europe/Berlin?"),
        (["--base-url", "http://example.test"], "--base-url: http:// would send credentials unencrypted"),
        (["--token-env", "A_TOKEN", "--output", "taken"], "taken can't be a directory"),
        (["--access-key", "s3cr3tPasted"], "No such option '--access-key'"),
    ],
)
def test_what_is_missing_or_wrong_is_a_usage_error(args: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    done = collector("init", *args, cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert message in re.sub(r"\s+", " ", done.stderr)
    assert "s3cr3t" not in done.stderr
    assert left(tmp_path) == ["taken"]


def test_a_variable_may_be_set_later(tmp_path: Path) -> None:
    args = ["--org", "acme", "--timezone", "UTC", "--token-env", "ACME_TOKEN"]
    done = collector("init", *args, cwd=tmp_path)
    assert done.code == 2
    assert "the environment variable ACME_TOKEN is not set" in done.stderr
    assert f"Set ACME_TOKEN, then run: collector check -c {tmp_path}/config/collector.yaml" in done.stdout
    assert load(tmp_path / "config/collector.yaml", environ={"ACME_TOKEN": "t"}).orgs[0].name == "acme"


@pytest.mark.parametrize("there", ["file", "directory", "link to nothing"])
def test_what_is_there_is_never_replaced(there: str, api: SimulatedApi, key: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "new/c.yaml"
    config.parent.mkdir()
    if there == "file":
        config.write_text("mine")
    elif there == "directory":
        config.mkdir()
    else:
        config.symlink_to("nowhere")
    before = left(tmp_path)
    done = collector(*script(api, "--timezone", "UTC"), cwd=tmp_path, env=key)
    assert done.code == 2
    assert "new/c.yaml is there already, and is never replaced. To add an org, write it below `orgs:`" in done.stderr
    assert left(tmp_path) == before
    assert there != "file" or config.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with at_terminal([*INIT, "-c", "file/c.yaml"], cwd=tmp_path) as terminal:
        assert terminal.end() == 2
    assert "is not a directory in which this user can create files" in terminal.text.replace("\n", " ")


def test_the_examples_of_the_help_work(api: SimulatedApi, simulated: dict[str, Any], tmp_path: Path) -> None:
    example = (init.epilog or "").partition("collector init -c")[2].replace("\\\n", " ")
    env = {"ACME_USERNAME": simulated["username"], "ACME_ACCESS_KEY": simulated["access_key"]}
    env["COLLECTOR_API__BASE_URL"] = api.base_url
    done = collector("init", "-c", *example.split(), cwd=tmp_path, env=env)
    assert done.code == 0, done.stderr
    assert (tmp_path / "eu.yaml").exists()


def test_the_address_in_the_eu_is_the_documented_one() -> None:
    assert f"EU residency: {EU_URL};" in (ROOT / "config" / "collector.example.yaml").read_text()
