"""Settings of which no sense can be made.

Each with all that is said of it, word for word.
"""

from __future__ import annotations

from tests.unit.config.bad import ORG, SECRET, Bad

CASES = (
    Bad(
        "unknown top-level key",
        "ap: {timeout: 3s}\n" + ORG,
        told=("collector.yaml:1: ap: unknown key `ap`; did you mean `api`?",),
    ),
    Bad(
        "unknown key",
        "api: {concurency: 3}\n" + ORG,
        told=("collector.yaml:1: api.concurency: unknown key `concurency`; did you mean `concurrency`?",),
    ),
    Bad(
        "unknown key like none",
        "api: {retry: {colour: red}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.retry.colour: unknown key `colour`; known here: attempts, "
                "base_delay, max_delay, budget"
            ),
        ),
    ),
    Bad(
        "unknown keys, all told",
        "api: {time_out: 3s}\nlog:\n  levle: info\n  format: xml\n" + ORG,
        told=(
            "collector.yaml:1: api.time_out: unknown key `time_out`; did you mean `timeout`?",
            "collector.yaml:3: log.levle: unknown key `levle`; did you mean `level`?",
            "collector.yaml:4: log.format: expected 'auto', 'console' or 'json', got 'xml'",
        ),
    ),
    Bad(
        "key with a dash",
        "org-files: []\n" + ORG,
        told=("collector.yaml:1: org-files: unknown key `org-files`; did you mean `org_files`?",),
    ),
    Bad(
        "section is text",
        "api: fast\n" + ORG,
        environ={"COLLECTOR_API__CONCURRENCY": "8"},
        told=("collector.yaml:1: api: expected a mapping: its keys, indented, one per line",),
    ),
    Bad(
        "nested section is a list",
        "api:\n  retry: [3]\n" + ORG,
        told=("collector.yaml:2: api.retry: expected a mapping: its keys, indented, one per line",),
    ),
    Bad(
        "not a number",
        "api: {concurrency: many}\n" + ORG,
        told=("collector.yaml:1: api.concurrency: expected a whole number, got 'many'",),
    ),
    Bad(
        "number out of range",
        "api: {concurrency: 0, org_concurrency: 1001}\n" + ORG,
        told=(
            "collector.yaml:1: api.concurrency: must be at least 1, got '0'",
            "collector.yaml:1: api.org_concurrency: must be at most 1000, got '1001'",
        ),
    ),
    Bad(
        "fraction",
        "api: {concurrency: 1.5}\n" + ORG,
        told=("collector.yaml:1: api.concurrency: expected a whole number, got '1.5'",),
    ),
    Bad(
        "null for a number",
        "api:\n  concurrency:\n" + ORG,
        told=("collector.yaml:2: api.concurrency: expected a whole number, got nothing",),
    ),
    Bad(
        "list for a number",
        "api: {concurrency: [1]}\n" + ORG,
        told=("collector.yaml:1: api.concurrency: expected a whole number, got a list",),
    ),
    Bad(
        "attempts",
        "api: {retry: {attempts: 21}}\n" + ORG,
        told=("collector.yaml:1: api.retry.attempts: must be at most 20, got '21'",),
    ),
    Bad(
        "not a duration",
        "api: {timeout: 5 minutes}\nschedule: {settle: 1w, jitter: -3}\n" + ORG,
        told=(
            ("collector.yaml:1: api.timeout: expected a duration such as 30s, 500ms, 10m, 6h or 3d, got '5 minutes'"),
            ("collector.yaml:2: schedule.jitter: expected a duration such as 30s, 500ms, 10m, 6h or 3d, got '-3'"),
            ("collector.yaml:2: schedule.settle: expected a duration such as 30s, 500ms, 10m, 6h or 3d, got '1w'"),
        ),
    ),
    Bad(
        "infinite duration",
        "trust_zero_for: inf\n" + ORG,
        told=(("collector.yaml:1: trust_zero_for: expected a duration such as 30s, 500ms, 10m, 6h or 3d, got 'inf'"),),
    ),
    Bad(
        "timeout of nothing",
        "api: {timeout: 0}\n" + ORG,
        told=("collector.yaml:1: api.timeout: must be more than 0, got 0s",),
    ),
    Bad(
        "rate without period",
        "api: {rate_limit: {requests: 0, period: 0s}}\n" + ORG,
        told=(
            "collector.yaml:1: api.rate_limit.requests: must be at least 1, got '0'",
            "collector.yaml:1: api.rate_limit.period: must be more than 0, got 0s",
        ),
    ),
    Bad(
        "max_span over the api's limit",
        "api: {max_span: 92d}\n" + ORG,
        told=("collector.yaml:1: api.max_span: must be at most 90d: the API answers no longer range, got 92d",),
    ),
    Bad(
        "max_span too short",
        "api: {max_span: 24h}\n" + ORG,
        told=(
            ("collector.yaml:1: api.max_span: 1d can't hold a window of one day (up to 25h), as needed by org 'acme'"),
        ),
    ),
    Bad(
        "max_span too short for one org's granularity",
        "api: {max_span: 30d}\ndefaults: {granularity: hour}\norg_files: [more.yaml]\n" + ORG,
        files={
            "more.yaml": (
                "- {name: b, token_env: T, granularity: month}\n- {name: c, token_env: T, granularity: month}\n"
            )
        },
        told=(
            (
                "collector.yaml:1: api.max_span: 30d can't hold a window of one month (up to 31d and "
                "1h), as needed by org 'b' and 1 more"
            ),
        ),
    ),
    Bad(
        "delays",
        "api:\n  retry:\n    max_delay: 100ms\n" + ORG,
        told=(("collector.yaml:3: api.retry.max_delay: base_delay (500ms) must not be more than max_delay (100ms)"),),
    ),
    Bad(
        "choice",
        "api: {range_end: inclusiv}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.range_end: expected 'inclusive' or 'exclusive', got 'inclusiv'; "
                "did you mean inclusive?"
            ),
        ),
    ),
    Bad(
        "level in capitals",
        "log: {level: INFO}\n" + ORG,
        told=(
            (
                "collector.yaml:1: log.level: expected 'debug', 'info', 'warning' or 'error', got "
                "'INFO'; did you mean info?"
            ),
        ),
    ),
    Bad(
        "not a truth value",
        "service: {usage_metrics: maybe}\n" + ORG,
        told=("collector.yaml:1: service.usage_metrics: expected true or false, got 'maybe'",),
    ),
    Bad(
        "port",
        "service: {port: 65536, host: ''}\n" + ORG,
        told=(
            "collector.yaml:1: service.host: is empty",
            "collector.yaml:1: service.port: must be at most 65535, got '65536'",
        ),
    ),
    Bad(
        "list expected",
        "service: {allowed_hosts: example.com}\n" + ORG,
        told=("collector.yaml:1: service.allowed_hosts: expected a list, got 'example.com'",),
    ),
    Bad(
        "http to another host",
        "api: {base_url: 'http://api.lambdatest.com'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.base_url: http:// would send credentials unencrypted to "
                "'api.lambdatest.com': use https://, http is for loopback"
            ),
        ),
    ),
    Bad(
        "http to an address like loopback",
        "api: {base_url: 'http://localhost.example.com'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.base_url: http:// would send credentials unencrypted to "
                "'localhost.example.com': use https://, http is for loopback"
            ),
        ),
    ),
    Bad(
        "userinfo",
        f"api: {{base_url: 'https://user:{SECRET}@api.lambdatest.com'}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.base_url: must not hold a user name or password (`…@`): secrets "
                "have keys of their own"
            ),
        ),
    ),
    Bad(
        "query",
        "api: {base_url: 'https://api.lambdatest.com/?a=b'}\n" + ORG,
        told=("collector.yaml:1: api.base_url: must not hold a query (`?…`): the collector adds its own",),
    ),
    Bad(
        "fragment",
        "api: {base_url: 'https://api.lambdatest.com/#a'}\n" + ORG,
        told=("collector.yaml:1: api.base_url: must not hold a fragment (`#…`)",),
    ),
    Bad(
        "no scheme",
        "api: {base_url: api.lambdatest.com}\n" + ORG,
        told=(("collector.yaml:1: api.base_url: expected a URL that begins with https://, got 'api.lambdatest.com'"),),
    ),
    Bad(
        "other scheme",
        "api: {base_url: 'ftp://api.lambdatest.com'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.base_url: expected a URL that begins with https://, got "
                "'ftp://api.lambdatest.com'"
            ),
        ),
    ),
    Bad(
        "bad port",
        "api: {base_url: 'https://api.lambdatest.com:99999'}\n" + ORG,
        told=(("collector.yaml:1: api.base_url: has no valid host or port, got 'https://api.lambdatest.com:99999'"),),
    ),
    Bad(
        "no host",
        "api: {base_url: 'https://'}\n" + ORG,
        told=("collector.yaml:1: api.base_url: has no valid host or port, got 'https://'",),
    ),
    Bad(
        "space in a URL",
        "api: {base_url: 'https://api.lambdatest.com/ x'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: api.base_url: holds a character that a URL can't have, got "
                "'https://api.lambdatest.com/ x'"
            ),
        ),
    ),
    Bad(
        "gateway with password",
        f"push: {{gateway: 'http://u:{SECRET}@gateway:9091'}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: push.gateway: must not hold a user name or password (`…@`): secrets "
                "have keys of their own"
            ),
        ),
    ),
    Bad(
        "unknown ledger",
        f"state: {{url: 'mysql://u:{SECRET}@db/x'}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: expected `none`, sqlite:///path/to/file.db or "
                "postgresql://host/database; the value isn't shown, as it may hold a password"
            ),
        ),
    ),
    Bad(
        "sqlite with two slashes",
        f"state: {{url: 'sqlite://{SECRET}'}}\n" + ORG,
        told=(("collector.yaml:1: state.url: a sqlite URL has three slashes and a path: sqlite:///state/ledger.db"),),
    ),
    Bad(
        "postgresql to nowhere",
        "state: {url: 'postgresql://'}\n" + ORG,
        told=(
            ("collector.yaml:1: state.url: a postgresql URL names a host and a database: postgresql://host/database"),
        ),
    ),
    Bad(
        "postgresql without a database",
        f"state: {{url: 'postgresql://u:{SECRET}@db'}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: the URL names no database: "
                "write it like postgresql://user@host:5432/database?sslmode=verify-full"
            ),
        ),
    ),
    Bad(
        "postgresql with a parameter misspelt",
        f"state: {{url: 'postgresql://u:{SECRET}@db/x?sslmod=verify-full'}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: the URL has the parameter 'sslmod', which PostgreSQL doesn't know; "
                "did you mean sslmode?"
            ),
        ),
    ),
    Bad(
        "a password that isn't escaped",
        f"state: {{url: 'postgresql://u:{SECRET}@{SECRET}/%zz@db/x'}}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: the URL can't be parsed: write it like "
                "postgresql://user@host:5432/database?sslmode=verify-full, with special characters of a password as %XX"
            ),
        ),
    ),
    Bad(
        "a search path",
        "state: {url: 'postgresql://db/x?options=-csearch_path%3Dy'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: the URL must not set a search_path: name the ledger's schema with "
                "?schema=…"
            ),
        ),
    ),
    Bad(
        "a schema of the server's own",
        "state: {url: 'postgresql://db/x?schema=pg_toast'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: the URL must name one schema, in lower-case letters, digits and _: "
                "?schema=collector"
            ),
        ),
    ),
    Bad(
        "no password file",
        "state:\n  url: postgresql://u@db/x\n  password_file: secrets/password\n" + ORG,
        told=("collector.yaml:3: state.password_file: secrets/password can't be read: No such file or directory",),
    ),
    Bad(
        "an empty password file",
        "state:\n  url: postgresql://u@db/x\n  password_file: password\n" + ORG,
        files={"password": "\n"},
        told=(
            ("collector.yaml:3: state.password_file: password must hold one line with the password and nothing else"),
        ),
    ),
    Bad(
        "two passwords",
        f"state:\n  url: postgresql://u:{SECRET}@db/x\n  password_file: password\n" + ORG,
        files={"password": SECRET},
        told=(
            (
                "collector.yaml:3: state.password_file: the URL contains a password, and state.password_file is "
                "set as well: give the password in one place only"
            ),
        ),
    ),
    Bad(
        "ledger null",
        "state: {url: null}\n" + ORG,
        told=(
            (
                "collector.yaml:1: state.url: expected `none`, sqlite:///path/to/file.db or "
                "postgresql://host/database, got nothing"
            ),
        ),
    ),
    Bad(
        "cron that no date meets",
        "schedule: {cron: '0 0 30 2 *'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: schedule.cron: '0 0 30 2 *' is no schedule: bad day-of-month; "
                "five fields are minute hour day month weekday"
            ),
        ),
    ),
    Bad(
        "cron",
        "schedule: {cron: '@hourly'}\n" + ORG,
        told=(
            (
                "collector.yaml:1: schedule.cron: expected five fields (minute hour day month weekday) "
                "such as '20 * * * *', got '@hourly'"
            ),
        ),
    ),
    Bad(
        "recheck",
        "schedule: {recheck: [1d, soon, 0s], timezone: Utopia}\n" + ORG,
        told=(
            (
                "collector.yaml:1: schedule.timezone: unknown time zone 'Utopia': write an IANA name "
                "such as Europe/Berlin, or ±HH:MM"
            ),
            (
                "collector.yaml:1: schedule.recheck[1]: expected a duration such as 30s, 500ms, 10m, 6h "
                "or 3d, got 'soon'"
            ),
            "collector.yaml:1: schedule.recheck[2]: must be more than 0, got 0s",
        ),
    ),
    Bad(
        "recheck twice",
        "schedule: {recheck: [1d, 24h]}\n" + ORG,
        told=("collector.yaml:1: schedule.recheck: 1d stands in it twice",),
    ),
    Bad(
        "size",
        "output: {seal_at: 128 megs}\n" + ORG,
        told=(("collector.yaml:1: output.seal_at: expected a size such as 128MB, 512KB or 1GiB, got '128 megs'"),),
    ),
    Bad(
        "size too small",
        "output: {seal_at: 64KB}\n" + ORG,
        told=("collector.yaml:1: output.seal_at: must be between 1MB and 1000GB, got 64000 bytes",),
    ),
    Bad(
        "format",
        "output: {format: csv, path: ''}\n" + ORG,
        told=(
            "collector.yaml:1: output.path: is empty",
            "collector.yaml:1: output.format: only jsonl is there yet, got 'csv'",
        ),
    ),
    Bad(
        "same_organization",
        "same_organization: ignore\n" + ORG,
        told=("collector.yaml:1: same_organization: expected 'refuse' or 'allow', got 'ignore'",),
    ),
    Bad(
        "ca_file missing",
        "api: {ca_file: certs/ca.pem}\n" + ORG,
        told=("collector.yaml:1: api.ca_file: there is no such file: certs/ca.pem",),
    ),
    Bad(
        "ca_file without certificates",
        "api: {ca_file: ca.pem}\n" + ORG,
        files={"ca.pem": "nothing\n"},
        told=("collector.yaml:1: api.ca_file: ca.pem holds no certificates in PEM format",),
    ),
    Bad(
        "populations empty",
        "defaults: {populations: []}\n" + ORG,
        told=("collector.yaml:1: defaults.populations: must not be empty",),
    ),
    Bad(
        "populations twice",
        "defaults: {populations: [account-user, account-user]}\n" + ORG,
        told=("collector.yaml:1: defaults.populations: 'account-user' stands in it twice",),
    ),
    Bad(
        "populations unknown",
        "defaults: {populations: [account-users]}\n" + ORG,
        told=(
            (
                "collector.yaml:1: defaults.populations[0]: expected 'account-user' or 'service-user', "
                "got 'account-users'; did you mean account-user?"
            ),
        ),
    ),
    Bad(
        "since too early",
        "defaults: {since: 2014-12-31}\n" + ORG,
        told=(
            ("collector.yaml:1: defaults.since: must not be before 2015-01-01: there is no usage as old as 2014-12-31"),
        ),
    ),
    Bad(
        "since no date",
        "defaults: {since: 2026-02-30}\n" + ORG,
        told=("collector.yaml:1: defaults.since: expected a date of the calendar, got '2026-02-30'",),
    ),
    Bad(
        "since in another format",
        "defaults: {since: 1.2.2026}\n" + ORG,
        told=("collector.yaml:1: defaults.since: expected a date such as 2026-01-31, got '1.2.2026'",),
    ),
    Bad(
        "variable",
        ORG,
        environ={"COLLECTOR_API__CONCURRENCY": "many", "COLLECTOR_STATE__URL": f"mysql://{SECRET}"},
        told=(
            "COLLECTOR_API__CONCURRENCY: expected a whole number, got 'many'",
            (
                "COLLECTOR_STATE__URL: expected `none`, sqlite:///path/to/file.db or "
                "postgresql://host/database; the value isn't shown, as it may hold a password"
            ),
        ),
    ),
    Bad(
        "empty variable",
        ORG,
        environ={"COLLECTOR_API__TIMEOUT": ""},
        told=("COLLECTOR_API__TIMEOUT: expected a duration such as 30s, 500ms, 10m, 6h or 3d, got ''",),
    ),
    Bad(
        "variable hides the file's value",
        "api: {concurrency: none}\n" + ORG,
        environ={"COLLECTOR_API__CONCURRENCY": "0"},
        told=("COLLECTOR_API__CONCURRENCY: must be at least 1, got '0'",),
    ),
    Bad(
        "option",
        "log: {level: info}\n" + ORG,
        environ={"COLLECTOR_LOG__LEVEL": "x"},
        overrides={"output": {"format": "parquet"}, "log": {"level": "loud"}},
        told=(
            "output.format: only jsonl is there yet, got 'parquet'",
            "log.level: expected 'debug', 'info', 'warning' or 'error', got 'loud'",
        ),
    ),
    Bad(
        "delays from two layers",
        "api: {retry: {base_delay: 2m}}\n" + ORG,
        environ={"COLLECTOR_API__RETRY__MAX_DELAY": "1m"},
        told=("collector.yaml:1: api.retry.base_delay: base_delay (2m) must not be more than max_delay (1m)",),
    ),
)
