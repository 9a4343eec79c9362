from __future__ import annotations

import dataclasses
import json
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from collector.config import LoadedConfig, Settings, document, load
from collector.config.layers import leaves
from collector.core.request import RangeEnd
from collector.errors import ConfigError
from collector.model import BasicCredential, BearerCredential, Granularity, Population
from tests.unit.config.cases import BAD, CONFIG, ORG, SECRET, Bad, write

VARIABLES = {"T": SECRET, "ACME_USERNAME": "u", "ACME_ACCESS_KEY": SECRET, "GLOBEX_TOKEN": SECRET}
EXAMPLES = Path(__file__).parents[3] / "config"


@pytest.fixture(autouse=True)
def _in_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(
    text: str, environ: dict[str, str] | None = None, overrides: dict[str, object] | None = None
) -> LoadedConfig:
    return load(write(CONFIG, text), environ={**VARIABLES, **(environ or {})}, overrides=overrides)


def test_load_ignores_the_environment_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLLECTOR_API__CONCURRENCY", "3")
    monkeypatch.setenv("API", '{"concurrency": 4}')
    assert loaded(ORG).settings == Settings()


def test_options_win_over_variables_over_the_file_over_defaults() -> None:
    text = "api: {timeout: 1s, concurrency: 1, org_concurrency: 1}\n" + ORG
    variables = {"COLLECTOR_API__TIMEOUT": "2s", "COLLECTOR_API__CONCURRENCY": "2"}
    api = loaded(text, variables, {"api": {"timeout": "3s"}}).settings.api
    assert (api.timeout, api.concurrency, api.org_concurrency, api.range_end) == (
        timedelta(seconds=3),
        2,
        1,
        RangeEnd.INCLUSIVE,
    )


def test_option_that_is_not_given_overrides_nothing() -> None:
    config = loaded("log: {level: debug}\n" + ORG, overrides={"log": {"level": None}, "output": {"path": "out"}})
    assert (config.settings.log.level, config.settings.output.path) == ("debug", "out")


def test_reconcile_is_weekly_unless_it_is_null() -> None:
    assert loaded(ORG).settings.schedule.reconcile.cron == "40 4 * * 0"
    assert loaded("schedule: {reconcile: {last: 30d}}\n" + ORG).settings.schedule.reconcile.cron == "40 4 * * 0"
    for off in ("null", "{cron: null}"):
        assert loaded(f"schedule: {{reconcile: {off}}}\n" + ORG).settings.schedule.reconcile.cron is None


def test_section_without_keys_has_its_defaults() -> None:
    config = loaded("api:\n  # timeout: 3s\n  retry:\noutput:\n" + ORG, {"COLLECTOR_API__RETRY__ATTEMPTS": "2"})
    assert config.settings.api.retry.attempts == 2
    assert config.settings.output == Settings().output


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0123", "0123"),
        ("1e5", "1e5"),
        ("12:30:45", "12:30:45"),
        ("no", "no"),
        ("2026-01-01", "2026-01-01"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("=", "="),
        ("never", "never"),
        ("Nairobi", "Nairobi"),
        ("'null'", "null"),
        ("'~'", "~"),
        ('"\\x61"', "a"),
        ("!!str 12", "12"),
        ("!!int 012", "012"),
    ],
)
def test_scalar_is_the_text_as_written(written: str, read: str) -> None:
    org = loaded(f"orgs:\n- name: a\n  token_env: T\n  org_id: {written}\n  labels: {{key: {written}}}\n").orgs[0]
    assert (org.org_id, org.labels) == (read, {"key": read})


def test_unquoted_offset_is_a_zone_and_not_a_number() -> None:
    org = loaded("orgs:\n- {name: a, token_env: T, timezone: +05:30, since: 2026-01-01}\n").orgs[0]
    assert (org.zone.name, org.since) == ("+05:30", date(2026, 1, 1))


def test_unquoted_secret_is_the_text_as_written() -> None:
    org = loaded("orgs:\n- {name: a, username: 0123, access_key: 1e5}\n").orgs[0]
    assert org.credential == BasicCredential(username="0123", access_key="1e5")


