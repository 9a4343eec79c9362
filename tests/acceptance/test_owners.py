"""Root and the service's user work on the same ledger and output, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.commands import SimulatedApi, collector, records_in, simulated_api, started
from tests.support.disks import read_only
from tests.support.needs import left_out
from tests.support.other_user import USER, as_user
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs root


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the service's user."""
    if os.geteuid() != 0:
        left_out("becoming another user takes root")
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, USER, USER)
        yield Path(directory).resolve()


@pytest.fixture
def api(tmp_path: Path, home: Path) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path, orgs=3) as api:
        config = home / "c.yaml"
        config.write_text(api.config.read_text())
        yield SimulatedApi(api.base_url, config)


def owners(directory: Path) -> set[int]:
    return {path.lstat().st_uid for path in directory.rglob("*") if path.name != "c.yaml"}


def unsealed_bytes(home: Path) -> int:
    return sum(file.stat().st_size for file in home.glob("out/.usage-*"))


def test_after_a_killed_run_of_root_the_service_goes_on(api: SimulatedApi, home: Path) -> None:
    assert as_user("collect", "-c", api.config, "-o", "out", "-q", cwd=home).code == 0
    slowly = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "20"}
    with started("backfill", "-c", api.config, "--last", "60d", "-o", "out", "-q", cwd=home, **slowly) as root:
        first = wait_until(lambda: unsealed_bytes(home), "root writes records")
        wait_until(lambda: unsealed_bytes(home) > first, "the first ones are committed, and root writes more")
        root.send_signal(signal.SIGKILL)
        root.wait(120)
    assert list(home.glob("state/*.holders/*.holder"))
    assert list(home.glob("state/*-wal"))
    assert owners(home) == {USER}
    done = as_user("collect", "-c", api.config, "-o", "out", cwd=home)
    assert done.code == 0, done.stderr
    assert done.event("file.recovered")["records"] > 0
    assert as_user("status", "-c", api.config, cwd=home).code in {0, 3}
    assert set(Counter((r["record_id"], r["revision"]) for r in records_in(home / "out")).values()) == {1}


def test_what_root_creates_in_a_directory_of_the_service_belongs_to_the_service(api: SimulatedApi, home: Path) -> None:
    assert collector("collect", "-c", api.config, "-o", "new/out", "-q", cwd=home).code == 0
    assert owners(home) == {USER}
    assert as_user("collect", "-c", api.config, "-o", "new/out", cwd=home).code == 0


def test_the_config_that_root_writes_there_belongs_to_the_service(api: SimulatedApi, home: Path) -> None:
    (org, *_) = yaml.safe_load(api.config.read_text())["orgs"]
    (home / "key").write_text(org["access_key"])
    env = {"ACME_USERNAME": org["username"]}
    args = ["--org", "acme", "--timezone", "UTC", "--base-url", api.base_url]
    secrets = ["--username-env", "ACME_USERNAME", "--access-key-file", str(home / "key")]
    assert collector("init", "-c", "new/i.yaml", *args, *secrets, cwd=home, env=env).code == 0
    assert {path.lstat().st_uid for path in (home / "new", home / "new/i.yaml")} == {USER}
    assert as_user("check", "-c", "new/i.yaml", cwd=home, **env).code == 0


@pytest.mark.parametrize("blocked", ["ledger.db.holders/open.lock", "ledger.db", "ledger.db-wal"])
def test_the_message_names_the_file_that_cannot_be_opened(api: SimulatedApi, home: Path, blocked: str) -> None:
    assert as_user("collect", "-c", api.config, "-o", "out", "-q", cwd=home).code == 0
    file = home / "state" / blocked
    file.touch()
    file.chmod(0o600)
    os.chown(file, 0, 0)
    done = as_user("collect", "-c", api.config, "-o", "out", cwd=home)
    assert done.code == 5
    assert f"can't be used: Permission denied: {file} (it belongs to user 0, this process is user {USER}): make" in (
        done.stderr
    )


def test_an_output_file_of_another_user_is_named(api: SimulatedApi, home: Path) -> None:
    out = home / "out"
    out.mkdir()
    os.chown(out, 0, 0)
    done = as_user("collect", "-c", api.config, "-o", "out", cwd=home)
    assert done.code == 5
    assert "can't be written: Permission denied: out/.probe-" in done.stderr
    assert f" (this process is user {USER}): make the file and its directory" in done.stderr


def test_root_gives_away_no_file_that_was_there(api: SimulatedApi, home: Path, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_bytes(b"")
    assert as_user("collect", "-c", api.config, "-o", "out", "-q", cwd=home).code == 0
    (home / "state/ledger.db.holders/open.lock").unlink()
    (home / "state/ledger.db.holders/open.lock").symlink_to(treasure)
    assert collector("collect", "-c", api.config, "-o", "out", "-q", cwd=home).code == 0
    assert treasure.stat().st_uid == 0


@pytest.mark.parametrize("at_work", [False, True])
def test_status_and_plan_need_no_permission_to_write(api: SimulatedApi, home: Path, at_work: bool) -> None:
    """The ledger belongs to root, and all may read it; a process of root may be at work on it."""
    os.chown(home, 0, 0)
    home.chmod(0o755)
    assert collector("collect", "-c", api.config, "-o", "out", "-q", cwd=home).code == 0
    with contextlib.ExitStack() as stack:
        if at_work:
            stack.enter_context(started("backfill", "-c", api.config, "--last", "60d", "-o", "out", "-q", cwd=home))
            wait_until(lambda: unsealed_bytes(home), "root writes records")
        for path in home.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (home / "state/ledger.db.holders").chmod(0o700)  # as it is created
        for command in (["status", "--json"], ["plan", "--json"]):
            done = as_user(*command, "-c", api.config, cwd=home)
            assert done.code in {0, 3}, done.stderr
            assert "ledger.not_found" not in done.stderr
            assert json.loads(done.stdout)["orgs"]
    assert owners(home) == {0}


def test_status_on_a_read_only_mount(api: SimulatedApi, home: Path, tmp_path: Path) -> None:
    assert collector("collect", "-c", api.config, "-o", "out", "-q", cwd=home).code == 0
    with read_only(home / "state", tmp_path / "mounted") as mounted:
        args = ["status", "-c", str(api.config), "--state", f"sqlite:///{mounted}/ledger.db"]
        assert collector(*args, cwd=tmp_path).code == 0
        done = collector("collect", *args[1:], "-o", "out", cwd=tmp_path)
        assert done.code == 5
        assert "can't be used: Read-only file system: " in done.stderr


def test_status_plan_and_check_of_root_create_nothing(api: SimulatedApi, home: Path) -> None:
    for command in ("status", "plan", "check"):
        assert collector(command, "-c", api.config, cwd=home).code in {0, 3}
    assert [path.name for path in home.iterdir()] == ["c.yaml"]
