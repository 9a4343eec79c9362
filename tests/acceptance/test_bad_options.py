"""Options that can't be right: each ends with 2, says what would be right, and asks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.adapters.clock import SystemClock
from collector.cli.main import run
from collector.ledger import SqlLedger

CONFIG = """\
orgs:
  - {name: acme, username: u@example.test, access_key: "k-acme", since: "2026-01-10"}
  - {name: globex, token: "t-globex", timezone: Asia/Kolkata}
api: {base_url: "http://127.0.0.1:9"}
"""
COLLECT = ["collect", "-c", "c.yaml"]
BACKFILL = ["backfill", "-c", "c.yaml"]

BAD: list[tuple[list[str], str]] = [
    (["colect"], "Error: No such command 'colect'. (Did you mean one of: 'collect', 'completion'?)"),
    (
        ["collect", "--frm", "2026-01-01"],
        "Error: No such option '--frm'. (Did you mean one of: '--format', '--from', '--org'?)",
    ),
    (
        ["collect", "-c", "nowhere.yaml"],
        "error: nowhere.yaml: there is no such file",
    ),
    (["collect", "-c", "no\u202e\x9bwhere.yaml"], "error: no\\u202e\\u009bwhere.yaml: there is no such file"),
    ([*COLLECT, "--org", "acmee"], "error: --org: no org in the config is called 'acmee'; did you mean 'acme'?"),
    *(
        (
            [command, "-c", "c.yaml", "--org", "nope", *more],
            "error: --org: no org in the config is called 'nope'; its orgs: acme, globex",
        )
        for command, *more in (
            ("collect",),
            ("collect", "--lost", "f"),
            ("backfill", "--last", "3d"),
            ("serve",),
            ("check",),
            ("plan",),
            ("status",),
        )
    ),
    (
        [*COLLECT, "--org", "ac*", "--org", "acne-*"],
        "error: --org: no org in the config matches 'acne-*'; did you mean 'acme'?",
    ),
    ([*COLLECT, "--org", "*zzz*"], "error: --org: no org in the config matches '*zzz*'; its orgs: acme, globex"),
    (
        [*COLLECT, "--org", "Team-EU-0?-*"],
        "error: --org: no org in the config matches 'Team-EU-0?-*'; its orgs: acme, globex",
    ),
    (
        [*COLLECT, "--org", "zzz\x1b[2J*"],
        "error: --org: no org in the config matches text of 8 characters; its orgs: acme, globex",
    ),
    (
        [*COLLECT, "--org", "z-" * 60 + "*"],
        "error: --org: no org in the config matches text of 121 characters; its orgs: acme, globex",
    ),
    (
        [*COLLECT, "--org", "kQ7vX2mN*"],
        "error: --org: no org in the config matches text of 9 characters; its orgs: acme, globex",
    ),
    (
        [*COLLECT, "--org", "https://u:kQ7vX2mN@h?"],
        "error: --org: no org in the config matches text of 21 characters; its orgs: acme, globex",
    ),
    (
        [*COLLECT, "-o", "c.yaml"],
        "error: output: c.yaml can't be a directory, as c.yaml is a file: name a directory, such as usage/",
    ),
    (
        [*COLLECT, "-o", "c.yaml/usage/"],
        "error: output: c.yaml/usage/ can't be a directory, as c.yaml is a file: name a directory, such as usage/",
    ),
    (
        ["serve", "-c", "c.yaml", "-o", "c.yaml"],
        "error: output: c.yaml can't be a directory, as c.yaml is a file: name a directory, such as usage/",
    ),
    (["demo", "-o", "c.yaml"], "Error: Invalid value for '-o' / '--output': Directory 'c.yaml' is a file."),
    (
        [*COLLECT, "--population", "robots"],
        "Error: Invalid value for '--population': 'robots' is not one of 'account-user', 'service-user'.",
    ),
    (
        [*COLLECT, "-f", "xml"],
        "Error: Invalid value for '-f' / '--format': 'xml' is not one of 'jsonl', 'csv', 'parquet', 'singer'.",
    ),
    (
        [*COLLECT, "--progress", "maybe"],
        "Error: Invalid value for '--progress': 'maybe' is not one of 'auto', 'always', 'never'.",
    ),
    (
        [*COLLECT, "--log-level", "loud"],
        "Error: Invalid value for '--log-level': 'loud' is not one of 'debug', 'info', 'warning', 'error'.",
    ),
    (BACKFILL, "Error: a backfill needs a range: --from 2026-01-01 --to 2026-03-31, or --last 90d"),
    (
        [*BACKFILL, "--from", "2026-13-01"],
        "Error: Invalid value for '--from': '2026-13-01' does not exist: "
        "check the month, the day, the time and the offset",
    ),
    (
        [*BACKFILL, "--from", "yesterday"],
        "Error: Invalid value for '--from': 'yesterday' is not a date or time; "
        "write 2026-06-23, 2026-06-23T14:00 or 2026-06-23T14:00:00+02:00",
    ),
    (
        [*BACKFILL, "--from", "1999-01-01"],
        "Error: Invalid value for '--from': '1999-01-01' is out of range: there is no usage before 2015-01-01",
    ),
    ([*BACKFILL, "--to", "2026-02-01"], "error: --to needs --from: give the start of the range, too"),
    (
        [*BACKFILL, "--from", "2026-02-02", "--to", "2026-02-01"],
        "error: the range ends (2026-02-01) before it starts (2026-02-02): swap --from and --to",
    ),
    (
        [*BACKFILL, "--from", "2026-02-01", "--last", "3d"],
        "error: give either --last, or --from and --to: not both",
    ),
    (
        [*BACKFILL, "--last", "3 weeks"],
        "Error: Invalid value for '--last': expected a duration such as 30s, 500ms, 10m, 6h or 3d, got '3 weeks'",
    ),
    (
        [*BACKFILL, "--last", "7"],
        "Error: Invalid value for '--last': 7 has no unit: write 7d for days, 7h for hours, or 7s for seconds",
    ),
    (
        [*COLLECT, "--wait", "5"],
        "Error: Invalid value for '--wait': 5 has no unit: write 5d for days, 5h for hours, or 5s for seconds",
    ),
    ([*BACKFILL, "--last", "0"], "Error: Invalid value for '--last': must be longer than 0"),
    (
        [*BACKFILL, "--last", "-3d"],
        "Error: Invalid value for '--last': expected a duration such as 30s, 500ms, 10m, 6h or 3d, got '-3d'",
    ),
    (
        [*COLLECT, "--state", "redis://:t-globex@x"],
        "error: state.url: expected `none`, sqlite:///path/to/file.db or postgresql://host/database; "
        "the value isn't shown, as it may hold a password",
    ),
    *(
        (
            [command, "-c", "c.yaml", "--state", url],
            "error: --state: others on this machine can read a password on the command line, in the list of processes. "
            "Give the URL without it, and the password in a file: state.password_file, or the variable "
            "COLLECTOR_STATE__PASSWORD_FILE",
        )
        for command in ("collect", "backfill", "serve", "check", "plan", "status")
        for url in (
            "postgresql://u:k-acme@h/d",
            "postgresql://u@h/d?password=k-acme",
            "postgresql://u@h/d?sslpassword=k-acme",
            "postgresql://u:k/acme@h/d",
        )
    ),
    (
        [*COLLECT, "--org", "kQ7vX2mN"],
        "error: --org: no org in the config is called text of 8 characters; its orgs: acme, globex",
    ),
    (
        [*COLLECT, "--shard", "kQ7vX2mN"],
        "Error: --shard: expected I/N, such as 0/4 (I from 0), or auto/N; got text of 8 characters",
    ),
    (
        [*COLLECT, "--log-level", "kQ7vX2mN"],
        "Error: Invalid value for '--log-level': '…' is not one of 'debug', 'info', 'warning', 'error'.",
    ),
    (
        [*BACKFILL, "--from", "kQ7vX2mN"],
        "Error: Invalid value for '--from': text of 8 characters is not a date or time; "
        "write 2026-06-23, 2026-06-23T14:00 or 2026-06-23T14:00:00+02:00",
    ),
    (
        [*BACKFILL, "--last", "kQ7vX2mN"],
        "Error: Invalid value for '--last': expected a duration such as 30s, 500ms, 10m, 6h or 3d, "
        "got text of 8 characters",
    ),
    (
        ["schema", "records"],
        "Error: Invalid value for '{record|coverage|config|status|arrow|sql}': 'records' is not one of 'record', "
        "'coverage', 'config', 'status', 'arrow', 'sql'.",
    ),
    (["schema"], "Error: Missing argument '{record|coverage|config|status|arrow|sql}'. Choose from:"),
    (
        ["simulate", "--host", "0.0.0.0"],  # noqa: S104 - that is what is refused
        "Error: '0.0.0.0' is not a loopback address: the simulator is for this machine only",
    ),
    (
        ["simulate", "--fault", "org-001:fail"],
        "Error: Invalid value for '--fault': 'org-001:fail': unknown kind 'fail'; kinds are latency, 429, 500, 502, "
        "503, 504, reset, slow-body, truncate, garbage, partial, refused, not-admin, no-permission, late, range-end, "
        "not-additive, retention, same-types, same-as, extra-product",
    ),
    (
        ["simulate", "--fault", "org-999:refused"],
        "Error: Invalid value for '--fault': 'org-999:refused': 'org-999' matches none of the orgs org-001 to org-012",
    ),
    (
        ["simulate", "--limit", "fast"],
        "Error: Invalid value for '--limit': 'fast' is not a limit: write REQUESTS/PERIOD, such as 2/1s or 100/1m",
    ),
    (
        ["simulate", "--limit", "2/1"],
        "Error: Invalid value for '--limit': '2/1' is not a limit: write REQUESTS/PERIOD, such as 2/1s or 100/1m",
    ),
    (
        ["simulate", "--fault", "org-001:latency=200"],
        "Error: Invalid value for '--fault': 'org-001:latency=200': '200' is not a duration with a unit, such as "
        "200ms, 20s or 30d; write it like PATTERN:latency=200ms",
    ),
    (
        ["simulate", "--now", "soon"],
        "Error: Invalid value for '--now': 'soon' is not an instant such as 2026-06-23T12:00:00Z",
    ),
    (["demo", "--orgs", "3"], "Error: Invalid value for '--orgs': 3 is not in the range 16<=x<=500."),
    (["demo", "--days", "365"], "Error: Invalid value for '--days': 365 is not in the range 1<=x<=90."),
]


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_options_end_with_2_and_say_what_would_be_right(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("COLLECTOR_CONFIG", raising=False)
    (tmp_path / "c.yaml").write_text(CONFIG)
    code = run(args)
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert message in err.splitlines(), err
    for secret in ("k-acme", "t-globex", "kQ7vX2mN"):
        assert secret not in err


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("usgae/2026-06", "{here}/usgae/2026-06"),
        ("kQ7vX2mN", "the directory named here (of its path, only {here}/ exists)"),
        ("c.yaml", "{here}/c.yaml"),
    ],
)
def test_a_directory_to_recover_that_does_not_exist_is_shown_unless_it_may_be_a_secret(
    typed: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert run([*COLLECT, "--recover", typed]) == 2
    expected = f"error: --recover: {shown.format(here=tmp_path)} is not an existing directory"
    assert expected in capsys.readouterr().err.splitlines()


def test_a_lost_file_that_no_run_awaits_is_not_shown_as_it_may_be_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)
    SqlLedger.open("sqlite:///state/ledger.db", command="test", now=SystemClock().now).close()
    assert run([*COLLECT, "--lost", "kQ7vX2mN"]) == 2
    expected = "error: --lost: no file text of 8 characters is awaited; awaited files: none"
    assert expected in capsys.readouterr().err.splitlines()
