"""A secret that was pasted into the wrong place: whatever the key, no message shows a piece of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from collector.config import Settings, load
from collector.config.layers import is_list, leaves, variable
from collector.config.orgs import OrgSettings
from collector.errors import ConfigError
from tests.support.secrets import pieces_in
from tests.unit.config.cases import CONFIG, ORG, write

PASTED = [
    "S3cr3t",
    "hunter22",
    "ABCDEF123456",
    "kQ7vX2mN9pL4wR8tY1bZ6cF3hJ5dG0sAeU3i",
    "aB9/cD8+eF7==",
    "/9jk3lLmN/x7Ty",
    "eyJhbGciOi.J9zdWIiO.x-yz_w8Q",
    "LT_kQ7vX2mN9p",
    "1234567890123456",
    "s3cr 3tw0 rdX9",
    "12:xK7pQ9zz",
    "tcp://S3cr3tpw",
    "h2:S3c[3tW",
]
WHERE = [path for path, _ in leaves(Settings)]


@pytest.fixture(autouse=True)
def _in_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reported(config: object, **environ: str) -> str:
    """Return everything that loading reports, errors and warnings, the exception's parts included."""
    write(CONFIG, config if isinstance(config, str) else yaml.safe_dump(config))
    try:
        loaded = load(CONFIG, environ={"T": "t0k3n", **environ})
    except ConfigError as error:
        return f"{error} {error!r} {error.problems!r} {error.__cause__!r}"
    return "\n".join(map(str, loaded.warnings))


@pytest.mark.parametrize("secret", PASTED)
@pytest.mark.parametrize("path", WHERE, ids=".".join)
def test_a_secret_in_place_of_a_setting_is_never_shown(path: tuple[str, ...], secret: str) -> None:
    value: object = secret
    for step in reversed(path):
        value = {step: value}
    assert isinstance(value, dict)
    config = value | {"orgs": [{"name": "acme", "token_env": "T"}]}
    assert not pieces_in(reported(config), secret)
    field = dict(leaves(Settings))[path]
    if is_list(field):
        innermost = config
        for step in path[:-1]:
            innermost = innermost[step]
        innermost[path[-1]] = [secret, secret]
        assert not pieces_in(reported(config), secret)
    else:
        assert not pieces_in(reported(ORG, **{variable(path): secret}), secret)


@pytest.mark.parametrize("secret", PASTED)
@pytest.mark.parametrize("key", OrgSettings.model_fields)
def test_a_secret_in_place_of_a_key_of_an_org_is_never_shown(key: str, secret: str) -> None:
    org: dict[str, object] = {"name": "acme", "token_env": "T"}
    if key.startswith(("username", "access_key")):
        org = {"name": "acme", "username": "bob", "access_key": "xxx"}
        org.pop(key.partition("_env")[0].partition("_file")[0])
    text = reported(
        {"orgs": [{**org, key: secret}, {**org, key: [secret], secret: "x"}, {**org, "labels": {secret: 1}}]}
    )
    assert text
    assert not pieces_in(text, secret)


@pytest.mark.parametrize("secret", PASTED)
def test_a_secret_in_place_of_a_key_or_a_whole_entry_is_never_shown(secret: str) -> None:
    for config in (
        {"orgs": [secret]},
        {"orgs": secret},
        {"orgs": [{"name": "acme", "token_env": "T"}], secret: "x"},
        {"orgs": [{"name": "acme", "token_env": "T"}], "api": {secret: 3}},
        {"orgs": [{"name": "acme", "token_env": "T"}], "state": secret},
        f"orgs:\n- name: acme\n  token_env: T\n  '{secret}': 1\n  '{secret}': 2\n",
    ):
        assert not pieces_in(reported(config), secret)
