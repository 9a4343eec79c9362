"""`check`, `plan`, `schema` and `demo` as people call them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from collector.cli.commands import SUMMARIES
from tests.support.commands import Here, SimulatedApi, records_in, simulated_api, without_rechecks

pytestmark = pytest.mark.slow
ORGS = 8


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("check"), orgs=ORGS, options=["--limit", "20/1s"]) as api:
        yield api


@pytest.fixture(autouse=True)
def healthy(api: SimulatedApi) -> None:
    api.set_faults()


def check(here: Here, api: SimulatedApi, *args: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = here("check", "-c", api.config, "--json", *args)
    content = json.loads(done.stdout)
    assert content["exit_code"] == done.code
    return done.code, {org["org"]: org for org in content["orgs"]}


def test_check_asks_once_per_org_and_tells_each_identity(here: Here, api: SimulatedApi) -> None:
    before = api.stats["total"]["asked"]
    code, orgs = check(here, api)
    assert code == 0
    assert all(org["accepted"] and org["org_id"] for org in orgs.values())
    assert api.stats["total"]["asked"] - before == ORGS


def test_check_names_all_at_once_that_would_stop_a_run_and_sends_nothing(
    here: Here, api: SimulatedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    # Another test of this process may have imported what needs it.
    monkeypatch.delitem(sys.modules, "collector.adapters.tabular.parquet", raising=False)
    before = api.stats["total"]["asked"]
    env = {"OUTPUT__PATH": "file/usage", "OUTPUT__FORMAT": "parquet"}
    env |= {"PUSH__OTLP__ENDPOINT": "http://127.0.0.1:9", "PUSH__OTLP__HEADERS_FILE": "no-headers"}
    done = here("check", "-c", api.config, env={f"COLLECTOR_{key}": value for key, value in env.items()})
    assert (done.code, done.stdout) == (2, "")
    assert "file/usage can't be a directory" in done.stderr
    assert "pip install 'usage-collector[parquet]'" in done.stderr
    assert "push.otlp.headers_file: the file named here" in done.stderr
    assert api.stats["total"]["asked"] == before


def test_check_names_a_package_of_an_object_store_that_is_missing(
    here: Here, api: SimulatedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    done = here("check", "-c", api.config, env={"COLLECTOR_OUTPUT__PATH": "s3://bucket/usage"})
    assert done.code == 2
    assert "pip install 'usage-collector[s3]'" in done.stderr


def test_check_warns_of_what_would_stop_some_commands(here: Here, api: SimulatedApi) -> None:
    env = {"COLLECTOR_SERVICE__TOKEN_FILE": "no-token", "COLLECTOR_OUTPUT__FORMAT": "parquet"}
    done = here("check", "-c", api.config, "--json", env=env)
    assert done.code == 0
    warnings = "\n".join(json.loads(done.stdout)["warnings"])
    assert "`serve` would not start: service.token_file: the file named here" in warnings
    assert "a run without `-o` would not start: output: Parquet can't be written to stdout" in warnings


def test_check_tells_the_refusals_apart(here: Here, api: SimulatedApi) -> None:
    api.set_faults("org-001:refused", "org-002:not-admin", "org-003:no-permission", "org-004:same-as=org-005")
    code, orgs = check(here, api)
    assert code == 4
    assert {name: org["reason"] for name, org in orgs.items() if not org["accepted"]} in (
        {"org-001": "refused_credential", "org-002": "refused_not_admin", "org-003": "refused_permission"} | same
        for same in ({"org-004": "refused_duplicate"}, {"org-005": "refused_duplicate"})
    )


def test_check_refuses_a_credential_of_another_organization_as_a_run_does(here: Here, api: SimulatedApi) -> None:
    assert here("collect", "-c", api.config, "-o", "out").code == 0
    api.set_faults("org-001:same-as=org-002")
    code, orgs = check(here, api)
    assert code == 4
    assert {name: org["reason"] for name, org in orgs.items() if not org["accepted"]} == {"org-001": "refused_identity"}
    assert check(here, api, "--org", "org-001")[1]["org-001"]["message"] == orgs["org-001"]["message"]
    done = here("backfill", "-c", api.config, "-o", "out", "--last", "7d", "--force")
    assert done.code == 4
    refused = done.event("run.finished")["not_complete"]
    assert {(one["org"], one["message"]) for one in refused} == {("org-001", orgs["org-001"]["message"])}
    assert check(here, api, "--state", "none")[1]["org-001"]["reason"] in (None, "refused_duplicate")


def test_check_refuses_exchanged_credentials_also_of_an_org_that_was_renamed(
    here: Here, api: SimulatedApi, tmp_path: Path
) -> None:
    assert here("collect", "-c", api.config, "-o", "out").code == 0
    content = yaml.safe_load(api.config.read_text())
    first, second, third = content["orgs"][:3]
    for key in ("username", "access_key"):
        first[key], second[key] = second[key], first[key]
    third["name"] = "renamed"
    (tmp_path / "exchanged.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "exchanged.yaml").chmod(0o600)
    done = here("check", "-c", "exchanged.yaml", "--json")
    orgs = {org["org"]: org for org in json.loads(done.stdout)["orgs"]}
    assert done.code == 4
    assert {name: org["reason"] for name, org in orgs.items() if not org["accepted"]} == {
        "org-001": "refused_identity",
        "org-002": "refused_identity",
    }


def test_check_shows_a_table_with_what_to_do(here: Here, api: SimulatedApi) -> None:
    api.set_faults("org-003:no-permission")
    done = here("check", "-c", api.config, env={"COLUMNS": "200"})
    assert done.code == 4
    assert "add it to the role" in done.stdout
    assert f"{ORGS - 1} of {ORGS} orgs accepted" in done.stdout


def test_check_of_an_org_that_fails_ends_with_3(here: Here, api: SimulatedApi) -> None:
    api.set_faults("org-001:503=1")
    code, orgs = check(here, api)
    assert code == 3
    assert orgs["org-001"]["reason"] == "http_503"


def test_check_warns_of_literal_secrets_that_others_can_read(here: Here, api: SimulatedApi, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(api.config.read_text())
    config.chmod(0o644)
    done = here("check", "-c", config, "--org", "org-001", env={"COLUMNS": "300"})
    assert done.code == 0
    assert f"chmod 600 {config}" in done.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("*:latency=0", "adds up"),
        ("*:range-end=exclusive", "adds up only if `to` is read the other way"),
        ("*:not-additive", "does not add up"),
    ],
)
def test_deep_check_tells_what_the_documents_leave_open(here: Here, api: SimulatedApi, fault: str, parts: str) -> None:
    api.set_faults(fault)
    code, orgs = check(here, api, "--deep")
    assert code == 0
    # An org so small that nothing happened in the seconds that tell the readings apart adds up either way.
    assert {org["parts"] for org in orgs.values()} <= {parts, "adds up", "no usage on the days tried"}
    assert parts in {org["parts"] for org in orgs.values()}


def test_deep_check_flags_totals_that_are_the_same_for_both_populations(here: Here, api: SimulatedApi) -> None:
    api.set_faults("org-001:same-types")
    _, orgs = check(here, api, "--deep")
    assert [name for name, org in orgs.items() if org["same_totals"]] == ["org-001"]


def test_plan_says_what_would_be_asked_and_sends_nothing(here: Here, api: SimulatedApi) -> None:
    before = api.stats["total"]["asked"]
    args = ["--from", "2026-06-01", "--to", "2026-06-30T12:00", "--json"]
    plan = json.loads(here("plan", "-c", api.config, *args).stdout)
    assert plan["slices"] == plan["requests"] == ORGS * 30 * 2
    assert plan["seconds"] == 2.0  # 60 slices of each org at 20 per second
    assert all(org["windows"] == 30 for org in plan["orgs"])
    assert any("widened to whole days" in note for note in plan["notes"])
    assert api.stats["total"]["asked"] == before


def test_plan_needs_no_api_at_all(here: Here, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t, granularity: month}]")
    done = here("plan", "-c", "c.yaml", "--from", "2026-01-15", "--to", "2026-03-01")
    assert done.code == 0
    assert "3 months" in done.stdout


def test_plan_asks_the_ledger_what_is_there_and_makes_none(here: Here, api: SimulatedApi, tmp_path: Path) -> None:
    config = without_rechecks(api.config, tmp_path)

    def slices(*args: str) -> int:
        done = here("plan", "-c", config, *args, "--json")
        assert done.code == 0
        warnings.append(sum(event["event"] == "ledger.not_found" for event in done.events))
        return int(json.loads(done.stdout)["slices"])

    warnings: list[int] = []

    api.set_faults()
    first = slices()
    assert ORGS * 2 * 2 <= first <= ORGS * 2 * 3
    assert not (tmp_path / "state").exists()
    assert here("collect", "-c", config, "-o", "out").code == 0
    assert slices() == 0
    week = slices("--last", "7d")
    assert ORGS * 2 * 3 <= week <= ORGS * 2 * 5
    assert here("backfill", "-c", config, "--last", "7d", "-o", "out").code == 0
    assert slices("--last", "7d") == 0
    assert warnings == [1, 0, 0, 0]


def test_a_ledger_that_was_named_by_an_option_can_be_looked_at_by_one(
    here: Here, api: SimulatedApi, tmp_path: Path
) -> None:
    api.set_faults()
    state = ("--state", f"sqlite:///{tmp_path}/elsewhere.db")
    config = without_rechecks(api.config, tmp_path)
    assert here("collect", "-c", config, "-o", "out", *state).code == 0
    assert here("status", "-c", config, *state).code == 0
    assert json.loads(here("plan", "-c", config, "--json", *state).stdout)["slices"] == 0
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("command", "code"), [("plan", 0), ("check", 4), ("collect", 4), ("status", 0)])
def test_a_changed_calendar_is_told_with_its_place_by(
    here: Here, command: str, code: int, api: SimulatedApi, tmp_path: Path
) -> None:
    """Only its org is refused: the others are collected, checked and shown."""
    api.set_faults()
    config = tmp_path / "c.yaml"
    content = yaml.safe_load(api.config.read_text())
    content["orgs"] = content["orgs"][:2]
    content["orgs"][0]["timezone"] = "UTC"
    config.write_text(yaml.safe_dump(content))
    config.chmod(0o600)
    assert here("collect", "-c", config, "-o", "out").code == 0
    config.write_text(config.read_text().replace("timezone: UTC", "timezone: Asia/Tokyo"))
    output = ["-o", "out"] if command == "collect" else []
    done = here(command, "-c", config, *output, env={"COLUMNS": "2000"})
    assert done.code == code
    line = next(n for n, text in enumerate(config.read_text().splitlines(), 1) if "Asia/Tokyo" in text)
    said = done.stdout + done.stderr
    assert f"{config}:{line}: orgs[0].timezone: org 'org-001' is collected by day in UTC" in said
    assert "set `since: " in said
    assert "org-002" in said or command in ("plan", "collect")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--from", "2998-01-01"], "the range is in the future; a day is due 8h after its end (`schedule.settle`)"),
        (["--last", "1s"], "no day ended within the last 1s; the newest ended at "),
    ],
)
def test_a_range_that_selects_nothing_is_a_warning_that_says_why(
    here: Here, args: list[str], why: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t}, {name: b, token: t, timezone: Asia/Kolkata}]")
    env = {"COLLECTOR_SCHEDULE__SETTLE": "8h"}
    doing = {"backfill": "fetched", "collect": "fetched", "reconcile": "compared", "relabel": "restated"}
    for command, what in doing.items():
        done = here(command, "-c", "c.yaml", "-q", *args, env=env)
        assert done.code == 0
        warnings = [event["message"] for event in done.events if event["event"] == "range.note"]
        assert warnings
        assert all(f"nothing will be {what}: {why}" in warning for warning in warnings)
    plan = here("plan", "-c", "c.yaml", *args, env=env)
    assert f"nothing will be fetched: {why}" in plan.stdout
    assert f"nothing will be fetched: {why}" in here("plan", "-c", "c.yaml", "--json", *args, env=env).stderr
    export = here("export", "-c", "c.yaml", "-q", *args, env=env)
    assert export.code == 0
    assert f"nothing will be exported: {why[:24]}" in export.event("range.changed")["message"]


@pytest.mark.parametrize("what", ["record", "config"])
def test_schema_prints_a_valid_json_schema(here: Here, what: str) -> None:
    schema = json.loads(here("schema", what).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_records_and_the_simulated_config_fit_their_schemas(here: Here, api: SimulatedApi) -> None:
    api.set_faults("org-001:partial=always", "org-002:extra-product")
    record_schema = json.loads(here("schema", "record").stdout)
    records = here("collect", "-c", api.config).records
    validator = jsonschema.Draft202012Validator(record_schema, format_checker=jsonschema.FormatChecker())
    for record in records:
        validator.validate(record)
    assert {r["product"] for r in records} >= {"automation", "kaneai"}
    assert any(r.get("extra", {}).get("totalMinutes") for r in records)
    config_schema = json.loads(here("schema", "config").stdout)
    jsonschema.validate(yaml.safe_load(api.config.read_text()), config_schema)


def test_demo_ends_well_with_a_table_and_a_folder_of_records(here: Here, tmp_path: Path) -> None:
    done = here("demo", "--orgs", "16", "--days", "3", "-o", "shown", env={"COLUMNS": "160"})
    assert done.code == 0, done.stderr
    assert "Tests per day" in done.stdout
    assert "org-005" in done.stdout
    assert "the credential is refused" in done.stderr
    assert len(records_in(tmp_path / "shown")) > 16 * 2 * 6
    assert len(list((tmp_path / "shown").glob("run-*.json"))) == 1
    assert "shown/report.html" in done.stdout
    assert "<svg" in (tmp_path / "shown" / "report.html").read_text()
    assert not [path.name for path in (tmp_path / "shown").iterdir() if path.name.startswith(".")]


def test_help_fits_80_columns(here: Here) -> None:
    lines = here("--help", env={"COLUMNS": "80"}).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:])


def test_help_of_every_command_has_an_example_and_fits_80_columns(here: Here) -> None:
    for command in SUMMARIES:
        text = here(command, "--help", env={"COLUMNS": "80"}).stdout
        assert max(map(len, text.splitlines())) <= 80
        assert f"  collector {command}" in text
        assert "Examples:" in text


def test_no_command_shows_a_secret(here: Here, api: SimulatedApi) -> None:
    keys = [org["access_key"] for org in yaml.safe_load(api.config.read_text())["orgs"]]
    for args in (["check", "--deep"], ["plan"], ["collect"], ["backfill", "--last", "2d"]):
        done = here(*args, "-c", api.config, "--log-level", "debug")
        assert done.code == 0
        assert not any(key in done.stdout + done.stderr for key in keys)


def test_the_config_is_found_where_the_contract_says(
    here: Here, api: SimulatedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    os.link(api.config, tmp_path / "config" / "collector.yaml")
    assert here("plan").code == 0
    other = tmp_path / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    assert here("plan", env={"COLLECTOR_CONFIG": str(api.config)}).code == 0
    missing = here("plan")
    assert missing.code == 2
    assert "config/collector.yaml" in missing.stderr


def test_each_number_of_a_plan_stands_below_its_heading(here: Here, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t}]")
    lines = here("plan", "-c", "c.yaml", "--from", "2026-01-01", "--to", "2026-01-31", "-q").stdout.splitlines()
    (heading,) = (line for line in lines if line.startswith("org "))
    (row,) = (line for line in lines if line.startswith("a "))
    assert row.split()[4:7] == ["31", "days", "62"]
    assert heading.index("requests") + len("requests") == row.index(" 62") + len(" 62")
