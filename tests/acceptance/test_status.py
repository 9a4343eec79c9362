"""`status` over what real runs left in a ledger."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from collector.core.coverage_lines import coverage_schema
from tests.support.commands import Done, SimulatedApi, collector, simulated_api, without_rechecks


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("status"), orgs=3) as api:
        yield api


def status(api: SimulatedApi, cwd: Path, *args: str) -> Done:
    return collector("status", "-c", api.config, *args, cwd=cwd, env={"COLUMNS": "120"})


def by_org(done: Done) -> dict[str, dict[str, Any]]:
    return {org["org"]: org for org in json.loads(done.stdout)["orgs"]}


def test_before_the_first_run_all_of_the_lookback_is_missing(api: SimulatedApi, tmp_path: Path) -> None:
    done = status(api, tmp_path, "--json")
    assert done.code == 3
    assert all(org["populations"][0]["missing"] >= 2 for org in by_org(done).values())
    warning = done.event("ledger.not_found")
    assert warning["ledger"] == str(tmp_path / "state/ledger.db")
    assert warning["message"].startswith("there is no ledger, so all windows are missing; the first `collect` or ")
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_ledger_is_never_complete(api: SimulatedApi, tmp_path: Path) -> None:
    nothing_due = {"COLLECTOR_SCHEDULE__LOOKBACK": "1h"}
    args = ["status", "-c", str(api.config), "--state", "sqlite:///stat/ledger.db"]
    done = collector(*args, cwd=tmp_path, env=nothing_due)
    assert done.code == 3
    assert done.event("ledger.not_found")["ledger"] == str(tmp_path / "stat/ledger.db")


def test_after_a_healthy_run_nothing_lacks_and_it_exits_with_0(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    assert collector("backfill", "-c", api.config, "--last", "20d", "-o", "out", cwd=tmp_path).code == 0
    done = status(api, tmp_path, "--json")
    assert done.code == 0
    for org in by_org(done).values():
        assert org["lacking"] == 0
        assert org["org_id"]
        for population in org["populations"]:
            assert population["complete"] == population["windows"] >= 19


def test_what_is_partial_or_refused_is_shown_with_strips_and_what_to_do(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-001:partial=always", "org-002:refused")
    soon = {"COLLECTOR_API__RETRY__BASE_DELAY": "10ms"}
    assert collector("backfill", "-c", api.config, "--last", "50d", "-o", "out", cwd=tmp_path, env=soon).code == 4
    done = status(api, tmp_path)
    assert done.code == 3
    assert "▒▒▒▒" in done.stdout
    assert "····" in done.stdout
    where = f"--state sqlite:///{tmp_path}/state/ledger.db -o {tmp_path}/out"
    assert f"collector backfill -c {api.config} {where} --org org-002 --from " in done.stdout
    assert "org-003 account-user" not in done.stdout  # no strip for an org that lacks nothing
    shown = by_org(status(api, tmp_path, "--json"))
    assert (shown["org-003"]["lacking"], shown["org-003"]["credential"]["standing"]) == (0, "accepted")
    credential = shown["org-002"]["credential"]
    assert (credential["standing"], credential["reason"], credential["changed"]) == ("refused", "credential", False)
    assert credential["message"].startswith("the credential is refused (401)")
    assert credential["since"] == credential["last_at"]
    assert re.search(r"credential refused \(401\), since 20\d\d-\d\d-\d\d", done.stdout), done.stdout


def test_only_what_is_incomplete_is_shown_on_request_with_the_reason_beside_it(
    api: SimulatedApi, tmp_path: Path
) -> None:
    api.set_faults("org-001:partial=always", "org-002:500=1")
    soon = {"COLLECTOR_API__RETRY__BASE_DELAY": "10ms", "COLLECTOR_API__RETRY__ATTEMPTS": "2"}
    assert collector("backfill", "-c", api.config, "--last", "9d", "-o", "out", cwd=tmp_path, env=soon).code == 3
    done = status(api, tmp_path, "--incomplete")
    assert done.code == 3
    assert re.search(r"^org-002 .* \d+ failed .* http 500", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^org-001 .* \d+ partial", done.stdout, re.MULTILINE)
    assert "org-003" not in done.stdout
    assert "1 complete org not shown" in done.stdout
    assert by_org(status(api, tmp_path, "--incomplete", "--json")).keys() == {"org-001", "org-002"}


def test_every_window_is_a_line_of_json_on_request_as_the_table_counts_them_and_without_a_secret(
    api: SimulatedApi, tmp_path: Path
) -> None:
    api.set_faults("org-001:partial=always", "org-002:refused")
    soon = {"COLLECTOR_API__RETRY__BASE_DELAY": "10ms"}
    assert collector("backfill", "-c", api.config, "--last", "9d", "-o", "out", cwd=tmp_path, env=soon).code == 4
    done = status(api, tmp_path, "--json", "--all")
    assert done.code == 3
    validator = jsonschema.Draft202012Validator(coverage_schema())
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        validator.validate(line)
        assert line["run_id"] is None
    counted = Counter((line["org"], line["population"], line["state"]) for line in lines)
    for org in by_org(status(api, tmp_path, "--json")).values():
        for population in org["populations"]:
            for state in ("complete", "partial", "failed", "refused", "missing", "in_doubt"):
                assert counted[org["org"], population["population"], state] == population[state]
    assert counted["org-003", "account-user", "complete"] >= 8
    assert {line["reason"] for line in lines if line["org"] == "org-002" and line["state"] != "not_due"} == {
        "refused_credential"
    }
    for entry in yaml.safe_load(api.config.read_text())["orgs"]:
        assert entry["access_key"] not in done.stdout
        assert entry["username"] not in done.stdout
    (sealed,) = (tmp_path / "out").glob("coverage-*.jsonl")
    shown = {(line["org"], line["population"], line["window_start"]): line for line in lines}
    for line in map(json.loads, sealed.read_text().splitlines()):
        now = shown[line["org"], line["population"], line["window_start"]]
        assert (line["reason"], line["fetched_at"]) == (now["reason"], now["fetched_at"])
        assert now["state"] in {line["state"], "missing"}  # of a refused org, the run knows of windows that it left
    assert status(api, tmp_path, "--all").code == 2


@pytest.mark.parametrize("command", ["status", "plan"])
def test_what_sends_nothing_needs_no_secret(command: str, api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    config = without_rechecks(api.config, tmp_path)
    assert collector("collect", "-c", config, "-o", "out", cwd=tmp_path).code == 0
    config.write_text(re.sub("access_key: .*", "access_key_file: gone/key", config.read_text()))
    assert collector("check", "-c", config, cwd=tmp_path).code == 2
    done = collector(command, "-c", config, "--json", cwd=tmp_path)
    assert done.code == 0
    assert done.stderr == ""
    content = json.loads(done.stdout)
    assert (content["lacking"] if command == "status" else content["slices"]) == 0


def test_two_separate_ranges_are_shown_with_the_hole_that_was_never_wanted(api: SimulatedApi, tmp_path: Path) -> None:
    """What was never wanted is no gap: without a word, a reader of "all complete" would take it for collected."""
    api.set_faults()
    soon = {"COLLECTOR_SCHEDULE__LOOKBACK": "1h"}
    for first, last in (("2026-01-01", "2026-01-03"), ("2026-03-01", "2026-03-02")):
        args = ("--from", first, "--to", last, "--org", "org-001", "-o", "out")
        assert collector("backfill", "-c", api.config, *args, cwd=tmp_path, env=soon).code == 0
    done = collector("status", "-c", api.config, "--org", "org-001", cwd=tmp_path, env=soon)
    assert "org-001: never wanted, so neither fetched nor counted: 2026-01-04 to 02-28" in done.stdout
    assert "wanted and due: 2026-01-01 to " in done.stdout
    assert re.search(r"wanted from +lag +last success", done.stdout)
    shown = collector("status", "-c", api.config, "--org", "org-001", "--json", cwd=tmp_path, env=soon)
    org = by_org(shown)["org-001"]
    spans = [(span["start"][:10], span["end"][:10]) for span in org["wanted"]]
    assert spans[:2] == [("2026-01-01", "2026-01-04"), ("2026-03-01", "2026-03-03")]
    assert org["last_success"] == max(one["last_success"] for one in org["populations"])
    assert org["lag_s"] == max(one["lag_s"] for one in org["populations"]) >= 0


def test_status_asks_the_api_nothing(api: SimulatedApi, tmp_path: Path) -> None:
    before = api.stats["total"]["asked"]
    status(api, tmp_path)
    assert api.stats["total"]["asked"] == before


def test_without_a_ledger_it_says_so(api: SimulatedApi, tmp_path: Path) -> None:
    done = collector("status", "-c", api.config, cwd=tmp_path, env={"COLLECTOR_STATE__URL": "none"})
    assert done.code == 2
    assert "there is no ledger" in done.stderr
