"""Write the collector's config into the schema of the chart's values, as `make reference` does for the documents.

Owns what the chart's schema says of `config`: the published schema of the config, with what Helm changes. Helm shows a
value that doesn't match a pattern. So no value that may hold a secret, such as a URL, has a pattern here: the templates
check those.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collector.config import config_schema

FILE = Path(__file__).parents[1] / "deploy" / "helm" / "usage-collector" / "values.schema.json"
PREFIX = "config"  # of the definitions that are written here: configApi
OWN = {
    "port": {"$ref": "#/definitions/port"},  # probes and policy have it, so it is a number
    "unit_price": {"type": "string"},  # Helm would write 0.00001 as 1e-05, and round a long number
    "amount": {"type": "string"},  # of a budget: the same
}
LEFT_OUT = {"default", "title", "minLength", "maxLength"}
SECRET = (
    "_file",
    "url",
    "gateway",
    "endpoint",
    "path",
    "textfile",
)  # ends of keys whose value may hold a secret, or a path
ANY_TEXT = ["string", "number", "boolean"]
WIDTH = 130

Schema = dict[str, Any]


def chart_schema(chart: Schema) -> Schema:
    """Return the schema of the values, with the config that the collector has now."""
    ours: Schema = dict(config_schema())
    config = _section(ours)
    config["properties"] |= {"orgs": {"$ref": "#/definitions/orgs"}}
    config |= {"type": "object", "required": ["service"], "description": "the keys of `collector schema config`"}
    kept = {name: one for name, one in chart["definitions"].items() if not name.startswith(PREFIX)}
    made = {f"{PREFIX}{name}": _section(one) for name, one in ours["$defs"].items() if name != "OrgSettings"}
    made[f"{PREFIX}Service"] |= {"type": "object", "required": ["port"]}
    return chart | {
        "properties": chart["properties"] | {"config": config},
        "definitions": kept | made,
    }


def _section(schema: Schema) -> Schema:
    section = _without(schema)
    if "properties" in schema:
        section["properties"] = {
            name: OWN.get(name) or _value(value, secret=name.endswith(SECRET))
            for name, value in schema["properties"].items()
        }
    return section


def _value(schema: Schema, *, secret: bool) -> Schema:
    value = _without(schema)
    if value.get("type") == ANY_TEXT:
        value["type"] = "string"  # Helm would write 0042 as 34, and on as true
    if secret:
        value.pop("pattern", None)
    if "$ref" in value:
        value["$ref"] = f"#/definitions/{PREFIX}{value['$ref'].rpartition('/')[2]}"
    for key in ("anyOf", "items", "additionalProperties"):
        match value.get(key):
            case dict() as below:
                value[key] = _value(below, secret=secret)
            case list() as several:
                value[key] = [_value(one, secret=secret) for one in several]
            case _:
                pass
    return value


def _without(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in LEFT_OUT and key not in {"$defs", "$schema"}}


def text(value: object, *, used: int = 0, level: int = 0) -> str:
    """Return JSON in which what fits into a line is one. `used` is what its line has already."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or used + len(line) <= WIDTH:
        return line
    inner = "  " * (level + 1)
    if isinstance(value, list):
        ends, rows = "[]", [inner + text(one, used=len(inner), level=level + 1) for one in value]
    else:
        ends, rows = "{}", []
        for key, one in value.items():
            start = f"{inner}{json.dumps(key)}: "
            rows.append(start + text(one, used=len(start), level=level + 1))
    return ends[0] + "\n" + ",\n".join(rows) + "\n" + "  " * level + ends[1]


def written() -> str:
    """Return what the file has to be."""
    return text(chart_schema(json.loads(FILE.read_text()))) + "\n"


def main() -> None:
    """Write the schema of the values."""
    FILE.write_text(written())


if __name__ == "__main__":
    main()
