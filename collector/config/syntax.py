"""Messages for a file that isn't YAML, for the person who just edited it.

Owns the translation of the parser's errors. Never shows the text of the file, since any part of
it may be a secret (the parser takes a key that begins with `*` for an alias).
"""

from __future__ import annotations

import re

import yaml

from collector.errors import Problem

MISPLACED_COLON = "a `:` isn't allowed here: check the indentation, and quote a value that contains `: `"
# In this order: (in the parser's problem or context, whether the start of the construct is the line, message)
SENTENCES = (
    ("expected a single document", False, "a second document begins here (`---`): write one document per file"),
    ("mapping values are not allowed", False, MISPLACED_COLON),
    ("could not find expected ':'", True, "a key needs a `:` and a space after it"),
    ("unknown escape", True, "this escape (`\\`) isn't allowed in double quotes: use single quotes"),
    ("a quoted scalar", True, "a quote is opened here and never closed"),
    ("-quoted scalar", True, "a quote is opened here and never closed"),
    ("flow sequence", True, "a `[` is opened here and not closed by a `]`, or a comma is missing"),
    ("flow mapping", True, "a `{` is opened here and not closed by a `}`, or a comma is missing"),
    ("cannot start any token", False, "a value can't begin with `@`, a backtick or `%`: put it in quotes"),
    ("control characters", False, "a control character, which YAML doesn't allow"),
    ("special characters", False, "a control character, which YAML doesn't allow"),
    ("a block", False, "the indentation matches none of the lines above"),
    ("node content", False, "a `]`, `}` or `,` is in the place of a value"),
)  # fmt: skip
TAB = "a tab is used for indentation: use spaces"


def syntax_problem(error: yaml.YAMLError, *, file: str, text: str) -> Problem:
    """Return the parser's error as a problem, with its line."""
    lines = text.splitlines() or [""]
    said = f"{getattr(error, 'problem', '')} {getattr(error, 'reason', '')} {getattr(error, 'context', '')}"
    mark, start = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    line = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
    at = lines[min(line, len(lines) - 1)]
    if re.match(r"[ -]*\t", at):
        return Problem(message=TAB, file=file, line=line + 1)
    for sign, from_start, message in SENTENCES:
        if sign in said:
            line = start.line if start and from_start else line
            return Problem(message=message, file=file, line=min(line, len(lines) - 1) + 1)
    return Problem(message="isn't valid YAML", file=file, line=min(line, len(lines) - 1) + 1)
