"""The service over two days, with faults: nothing is left over (2,000 orgs by hand: benchmarks/soak.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import ALLOWED, soak
from collector.service import config_reload, viewer


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_two_days_of_a_service_leave_no_task_no_file_and_no_memory_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody edits a file, and no other process commits: two days have 60,000 times three seconds.
    monkeypatch.setattr(viewer, "_LOOK_EVERY_S", 60.0)
    monkeypatch.setattr(config_reload, "LOOK_EVERY_S", 60.0)
    world = soak(tmp_path, orgs=40, hours=48)
    first, last = world.held
    assert (first.tasks, first.handles) == (last.tasks, last.handles)
    assert last.rss_mb <= first.rss_mb * ALLOWED
    assert len(world.ended) >= 48
    assert {view.exit_code for view in world.ended} <= {0, 3, 4}
