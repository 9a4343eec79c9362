"""A disk that is full and then isn't, a reader of stdout that goes away: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.commands import COLLECTOR, collector, environment, records_in, simulated_api, unmeasured
from tests.support.disks import grow, small_disk_at
from tests.support.truth import assert_equal_to_truth

pytestmark = pytest.mark.slow  # needs small disks
DAYS = "60d"
FAST = {"COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS": "100", "COLLECTOR_API__RATE_LIMIT__REQUESTS": "400"}
PIPE = 4096  # bytes


@pytest.mark.parametrize("full", ["the output", "the ledger", "both", "a new ledger"])
def test_after_a_full_disk_the_next_call_completes_it_without_a_duplicate(tmp_path: Path, full: str) -> None:
    size = "300k" if full == "a new ledger" else "400k"  # a new one has no room beside the log that it is made with
    with small_disk_at(tmp_path / "disk", size) as disk, simulated_api(tmp_path, orgs=3) as api:
        out = (tmp_path if "ledger" in full else disk) / "out"
        ledger = (disk if full != "the output" else tmp_path) / "ledger.db"
        args = ["backfill", "-c", str(api.config), "--last", DAYS, "-o", str(out), "--state", f"sqlite:///{ledger}"]
        first = subprocess.run(
            [*COLLECTOR, *args], cwd=tmp_path, env=unmeasured() | FAST, capture_output=True, text=True, check=False
        )
        assert first.returncode == 5, first.stderr
        assert any(why in first.stderr for why in ("No space left", "disk is full", "check whether it is full"))
        grow(disk, "64m")
        assert collector(*args, cwd=tmp_path, env=FAST).code == 0
        records = records_in(out)
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        windows = assert_equal_to_truth(api, records)
        assert len(windows) == 6
        assert all(len(spans) >= 59 for spans in windows.values())
        assert not list(out.glob(".*.unsealed"))


def test_what_is_booked_was_written_though_the_reader_of_stdout_went_away(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=3) as api:
        args = ["backfill", "-c", str(api.config), "--last", DAYS, "-q"]
        lines: list[bytes] = []
        for at_most in (150, 700):  # lines, until the reader has had enough
            with subprocess.Popen(
                [*COLLECTOR, *args],
                cwd=tmp_path,
                env=environment(**FAST),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE)
                lines += [process.stdout.readline() for _ in range(at_most)]
                process.stdout.close()
                assert process.wait(60) == 5
        last = collector(*args, cwd=tmp_path, env=FAST)
        assert last.code == 0
        ids = {r["record_id"] for r in (*map(json.loads, lines), *last.records)}
        assert len(ids) >= 3 * 2 * 59 * 6 - 2 * (PIPE // 400 + 1)  # but for what stood in the pipe, twice
        assert json.loads(collector("status", "-c", api.config, "--json", cwd=tmp_path).stdout)["lacking"] == 0
