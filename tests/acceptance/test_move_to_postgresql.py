"""docs/how-to/postgresql.md: what a move of the ledger keeps, and what it costs."""

from __future__ import annotations

import re
import shlex
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.commands import calm, collector, records_in, simulated_api
from tests.support.postgresql import running_server

pytestmark = pytest.mark.slow  # needs PostgreSQL
TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "postgresql.md").read_text()


def test_a_move_emits_no_record_twice_and_leaves_the_old_ledger_out(tmp_path: Path) -> None:
    (line,) = re.findall(r"^ *collector (backfill .*)$", TEXT, re.MULTILINE)
    begin = f"{datetime(*time.gmtime()[:3], tzinfo=UTC) - timedelta(days=20):%F}"
    move = [word if word != "2026-01-01" else begin for word in shlex.split(line)]
    days = ["--from", begin]
    with simulated_api(tmp_path, orgs=3) as api, running_server() as server:
        config = ["-c", str(api.config)]
        old, new = calm(), calm() | {"COLLECTOR_STATE__URL": server.fresh()}
        assert collector("backfill", *days, *config, "-o", "usage/", cwd=tmp_path, env=old).code == 0
        before = records_in(tmp_path / "usage")
        refused = collector("backfill", *days, *config, "-o", "usage/", cwd=tmp_path, env=new)
        assert refused.code == 5
        assert "--adopt" in refused.stderr
        sent = api.stats["total"]["asked"]
        moved = collector(*move, *config, cwd=tmp_path, env=new)
        assert moved.code == 0, moved.stderr
        assert moved.event("ledger.behind")
        assert len(records_in(tmp_path / "usage")) == len(before)
        assert api.stats["total"]["asked"] - sent >= len(
            {(r["org"], r["population"], r["window_start"]) for r in before}
        )
        assert collector("status", *config, cwd=tmp_path, env=new).code == 0
        assert collector("collect", *config, "-o", "usage/", cwd=tmp_path, env=old).code == 5
