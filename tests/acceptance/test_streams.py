"""What the outside holds on to: streams, exit codes, signals, outputs that fail."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.support.commands import (
    COLLECTOR,
    SimulatedApi,
    collector,
    environment,
    full_pipe,
    manifest_in,
    records_in,
    simulated_api,
    started,
    unmeasured,
    without_rechecks,
)
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("streams"), orgs=5) as api:
        yield api


@pytest.fixture(autouse=True)
def healthy(api: SimulatedApi) -> None:
    api.set_faults()


def test_records_and_only_records_go_to_stdout(api: SimulatedApi, tmp_path: Path) -> None:
    done = collector("collect", "-c", api.config, cwd=tmp_path)
    assert done.code == 0
    assert {"record_id", "org", "window_start", "quality"} <= set(done.records[0])
    assert done.event("run.finished")["exit_code"] == 0
    assert len(done.records) == done.event("run.finished")["records"] > 0


def test_logs_are_json_where_stderr_is_no_terminal(api: SimulatedApi, tmp_path: Path) -> None:
    done = collector("collect", "-c", api.config, cwd=tmp_path)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()][:2] == ["ledger.created", "run.started"]


def test_a_terminal_gets_a_bar_a_table_and_the_reasons(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-002:partial=always", "org-003:refused")
    args = ["--last", "4d", "-o", "out", "--progress", "always", "--log-format", "console"]
    done = collector("backfill", "-c", api.config, *args, cwd=tmp_path, env={"COLUMNS": "120"})
    assert done.code == 4
    assert "5/5 orgs" in done.stderr
    assert "1 sealed file " in done.stderr
    assert "planned" in done.stderr
    assert "org-003" in done.stderr
    assert re.search(r"account-user 20\d\d-\d\d-\d\d", done.stderr), done.stderr
    assert "exit 4: an org was refused" in done.stderr


def test_a_run_with_nothing_due_says_so(api: SimulatedApi, tmp_path: Path) -> None:
    command = ("collect", "-c", without_rechecks(api.config, tmp_path), "-o", "out")
    first, second = (collector(*command, cwd=tmp_path) for _ in range(2))
    assert "message" not in first.event("run.finished")
    assert second.event("run.finished")["message"] == "nothing was due: no window needs fetching now"
    text = collector(*command, "--log-format", "console", cwd=tmp_path).stderr
    assert text.splitlines()[1].startswith("exit 0: nothing was due: no window needs fetching now (0 requests in ")


def test_quiet_says_nothing_when_all_is_well(api: SimulatedApi, tmp_path: Path) -> None:
    assert collector("collect", "-c", api.config, "-q", "-o", "out", cwd=tmp_path).stderr == ""


def test_collect_asks_the_windows_of_the_lookback(api: SimulatedApi, tmp_path: Path) -> None:
    env = {"COLLECTOR_SCHEDULE__LOOKBACK": "2d", "COLLECTOR_SCHEDULE__SETTLE": "0"}
    done = collector("collect", "-c", api.config, "--org", "org-001", cwd=tmp_path, env=env)
    assert len({r["window_start"] for r in done.records}) == 2


def test_partial_slices_end_with_3(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-002:partial=always")
    done = collector("collect", "-c", api.config, "--org", "org-002", cwd=tmp_path)
    assert done.code == 3
    (cause, *_) = done.event("run.finished")["not_complete"]
    assert (cause["org"], cause["state"], cause["reason"]) == ("org-002", "partial", "partial")


def test_another_organization_than_the_config_says_ends_with_4(api: SimulatedApi, tmp_path: Path) -> None:
    text = api.config.read_text().replace("- name: org-001", '- name: org-001\n    org_id: "nobody"')
    (tmp_path / "pinned.yaml").write_text(text)
    done = collector("collect", "-c", "pinned.yaml", cwd=tmp_path)
    assert done.code == 4
    assert not [r for r in done.records if r["org"] == "org-001"]
    assert "expects org_id 'nobody'" in done.event("org.refused")["message"]


def test_two_orgs_of_one_organization_end_with_4_and_count_once(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("org-003:same-as=org-002")
    done = collector("collect", "-c", api.config, cwd=tmp_path)
    assert done.code == 4
    assert done.event("org.refused")["reason"] == "refused_duplicate"
    ids = [r["record_id"] for r in done.records]
    assert len(ids) == len(set(ids))


def test_the_reader_of_stdout_goes_away_exit_5(api: SimulatedApi, tmp_path: Path) -> None:
    with started("collect", "-c", api.config, "--last", "60d", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 5
        events = [json.loads(line) for line in process.stderr]
    (failed,) = (event for event in events if event["event"] == "output.failed")
    assert failed["message"] == "stdout's reader went away"
    assert "use --state none" in failed["next"]
    (finished,) = (event for event in events if event["event"] == "run.finished")
    assert finished["failed"] > 0
    assert (finished["not_complete"], finished["not_complete_left_out"] > 0) == ([], True)
    assert "stdout's reader went away" in finished["message"]


def test_a_reader_that_goes_away_gets_one_line_of_summary(api: SimulatedApi, tmp_path: Path) -> None:
    args = ("--last", "60d", "--state", "none", "--log-format", "console")
    with started("collect", "-c", api.config, *args, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 5
        begun, summary, failed = (line for line in process.stderr.readlines() if "range.note" not in line)
    assert "run.started" in begun
    assert re.fullmatch(
        r"exit 5: stdout's reader went away: \d+ of \d+ slices complete, \d+ records? \(\d+ requests? in .*\)\n",
        summary,
    )
    assert "nothing is lost" in failed


def test_ctrl_c_gives_one_line_of_summary(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("*:latency=300ms")
    args = ("--last", "60d", "-o", "out", "--log-format", "console")
    with started("collect", "-c", api.config, *args, cwd=tmp_path) as process:
        wait_until(lambda: list((tmp_path / "out").glob(".usage-*")))
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
        assert process.stderr is not None
        created, begun, summary = (line for line in process.stderr.readlines() if "range.note" not in line)
    assert "ledger.created" in created
    assert "run.started" in begun
    assert re.fullmatch(
        r"exit 130: stopped by SIGINT, after draining: run again to continue: \d+ of \d+ slices complete, .*\n", summary
    )


def test_stdout_that_is_full_ends_with_5(api: SimulatedApi, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COLLECTOR, "collect", "-c", str(api.config)],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode == 5
    assert b"No space left on device" in done.stderr


@pytest.mark.parametrize("command", ["check", "plan", "schema config", "--help"])
def test_what_is_printed_to_a_full_disk_ends_with_5(api: SimulatedApi, tmp_path: Path, command: str) -> None:
    config = f"-c {api.config}" if command in {"check", "plan"} else ""
    done = shell(f"{{}} {command} {config} > /dev/full", tmp_path)
    assert done.returncode == 5
    assert "stdout can't be written" in done.stderr
    assert "defect" not in done.stderr


def test_a_closed_stdout_ends_with_5_before_anything_is_asked(api: SimulatedApi, tmp_path: Path) -> None:
    asked = api.stats["total"]["asked"]
    done = shell(f"{{}} collect -c {api.config} >&- <&-", tmp_path)
    assert done.returncode == 5
    assert "stdout is closed" in done.stderr
    assert api.stats["total"]["asked"] == asked


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "2> >(head -1 >/dev/null)"])
def test_trouble_with_stderr_costs_no_record(api: SimulatedApi, tmp_path: Path, stderr: str) -> None:
    done = shell(f"{{}} collect -c {api.config} -o out --log-level debug {stderr}", tmp_path)
    assert done.returncode == 0
    assert manifest_in(tmp_path / "out")["records"] == len(records_in(tmp_path / "out")) > 0


def test_a_line_that_a_full_disk_tore_is_taken_back(api: SimulatedApi, tmp_path: Path) -> None:
    done = shell(f"ulimit -f 50; {{}} collect -c {api.config} --last 40d --state none > records", tmp_path)
    assert done.returncode == 5
    lines = (tmp_path / "records").read_bytes()
    assert lines.endswith(b"}\n")
    assert len([json.loads(line) for line in lines.splitlines()]) > 50


def shell(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m collector"
    return subprocess.run(
        ["bash", "-c", script.format(command)],
        cwd=cwd,
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_output_directory_that_cannot_be_made_ends_with_5_before_anything_is_asked(
    api: SimulatedApi, tmp_path: Path
) -> None:
    asked = api.stats["total"]["asked"]
    done = collector("collect", "-c", api.config, "-o", "x" * 300, cwd=tmp_path)
    assert done.code == 5
    assert "can't be read: File name too long" in done.stderr
    assert api.stats["total"]["asked"] == asked


@pytest.mark.parametrize(("name", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_drains_what_is_under_way_and_seals_it(
    api: SimulatedApi, tmp_path: Path, name: signal.Signals, code: int
) -> None:
    api.set_faults("*:latency=300ms")
    with started("backfill", "-c", api.config, "--last", "80d", "-o", "out", cwd=tmp_path) as process:
        wait_until(lambda: list((tmp_path / "out").glob(".usage-*")))
        process.send_signal(name)
        assert process.wait(120) == code
    (manifest,) = (json.loads(f.read_text()) for f in (tmp_path / "out").glob("run-*.json"))
    assert manifest["exit_code"] == code
    assert manifest["slices"]["complete"] > 0
    assert manifest["slices"]["failed"] == 0
    assert manifest["slices"]["not_asked"] > 0
    lines = [line for f in (tmp_path / "out").glob("usage-*") for line in f.read_text().splitlines()]
    assert len(lines) == manifest["records"]
    assert not list((tmp_path / "out").glob(".*.unsealed"))


def test_a_second_signal_ends_at_once(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("*:latency=1h")
    env = {"COLLECTOR_SERVICE__GRACE": "1h"}  # for which the first one would wait
    with started("backfill", "-c", api.config, "--last", "9d", "-o", "out", cwd=tmp_path, **env) as process:
        wait_until(lambda: api.stats["total"]["in_flight"] > 0)

        def ended() -> bool:
            process.send_signal(signal.SIGTERM)  # two that come at once would be one
            return process.poll() is not None

        wait_until(ended)
        assert process.returncode == 143


def test_sixty_orgs_are_done_before_one_that_takes_an_hour_has_answered_at_all(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=60, faults=["org-007:latency=1h"]) as api:
        env = {"COLLECTOR_SERVICE__GRACE": "0", "COLLECTOR_SCHEDULE__SETTLE": "0"}
        with started("backfill", "-c", api.config, "--last", "5d", "-o", "out", cwd=tmp_path, **env) as process:
            wait_until(lambda: sum(load["asked"] >= 10 for load in api.stats["orgs"].values()) == 59)
            slow = api.stats["orgs"]["org-007"]
            assert (slow["asked"], slow["in_flight"]) == (1, 1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 143


def test_a_log_that_nobody_reads_costs_no_record(api: SimulatedApi, tmp_path: Path) -> None:
    command = [
        *COLLECTOR,
        "collect",
        "-c",
        str(api.config),
        "-o",
        "out",
        "--log-level",
        "debug",
        "--progress",
        "always",
    ]
    with full_pipe() as (_, stderr):
        done = subprocess.run(command, stderr=stderr, cwd=tmp_path, env=environment(), timeout=120, check=False)
    assert done.returncode == 0
    assert manifest_in(tmp_path / "out")["records"] == len(records_in(tmp_path / "out")) > 0


def test_forty_names_of_one_organization_are_collected_once_while_nobody_reads_the_log(
    api: SimulatedApi, tmp_path: Path
) -> None:
    """They blocked each other until the attempts of a slice were spent, and 38 slices failed."""
    config = yaml.safe_load(api.config.read_text())
    one, *_ = config["orgs"]
    config |= {"same_organization": "allow", "orgs": [{**one, "name": f"alias-{n}"} for n in range(40)]}
    aliases = tmp_path / "aliases.yaml"
    aliases.write_text(json.dumps(config))
    aliases.chmod(0o600)
    command = [*COLLECTOR, "collect", "-c", "aliases.yaml", "-o", "out", "--log-level", "debug"]
    with full_pipe() as (_, stderr):
        done = subprocess.run(command, stderr=stderr, cwd=tmp_path, env=environment(), timeout=120, check=False)
    assert done.returncode == 0
    slices = manifest_in(tmp_path / "out")["slices"]
    assert slices["planned"] == slices["complete"]
    assert slices["planned"] in {2 * 2, 2 * 3}  # populations, and the days that are due at this hour


def test_a_log_that_is_read_late_is_complete(api: SimulatedApi, tmp_path: Path) -> None:
    command = [*COLLECTOR, "backfill", "-c", str(api.config), "--last", "30d", "-o", "out", "--log-level", "debug"]
    read = bytearray()
    with (
        full_pipe() as (reader, stderr),
        subprocess.Popen(command, stderr=stderr, cwd=tmp_path, env=environment()) as process,
    ):
        wait_until(lambda: list((tmp_path / "out").glob("run-*.json")), "the run is done, and its log is not written")
        os.set_blocking(reader, False)

        def ended() -> bool:
            code = process.poll()
            with suppress(BlockingIOError):
                while data := os.read(reader, 2**16):
                    read.extend(data)
            return code is not None

        wait_until(ended)
    events = [json.loads(line) for line in read.decode().lstrip(".").splitlines()]
    names = [event["event"] for event in events]
    # Behind the new ledger, and a note on the range in the hours in which the newest day isn't due yet.
    assert "run.started" in names[:3]
    assert names[-1] == "run.finished"
    assert "log.dropped" not in names
