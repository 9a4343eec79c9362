"""Orgs that can't be collected: names, credentials, zones, labels, files.

Each with all that is said of it, word for word.
"""

from __future__ import annotations

from tests.unit.config.bad import ORG, SECRET, Bad

LONG = "x" * 1025

CASES = (
    Bad(
        "no orgs",
        "api: {timeout: 3s}\n",
        told=(
            (
                "collector.yaml: there are no orgs: add one below `orgs:` (`- name: …` with username_env "
                "and access_key_env), or a file with orgs that `org_files` matches"
            ),
        ),
    ),
    Bad(
        "empty orgs",
        "orgs:\n",
        told=(
            (
                "collector.yaml: there are no orgs: add one below `orgs:` (`- name: …` with username_env "
                "and access_key_env), or a file with orgs that `org_files` matches"
            ),
        ),
    ),
    Bad(
        "orgs as mapping",
        f"orgs:\n  acme: {{token: {SECRET}}}\n",
        told=(("collector.yaml:1: orgs: expected a list of orgs, each beginning with `- name: …`, got a mapping"),),
    ),
    Bad(
        "orgs as text",
        f"orgs: {SECRET}\n",
        told=("collector.yaml:1: orgs: expected a list of orgs, each beginning with `- name: …`, got text",),
    ),
    Bad(
        "org that is text",
        f"orgs:\n- token:{SECRET}\n",
        told=("collector.yaml:2: orgs[0]: expected an org: `name: …` and its other keys below each other",),
    ),
    Bad(
        "org without a name",
        "orgs:\n- token_env: T\n",
        told=("collector.yaml:2: orgs[0]: needs a `name`",),
    ),
    Bad(
        "names",
        (
            "orgs:\n"
            "- {name: '', token_env: T}\n"
            "- {name: ' a', token_env: T}\n"
            '- {name: "a\\nb", token_env: T}\n'
            f"- {{name: {LONG}, token_env: T}}\n"
            "- {name: [a], token_env: T}\n"
        ),
        told=(
            "collector.yaml:2: orgs[0].name: is empty",
            "collector.yaml:3: orgs[1].name: begins or ends with a space, got ' a'",
            "collector.yaml:4: orgs[2].name: holds a line break or another control character",
            "collector.yaml:5: orgs[3].name: is longer than 300 characters",
            "collector.yaml:6: orgs[4].name: expected text, got a list",
        ),
    ),
    Bad(
        "same name twice",
        ORG + "- {name: b, token_env: T}\n- {name: acme, token_env: T}\n",
        told=("collector.yaml:4: orgs[2].name: 'acme' is the name of another org, at collector.yaml:2",),
    ),
    Bad(
        "same name in two files",
        ORG + "org_files: [more.yaml]\n",
        files={"more.yaml": "orgs:\n- name: b\n  token_env: T\n- name: acme\n  token_env: T\n"},
        told=("more.yaml:4: orgs[1].name: 'acme' is the name of another org, at collector.yaml:2",),
    ),
    Bad(
        "unknown key of an org",
        "orgs:\n- name: acme\n  token_env: T\n  timezon: UTC\n",
        told=("collector.yaml:4: orgs[0].timezon: unknown key `timezon`; did you mean `timezone`?",),
    ),
    Bad(
        "unknown key in flow style",
        f"orgs:\n- {{name: acme, token:{SECRET}}}\n",
        told=(
            "collector.yaml:2: orgs[0][…]: `token` must be followed by a `:` and a space",
            (
                "collector.yaml:2: orgs[0]: has no credential: give username and access_key, or token "
                "(each as it is, or as …_env or …_file)"
            ),
        ),
    ),
    Bad(
        "secret as a key",
        f"orgs:\n- {{name: acme, username: {SECRET}, access_key, {SECRET}2}}\n",
        told=(
            (
                "collector.yaml:2: orgs[0][…]: unknown key without a value (not shown); known here: "
                "name, username, username_env, username_file, access_key, access_key_env, "
                "access_key_file, token, token_env, token_file, org_id, base_url, timezone, granularity, "
                "populations, since, labels"
            ),
            "collector.yaml:2: orgs[0].access_key: is empty",
        ),
    ),
    Bad(
        "secret in a line of its own",
        f"orgs:\n- name: acme\n  token: \n  {SECRET}: \n  '{SECRET} {SECRET}': \n",
        told=(
            "collector.yaml:3: orgs[0].token: is empty",
            (
                "collector.yaml:4: orgs[0][…]: unknown key without a value (not shown); known here: "
                "name, username, username_env, username_file, access_key, access_key_env, "
                "access_key_file, token, token_env, token_file, org_id, base_url, timezone, granularity, "
                "populations, since, labels"
            ),
            (
                "collector.yaml:5: orgs[0][…]: unknown key (not shown: it is no plain word); known here: "
                "name, username, username_env, username_file, access_key, access_key_env, "
                "access_key_file, token, token_env, token_file, org_id, base_url, timezone, granularity, "
                "populations, since, labels"
            ),
        ),
    ),
    Bad(
        "no credential",
        "orgs:\n- name: acme\n  timezone: UTC\n",
        told=(
            (
                "collector.yaml:2: orgs[0]: has no credential: give username and access_key, or token "
                "(each as it is, or as …_env or …_file)"
            ),
        ),
    ),
    Bad(
        "key without user",
        "orgs:\n- name: acme\n  access_key_env: K\n",
        environ={"K": SECRET},
        told=(
            (
                "collector.yaml:3: orgs[0].access_key_env: needs username beside it (username, "
                "username_env or username_file)"
            ),
        ),
    ),
    Bad(
        "user without key",
        "orgs:\n- name: acme\n  username: u\n",
        told=(
            (
                "collector.yaml:3: orgs[0].username: needs access_key beside it (access_key, "
                "access_key_env or access_key_file)"
            ),
        ),
    ),
    Bad(
        "two ways",
        f"orgs:\n- name: acme\n  token: {SECRET}\n  token_env: T\n",
        told=("collector.yaml:4: orgs[0].token_env: `token` is given as well: a secret is given in one way",),
    ),
    Bad(
        "three ways",
        f"orgs:\n- name: acme\n  token: {SECRET}\n  token_env: T\n  token_file: f\n",
        told=(
            "collector.yaml:4: orgs[0].token_env: `token` is given as well: a secret is given in one way",
            "collector.yaml:5: orgs[0].token_file: `token` is given as well: a secret is given in one way",
        ),
    ),
    Bad(
        "token and user",
        f"orgs:\n- name: acme\n  token_env: T\n  username: u\n  access_key: {SECRET}\n",
        told=(
            ("collector.yaml:4: orgs[0].username: username and access_key, or a token: an org has one of the two"),
            ("collector.yaml:5: orgs[0].access_key: username and access_key, or a token: an org has one of the two"),
        ),
    ),
    Bad(
        "variable not set",
        "orgs:\n- name: acme\n  username_env: ACME_USERNAME\n  access_key_env: ACME_ACCESS_KEY\n",
        told=(
            "collector.yaml:3: orgs[0].username_env: the environment variable ACME_USERNAME is not set",
            "collector.yaml:4: orgs[0].access_key_env: the environment variable ACME_ACCESS_KEY is not set",
        ),
    ),
    Bad(
        "secret in place of its variable",
        f"orgs:\n- name: acme\n  token_env: {SECRET}\n",
        told=("collector.yaml:3: orgs[0].token_env: the environment variable named here is not set",),
    ),
    Bad(
        "no name of a variable",
        f"orgs:\n- name: acme\n  token_env: {SECRET}-{SECRET}\n",
        told=(
            (
                "collector.yaml:3: orgs[0].token_env: must be the name of an environment variable "
                "(letters, digits and _); what is written here isn't shown, as it may be the secret "
                "itself"
            ),
        ),
    ),
    Bad(
        "empty variable in secret",
        "orgs:\n- name: acme\n  token_env: EMPTY\n",
        environ={"EMPTY": "\n"},
        told=("collector.yaml:3: orgs[0].token_env: the environment variable EMPTY is empty",),
    ),
    Bad(
        "empty literal",
        "orgs:\n- name: acme\n  username: ''\n  access_key:\n",
        told=(
            "collector.yaml:3: orgs[0].username: is empty",
            "collector.yaml:4: orgs[0].access_key: is empty",
        ),
    ),
    Bad(
        "list as a secret",
        f"orgs:\n- name: acme\n  token: [{SECRET}]\n",
        told=("collector.yaml:3: orgs[0].token: expected text",),
    ),
    Bad(
        "secret file missing",
        "orgs:\n- name: acme\n  token_file: secrets/acme\n",
        told=("collector.yaml:3: orgs[0].token_file: the secret file secrets/acme doesn't exist",),
    ),
    Bad(
        "secret in place of its file",
        f"orgs:\n- name: acme\n  token_file: {SECRET}\n",
        told=("collector.yaml:3: orgs[0].token_file: the secret file named here doesn't exist",),
    ),
    Bad(
        "secret file is a directory",
        "orgs:\n- name: acme\n  token_file: orgs.d/\n",
        files={"orgs.d/x": ""},
        told=("collector.yaml:3: orgs[0].token_file: the secret file orgs.d is no regular file",),
    ),
    Bad(
        "secret file below a file",
        "orgs:\n- name: acme\n  token_file: f.txt/token\n",
        files={"f.txt": ""},
        told=(("collector.yaml:3: orgs[0].token_file: the secret file f.txt/token can't be read: Not a directory"),),
    ),
    Bad(
        "empty token beside a user",
        f"orgs:\n- name: acme\n  token:\n  username: u\n  access_key: {SECRET}\n",
        told=(
            "collector.yaml:3: orgs[0].token: is empty",
            ("collector.yaml:4: orgs[0].username: username and access_key, or a token: an org has one of the two"),
            ("collector.yaml:5: orgs[0].access_key: username and access_key, or a token: an org has one of the two"),
        ),
    ),
    Bad(
        "secret file empty",
        "orgs:\n- name: acme\n  token_file: f.txt\n",
        files={"f.txt": "\n"},
        told=("collector.yaml:3: orgs[0].token_file: the secret file f.txt is empty",),
    ),
    Bad(
        "secret file too large",
        "orgs:\n- name: acme\n  token_file: f.txt\n",
        files={"f.txt": SECRET * 6000},
        told=("collector.yaml:3: orgs[0].token_file: the secret file f.txt is larger than 64 KiB",),
    ),
    Bad(
        "secret file binary",
        "orgs:\n- name: acme\n  token_file: f.txt\n",
        files={"f.txt": b"\xff\xfe" + SECRET.encode()},
        told=("collector.yaml:3: orgs[0].token_file: the secret file f.txt isn't UTF-8 text",),
    ),
    Bad(
        "line break in secret",
        "orgs:\n- name: acme\n  token_file: f.txt\n",
        files={"f.txt": f"{SECRET}\n{SECRET}\n"},
        told=("collector.yaml:3: orgs[0].token_file: the secret file f.txt holds a line break",),
    ),
    Bad(
        "two newlines",
        "orgs:\n- name: acme\n  token_file: f.txt\n",
        files={"f.txt": f"{SECRET}\n\n"},
        told=("collector.yaml:3: orgs[0].token_file: the secret file f.txt holds a line break",),
    ),
    Bad(
        "control character in secret",
        "orgs:\n- name: acme\n  token_env: X\n",
        environ={"X": f"{SECRET}\x07"},
        told=(
            (
                "collector.yaml:3: orgs[0].token_env: the environment variable X holds a character that "
                "can't be seen (U+0007)"
            ),
        ),
    ),
    Bad(
        "invisible character",
        f"orgs:\n- name: acme\n  token: '{SECRET}\u200b'\n",
        told=("collector.yaml:3: orgs[0].token: holds a character that can't be seen (U+200B)",),
    ),
    Bad(
        "space around",
        f"orgs:\n- name: acme\n  username: ' {SECRET}'\n  access_key: '{SECRET} '\n",
        told=(
            "collector.yaml:3: orgs[0].username: begins or ends with a space",
            "collector.yaml:4: orgs[0].access_key: begins or ends with a space",
        ),
    ),
    Bad(
        "colon in username",
        f"orgs:\n- name: acme\n  username: '{SECRET}:x'\n  access_key: {SECRET}\n",
        told=("collector.yaml:3: orgs[0].username: holds a colon, which Basic can't send in a username",),
    ),
    Bad(
        "bearer word",
        f"orgs:\n- name: acme\n  token: Bearer {SECRET}\n",
        told=("collector.yaml:3: orgs[0].token: begins with `Bearer`: give the token alone",),
    ),
    Bad(
        "space in token",
        f"orgs:\n- name: acme\n  token: {SECRET} {SECRET}\n",
        told=("collector.yaml:3: orgs[0].token: holds a character that a token can't have",),
    ),
    Bad(
        "every org is told",
        (
            "orgs:\n"
            "- {name: a, token_env: A, timezone: Nowhere/Land}\n"
            "- {name: b, token_env: B, since: never}\n"
            f"- {{name: c, username: {SECRET}}}\n"
        ),
        told=(
            (
                "collector.yaml:2: orgs[0].timezone: unknown time zone 'Nowhere/Land': write an IANA "
                "name such as Europe/Berlin, or ±HH:MM"
            ),
            "collector.yaml:2: orgs[0].token_env: the environment variable A is not set",
            "collector.yaml:3: orgs[1].since: expected a date such as 2026-01-31, got 'never'",
            "collector.yaml:3: orgs[1].token_env: the environment variable B is not set",
            (
                "collector.yaml:4: orgs[2].username: needs access_key beside it (access_key, "
                "access_key_env or access_key_file)"
            ),
        ),
    ),
    Bad(
        "zone near",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: europe/berln\n",
        told=(("collector.yaml:4: orgs[0].timezone: unknown time zone 'europe/berln'; did you mean Europe/Berlin?"),),
    ),
    Bad(
        "zone city",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: new york\n",
        told=(("collector.yaml:4: orgs[0].timezone: unknown time zone 'new york'; did you mean America/New_York?"),),
    ),
    Bad(
        "zone abbreviation",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: IST\n",
        told=(
            (
                "collector.yaml:4: orgs[0].timezone: unknown time zone 'IST': an abbreviation is "
                "ambiguous; write Asia/Kolkata, Asia/Jerusalem or Europe/Dublin, or ±HH:MM"
            ),
        ),
    ),
    Bad(
        "zone lacks zero",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: +5:30\n",
        told=("collector.yaml:4: orgs[0].timezone: unknown time zone '+5:30'; did you mean +05:30?",),
    ),
    Bad(
        "zone lacks colon",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: -0330\n",
        told=("collector.yaml:4: orgs[0].timezone: unknown time zone '-0330'; did you mean -03:30?",),
    ),
    Bad(
        "zone utc+",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: UTC+2\n",
        told=("collector.yaml:4: orgs[0].timezone: unknown time zone 'UTC+2'; did you mean +02:00?",),
    ),
    Bad(
        "zone lacks sign",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: 05:30\n",
        told=(
            ("collector.yaml:4: orgs[0].timezone: unknown time zone '05:30'; an offset has a sign: +05:30 or -05:30"),
        ),
    ),
    Bad(
        "zone range",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: +15:00\n",
        told=("collector.yaml:4: orgs[0].timezone: offset '+15:00' is out of range: -14:00 to +14:00",),
    ),
    Bad(
        "zone nonsense",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: qqqqqqq\n",
        told=(
            (
                "collector.yaml:4: orgs[0].timezone: unknown time zone 'qqqqqqq': write an IANA name "
                "such as Europe/Berlin, or ±HH:MM"
            ),
        ),
    ),
    Bad(
        "zone empty",
        "orgs:\n- name: acme\n  token_env: T\n  timezone: ''\n",
        told=(
            (
                "collector.yaml:4: orgs[0].timezone: expected an IANA time zone such as Europe/Berlin, "
                "or an offset such as +05:30, got ''"
            ),
        ),
    ),
    Bad(
        "org's granularity",
        "orgs:\n- name: acme\n  token_env: T\n  granularity: days\n",
        told=(
            (
                "collector.yaml:4: orgs[0].granularity: expected 'hour', 'day', 'week' or 'month', got "
                "'days'; did you mean day?"
            ),
        ),
    ),
    Bad(
        "org's url",
        "orgs:\n- name: acme\n  token_env: T\n  base_url: http://eu-api.lambdatest.com\n",
        told=(
            (
                "collector.yaml:4: orgs[0].base_url: http:// would send credentials unencrypted to "
                "'eu-api.lambdatest.com': use https://, http is for loopback"
            ),
        ),
    ),
    Bad(
        "labels",
        (f"orgs:\n- name: acme\n  token_env: T\n  labels: {{1st: x, team: , ok: {LONG}, list: [a]}}\n"),
        told=(
            (
                "collector.yaml:4: orgs[0].labels[…]: a label's name is up to 63 letters, digits, `_`, "
                "`.` or `-`, a letter or `_` first"
            ),
            "collector.yaml:4: orgs[0].labels.team: expected text, got nothing",
            "collector.yaml:4: orgs[0].labels.ok: is longer than 1024 characters",
            "collector.yaml:4: orgs[0].labels.list: expected text, got a list",
        ),
    ),
    Bad(
        "labels list",
        "orgs:\n- name: acme\n  token_env: T\n  labels: [a]\n",
        told=("collector.yaml:4: orgs[0].labels: expected a mapping (`key: value`), got a list",),
    ),
    Bad(
        "org_id empty",
        "orgs:\n- name: acme\n  token_env: T\n  org_id: ''\n",
        told=("collector.yaml:4: orgs[0].org_id: is empty",),
    ),
    Bad(
        "plain path missing",
        ORG + "org_files: [orgs.d/*.yaml, more.yaml]\n",
        told=("collector.yaml:3: org_files[1]: there is no such file: more.yaml",),
    ),
    Bad(
        "plain path is directory",
        ORG + "org_files: [orgs.d/]\n",
        files={"orgs.d/a.yaml": "[]\n"},
        told=(("collector.yaml:3: org_files[0]: orgs.d is a directory; for all files in it write orgs.d/*.yaml"),),
    ),
    Bad(
        "org_files as text",
        ORG + "org_files: orgs.d/*.yaml\n",
        told=("collector.yaml:3: org_files: expected a list, got 'orgs.d/*.yaml'",),
    ),
    Bad(
        "org file of another shape",
        ORG,
        files={"orgs.d/a.yaml": f"name: a\ntoken: {SECRET}\n"},
        told=("orgs.d/a.yaml: holds no orgs: write `orgs:` with a list below it, or a list alone",),
    ),
    Bad(
        "org file with sections",
        ORG,
        files={"orgs.d/a.yaml": "api: {}\norgs: []\norg: []\n"},
        told=(
            "orgs.d/a.yaml:1: api: `api` belongs into the config: a file of orgs has `orgs` alone",
            "orgs.d/a.yaml:3: org: unknown key `org`; did you mean `orgs`?",
        ),
    ),
    Bad(
        "org file not yaml",
        ORG,
        files={
            "orgs.d/a.yaml": f"- name: b\n  token: '{SECRET}\n",
            "orgs.d/b.yaml": "- {name: c, token_env: NO}\n",
            "orgs.d/c.yaml": "",
        },
        told=(
            "orgs.d/a.yaml:2: a quote is opened here and never closed",
            "orgs.d/b.yaml:1: [0].token_env: the environment variable NO is not set",
            "orgs.d/c.yaml: is empty",
        ),
    ),
    Bad(
        "files and lines in order",
        "orgs:\n- {name: acme, token_env: NO, x: 1}\napi: {timeout: soon}\n",
        environ={"COLLECTOR_LOG__LEVEL": "x"},
        files={
            "orgs.d/b.yaml": "- {name: acme, token_env: T}\n",
            "orgs.d/a.yaml": "orgs:\n- {name: z, token_env: T, zone: UTC}\n",
        },
        told=(
            "COLLECTOR_LOG__LEVEL: expected 'debug', 'info', 'warning' or 'error', got 'x'",
            (
                "collector.yaml:2: orgs[0].x: unknown key `x`; known here: name, username, username_env, "
                "username_file, access_key, access_key_env, access_key_file, token, token_env, "
                "token_file, org_id, base_url, timezone, granularity, populations, since, labels"
            ),
            "collector.yaml:2: orgs[0].token_env: the environment variable NO is not set",
            ("collector.yaml:3: api.timeout: expected a duration such as 30s, 500ms, 10m, 6h or 3d, got 'soon'"),
            "orgs.d/a.yaml:2: orgs[0].zone: unknown key `zone`; did you mean `timezone`?",
            "orgs.d/b.yaml:1: [0].name: 'acme' is the name of another org, at collector.yaml:2",
        ),
    ),
)
