"""`collector ledger`: what a person runs before an upgrade, for a backup, and after a bad night."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ledger import versions
from tests.support.commands import Done, Here, SimulatedApi, collector, records_in, simulated_api

STORED = Path(__file__).parents[1] / "adapters" / "ledger"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("ledger"), orgs=2) as api:
        yield api


@pytest.fixture
def collected(api: SimulatedApi, here: Here) -> Path:
    """The ledger after a run."""
    assert here("collect", "-c", api.config, "--last", "15d", "-o", "usage").code == 0
    return Path("state/ledger.db").absolute()


def ledger(here: Here, api: SimulatedApi, command: str, *args: str | Path) -> Done:
    return here("ledger", command, "-c", api.config, *args)


@pytest.mark.usefixtures("collected")
def test_a_ledger_that_was_lost_is_restored_from_its_backup(here: Here, api: SimulatedApi, collected: Path) -> None:
    done = ledger(here, api, "backup", "copy.db")
    assert done.code == 0, done.stderr
    assert done.stdout.startswith(f"copy.db: version {versions.KNOWN[-1]}, ")
    assert "2 orgs, " in done.stdout
    for file in collected.parent.glob("ledger.db*"):
        if file.is_file():
            file.unlink()
    Path("copy.db").rename(collected)
    before = len(records_in(Path("usage")))
    assert here("status", "-c", api.config).code == 0
    assert here("collect", "-c", api.config, "-o", "usage").code == 0
    assert len(records_in(Path("usage"))) == before


@pytest.mark.usefixtures("collected")
def test_a_backup_replaces_a_file_only_with_force(here: Here, api: SimulatedApi) -> None:
    Path("copy.db").write_text("precious")
    done = ledger(here, api, "backup", "copy.db")
    assert (done.code, Path("copy.db").read_text()) == (2, "precious")
    assert "copy.db exists: name another file, or replace it with --force" in done.stderr
    assert ledger(here, api, "backup", "copy.db", "--force").code == 0


def test_info_shows_where_the_ledger_and_its_records_are(
    here: Here, api: SimulatedApi, collected: Path, tmp_path: Path
) -> None:
    shown = ledger(here, api, "info")
    assert shown.code == 0
    lines = dict(line.split("  ", 1) for line in shown.stdout.splitlines())
    assert lines["ledger"].strip() == str(collected)
    assert lines["version"].strip() == versions.KNOWN[-1]
    assert lines["output"].strip().startswith(f"{tmp_path}/usage on ")
    info = json.loads(ledger(here, api, "info", "--json").stdout)
    assert (info["older"], info["orgs"], info["runs"], info["unsealed_files"]) == (False, 2, 1, 0)
    assert info["slices"] > 0
    assert info["size_bytes"] >= collected.stat().st_size
    assert info["processes"] == []
    assert [one["path"] for one in info["outputs"]] == [f"{tmp_path}/usage"]


def test_check_finds_damage_and_says_what_to_do(here: Here, api: SimulatedApi, collected: Path) -> None:
    done = ledger(here, api, "check")
    assert (done.code, done.stdout.startswith(f"{collected}: sound: version ")) == (0, True)
    connection = sqlite3.connect(collected)
    connection.execute("UPDATE slice SET emission = 'x'")
    connection.commit()
    connection.close()
    done = ledger(here, api, "check")
    assert done.code == 5
    assert "an emission doesn't have the format that a collector writes" in done.stdout
    assert done.stdout.endswith("and more\n")
    assert "is damaged: restore a backup of it" in done.stderr


@pytest.mark.parametrize("command", ["info", "check"])
def test_without_a_ledger_nothing_is_created(here: Here, api: SimulatedApi, tmp_path: Path, command: str) -> None:
    done = ledger(here, api, command)
    assert done.code == 5
    assert f"there is no ledger {tmp_path}/state/ledger.db: check state.url" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert ledger(here, api, command, "--state", "none").code == 2


def test_after_an_upgrade_only_a_run_migrates_the_ledger_and_says_so(api: SimulatedApi, tmp_path: Path) -> None:
    """What `status` shows after an upgrade of the collector, and then the first `collect`."""
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript((STORED / "version_0005.sql").read_text())
    connection.close()
    before = path.read_bytes()

    def run(*args: str) -> Done:
        return collector(*args, "-c", api.config, cwd=tmp_path)

    for command in (["status"], ["plan"]):
        done = run(*command)
        assert done.code == 5
        assert "has version 0005, and this collector works with version" in done.stderr
        assert "the next `collect`, `backfill` or `serve` does" in done.stderr
    assert run("check").event("ledger.older")["level"] == "warning"
    assert json.loads(run("ledger", "info", "--json").stdout)["older"] is True
    assert run("ledger", "check").code == 0
    assert path.read_bytes() == before
    done = run("collect", "--last", "2d", "-o", "usage")
    migrated = done.event("ledger.migrated")
    copy = path.with_name("ledger.db.v0005")
    found = (migrated["ledger"], migrated["from_version"], migrated["to_version"], migrated["copy"])
    assert found == (str(path), "0005", versions.KNOWN[-1], str(copy))
    assert json.loads(run("ledger", "info", "--json").stdout)["older"] is False
    assert json.loads(run("ledger", "info", "--json", "--state", f"sqlite:///{copy}").stdout)["version"] == "0005"
