from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from collector.config import Settings, config_schema, load
from collector.config.layers import leaves
from collector.errors import ConfigError
from tests.unit.config.bad import CONFIG, ORG, write

EXAMPLES = Path(__file__).parents[3] / "config"
SCHEMA = config_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
GOOD = (
    "{}",
    "api:",
    "api: {timeout: 30, concurrency: '8'}",
    "api: {timeout: '1.5', max_span: 2160h}",
    "api: {timeout: 0.5, retry: {attempts: 3.0}}",
    "api: {timeout: 0.5h}",
    "api: {retry: , rate_limit: {requests: 5}}",
    "api: {base_url: 'http://localhost:8000/'}",
    "api: {base_url: 'HTTPS://eu-api.lambdatest.com'}",
    "defaults: {timezone: +05:30}",
    "defaults: {timezone: Europe/Berlin, populations: [service-user]}",
    "output: {seal_at: 5000000, path: 2026}",
    "output: {seal_at: 1GiB, format: jsonl}",
    "state: {url: none}",
    "state: {url: 'postgresql://u:p@db/x'}",
    "service: {usage_metrics: no, org_metrics: 'on', port: 0}",
    "service: {usage_metrics: 1, allowed_hosts: [a, b]}",
    "schedule: {recheck: [], settle: 0}",
    "push: {gateway: 'http://gateway:9091', textfile: x.prom}",
    "orgs: [{name: 12, token: 0123, org_id: 0123, since: '2026-01-01', labels: {a: 1, b: yes}}]",
    "orgs: [{name: a, username: u, access_key: 1e5, labels: , base_url: , timezone: , populations: }]",
)
BAD = (
    "api: {concurency: 3}",
    "api: {concurrency: 0}",
    "api: {timeout: 5 minutes}",
    "api: {timeout: -1}",
    "api: {base_url: api.lambdatest.com}",
    "api: fast",
    "defaults: {granularity: year}",
    "defaults: {populations: []}",
    "defaults: {since: yesterday}",
    "output: {format: csv}",
    "output: {seal_at: 128 megs}",
    "state: {url: 'mysql://db'}",
    "service: {port: 65536}",
    "service: {usage_metrics: maybe}",
    "schedule: {cron: '@hourly'}",
    "orgs: [{token: x}]",
    "orgs: [{name: a, token: x, timezon: UTC}]",
    "orgs: [{name: a, token: x, labels: {a: [b]}}]",
    "orgs: {a: {token: x}}",
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


@pytest.mark.parametrize("text", GOOD)
def test_schema_accepts_what_load_accepts(text: str, tmp_path: Path) -> None:
    load(
        write(tmp_path / CONFIG, text if "orgs" in text else f"{text}\n{ORG}".removeprefix("{}")),
        environ={"T": "x"},
    )
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize("text", BAD)
def test_schema_refuses_what_load_refuses(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(write(tmp_path / CONFIG, text if "orgs" in text else f"{text}\n{ORG}"), environ={"T": "x"})
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("name", ["collector.example.yaml", "collector.minimal.yaml"])
def test_schema_accepts_the_configs_that_we_ship(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load((EXAMPLES / name).read_text()))
