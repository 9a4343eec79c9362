"""The README's first steps, word for word, against the simulated API."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.commands import environment, records_in, simulated_api
from tests.support.needs import need

README = (Path(__file__).parents[2] / "README.md").read_text()
DOCS = Path(__file__).parents[2] / "docs"
FIRST_RECORDS = README.partition("## Your first records")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", FIRST_RECORDS, re.DOTALL)


def test_a_new_user_gets_to_their_own_first_records(tmp_path: Path) -> None:
    _install, first, to_stdout = blocks("sh")
    (config,) = blocks("yaml")
    with simulated_api(tmp_path, orgs=1) as api:
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "collector.yaml").write_text(config)
        (simulated,) = yaml.safe_load(api.config.read_text())["orgs"]
        credentials = f"ACME_USERNAME={simulated['username']} ACME_ACCESS_KEY={simulated['access_key']}"
        commands = re.sub("^export .*$", f"export {credentials}", first, flags=re.MULTILINE)
        script = f'set -e\ncollector() {{ {sys.executable} -m collector "$@"; }}\n{commands}'
        if "jq" in to_stdout:
            script += to_stdout.partition("|")[0]
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment(COLLECTOR_API__BASE_URL=api.base_url),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 org accepted" in done.stdout
    assert "What would be fetched" in done.stdout
    records = records_in(tmp_path / "usage")
    assert {r["org"] for r in records} == {"acme"}
    assert {r["timezone"] for r in records} == {"America/New_York"}
    assert len({r["window_start"] for r in records}) >= 6
    assert '"record_id"' in done.stdout


@pytest.mark.slow  # needs jq
def test_a_mapping_of_ones_own_is_joined_as_it_is_documented(tmp_path: Path) -> None:
    need("jq", package="jq")
    text = (DOCS / "records.md").read_text().partition("## Join your own names and labels")[2].partition("\n## ")[0]
    (_relabel, command), (mapping,) = (
        re.findall(r"```sh\n(.*?)```", text, re.DOTALL),
        re.findall(r"such as `(.*?)`", text),
    )
    (tmp_path / "mapping.json").write_text(mapping)
    (tmp_path / "usage").mkdir()
    records = [("1", "12345", "a"), ("2", "6", "a"), ("2", "6", "b")]  # the last one has a newer revision
    lines = [json.dumps({"record_id": id_, "org_id": org_id, "collected_at": at}) for id_, org_id, at in records]
    (tmp_path / "usage" / "usage-1-0001.jsonl").write_text("\n".join(lines))
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["collected_at"], one["mapped"]) for one in found] == [
        ("a", {"cost_center": "qa-platform"}),
        ("b", None),
    ]


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        *sorted(f"docs/{path.relative_to(DOCS)}" for path in DOCS.rglob("*.md")),
    ],
)
def test_every_link_of_a_document_leads_somewhere(document: str) -> None:
    path = Path(__file__).parents[2] / document
    for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", path.read_text()):
        found = path.parent / target if target else path
        assert found.exists(), target
        if heading:
            assert heading in headings_of(found.read_text()), f"{target}#{heading}"


def headings_of(text: str) -> set[str]:
    """The anchors that a forge gives them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
