"""A ledger whose file is replaced or removed under the real command: it ends, or says so, and nothing goes astray."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.test_serve import copied, serving
from tests.support.commands import collector, records_in, simulated_api, started
from tests.support.truth import assert_equal_to_truth
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # takes long; tests/adapters/ledger/test_opening.py has the quick ones

SLOWLY = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "30", "COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS": "30"}


def back_up(ledger: Path) -> Path:
    path = ledger.with_name("backup.db")
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(path)) as backup:
        source.backup(backup)
    return path


def move_away(ledger: Path, directory: Path) -> None:
    directory.mkdir()
    for file in ledger.parent.glob(f"{ledger.name}*"):
        if file.is_file():
            file.rename(directory / file.name)


@pytest.mark.parametrize("what", ["replaced", "removed"])
def test_a_ledger_that_is_replaced_under_a_backfill_ends_it_and_the_next_one_completes_everything_once(
    tmp_path: Path, what: str
) -> None:
    ledger, out = tmp_path / "ledger.db", tmp_path / "out"
    with simulated_api(tmp_path, orgs=3) as api:
        args: list[str | Path] = ["-c", api.config, "--state", f"sqlite:///{ledger}", "-o", "out"]
        assert collector("backfill", *args, "--last", "3d", cwd=tmp_path).code == 0
        backup = back_up(ledger)
        known = {file.name for file in out.iterdir()}
        with started("backfill", *args, "--last", "60d", cwd=tmp_path, **SLOWLY) as process:
            wait_until(lambda: any(out.glob(".usage-*.unsealed")))
            move_away(ledger, tmp_path / "away")
            if what == "replaced":
                backup.rename(ledger)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 5, said
        assert f"ledger.db was {what}" in said
        assert "restore" in said
        assert {file.name for file in out.glob("usage-*")} <= known
        assert ledger.exists() == (what == "replaced")
        if what == "removed":
            begun = collector("backfill", *args, "--last", "60d", cwd=tmp_path)
            assert (begun.code, "belongs to another ledger" in begun.stderr) == (5, True)
            assert not ledger.exists()
            args.append("--adopt")
        again = collector("backfill", *args, "--last", "60d", cwd=tmp_path)
        assert again.code == 0, again.stderr
        records = records_in(out)
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        assert_equal_to_truth(api, records)


def test_a_service_says_that_its_ledger_is_gone_makes_no_new_one_and_goes_on_with_the_restored_one(
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "collector.db"
    with simulated_api(tmp_path, orgs=2) as api:
        config = copied(api, tmp_path)
        with serving(config, tmp_path, COLLECTOR_STATE__URL=f"sqlite:///{ledger}") as service:
            wait_until(lambda: service.lacking("org-001") == 0 == service.lacking("org-002"))
            backup = back_up(ledger)
            move_away(ledger, tmp_path / "away")
            wait_until(lambda: service.get("/readyz")[0] == 503)
            wait_until(lambda: "was removed" in service.get("/readyz")[1])
            wait_until(lambda: "was removed" in service.get("/")[1])
            assert not ledger.exists()
            backup.rename(ledger)
            wait_until(lambda: service.get("/readyz")[0] == 200)
            wait_until(lambda: service.lacking("org-001") == 0)
