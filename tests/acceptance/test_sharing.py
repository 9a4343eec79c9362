"""Processes that share a ledger: a long backfill, and `collect`s beside it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.commands import collector, records_in, simulated_api, started
from tests.support.waiting import BOUND_S, wait_until

pytestmark = pytest.mark.slow
SLOWLY = {"COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS": "20"}


def test_a_long_backfill_and_collects_beside_it_ask_and_emit_nothing_twice(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=5, faults=["*:latency=50ms"]) as api, ExitStack() as running:
        backfill = running.enter_context(
            started("backfill", "--last", "150d", "-c", api.config, "-o", "out", "-q", cwd=tmp_path, **SLOWLY)
        )
        wait_until(lambda: api.stats["total"]["asked"] > 10)
        collects = [
            running.enter_context(started("collect", "-c", api.config, "-o", "out", cwd=tmp_path, **SLOWLY))
            for _ in range(3)
        ]
        holders = tmp_path / "state" / "ledger.db.holders"
        wait_until(lambda: len(list(holders.glob("*.holder"))) == 4 or backfill.poll() is not None, "all are at work")
        collects[1].kill()
        assert collects[0].wait(BOUND_S) == collects[2].wait(BOUND_S) == 0
        assert backfill.wait(BOUND_S) == 0
        assert collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path).code == 0
        assert json.loads(collector("status", "-c", api.config, "--json", cwd=tmp_path).stdout)["lacking"] == 0

        ids = Counter((r["record_id"], r["revision"]) for r in records_in(tmp_path / "out"))
        assert set(ids.values()) == {1}
        asked = Counter(entry["query"] + entry["org"] for entry in api.get("requests", limit=100_000))
        assert sum(n - 1 for n in asked.values()) <= 40  # what the killed one had under way
        assert max(org["max_in_flight"] for org in api.stats["orgs"].values()) <= 4