def test_org_without_a_key_has_the_value_of_defaults() -> None:
    config = loaded(
        """
api: {base_url: "https://eu-api.lambdatest.com/"}
defaults: {timezone: Europe/Berlin, granularity: week, populations: [service-user], since: 2026-01-01}
orgs:
- {name: a, token_env: T, timezone: null}
- name: b
  token_env: T
  base_url: http://127.0.0.1:8000/
  timezone: Asia/Kathmandu
  granularity: hour
  populations: [account-user, service-user]
  since: 2026-02-01
  org_id: 7
  labels: {cost: 012}
"""
    )
    a, b = config.orgs
    assert (a.base_url, a.zone.name, a.granularity, a.populations, a.since, a.org_id, a.labels) == (
        "https://eu-api.lambdatest.com",
        "Europe/Berlin",
        Granularity.WEEK,
        (Population.SERVICE_USER,),
        date(2026, 1, 1),
        None,
        {},
    )
    assert (b.base_url, b.zone.name, b.granularity, b.populations, b.since, b.org_id, b.labels) == (
        "http://127.0.0.1:8000",
        "Asia/Kathmandu",
        Granularity.HOUR,
        tuple(Population),
        date(2026, 2, 1),
        "7",
        {"cost": "012"},
    )
    assert b.credential == BearerCredential(token=SECRET)


@pytest.fixture(params=["libyaml", "without libyaml"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    class PurePython(document.Composing, yaml.SafeLoader):
        pass

    if request.param != "libyaml":
        monkeypatch.setattr(document, "Loader", PurePython)


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.name.startswith("yaml/")], ids=lambda bad: bad.name)
def test_messages_are_the_same_with_and_without_libyaml(bad: Bad) -> None:
    with pytest.raises(ConfigError) as caught:
        load(bad.write(), **bad.arguments)
    assert str(caught.value).splitlines() == bad.expected


@pytest.mark.usefixtures("_parser")
def test_very_deep_nesting_is_refused_before_the_stack_overflows() -> None:
    with pytest.raises(
        ConfigError, match=r"\Acollector\.yaml:1: lists or mappings are nested more than 40 levels deep\Z"
    ):
        loaded("api: " + "[" * 100_000 + "\n" + ORG)


def test_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    assert [org.name for org in loaded("\ufeff" + ORG.replace("\n", "\r\n")).orgs] == ["acme"]


def test_org_files_are_read_once_in_order_and_without_hidden_files() -> None:
    write(Path("orgs.d/b.yaml"), "orgs:\n- {name: b, token_env: T}\n")
    write(Path("orgs.d/a.yaml"), "- {name: a1, token_env: T}\n- {name: a2, token_env: T}\n")
    write(Path("orgs.d/.b.yaml"), "no orgs at all")
    write(Path("orgs.d/b.yaml~"), "no orgs at all")
    write(Path("empty.yaml"), "orgs: []\n")
    files = "org_files: [orgs.d/*.yaml, ./orgs.d/a.yaml, '*.yaml', none/*.yaml, '**/b.yaml']\n"
    config = loaded(files + ORG)
    assert [org.name for org in config.orgs] == ["acme", "a1", "a2", "b"]
    assert config.files == tuple(map(Path, ["collector.yaml", "empty.yaml", "orgs.d/a.yaml", "orgs.d/b.yaml"]))


def test_unreadable_directory_of_org_files_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(Path("orgs.d/a.yaml"), ORG)
    monkeypatch.setattr("os.access", lambda folder, _: str(folder) != "orgs.d")
    with pytest.raises(ConfigError, match=r"org_files\[0\]: the directory orgs\.d can't be read: permission denied"):
        loaded(ORG)


@pytest.mark.parametrize(
    "name",
    [
        "Acme Corp (EU): QA, 50%",
        "Düsseldorf",
        "it's",
        "a/b",
        "back\\slash",
        "$HOME",
        "...",
        "-rf",
        "東京 支社",
        "\u0645\u06cc\u200c\u062e\u0648",
        "\u0915\u094d\u200d\u0937",
        "lab \U0001f469\u200d\U0001f52c",
        "heart \u2764\ufe0f",
        "a\u00a0b",
    ],
)
def test_names_of_every_language_are_valid(name: str) -> None:
    (org,) = loaded(json.dumps({"orgs": [{"name": name, "token_env": "T"}]})).orgs
    assert org.name == name


