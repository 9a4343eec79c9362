"""What `export` refuses of costs and FOCUS, before it reads anything."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from collector.cli.main import cli

JUNE = ("--from", "2026-06-01", "--to", "2026-06-30")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--costs", "--unknown"), "--costs is for records and for --by"),
        (("--costs", "--changed-since", "2026-06-01"), "--costs is for records and for --by"),
        (("-f", "focus"), "whole billing months: give the first and the last day"),
        (("-f", "focus", "--last", "30d"), "whole billing months"),
        (("-f", "focus", "--from", "2026-06-01"), "whole billing months"),
        (("-f", "focus", "--from", "2026-06-01", "--to", "2026-06-29"), "whole billing months"),
        (("-f", "focus", "--from", "2026-06-02", "--to", "2026-06-30"), "whole billing months"),
        (("-f", "focus", "--from", "2026-06-01T00:00", "--to", "2026-06-30"), "whole billing months"),
        (("-f", "focus", "--from", "2026-07-01", "--to", "2026-06-30"), "whole billing months"),
        (("-f", "focus", *JUNE, "--by", "org"), "leave out --by"),
        (("-f", "focus", *JUNE, "--costs"), "leave out --by"),
        (("-f", "focus", *JUNE, "-o", "june.xlsx"), "is CSV or Parquet"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(cli, ["export", *words], env={"NO_COLOR": "1", "COLUMNS": "200"})
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", " ").split())
