"""The JSON Schema of `/api/status`: what scripts and dashboards can hold on to."""

from __future__ import annotations

from typing import Any

from collector.config.schema import DIALECT
from collector.errors import RefusalReason
from collector.model import Granularity, Population
from collector.service.view import DayState, Standing
from collector.service.web.status_json import COUNTED

Schema = dict[str, Any]


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _maybe(schema: Schema) -> Schema:
    return {
        "description": schema["description"],
        "anyOf": [{k: v for k, v in schema.items() if k != "description"}, {"type": "null"}],
    }


def _at(description: str) -> Schema:
    return _text(description, format="date-time")


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _seconds(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": description}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _object(properties: Schema, description: str = "") -> Schema:
    told = {"description": description} if description else {}
    return {"type": "object", **told, "properties": properties, "required": list(properties)}


_SPAN = {"start": _at("The first instant, with the zone's offset"), "end": _at("The first instant after it")}
_TOTAL = {"type": ["integer", "null"], "minimum": 0}
_USAGE = _object(dict.fromkeys(("total_tests", "total_duration", "total_screenshots"), _TOTAL))

_POPULATION = _object(
    {
        "population": _text("Whose usage", enum=[p.value for p in Population]),
        "windows": _count("Windows that are wanted and due, of all time"),
        **{state.value: _count(f"Of them {state.value}") for state in COUNTED},
        "lacking": _count("Of them not complete"),
        "lag_s": _seconds("How far the newest complete window lies behind the newest that is due"),
        "last_success": _maybe(_at("When a complete answer last came")),
        "newest_complete": _maybe(_at("The end of the newest complete window")),
        "newest_due": _maybe(_at("The end of the newest window that is due")),
        "oldest_usage": _maybe(_at("The start of the oldest window with usage")),
        "gaps": _list(
            _object({"state": _text("How they ended", enum=[s.value for s in COUNTED[1:]]), **_SPAN}),
            "Windows that follow each other in one state and are not complete: the newest, oldest first",
        ),
        "gaps_left_out": _count("Older ones that are not listed"),
        "reasons": {
            "type": "object",
            "additionalProperties": _count("Windows"),
            "description": "Why windows of the last 90 days are not complete, by code",
        },
        "days": _object(
            {
                "first": _text("The first day, on the org's calendar", format="date"),
                "runs": _list(
                    {
                        "type": "array",
                        "prefixItems": [{"enum": [s.value for s in DayState]}, {"type": "integer", "minimum": 1}],
                        "minItems": 2,
                        "maxItems": 2,
                    },
                    "A state, and how many days in a row show it",
                ),
            },
            "The last 90 days, each as the worst of its windows",
        ),
        "tests": _list(
            {"type": ["integer", "null"], "minimum": 0}, "All products' tests of the same days; null: unknown"
        ),
        "newest_usage": {
            "type": "object",
            "additionalProperties": _USAGE,
            "description": "By product, of the newest window that is due, as far as it is known",
        },
        "newest_users": {"type": ["integer", "null"], "minimum": 0, "description": "Distinct users in that window"},
    }
)

_ORG = _object(
    {
        "org": _text("The name in the config"),
        "org_id": _maybe(_text("The organization's id, as the API says it; null: no answer has come yet")),
        "org_name": _maybe(_text("The organization's name, as the API says it")),
        "labels": {"type": "object", "additionalProperties": {"type": "string"}, "description": "From the config"},
        "timezone": _text("The zone of its calendar"),
        "granularity": _text("The length of its windows", enum=[g.value for g in Granularity]),
        "credential": _object(
            {
                "standing": _text("Whether it is good, as far as is known", enum=[s.value for s in Standing]),
                "reason": _maybe(_text("Why it is refused", enum=[r.value for r in RefusalReason])),
                "message": _maybe(_text("The same in words")),
                "since": _maybe(_at("When it was first refused")),
                "tried_again_at": _maybe(_at("When it is tried again, if nothing changes")),
            }
        ),
        "lacking": _count("Windows that are not complete"),
        "lag_s": _seconds("The largest lag of its populations"),
        "last_success": _maybe(_at("When a complete answer last came")),
        "beyond_catch_up": _maybe(_object(_SPAN, "Holds gaps that only a backfill fills")),
        "populations": _list(_POPULATION, "Those that are collected"),
    }
)

_RUN = _object(
    {
        "run_id": _text("As in files and manifests"),
        "command": _text("What made it"),
        "started_at": _at("When it began"),
        "ended_at": _at("When it ended"),
        "exit_code": {"type": ["integer", "null"], "description": "As of a command; null: interrupted, or a defect"},
        "why": _text("The same in words"),
        "planned": _count("Slices; 0 for runs before the service started"),
        "states": {"type": "object", "additionalProperties": _count("Slices"), "description": "How they ended"},
        "records": _count("Records written"),
        "requests": _count("Requests sent"),
    }
)

_CURRENT = _object(
    {
        "run_id": _text("As in files and manifests"),
        "started_at": _at("When it began"),
        **{
            name: _count(text)
            for name, text in {
                "planned": "Slices, as far as is known",
                "done": "Of them ended",
                "orgs": "Orgs with anything to do",
                "orgs_done": "Of them done",
                "partial": "Slices that ended partial",
                "failed": "Slices that failed",
                "refused": "Slices that were refused",
                "retries": "Slices asked again",
            }.items()
        },
        "api_down": {"type": "boolean", "description": "Whether every org fails, and the API is probed"},
    },
    "The run under way",
)


def status_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of `/api/status`. Keys are only ever added."""
    problem = {"message": _text("What is wrong")} | {
        name: {"type": [kind, "null"]} for name, kind in (("file", "string"), ("line", "integer"), ("path", "string"))
    }
    document = _object(
        {
            "version": _text("Of the collector"),
            "now": _at("When this was true"),
            "started_at": _at("When the service started"),
            "headline": _text("Whether everything is here, in words for people"),
            "stopping": {"type": "boolean", "description": "Whether it is being stopped"},
            "config": _object(
                {
                    "path": _text("The file"),
                    "loaded_at": _at("When the config in force was loaded"),
                    "refused_at": _maybe(_at("When a newer one was refused")),
                    "problems": _list(_object(problem), "What is wrong with the newer one"),
                    "warnings": _list({"type": "string"}, "What deserves a look"),
                }
            ),
            "schedule": _object(
                {
                    "cron": _text("The expression"),
                    "timezone": _text("The zone it is read in"),
                    "next_run": _maybe(_at("When the next run begins")),
                }
            ),
            "current_run": _maybe(_CURRENT),
            "runs": _list(_RUN, "Those that ended, newest first"),
            "ledger_read_at": _maybe(_at("When the ledger was last read; null: not yet")),
            "orgs_total": _count("Orgs of the config"),
            "orgs_lacking": _count("Of them lacking a window"),
            "credentials_refused": _count("Of them with a refused credential"),
            "orgs": _list(
                _ORG, "In the order of the config: those that `?q=`, `?state=` and `?label=` choose, else all"
            ),
        }
    )
    return {"$schema": DIALECT, "title": "usage collector status", **document}
