from __future__ import annotations

from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from collector.config import Settings, find, find_config, load
from collector.config.layers import is_list, leaves, variable
from collector.errors import ConfigError
from tests.unit.config.cases import CONFIG, ORG, SECRET, write


@pytest.fixture(autouse=True)
def _in_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(CONFIG, ORG)


def warnings(**environ: str) -> list[str]:
    config = load(CONFIG, environ={"T": SECRET, **environ})
    assert config.settings == Settings()
    return list(map(str, config.warnings))


@pytest.mark.parametrize(
    ("path", "field"),
    [*leaves(Settings)],
    ids=lambda given: ".".join(given) if isinstance(given, tuple) else "",
)
def test_every_scalar_has_a_variable(path: tuple[str, ...], field: FieldInfo) -> None:
    if is_list(field):
        return
    with pytest.raises(ConfigError) as caught:
        load(CONFIG, environ={"T": SECRET, variable(path): "\0"})
    assert {problem.path for problem in caught.value.problems} == {variable(path)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("COLLECTOR_API__RETRY__ATTEMPTS", "3", 3),
        ("COLLECTOR_SAME_ORGANIZATION", "allow", "allow"),
        ("COLLECTOR_OUTPUT__PATH", "out", "out"),
        ("COLLECTOR_SERVICE__USAGE_METRICS", "yes", True),
        ("COLLECTOR_OUTPUT__SEAL_AT", "1MiB", 1_048_576),
        ("COLLECTOR_PUSH__GATEWAY", "http://gateway:9091/", "http://gateway:9091"),
        ("COLLECTOR_SCHEDULE__RECONCILE__CRON", "null", None),
        ("COLLECTOR_SCHEDULE__RECONCILE__CRON", "0 3 * * *", "0 3 * * *"),
    ],
)
def test_variable_is_parsed_like_text_of_the_file(name: str, text: str, value: object) -> None:
    found: object = load(CONFIG, environ={"T": SECRET, name: text}).settings
    for step in name.removeprefix("COLLECTOR_").lower().split("__"):
        found = getattr(found, step)
    assert found == value


def test_variable_null_removes_a_value_of_the_file() -> None:
    write(CONFIG, "push: {gateway: 'http://gateway:9091'}\n" + ORG)
    settings = load(CONFIG, environ={"T": SECRET, "COLLECTOR_PUSH__GATEWAY": "null"}).settings
    assert settings.push.gateway is None


