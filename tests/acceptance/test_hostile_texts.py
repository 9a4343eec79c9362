"""Texts of the API and of configs that would steer a terminal: no command writes any of them as it came."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Done, Here, records_in
from tests.support.http_api import HttpApi, http_api
from tests.unit.test_visible import CODES

STEERING = "".join(map(chr, CODES))
NAME = f"\x1b[2J{STEERING}\x1b]0;x\x07Ünïcode"
PRODUCT = f"new\x9b31m\u202e{STEERING}"
METRIC = f"m\x1b\x9d\u2066{STEERING}"
IN_CONFIG = "acme\u202e\u2066\u200f"  # of a label: a name may have none of them
CONFIG = """\
orgs: [{name: "acme it's", username: u1, access_key: k1, labels: {team: "a LABEL"}}]
api: {base_url: "URL", retry: {attempts: 2, base_delay: 10ms, budget: 1}}
"""


@pytest.fixture
def api() -> Iterator[HttpApi]:
    products = {PRODUCT: {"totalTests": 5, METRIC: STEERING}}
    with http_api(lambda asked: asked.body(name=NAME, org_id=f"9{STEERING}", products=products)) as api:
        yield api


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, api: HttpApi) -> Here:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("LABEL", IN_CONFIG).replace("URL", api.url))
    return Here(capfd, monkeypatch, tmp_path)


def steering(text: str) -> str:
    """Return what would steer a terminal."""
    return "".join(sorted({c for c in text if c in STEERING or (c < " " and c != "\n")}))


def test_records_on_stdout_are_escaped_and_read_as_they_came(here: Here) -> None:
    done = here("collect", "-c", "c.yaml", "--last", "2d", "--state", "none", "--log-level", "debug")
    assert done.code == 0
    assert not steering(done.stdout + done.stderr)
    for record in done.records:
        assert (record["org"], record["labels"]) == ("acme it's", {"team": f"a {IN_CONFIG}"})
        assert (record["org_name"], record["org_id"]) == (NAME, f"9{STEERING}")
        assert (record["product"], record["extra"]) == (PRODUCT, {METRIC: STEERING})


@pytest.mark.parametrize("logs", ["json", "console"])
def test_no_command_writes_what_steers_a_terminal(here: Here, tmp_path: Path, logs: str) -> None:
    env = {"COLLECTOR_LOG__FORMAT": logs, "COLLECTOR_LOG__LEVEL": "debug"}

    def run(command: str, *options: str) -> Done:
        done = here(command, "-c", "c.yaml", *options, env=env)
        assert not steering(done.stdout + done.stderr), command
        return done

    assert run("collect", "--last", "2d", "-o", "out").code == 0
    for command in ("status", "plan", "check"):
        run(command)
        told = json.loads(run(command, "--json").stdout)
        assert told["orgs"][0]["org"] == "acme it's"
    config = (tmp_path / "c.yaml").read_text().replace("k1,", f"k1, org_id: '7{IN_CONFIG}',")
    (tmp_path / "c.yaml").write_text(config)
    assert run("collect", "--last", "3d", "-o", "out").code == 4  # the message quotes both ids
    assert records_in(tmp_path / "out")
    for file in (tmp_path / "out").glob("*.json*"):
        assert not steering(file.read_text()), file.name
    manifests = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("run-*.json")]
    assert {entry["org"] for manifest in manifests for entry in manifest["not_complete"]} == {"acme it's"}


def test_a_name_that_is_a_path_is_in_no_name_of_a_file(here: Here, tmp_path: Path) -> None:
    names = ("../../x", "/etc/x", "...", "a/b", "'; DROP TABLE org; --", "%s{name}$(touch x)`x`")
    orgs = ", ".join(f"{{name: {json.dumps(name)}, username: u{n}, access_key: k}}" for n, name in enumerate(names))
    with http_api(lambda asked: asked.body(name=f"../{asked.user}", org_id=f"../../{asked.user}")) as api:
        (tmp_path / "c.yaml").write_text(f"orgs: [{orgs}]\napi: {{base_url: '{api.url}'}}\n")
        state = f"sqlite:///{tmp_path}/state/ledger.db"
        assert here("collect", "-c", "c.yaml", "--last", "2d", "-o", "out", "--state", state).code == 0
    files = [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()]
    ours = re.compile(
        r"c\.yaml|state/ledger\.db.*|out/((usage|run|coverage)-\w+(-\w+)*\.jsonl?|\.collector-(output-id|runs))"
    )
    assert not [file for file in files if not ours.fullmatch(file)]
    assert {record["org"] for record in records_in(tmp_path / "out")} == set(names)
