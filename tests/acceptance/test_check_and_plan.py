"""`check`, `plan`, `schema` and `demo` as people call them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from collector.cli.main import cli
from tests.support.commands import SimulatedApi, collector, records_in, simulated_api

pytestmark = pytest.mark.slow
ORGS = 8


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("check"), orgs=ORGS) as api:
        yield api


@pytest.fixture(autouse=True)
def healthy(api: SimulatedApi) -> None:
    api.set_faults()


def check(api: SimulatedApi, cwd: Path, *args: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = collector("check", "-c", api.config, "--json", *args, cwd=cwd)
    content = json.loads(done.stdout)
    assert content["exit_code"] == done.code
    return done.code, {org["org"]: org for org in content["orgs"]}


def test_check_asks_once_per_org_and_tells_each_identity(api: SimulatedApi, tmp_path: Path) -> None:
    before = api.stats["total"]["asked"]
    code, orgs = check(api, tmp_path)
    assert code == 0
    assert all(org["accepted"] and org["org_id"] for org in orgs.values())
    assert api.stats["total"]["asked"] - before == ORGS


def test_check_tells_the_refusals_apart(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-001:refused", "org-002:not-admin", "org-003:no-permission", "org-004:same-as=org-005")
    code, orgs = check(api, tmp_path)
    assert code == 4
    assert {name: org["reason"] for name, org in orgs.items() if not org["accepted"]} in (
        {"org-001": "refused_credential", "org-002": "refused_not_admin", "org-003": "refused_permission"} | same
        for same in ({"org-004": "refused_duplicate"}, {"org-005": "refused_duplicate"})
    )


def test_check_shows_a_table_with_what_to_do(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-003:no-permission")
    done = collector("check", "-c", api.config, cwd=tmp_path, env={"COLUMNS": "200"})
    assert done.code == 4
    assert "add it to the role" in done.stdout
    assert f"{ORGS - 1} of {ORGS} orgs accepted" in done.stdout


def test_check_of_an_org_that_fails_ends_with_3(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-001:503=1")
    code, orgs = check(api, tmp_path)
    assert code == 3
    assert orgs["org-001"]["reason"] == "http_503"


def test_check_warns_of_literal_secrets_that_others_can_read(api: SimulatedApi, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(api.config.read_text())
    config.chmod(0o644)
    done = collector("check", "-c", config, "--org", "org-001", cwd=tmp_path, env={"COLUMNS": "300"})
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
def test_deep_check_tells_what_the_documents_leave_open(
    api: SimulatedApi, tmp_path: Path, fault: str, parts: str
) -> None:
    api.set_faults(fault)
    code, orgs = check(api, tmp_path, "--deep")
    assert code == 0
    # An org so small that nothing happened in the seconds that tell the readings apart adds up either way.
    assert {org["parts"] for org in orgs.values()} <= {parts, "adds up", "no usage on the days tried"}
    assert parts in {org["parts"] for org in orgs.values()}


def test_deep_check_flags_totals_that_are_the_same_for_both_populations(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-001:same-types")
    _, orgs = check(api, tmp_path, "--deep")
    assert [name for name, org in orgs.items() if org["same_totals"]] == ["org-001"]


def test_plan_says_what_would_be_asked_and_sends_nothing(api: SimulatedApi, tmp_path: Path) -> None:
    before = api.stats["total"]["asked"]
    args = ["--from", "2026-06-01", "--to", "2026-06-30T12:00", "--json"]
    plan = json.loads(collector("plan", "-c", api.config, *args, cwd=tmp_path).stdout)
    assert plan["slices"] == plan["requests"] == ORGS * 30 * 2
    assert plan["seconds"] == 2.0  # 60 slices of each org at 20 per second
    assert all(org["windows"] == 30 for org in plan["orgs"])
    assert any("widened to whole days" in note for note in plan["notes"])
    assert api.stats["total"]["asked"] == before


def test_plan_needs_no_api_at_all(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t, granularity: month}]")
    done = collector("plan", "-c", "c.yaml", "--from", "2026-01-15", "--to", "2026-03-01", cwd=tmp_path)
    assert done.code == 0
    assert "3 months" in done.stdout


def test_plan_asks_the_ledger_what_is_there_and_makes_none(api: SimulatedApi, tmp_path: Path) -> None:
    def slices(*args: str) -> int:
        done = collector("plan", "-c", api.config, *args, "--json", cwd=tmp_path)
        assert done.code == 0
        warnings.append(sum(event["event"] == "ledger.not_found" for event in done.events))
        return int(json.loads(done.stdout)["slices"])

    warnings: list[int] = []

    api.set_faults()
    first = slices()
    assert ORGS * 2 * 2 <= first <= ORGS * 2 * 3
    assert not (tmp_path / "state").exists()
    assert collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path).code == 0
    assert slices() == 0
    week = slices("--last", "7d")
    assert ORGS * 2 * 3 <= week <= ORGS * 2 * 5
    assert collector("backfill", "-c", api.config, "--last", "7d", "-o", "out", cwd=tmp_path).code == 0
    assert slices("--last", "7d") == 0
    assert warnings == [1, 0, 0, 0]


def test_a_ledger_that_was_named_by_an_option_can_be_looked_at_by_one(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    state = ("--state", f"sqlite:///{tmp_path}/elsewhere.db")
    assert collector("collect", "-c", api.config, "-o", "out", *state, cwd=tmp_path).code == 0
    assert collector("status", "-c", api.config, *state, cwd=tmp_path).code == 0
    assert json.loads(collector("plan", "-c", api.config, "--json", *state, cwd=tmp_path).stdout)["slices"] == 0
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", ["plan", "check", "collect", "status"])
def test_a_changed_calendar_is_told_with_its_place_by(command: str, api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    config = tmp_path / "c.yaml"
    content = yaml.safe_load(api.config.read_text())
    content["orgs"] = content["orgs"][:1]
    content["orgs"][0]["timezone"] = "UTC"
    config.write_text(yaml.safe_dump(content))
    config.chmod(0o600)
    assert collector("collect", "-c", config, "-o", "out", cwd=tmp_path).code == 0
    config.write_text(config.read_text().replace("timezone: UTC", "timezone: Asia/Tokyo"))
    done = collector(command, "-c", config, cwd=tmp_path)
    assert done.code == 2
    line = next(n for n, text in enumerate(config.read_text().splitlines(), 1) if "Asia/Tokyo" in text)
    assert f"{config}:{line}: orgs[0].timezone: org 'org-001' is collected by day in UTC" in done.stderr
    assert "set `since: " in done.stderr


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--from", "2998-01-01"], "the range is in the future; a day is due 6h after its end (`schedule.settle`)"),
        (["--last", "1s"], "no day ended within the last 1s; the newest ended at "),
    ],
)
def test_a_range_that_selects_nothing_is_a_warning_that_says_why(args: list[str], why: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t}, {name: b, token: t, timezone: Asia/Kolkata}]")
    for command in ("backfill", "collect"):
        done = collector(command, "-c", "c.yaml", "-q", *args, cwd=tmp_path)
        assert done.code == 0
        warnings = [event["message"] for event in done.events if event["event"] == "range.note"]
        assert warnings
        assert all(f"nothing will be fetched: {why}" in warning for warning in warnings)
    plan = collector("plan", "-c", "c.yaml", *args, cwd=tmp_path)
    assert f"nothing will be fetched: {why}" in plan.stdout


@pytest.mark.parametrize("what", ["record", "config"])
def test_schema_prints_a_valid_json_schema(what: str, tmp_path: Path) -> None:
    schema = json.loads(collector("schema", what, cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_records_and_the_simulated_config_fit_their_schemas(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-001:partial=always", "org-002:extra-product")
    record_schema = json.loads(collector("schema", "record", cwd=tmp_path).stdout)
    records = collector("collect", "-c", api.config, cwd=tmp_path).records
    validator = jsonschema.Draft202012Validator(record_schema, format_checker=jsonschema.FormatChecker())
    for record in records:
        validator.validate(record)
    assert {r["product"] for r in records} >= {"automation", "kaneai"}
    assert any(r.get("extra", {}).get("totalMinutes") for r in records)
    config_schema = json.loads(collector("schema", "config", cwd=tmp_path).stdout)
    jsonschema.validate(yaml.safe_load(api.config.read_text()), config_schema)


def test_demo_ends_well_with_a_table_and_a_folder_of_records(tmp_path: Path) -> None:
    done = collector("demo", "--orgs", "16", "--days", "3", "-o", "shown", cwd=tmp_path, env={"COLUMNS": "160"})
    assert done.code == 0, done.stderr
    assert "Tests per day" in done.stdout
    assert "org-005" in done.stdout
    assert "the credential is refused" in done.stderr
    assert len(records_in(tmp_path / "shown")) > 16 * 2 * 6
    assert len(list((tmp_path / "shown").glob("run-*.json"))) == 1


def test_help_fits_80_columns(tmp_path: Path) -> None:
    lines = collector("--help", cwd=tmp_path, env={"COLUMNS": "80"}).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:])


def test_help_of_every_command_has_an_example_and_fits_80_columns(tmp_path: Path) -> None:
    for command in cli.commands:
        text = collector(command, "--help", cwd=tmp_path, env={"COLUMNS": "80"}).stdout
        assert max(map(len, text.splitlines())) <= 80
        assert f"  collector {command}" in text
        assert "Examples:" in text


def test_no_command_shows_a_secret(api: SimulatedApi, tmp_path: Path) -> None:
    keys = [org["access_key"] for org in yaml.safe_load(api.config.read_text())["orgs"]]
    for args in (["check", "--deep"], ["plan"], ["collect"], ["backfill", "--last", "2d", "-o", "out"]):
        done = collector(*args, "-c", api.config, "--log-level", "debug", cwd=tmp_path)
        assert done.code == 0
        assert not any(key in done.stdout + done.stderr for key in keys)


def test_the_config_is_found_where_the_contract_says(api: SimulatedApi, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    os.link(api.config, tmp_path / "config" / "collector.yaml")
    assert collector("plan", cwd=tmp_path).code == 0
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert collector("plan", cwd=other, env={"COLLECTOR_CONFIG": str(api.config)}).code == 0
    missing = collector("plan", cwd=other)
    assert missing.code == 2
    assert "config/collector.yaml" in missing.stderr
