"""A first config says what was answered, and nothing that the sections don't say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from collector.cli.commands.init import init
from collector.config import load
from collector.config.first import DEFAULT_POPULATIONS, DEFAULT_URL, DEFAULT_ZONE, FirstConfig, flaw_of_org
from collector.config.orgs import OrgSettings
from collector.config.sections import Api, Output
from collector.config.settings import Settings

CONFIG = Path("config/collector.yaml")
BASIC = {"username_env": "ACME_USERNAME", "access_key_file": "secrets/acme"}
WHOLE = FirstConfig(
    org={"name": "acme", **BASIC, "timezone": "Asia/Kolkata", "populations": ["service-user"]},
    base_url="https://eu-api.lambdatest.com",
    output="usage",
)


def flaw(key: str, value: str) -> str | None:
    return flaw_of_org(key, value, config=CONFIG, environ={"GOOD": "k-1", "EMPTY": ""})


def loaded(text: str, directory: Path, **environ: str) -> tuple[object, ...]:
    config = directory / "c.yaml"
    config.write_text(text, encoding="utf-8")
    found = load(config, environ=environ, reads_secrets=False)
    return found.orgs[0], found.settings


def test_the_file_says_what_was_answered(tmp_path: Path) -> None:
    org, settings = loaded(WHOLE.text(), tmp_path)
    assert isinstance(settings, Settings)
    assert (org.name, org.zone.name, org.populations) == ("acme", "Asia/Kolkata", ("service-user",))  # type: ignore[attr-defined]
    assert (settings.api.base_url, settings.output.path) == (WHOLE.base_url, "usage")


def test_every_comment_is_the_description_of_its_key() -> None:
    said = re.findall(r"^[ #-]*([a-z_]+): \S.*?  # (.*)$", WHOLE.text(), re.MULTILINE)
    assert {"base_url", "name", "labels", "org_id", "since", "path"} <= {key for key, _ in said}
    sections: list[type[BaseModel]] = [OrgSettings, Api, Output]
    for key, text in said:
        assert any(key in one.model_fields and one.model_fields[key].description == text for one in sections), key


def test_keys_that_are_shown_as_comments_can_be_used(tmp_path: Path) -> None:
    text, used = re.subn(r"^    # ", "    ", WHOLE.text(), flags=re.MULTILINE)
    assert used == 3
    org, _ = loaded(text, tmp_path)
    assert (org.org_id, org.labels) == ("12345", {"cost_center": "qa-platform"})  # type: ignore[attr-defined]


def test_a_key_that_nobody_set_is_not_written_and_keeps_its_default(tmp_path: Path) -> None:
    _, settings = loaded(FirstConfig(org={"name": "a", **BASIC}).text(), tmp_path)
    assert settings == Settings()
    assert isinstance(settings, Settings)
    defaults = settings.defaults
    assert (defaults.timezone.name, defaults.populations) == (DEFAULT_ZONE, DEFAULT_POPULATIONS)
    assert settings.api.base_url == DEFAULT_URL


@given(st.text(min_size=1, max_size=40))
def test_every_name_that_the_config_allows_is_read_back(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    if flaw("name", name) is None:
        text = FirstConfig(org={"name": name, **BASIC}).text()
        org, _ = loaded(text, tmp_path_factory.getbasetemp())
        assert org.name == name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", "", "is empty"),
        ("timezone", "PST", "an abbreviation is ambiguous"),
        ("access_key_env", "EMPTY", "is empty"),
        ("access_key_env", "not a name", "must be the name of an environment variable"),
        ("access_key_file", "nowhere", "doesn't exist"),
        ("access_key", "${KEY}", "is a placeholder"),
        ("username", "a:b", "contains a colon"),
        ("token", "Bearer x", "write only the token"),
    ],
)
def test_answers_are_checked_by_the_rules_of_the_config(key: str, value: str, message: str) -> None:
    assert message in (flaw(key, value) or "")


@pytest.mark.parametrize(
    ("key", "value"), [("name", "acme"), ("access_key_env", "GOOD"), ("username", "me@example.test")]
)
def test_a_good_answer_has_no_flaw(key: str, value: str) -> None:
    assert flaw(key, value) is None


def test_the_populations_of_the_option_are_those_of_the_config() -> None:
    (option,) = (one for one in init.params if one.name == "populations")
    assert tuple(getattr(option.type, "choices", ())) == DEFAULT_POPULATIONS
