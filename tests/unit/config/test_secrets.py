from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import LoadedConfig, load, secrets
from collector.errors import ConfigError
from collector.model import BasicCredential, BearerCredential, UnreadCredential
from tests.unit.config.cases import CONFIG, ORG, SECRET, write

KEY = Path("keys/acme.key")
BY_FILE = "orgs:\n- {name: a, token_file: keys/acme.key}\n"


@pytest.fixture(autouse=True)
def _in_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, **environ: str) -> LoadedConfig:
    return load(write(CONFIG, text), environ=environ)


def warned(config: LoadedConfig) -> list[str]:
    return list(map(str, config.warnings))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_newline_at_the_end_is_not_part_of_a_secret(end: str) -> None:
    write(KEY, SECRET + end).chmod(0o600)
    assert loaded(BY_FILE).orgs[0].credential == BearerCredential(token=SECRET)
    assert loaded(ORG, T=SECRET + end).orgs[0].credential == BearerCredential(token=SECRET)


def test_newline_of_a_block_scalar_is_not_part_of_a_secret() -> None:
    assert loaded(f"orgs:\n- name: a\n  token: |\n    {SECRET}\n").orgs[0].credential == BearerCredential(token=SECRET)


def test_the_three_forms_can_be_mixed_within_an_org() -> None:
    write(KEY, SECRET).chmod(0o600)
    org = loaded("orgs:\n- {name: a, username_env: U, access_key_file: keys/acme.key}\n", U="user").orgs[0]
    assert org.credential == BasicCredential(username="user", access_key=SECRET)


def test_secret_may_contain_letters_of_any_language_and_inner_spaces() -> None:
    org = loaded("orgs:\n- {name: a, username: 'Zoë K', access_key: 'pass wörd:%@'}\n").orgs[0]
    assert org.credential == BasicCredential(username="Zoë K", access_key="pass wörd:%@")


def test_empty_form_of_a_secret_is_ignored_if_another_is_given() -> None:
    org = loaded("orgs:\n- {name: a, token: , token_env: T}\n", T=SECRET).orgs[0]
    assert org.credential == BearerCredential(token=SECRET)


def test_secret_file_of_many_orgs_is_read_once() -> None:
    write(KEY, SECRET).chmod(0o600)
    config = loaded("orgs:\n" + "".join(f"- {{name: o{n}, token_file: keys/acme.key}}\n" for n in range(3)))
    assert config.files == (CONFIG, KEY)


def test_secret_file_that_is_too_large_is_refused() -> None:
    write(KEY, SECRET * 6000)
    with pytest.raises(ConfigError) as caught:
        loaded(BY_FILE)
    message = "collector.yaml:2: orgs[0].token_file: the secret file keys/acme.key is larger than 64 KiB"
    assert str(caught.value) == message
    assert SECRET not in f"{caught.value!r} {caught.value.problems!r}"


def test_secret_file_that_others_can_read_is_warned_about_once() -> None:
    write(KEY, SECRET).chmod(0o644)
    text = BY_FILE + "- {name: b, token_file: keys/acme.key, base_url: 'https://eu.example.com'}\n"
    assert warned(loaded(text)) == [
        (
            "collector.yaml:2: orgs[0].token_file: others on this machine can read "
            "the secret file keys/acme.key: chmod 600 keys/acme.key"
        )
    ]


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, True), (0o604, True), (0o611, False)])
def test_config_with_literal_secrets_is_warned_about_if_others_can_read_it(mode: int, *, warns: bool) -> None:
    write(CONFIG, f"orgs:\n- name: a\n  username: u\n  access_key: {SECRET}\n- {{name: b, token: {SECRET}}}\n")
    CONFIG.chmod(mode)
    line = "collector.yaml:4: orgs[0].access_key: others on this machine can read this secret"
    line += ": chmod 600 collector.yaml"
    assert warned(load(CONFIG, environ={})) == [line] * warns


def test_org_file_with_literal_secrets_is_warned_about_too() -> None:
    write(Path("orgs.d/a.yaml"), f"- name: a\n  token: {SECRET}\n").chmod(0o644)
    assert warned(loaded(ORG, T="another")) == [
        "orgs.d/a.yaml:2: [0].token: others on this machine can read this secret: chmod 600 orgs.d/a.yaml"
    ]


