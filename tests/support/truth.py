"""Holds records against what the simulated API knows to be true."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.support.commands import SimulatedApi

Spans = list[tuple[int, int]]


def assert_equal_to_truth(api: SimulatedApi, records: Sequence[dict[str, Any]]) -> dict[tuple[str, str], Spans]:
    """The newest of each record is the truth, and windows follow each other without a gap: they are returned."""
    newest = {r["record_id"]: r for r in sorted(records, key=lambda r: str(r["collected_at"]))}
    slices: dict[tuple[str, ...], dict[object, dict[str, object]]] = defaultdict(dict)
    for r in newest.values():
        counts = {"totalTests": r["total_tests"], "totalDuration": r["total_duration"]}
        counts["totalScreenshots"] = r["total_screenshots"]
        key = (str(r["org"]), str(r["population"]), str(r["window_start"]), str(r["window_end"]))
        slices[key][r["product"]] = {name: n for name, n in counts.items() if n is not None}
    windows: dict[tuple[str, str], Spans] = defaultdict(list)
    for (org, population, start, end), products in slices.items():
        start_s, end_s = (int(datetime.fromisoformat(text).timestamp()) for text in (start, end))
        assert products == api.truth(org, population, start_s, end_s)["products"]
        windows[org, population].append((start_s, end_s))
    for spans in windows.values():
        spans.sort()
        assert all(a[1] == b[0] for a, b in pairwise(spans))
    return dict(windows)
