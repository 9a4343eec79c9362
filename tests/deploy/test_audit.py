"""`make audit` never passes what it couldn't find out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/audit.py, which is no part of the package."""
    path = Path(__file__).parents[2] / "scripts" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "audit", module)
    spec.loader.exec_module(module)
    return module


FINE = {"name": "a", "version": "1", "vulns": []}
UNKNOWN = {"name": "b", "skip_reason": "not found"}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([FINE], 0, "no known vulnerability in 1 packages"),
        ([FINE, BAD], 1, "c 2: CVE-1, mended in 3"),
        ([FINE, UNKNOWN], 2, "NOT AUDITED"),
        ([UNKNOWN, BAD], 2, "c 2: CVE-1"),
        ([], 2, "NOT AUDITED"),
    ],
)
def test_verdict_on_what_the_service_said(
    dependencies: list[dict[str, Any]], code: int, said: str, audit: ModuleType
) -> None:
    verdict = audit.judge(dependencies)
    assert verdict.code == code
    assert any(said in line for line in verdict.lines)