def test_paths_that_are_read_are_relative_to_the_file_that_names_them() -> None:
    file = write(
        Path("etc/main/collector.yaml"),
        "api: {ca_file: ../ca.pem}\nservice: {token_file: token}\noutput: {path: out}\n"
        "push: {textfile: x.prom}\norg_files: [../orgs/*.yaml]\n",
    )
    write(Path("etc/ca.pem"), CERTIFICATE)
    write(Path("etc/orgs/a.yaml"), "- {name: a, token_file: keys/a}\n")
    write(Path("etc/orgs/keys/a"), SECRET).chmod(0o600)
    config = load(file, environ={})
    settings = config.settings
    assert config.orgs[0].credential == BearerCredential(token=SECRET)
    assert (settings.api.ca_file, settings.service.token_file) == (
        Path("etc/main/../ca.pem"),
        Path("etc/main/token"),
    )
    assert (settings.output.path, settings.push.textfile) == ("out", Path("x.prom"))
    assert [path.resolve().relative_to(Path.cwd()) for path in config.files] == [
        Path("etc/main/collector.yaml"),
        Path("etc/orgs/a.yaml"),
        Path("etc/orgs/keys/a"),
        Path("etc/ca.pem"),
    ]


def test_path_in_a_variable_is_relative_to_the_working_directory() -> None:
    write(Path("ca.pem"), CERTIFICATE)
    config = load(write(Path("etc/collector.yaml"), ORG), environ={"T": SECRET, "COLLECTOR_API__CA_FILE": "ca.pem"})
    assert config.settings.api.ca_file == Path("ca.pem")


def test_a_thousand_orgs_in_one_file_are_all_loaded() -> None:
    orgs = "".join(f"- {{name: org-{n}, token_env: T, labels: {{n: {n:04}}}}}\n" for n in range(1000))
    config = loaded("orgs:\n" + orgs)
    assert [(org.name, org.labels["n"]) for org in config.orgs] == [(f"org-{n}", f"{n:04}") for n in range(1000)]


def test_a_thousand_orgs_in_a_thousand_files_are_all_loaded() -> None:
    for n in range(1000):
        write(Path(f"orgs.d/{n:04}.yaml"), f"orgs:\n- {{name: org-{n}, token_env: T}}\n")
    config = loaded("api: {}\n")
    assert [org.name for org in config.orgs] == [f"org-{n}" for n in range(1000)]
    assert len(config.files) == 1001


def test_org_limit_above_the_limit_for_all_orgs_is_warned_about() -> None:
    config = loaded("api:\n  concurrency: 1\n" + ORG)
    assert list(map(str, config.warnings)) == [
        "collector.yaml:2: api.concurrency: 2 is more than api.concurrency (1), which limits all orgs together"
    ]


def test_a_column_of_a_label_that_no_org_has_is_warned_about() -> None:
    labels = "output: {labels: [team, nope]}\norgs:\n- {name: acme, token_env: T, labels: {team: qa}}\n"
    assert list(map(str, loaded(labels).warnings)) == [
        "collector.yaml:1: output.labels[1]: no org in the config has a label of that key: its column is empty"
    ]


def test_prices_are_read_by_their_text_so_that_they_are_exact() -> None:
    text = """prices:
  currency: USD
  list:
  - {metric: tests, unit_price: 0.1000, from: 2026-01-01}
  - {metric: tests, unit_price: "12", from: 2026-01-02, product: automation, org: "a*"}
  - {metric: screenshots, unit_price: 0, from: 2026-01-01, label: {team: qa, zone: eu}}
"""
    labelled = "orgs:\n- {name: acme, token_env: T, labels: {zone: eu, team: qa}}\n"
    config = loaded(text + labelled)
    assert [str(one.unit_price) for one in config.prices.prices] == ["0.1000", "12", "0"]
    assert [(one.product, one.org, one.label) for one in config.prices.prices] == [
        ("*", None, ()),
        ("automation", "a*", ()),
        ("*", None, (("team", "qa"), ("zone", "eu"))),
    ]
    assert (config.prices.currency, config.prices.decimals, config.prices.closing) == ("USD", 2, timedelta(days=5))
    assert config.warnings == ()
    assert not loaded(ORG).prices


def test_a_price_that_is_for_no_org_is_warned_about() -> None:
    prices = """prices:
  currency: USD
  list:
  - {metric: tests, unit_price: 0.1, from: 2026-01-01, org: acmee}
  - {metric: tests, unit_price: 0.1, from: 2026-01-01, label: {team: qa}}
"""
    assert list(map(str, loaded(prices + ORG).warnings)) == [
        "collector.yaml:4: prices.list[0].org: no org in the config is meant: the price is not used",
        "collector.yaml:5: prices.list[1].label: no org in the config is meant: the price is not used",
    ]


