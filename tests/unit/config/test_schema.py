from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from collector.config import Settings, config_schema, load
from collector.config.layers import leaves
from tests.unit.config.cases import BAD, GOOD, Bad

EXAMPLES = Path(__file__).parents[3] / "config"
SCHEMA = config_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
# The bad configs whose flaw a schema can express: an editor that knows the schema marks them.
SEEN_BY_SCHEMA = (
    "orgs/org-without-a-name",
    "orgs/orgs-as-mapping",
    "orgs/orgs-granularity",
    "orgs/labels",
    "orgs/labels-list",
    "orgs/unknown-key-of-an-org",
    "settings/cron",
    "settings/days-without-a-unit",
    "settings/duration-below-zero",
    "settings/format",
    "settings/granularity-of-all-orgs",
    "settings/no-scheme",
    "settings/not-a-duration",
    "settings/not-a-truth-value",
    "settings/number-out-of-range",
    "settings/populations-empty",
    "settings/port",
    "settings/section-is-text",
    "settings/since-in-another-format",
    "settings/size-with-an-unknown-unit",
    "settings/unknown-key",
    "settings/unknown-ledger",
)


def test_schema_is_one_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_key_is_described_and_has_its_default() -> None:
    for path, _ in leaves(Settings):
        node = SCHEMA
        for step in path:
            if "$ref" in node:
                node = SCHEMA["$defs"][str(node["$ref"]).rpartition("/")[2]]  # type: ignore[index]
            node = node["properties"][step]  # type: ignore[index]
        assert node["description"], path
        assert "default" in node, path


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_schema_accepts_what_load_accepts(file: Path) -> None:
    load(file, environ={"T": "x"})
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(file.read_text())))


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.name in SEEN_BY_SCHEMA], ids=lambda bad: bad.name)
def test_schema_refuses_what_load_refuses(bad: Bad) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(bad.messages.with_suffix(".yaml").read_text()))


def test_every_bad_config_that_the_schema_is_tested_with_exists() -> None:
    assert set(SEEN_BY_SCHEMA) <= {bad.name for bad in BAD}


@pytest.mark.parametrize("name", ["collector.example.yaml", "collector.minimal.yaml"])
def test_schema_accepts_the_configs_that_we_ship(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load((EXAMPLES / name).read_text()))