def test_readable_username_file_is_not_warned_about() -> None:
    write(Path("user"), "u").chmod(0o644)
    assert not warned(loaded("orgs:\n- {name: a, username_file: user, access_key_env: T}\n", T=SECRET))


def test_mode_of_a_mounted_kubernetes_secret_is_not_warned_about() -> None:
    write(Path("keys/..2026_01_01_00_00_00.123/acme.key"), SECRET + "\n").chmod(0o644)
    Path("keys/..data").symlink_to("..2026_01_01_00_00_00.123")
    KEY.symlink_to("..data/acme.key")
    config = loaded(BY_FILE)
    assert config.orgs[0].credential == BearerCredential(token=SECRET)
    assert not config.warnings


def test_mode_of_a_config_in_a_kubernetes_secret_is_not_warned_about() -> None:
    file = write(Path("etc/..data/collector.yaml"), f"orgs:\n- {{name: a, token: {SECRET}}}\n")
    assert not load(file, environ={}).warnings


def test_mode_of_a_docker_secret_is_not_warned_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secrets, "SECRET_MOUNTS", (f"{tmp_path}/keys/",))
    write(KEY, SECRET).chmod(0o644)
    assert not loaded(BY_FILE).warnings


@pytest.mark.parametrize("place", ["/run/secrets/acme", "/var/run/secrets/acme", "/etc/x/..data/acme"])
def test_usual_secret_mounts_are_recognised(place: str) -> None:
    assert secrets.is_secret_mount(Path(place))


@pytest.mark.parametrize("place", ["/etc/secrets/acme", "/run/secretsacme", "/etc/data/acme", "/etc/x/..database"])
def test_other_places_are_not_secret_mounts(place: str) -> None:
    assert not secrets.is_secret_mount(Path(place))


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("state: {url: 'postgresql://u@h/d', password_file: p}", "state.password_file"),
        ("service: {token_file: p}", "service.token_file"),
    ],
)
@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, True), (0o604, True)])
def test_other_secret_files_that_others_can_read_are_warned_about(
    section: str, key: str, mode: int, *, warns: bool
) -> None:
    write(Path("p"), SECRET).chmod(mode)
    expected = f"collector.yaml:1: {key}: others on this machine can read p: chmod 600 p"
    assert warned(loaded(f"{section}\n{ORG}", T=SECRET)) == [expected] * warns


def test_two_orgs_with_one_credential_are_warned_about() -> None:
    text = ORG + "- {name: b, token_env: T}\n- {name: c, token_env: T, base_url: 'https://eu.example.com'}\n"
    assert warned(loaded(text, T=SECRET)) == [
        "collector.yaml:3: orgs[1]: has the same credential as the org at collector.yaml:2: both are one organization, "
        "and runs refuse the second"
    ]
    assert not warned(loaded(f"same_organization: allow\n{text}", T=SECRET))


UNREADABLE = """\
orgs:
  - {name: a, username_env: NO_USER, access_key_env: NO_KEY}
  - {name: b, username: u@example.test, access_key_file: none/key}
  - {name: c, token_file: none/token}
  - {name: d, username_env: A_USER, access_key_env: NO_KEY}
"""


def test_a_load_that_needs_no_secrets_works_where_they_are_missing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(UNREADABLE)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "c.yaml", environ={"A_USER": "x@example.test"})
    assert len(refused.value.problems) == 5
    config = load(tmp_path / "c.yaml", environ={"A_USER": "x@example.test"}, reads_secrets=False)
    assert [org.credential for org in config.orgs] == [
        UnreadCredential(username=user) for user in (None, "u@example.test", None, "x@example.test")
    ]
    assert not config.warnings
    with pytest.raises(RuntimeError):
        config.orgs[0].credential.authorization()


def test_a_load_that_needs_no_secrets_opens_no_file_of_one(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key")
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, username: u, access_key_file: key}]")
    config = load(tmp_path / "c.yaml", environ={}, reads_secrets=False)
    assert tmp_path / "key" not in config.files


@pytest.mark.parametrize(
    "org", ["{name: a}", "{name: a, username: u}", "{name: a, token: t, token_env: T}", "{name: a, token_file: ''}"]
)
def test_a_load_that_needs_no_secrets_refuses_credentials_that_can_not_be_right(org: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"orgs: [{org}]")
    with pytest.raises(ConfigError):
        load(tmp_path / "c.yaml", environ={}, reads_secrets=False)