def test_a_budget_that_is_for_no_org_is_warned_about_and_stops_nobody() -> None:
    budgets = """budgets:
- {name: gone, metric: tests, amount: 5, org: acmee}
- {name: label, metric: tests, amount: 5, label: {team: qa}}
"""
    why = "no org in the config is meant: nobody hears when the budget is used up. Correct it, or delete it"
    assert list(map(str, loaded(budgets + ORG).warnings)) == [
        f"collector.yaml:2: budgets[0].org: {why}",
        f"collector.yaml:3: budgets[1].label: {why}",
    ]


def test_budgets_are_read_by_their_text_and_counted_in_the_unit_of_the_prices() -> None:
    text = """prices:
  currency: USD
  duration_unit: seconds
  list:
  - {metric: tests, unit_price: 0.1, from: 2026-01-01}
budgets:
- {name: money, metric: cost, amount: 0.10, org: "a*"}
- {name: time, metric: minutes, amount: 90, label: {team: qa, zone: eu}, products: [automation]}
"""
    budgets = loaded(text + "orgs:\n- {name: acme, token_env: T, labels: {zone: eu, team: qa}}\n").budgets
    assert [(one.name, str(one.amount), one.unit, one.per_unit) for one in budgets] == [
        ("money", "0.10", "USD", 1),
        ("time", "90", "minutes", 60),
    ]
    assert [(one.org, one.label, one.products) for one in budgets] == [
        ("a*", (), ()),
        (None, (("team", "qa"), ("zone", "eu")), ("automation",)),
    ]
    assert loaded(ORG).budgets == ()


def test_example_config_has_exactly_the_defaults() -> None:
    config = load(EXAMPLES / "collector.example.yaml", environ=VARIABLES)
    assert config.settings == Settings()
    assert [org.name for org in config.orgs] == ["acme", "globex"]


def test_example_config_has_every_key() -> None:
    written = document.read_document(EXAMPLES / "collector.example.yaml")
    for path, _ in leaves(Settings):
        assert dotted_keys(written.data) >= {".".join(path)}


def test_minimal_config_is_one_org_and_all_defaults() -> None:
    config = load(EXAMPLES / "collector.minimal.yaml", environ=VARIABLES)
    assert config.settings == Settings()
    assert [org.credential for org in config.orgs] == [BasicCredential(username="u", access_key=SECRET)]
    assert config.warnings == ()


def test_loaded_config_shows_no_secret() -> None:
    text = f"state: {{url: 'postgresql://u:{SECRET}@db/x'}}\norgs:\n"
    text += f"- {{name: a, token: {SECRET}}}\n- {{name: b, username: u, access_key: {SECRET}}}\n"
    config = loaded(text)
    assert len(config.warnings) == 1
    shown = f"{config} {config!r} {config.settings!r} {config.settings.model_dump()} {config.warnings}"
    assert SECRET not in shown
    assert config.settings.state.url.get_secret_value().endswith("@db/x")


def test_loaded_config_cannot_be_changed() -> None:
    config = loaded(ORG)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.path = Path("x")  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        config.settings.api.concurrency = 3  # type: ignore[misc]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # every example overwrites the file
@given(st.data())
def test_any_edit_of_a_config_gives_a_config_or_a_config_error(data: st.DataObject) -> None:
    text = f"""api: {{timeout: 3s, retry: {{attempts: 3}}}}
orgs:
- name: acme
  username: u
  access_key: {SECRET}
  labels: {{team: qa}}
- {{name: other, token: {SECRET}, timezone: +05:30}}
"""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 5)))
        text = text[:start] + data.draw(st.text("{}[]:-,#&*!|>'\"%@?~<\t\n x0", max_size=3)) + text[end:]
    try:
        config = loaded(text)
        assume(all(SECRET not in str(org.labels) for org in config.orgs))  # an edit made the token a label
        message = str(config)
    except ConfigError as error:
        message = str(error)
    assert SECRET not in message


def dotted_keys(data: object, above: str = "") -> set[str]:
    if not isinstance(data, dict):
        return {above}
    return {above}.union(*(dotted_keys(value, f"{above}.{key}".strip(".")) for key, value in data.items()))


CERTIFICATE = Path(__file__).with_name("ca.pem").read_text()
