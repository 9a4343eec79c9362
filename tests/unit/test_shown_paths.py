"""Paths in commands that are shown: absolute, short, and never those of another file."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.app.invocation import plain_path


def test_a_path_is_shown_without_its_steps_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "c.yaml").touch()
    (tmp_path / "link.yaml").symlink_to("c.yaml")
    monkeypatch.chdir(tmp_path / "work")
    assert plain_path(Path("../c.yaml")) == str(tmp_path / "c.yaml")
    assert plain_path(Path("../link.yaml")) == str(tmp_path / "link.yaml")


def test_a_step_up_that_leads_out_of_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "c.yaml").touch()
    (tmp_path / "c.yaml").touch()
    (tmp_path / "link").symlink_to("far/away")
    path = tmp_path / "link" / ".." / "c.yaml"
    assert plain_path(path) == str(path)