def test_variables_of_other_programs_are_ignored() -> None:
    assert not warnings(
        COLLECTOR_PORT="tcp://10.0.0.1:8080",
        COLLECTOR_SERVICE_HOST="10.0.0.1",
        COLLECTOR_SERVICE_PORT="8080",
        COLLECTOR_API_PORT_8080_TCP="tcp://10.0.0.1:8080",
        COLLECTOR_SERVICE_PORT_HTTP="8080",
        COLLECTOR_PORT_8080_TCP_ADDR="10.0.0.1",
        COLLECTOR_IMAGE="x",
        COLLECTOR_ACME_KEY="x",
        COLLECTOR_SHARDS="2",
        COLLECTOR_CONFIG="x",
        collector_api__concurrency="x",
        OTHER_API__CONCURENCY="x",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("COLLECTOR_API__CONCURENCY", "there is no such setting; did you mean COLLECTOR_API__CONCURRENCY?"),
        ("COLLECTOR_LOG__XYZ", "there is no such setting; did you mean COLLECTOR_LOG__LEVEL?"),
        ("COLLECTOR_STATE__URL__X", "there is no such setting; did you mean COLLECTOR_STATE__URL?"),
        ("COLLECTOR_API__RETRY", "only the keys of a section have variables, such as COLLECTOR_API__RETRY__ATTEMPTS"),
        ("COLLECTOR_API", "only the keys of a section have variables, such as COLLECTOR_API__BASE_URL"),
        ("COLLECTOR_STATE", "is no setting: COLLECTOR_STATE__URL is meant"),
        ("COLLECTOR_OUTPUT", "is no setting: COLLECTOR_OUTPUT__PATH is meant"),
        ("COLLECTOR_ORGS", "a list is set in the file, not by a variable"),
        ("COLLECTOR_DEFAULTS__POPULATIONS", "a list is set in the file, not by a variable"),
        ("COLLECTOR_ORG_FILES", "a list is set in the file, not by a variable"),
        (
            "COLLECTOR_OUTPUT_PATH",
            "is no setting: COLLECTOR_OUTPUT__PATH is meant, with two underscores after each section",
        ),
        (
            "COLLECTOR_API_RETRY_ATTEMPTS",
            "is no setting: COLLECTOR_API__RETRY__ATTEMPTS is meant, with two underscores after each section",
        ),
        ("COLLECTOR_OTPUT__PATH", "is no setting; did you mean COLLECTOR_OUTPUT__PATH?"),
        ("COLLECTOR_SAME_ORGANISATON", "is no setting; did you mean COLLECTOR_SAME_ORGANIZATION?"),
        ("COLLECTOR_SHARD", "is no setting; did you mean COLLECTOR_SHARDS?"),
        ("COLLECTOR_CONFG", "is no setting; did you mean COLLECTOR_CONFIG?"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_right_name(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(CONFIG, environ={"T": SECRET, name: SECRET})
    assert [str(problem) for problem in caught.value.problems] == [f"{name}: {message}"]


@pytest.mark.parametrize("reads_secrets", [True, False])
def test_a_variable_that_an_org_names_may_have_any_name(reads_secrets: bool) -> None:
    write(CONFIG, "orgs: [{name: a, token_env: COLLECTOR_API__TOKEN}]")
    load(CONFIG, environ={"COLLECTOR_API__TOKEN": SECRET}, reads_secrets=reads_secrets)


def test_config_is_first_the_one_of_the_option() -> None:
    assert find_config(Path("x.yaml"), {"COLLECTOR_CONFIG": "collector.yaml"}) == Path("x.yaml")


def test_config_is_second_the_one_of_the_variable() -> None:
    write(Path("config/collector.yaml"), ORG)
    assert find_config(None, {"COLLECTOR_CONFIG": "collector.yaml"}) == CONFIG
    assert find_config(None, {"COLLECTOR_CONFIG": ""}) == Path("config/collector.yaml")


def test_config_is_third_in_one_of_the_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "PLACES", (Path("config/collector.yaml"), Path("etc/collector.yaml")))
    second = write(Path("etc/collector.yaml"), ORG)
    assert find_config(None, {}) == second
    first = write(Path("config/collector.yaml"), ORG)
    assert find_config(None, {}) == first


def test_config_of_the_variable_must_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(None, {"COLLECTOR_CONFIG": "nowhere.yaml"})
    assert str(caught.value) == "COLLECTOR_CONFIG: the file named here (of its path, only ./ exists) doesn't exist"


def test_without_a_config_the_message_names_the_places_and_how_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "PLACES", (Path("config/collector.yaml"), Path("etc/collector.yaml")))
    with pytest.raises(ConfigError) as caught:
        find_config(None, {})
    assert str(caught.value) == (
        "no config: there is neither -c FILE nor COLLECTOR_CONFIG, and no file at config/collector.yaml and "
        "etc/collector.yaml. To begin, `collector init` writes config/collector.yaml with your first org; "
        "or `collector demo` shows everything without a config"
    )


def test_config_without_permission_is_chosen_and_reading_it_reports_why() -> None:
    odd = "x" * 5000
    assert find_config(None, {"COLLECTOR_CONFIG": odd}) == Path(odd)
    with pytest.raises(ConfigError, match="can't be read: File name too long"):
        load(Path(odd), environ={})
