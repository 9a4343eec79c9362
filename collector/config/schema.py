"""The JSON Schema of the config file, for editors and for checks before a deployment.

Owns that it accepts every file that `load` accepts: a number may be written as text and
text as a number, and a section may be empty. Only `load` checks rules about more than one
value (exactly one form of a secret, unique names).
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from collector.config.budgets import BudgetEntry
from collector.config.orgs import OrgSettings
from collector.config.prices import PriceEntry
from collector.config.sections import key
from collector.config.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
WHOLE = r"^\s*[+-]?[0-9]+(_[0-9]+)*(\.0*)?\s*$"
TRUTH = "^([tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY]([eE][sS])?|[nN][oO]?|[oO][nN]|[oO][fF][fF]|[tTfF01])$"


class ConfigFile(Settings):
    """The config of the usage collector."""

    orgs: tuple[OrgSettings, ...] | None = key((), "the organizations to collect")


_NEVER_NULL = (OrgSettings, PriceEntry, BudgetEntry, ConfigFile)


class FileSchema(GenerateJsonSchema):
    """The values of a file before they are parsed."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, *_: object, **__: object) -> bool:
        """Return False: pydantic's titles only repeat the keys."""
        return False

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """Return a whole number, also as text."""
        return {"anyOf": [super().int_schema(schema), {"type": "string", "pattern": WHOLE}]}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """Return a truth value, also as text or 0 and 1."""
        return {"anyOf": [super().bool_schema(schema), {"type": "string", "pattern": TRUTH}, {"enum": [0, 1]}]}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Return text, also if another YAML reader sees a number or a truth value."""
        return {**super().str_schema(schema), "type": ["string", "number", "boolean"]}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return a mapping; a section without keys may be null."""
        found = super().model_schema(schema)
        return found if schema["cls"] in _NEVER_NULL else {**found, "type": ["object", "null"]}


def config_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of a config file, with descriptions and defaults."""
    schema: dict[str, Any] = ConfigFile.model_json_schema(schema_generator=FileSchema)
    return {"$schema": DIALECT, **schema, "title": "usage collector config"}
