"""`kill -9` of the real command, again and again: nobody downstream notices."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.config.sections import Output
from tests.support.commands import COLLECTOR, collector, environment, records_in, simulated_api, unmeasured
from tests.support.forked import Command
from tests.support.truth import assert_equal_to_truth

KILLS = int(os.environ.get("KILLS", "10"))  # of JSON Lines; of each other output a quarter
DAYS = 80
FAULTS = ["*:latency=20ms", "org-002:partial=once", "org-003:500=0.1", "org-004:truncate=0.05"]
# Ends in about 30 s if it is left alone: long enough for each kill to find it at work.
SLOWLY = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "30", "COLLECTOR_OUTPUT__SEAL_AT": "1MB"}
LOST_S = 2.0  # of work, at most, besides what is under way


OUTPUTS: dict[str, dict[str, Any]] = {
    "jsonl": {},
    "csv.gz": {"format": "csv", "compression": "gzip"},
    "parquet": {"format": "parquet"},
    "parquet by month and org": {"format": "parquet", "partition_by": ["month", "org"]},
}


@pytest.mark.scaled
@pytest.mark.parametrize(
    "output", [pytest.param(name, marks=() if name == "jsonl" else pytest.mark.slow) for name in OUTPUTS]
)
def test_killed_at_random_instants_a_backfill_ends_with_every_record_exactly_once(tmp_path: Path, output: str) -> None:
    rng = random.Random(20261123)
    kills = KILLS if output == "jsonl" else -(-KILLS // 4)
    with simulated_api(tmp_path, orgs=4, faults=FAULTS) as api:
        config = tmp_path / "collector.yaml"
        config.write_text(yaml.safe_dump(yaml.safe_load(api.config.read_text()) | {"output": OUTPUTS[output]}))
        backfill = ["backfill", "-c", str(config), "--last", f"{DAYS}d", "-o", "out"]
        for _ in range(kills):
            # While it loads its config, recovers, commits.
            after_s = rng.uniform(0.02, 0.6 if output == "jsonl" else 1.2)
            env = unmeasured(environment(**SLOWLY))
            with Command([*COLLECTOR, *backfill, "-q"], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(after_s)
                process.kill()
            assert process.returncode == -9
        assert collector(*backfill, cwd=tmp_path).code == 0
        ending = Output(**OUTPUTS[output]).layout.ending
        assert all(path.name.endswith(ending) for path in (tmp_path / "out").rglob("usage-*"))
        records = records_in(tmp_path / "out")
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        windows = assert_equal_to_truth(api, records)
        assert len(windows) == 8
        assert all(len(spans) >= DAYS - 1 for spans in windows.values())
        assert not list((tmp_path / "out").rglob(".usage-*"))
        slices = len({(r["org"], r["population"], r["window_start"]) for r in records})
        retries = sum(n for status, n in api.stats["total"]["by_status"].items() if status != "200") + slices
        again = api.stats["total"]["asked"] - slices - retries
        assert again <= kills * (LOST_S * 30 + 32)
