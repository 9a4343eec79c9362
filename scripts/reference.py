"""Write the reference of the documents from the program: `make reference`. A test fails if it isn't current."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from collector.cli.commands import SUMMARIES
from collector.config import config_schema
from collector.core.coverage_lines import coverage_schema
from collector.core.exit_codes import ExitCode
from collector.core.record_schema import record_schema
from collector.service.web.status_document import status_schema
from scripts import chart_schema, new_ledger
from scripts.log_events import MEANINGS, events

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    made = {
        "commands.md": commands(),
        "config.md": config(),
        "exit-codes.md": exit_codes(),
        "log.md": log(),
        "schemas.md": schemas(),
    }
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield _row(head)
    yield "|" + "---|" * len(head)
    for row in rows:
        yield _row(row)
    yield ""


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def commands() -> Iterator[str]:
    """Yield the page of all commands and their options."""
    yield "# Commands\n"
    yield "From the program's own help, by `make reference`: `collector COMMAND --help` shows the same.\n"
    yield from table(("command", "what it does"), ((f"[`{n}`](#{n})", text) for n, text in SUMMARIES.items()))
    for name in SUMMARIES:
        command: click.Command = getattr(import_module(f"collector.cli.commands.{name}"), name)
        yield from _command(click.Context(command, info_name=f"collector {name}"), level=2)


def _command(context: click.Context, *, level: int) -> Iterator[str]:
    command = context.command
    yield f"{'#' * level} {(context.info_name or '').removeprefix('collector ')}\n"
    if not isinstance(command, click.Group):
        yield f"`{context.info_name} {' '.join(command.collect_usage_pieces(context))}`\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield _paragraph(paragraph)
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    records = [(one, one.get_help_record(context)) for one in options]
    rows = [(f"`{record[0]}`", _angles(record[1])) for _, record in records if record]
    if rows:
        yield from table(("option", "meaning"), rows)
    yield from _epilog(command.epilog or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None  # noqa: S101 - it is in the list
            yield from _command(click.Context(sub, info_name=f"{context.info_name} {name}"), level=level + 1)


def _paragraph(text: str) -> str:
    if text.startswith("\b"):
        return "```text\n" + text.removeprefix("\b\n") + "\n```\n"
    return _angles(" ".join(text.split())) + "\n"


def _angles(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


def _epilog(text: str) -> Iterator[str]:
    for paragraph in filter(None, inspect.cleandoc(text).split("\n\n")):
        lines = paragraph.removeprefix("\b\n").splitlines()
        if lines[0] == "Examples:":
            yield "```sh\n" + inspect.cleandoc("\n".join(lines[1:])) + "\n```\n"
        else:
            yield _paragraph(paragraph)


def config() -> Iterator[str]:
    """Yield the page of all keys of the config."""
    schema: dict[str, Any] = config_schema()
    yield "# Config\n"
    yield "From the program, by `make reference`. `collector schema config` prints the JSON Schema, for an editor.\n"
    yield "`COLLECTOR_` and the path of a key, in capitals and joined by `__`, is the variable that overrides it:"
    yield "`COLLECTOR_API__TIMEOUT` is `api.timeout`. The orgs are only in files. In each path, a leading `~/` is the"
    yield "home directory of the user who runs the collector; if it isn't known, the path is an error."
    yield "[config/collector.example.yaml](../../config/collector.example.yaml) is a file with comments.\n"
    yield from table(("key", "default", "meaning"), _keys(schema, schema["$defs"], ""))


def _keys(schema: dict[str, Any], known: dict[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    for name, value in schema["properties"].items():
        here = f"{path}{name}"
        section = _section_of(value, known)
        default = f"`{json.dumps(value['default'], ensure_ascii=False)}`" if "default" in value else ""
        meaning = value.get("description", "")
        choices = _choices(value, known)
        if choices:
            meaning += f" ({', '.join(f'`{one}`' for one in choices)})"
        yield f"`{here}`", default if not section or value.get("default") is None else "", _angles(meaning)
        if section:
            yield from _keys(section, known, f"{here}." if value.get("type") != "array" else f"{here}[].")
        elif name == "orgs":
            yield from _keys(known["OrgSettings"], known, "orgs[].")


def _section_of(value: dict[str, Any], known: dict[str, Any]) -> dict[str, Any] | None:
    refs = [value, value.get("items", {}), *value.get("anyOf", [])]
    found = [known[one["$ref"].rpartition("/")[2]] for one in refs if "$ref" in one]
    return next((one for one in found if "properties" in one), None)


def _choices(value: dict[str, Any], known: dict[str, Any]) -> list[Any]:
    refs = [value, value.get("items", {}), *value.get("anyOf", [])]
    for one in refs:
        target = known[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        if "enum" in target and target["enum"] != [0, 1]:
            return list(target["enum"])
    return []


def exit_codes() -> Iterator[str]:
    """Yield the page of exit codes."""
    yield "# Exit codes\n"
    yield "From the program, by `make reference`. [What Kubernetes does](../deploy.md#deploy-to-kubernetes).\n"
    yield from table(("code", "name", "meaning"), ((str(int(one)), one.name, one.meaning) for one in ExitCode))
    yield "`healthcheck` ends with 1 if the service is not alive. A `reconcile` that found a difference ends with 3."


def log() -> Iterator[str]:
    """Yield the page of the log's events."""
    yield "# Events in the log\n"
    yield "From the program, by `make reference`. [How to read the log](../service.md#read-the-log)."
    yield "A line can have more fields than those here: what is known only in some cases.\n"
    rows = (
        (
            f"`{name}`",
            ", ".join(sorted(event.levels)),
            MEANINGS.get(name, ""),
            ", ".join(f"`{one}`" for one in event.fields),
        )
        for name, event in events().items()
    )
    yield from table(("event", "level", "meaning", "fields"), rows)


def schemas() -> Iterator[str]:
    """Yield the page of what is emitted and served, by the published schemas."""
    yield "# Fields of records, coverage and status\n"
    yield "From the published JSON Schemas, by `make reference`. `collector schema record` prints one whole."
    yield "[What the fields mean for sums and bills](../records.md).\n"
    found = {"Record": record_schema(), "Line of coverage": coverage_schema(), "Status (/api/status)": status_schema()}
    for title, schema in found.items():
        yield f"## {title}\n"
        yield from table(("field", "type", "meaning"), _fields(schema))
        for name, part in schema.get("$defs", {}).items():
            if "properties" in part:
                yield f"### {name}\n"
                yield from table(("field", "type", "meaning"), _fields(part))


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in schema["properties"].items():
        yield f"`{name}`", _type(value), _angles(value.get("description", ""))


def _type(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        return " or ".join(_type(one) for one in value["anyOf"])
    if "$ref" in value:
        return str(value["$ref"].rpartition("/")[2])
    if "enum" in value:
        return "one of " + ", ".join(f"`{one}`" for one in value["enum"])
    kind = value.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array":
        return f"array of {_type(value.get('items', {}))}"
    return f"{kind} ({value['format']})" if "format" in value else str(kind)


def main() -> None:
    """Write all pages, and the config in the schema of the chart's values."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    chart_schema.main()
    new_ledger.main()


if __name__ == "__main__":
    main()
