"""Files that aren't YAML, or not of the kind that a config is.

Each with all that is said of it, word for word.
"""

from __future__ import annotations

from tests.unit.config.bad import DIRECTORY, ORG, SECRET, Bad

NO_SHARING = (
    "anchors (`&…`), aliases (`*…`) and merge keys (`<<`) aren't supported: write the value in each place, "
    "or below `defaults:` what all orgs share; quote a value that begins with `&` or `*`"
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 10)}]\n" for of, name in zip("abcdefg", "bcdefgh", strict=True)
)

CASES = (
    Bad(
        "empty file",
        "",
        told=("collector.yaml: is empty",),
    ),
    Bad(
        "only comments",
        "# nothing\n",
        told=("collector.yaml: is empty",),
    ),
    Bad(
        "top level is a list",
        "- {name: acme}\n",
        told=("collector.yaml:1: expected a mapping: `api:`, `orgs:` and so on, each at the start of a line",),
    ),
    Bad(
        "top level is text",
        "orgs\n",
        told=("collector.yaml:1: expected a mapping: `api:`, `orgs:` and so on, each at the start of a line",),
    ),
    Bad(
        "second document",
        ORG + "---\n" + ORG,
        told=("collector.yaml:3: a second document begins here (`---`): a file holds one",),
    ),
    Bad(
        "not utf-8",
        b"# caf\xe9\n" + ORG.encode(),
        told=("collector.yaml:1: isn't UTF-8 text: save the file with the encoding UTF-8",),
    ),
    Bad(
        "utf-16",
        ORG.encode("utf-16"),
        told=("collector.yaml:1: isn't UTF-8 text: save the file with the encoding UTF-8",),
    ),
    Bad(
        "tab",
        f"orgs:\n- name: acme\n\ttoken: {SECRET}\n",
        told=("collector.yaml:3: a tab is used for indentation: YAML wants spaces",),
    ),
    Bad(
        "colon in a plain value",
        f"orgs:\n- name: acme\n  token: {SECRET}: x\n",
        told=(("collector.yaml:3: a `:` where none can be: check the indentation, and quote a value that holds `: `"),),
    ),
    Bad(
        "key without a colon and a space",
        f"orgs:\n- name: acme\n  token:{SECRET}\n  org_id: 1\n",
        told=("collector.yaml:3: a key needs a `:` and a space after it",),
    ),
    Bad(
        "line of a secret that is taken for more of the one above",
        f"orgs:\n- name: acme\n  token_env: T\n  timezone: UTC\n    access_key {SECRET}\n",
        told=(
            (
                "collector.yaml:4: orgs[0].timezone: unknown time zone text with the name of a secret in it: "
                "write an IANA name such as Europe/Berlin, or ±HH:MM"
            ),
        ),
    ),
    Bad(
        "unclosed bracket",
        "defaults:\n  populations: [account-user\n" + ORG,
        told=("collector.yaml:2: a `[` is opened here and not closed by a `]`, or a comma is missing",),
    ),
    Bad(
        "unclosed brace",
        "api: {timeout: 3s\n" + ORG,
        told=("collector.yaml:1: a `{` is opened here and not closed by a `}`, or a comma is missing",),
    ),
    Bad(
        "unclosed quote",
        f'orgs:\n- name: acme\n  token: "{SECRET}\n',
        told=("collector.yaml:3: a quote is opened here and never closed",),
    ),
    Bad(
        "unknown escape",
        f'orgs:\n- name: acme\n  token: "{SECRET}\\q"\n',
        told=("collector.yaml:3: no escape (`\\`) in double quotes looks like this: use single quotes",),
    ),
    Bad(
        "value begins with an at sign",
        f"orgs:\n- name: acme\n  token: @{SECRET}\n",
        told=("collector.yaml:3: a value can't begin with `@`, a backtick or `%`: put it in quotes",),
    ),
    Bad(
        "value looks like an alias",
        f"orgs:\n- name: acme\n  token: *{SECRET}\n",
        told=(f"collector.yaml:3: {NO_SHARING}",),
    ),
    Bad(
        "value looks like a tag",
        f"orgs:\n- name: acme\n  token: !{SECRET}\n",
        told=(
            ("collector.yaml:3: orgs[0].token: tags (`!…`) aren't supported; quote a value that begins with `!`"),
            "collector.yaml:3: orgs[0].token: is empty",
        ),
    ),
    Bad(
        "tag on a mapping",
        f"api: !{SECRET} {{timeout: 3s}}\n" + ORG,
        told=("collector.yaml:1: api: tags (`!…`) aren't supported",),
    ),
    Bad(
        "wrong indentation",
        f"orgs:\n- name: acme\n token: {SECRET}\n",
        told=("collector.yaml:3: the indentation fits none of the lines above",),
    ),
    Bad(
        "dedent that fits nothing",
        "api:\n    timeout: 3s\n  concurrency: 3\n" + ORG,
        told=("collector.yaml:3: the indentation fits none of the lines above",),
    ),
    Bad(
        "control character",
        f"orgs:\n- name: acme\n  token: {SECRET}\0\n",
        told=("collector.yaml:3: a control character, which YAML doesn't allow",),
    ),
    Bad(
        "same anchor twice",
        f"api: &{SECRET} {{timeout: 3s}}\nlog: &{SECRET} {{level: info}}\n" + ORG,
        told=(f"collector.yaml:1: {NO_SHARING}", f"collector.yaml:2: {NO_SHARING}"),
    ),
    Bad(
        "duplicate keys",
        "api: {timeout: 3s}\nlog: {level: info}\napi: {timeout: 4s}\n" + ORG,
        told=("collector.yaml:3: api: the key stands here twice, first on line 1",),
    ),
    Bad(
        "duplicate keys in an org",
        f"orgs:\n- name: acme\n  token: {SECRET}1\n  token: {SECRET}2\n",
        told=("collector.yaml:4: orgs[0].token: the key stands here twice, first on line 3",),
    ),
    Bad(
        "key that is a list",
        "[a, b]: 1\n" + ORG,
        told=("collector.yaml:1: a key must be text, followed by `: ` and a value",),
    ),
    Bad(
        "alias inside of itself",
        "api: &a {retry: *a}\n" + ORG,
        told=(f"collector.yaml:1: {NO_SHARING}",),
    ),
    Bad(
        "merge of the mapping itself",
        "api: &a {<<: *a, colour: red}\n" + ORG,
        told=(f"collector.yaml:1: {NO_SHARING}",),
    ),
    Bad(
        "aliases of aliases",
        BOMB + ORG,
        told=tuple(f"collector.yaml:{line}: {NO_SHARING}" for line in range(1, 9)),
    ),
    Bad(
        "nested too deep",
        "api: " + "[" * 100_000 + "\n" + ORG,
        told=("collector.yaml:1: lists or mappings are nested too deep",),
    ),
    Bad(
        "merge keys that spare repetition",
        (
            "orgs:\n"
            "- &first {name: a, token_env: T, timezone: Asia/Tokyo, labels: &labels {team: x}}\n"
            "- {<<: *first, name: b, timezone: UTC}\n"
            "- {<<: [{org_id: 1}, *first], name: c, labels: *labels}\n"
        ),
        told=tuple(f"collector.yaml:{line}: {NO_SHARING}" for line in (2, 3, 4)),
    ),
    Bad(
        "merge of a text",
        f"api: {{<<: {SECRET}}}\n" + ORG,
        told=(f"collector.yaml:1: api: {NO_SHARING}",),
    ),
    Bad(
        "no such file",
        None,
        told=("collector.yaml: there is no such file",),
    ),
    Bad(
        "directory",
        DIRECTORY,
        told=("collector.yaml: is a directory; a YAML file is needed",),
    ),
)
