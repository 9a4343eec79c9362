"""`helm template`, `lint` and `package` by Helm's own engine, as far as the tests need them.

The engine is a Go library. Only this process loads it, so that no test has Go's threads and signals beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import helm_python

Values = dict[str, Any]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("helm")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, run in (("template", render), ("upgrade", render), ("lint", lint), ("package", package)):
        sub = commands.add_parser(command, allow_abbrev=False)
        sub.set_defaults(run=run)
        if run is render:
            sub.add_argument("name")
            sub.add_argument("--notes", action="store_true")
            sub.add_argument("--install", action="store_true")
        sub.add_argument("chart")
        sub.add_argument("-d", "--destination", default=".")
        sub.add_argument("-n", "--namespace", default="default")
        sub.add_argument("-f", "--values", action="append", default=[], type=Path)
        sub.add_argument("--set", action="append", default=[])
    sub = commands.add_parser("each")  # not helm's: many values in one process
    sub.set_defaults(run=each)
    sub.add_argument("chart")
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except helm_python.HelmError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return 1


def values(args: argparse.Namespace) -> Values:
    """Merge as helm does: files in their order, then `--set`."""
    merged: Values = {}
    for file in args.values:
        merged = merge(merged, helm_python.values_from_yaml(file.read_text()))
    for text in args.set:
        merged = merge(merged, helm_python.parse_set_string(text))
    return merged


def merge(under: Values, over: Values) -> Values:
    both = {key: merge(under[key], over[key]) for key in under.keys() & over.keys() if is_map(under[key], over[key])}
    return under | over | both


def is_map(*those: object) -> bool:
    return all(isinstance(one, dict) for one in those)


def render(args: argparse.Namespace) -> int:
    with helm_python.Chart.load(args.chart) as chart:
        merged = values(args)
        chart.validate_schema(merged)
        rendered = chart.render(merged, name=args.name, namespace=args.namespace)
    for path, text in rendered.items():
        if path.endswith("NOTES.txt") == args.notes:
            print(text if args.notes else f"---\n# Source: {path}\n{text}")  # noqa: T201
    return 0


def each(args: argparse.Namespace) -> int:
    """Render for each of the values on stdin, a JSON list; print the text or the error of each."""
    results: list[dict[str, str]] = []
    with helm_python.Chart.load(args.chart) as chart:
        for one in json.load(sys.stdin):
            merged = helm_python.parse_set_string(",".join(text for text in one if "\n" not in text))
            for text in one:
                merged = merge(merged, helm_python.values_from_yaml(text) if "\n" in text else {})
            try:
                chart.validate_schema(merged)
                rendered = chart.render(merged, name="usage-collector", namespace="usage-collector")
            except helm_python.HelmError as error:
                results.append({"error": str(error)})
            else:
                yaml = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
                results.append({"text": "".join(f"---\n{text}\n" for text in yaml)})
    print(json.dumps(results))  # noqa: T201
    return 0


def lint(args: argparse.Namespace) -> int:
    report = helm_python.lint(args.chart, values(args), strict=True, namespace=args.namespace)
    for message in report["messages"]:
        print(f"{message['severity']} {message['path']}: {message['error']}")  # noqa: T201
    return 1 if report["errors"] else 0


def package(args: argparse.Namespace) -> int:
    print(helm_python.package(args.chart, destination=args.destination))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
