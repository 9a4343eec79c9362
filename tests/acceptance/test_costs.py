"""Costs and FOCUS datasets by the real command, against a calculation in decimals that uses none of our code."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import duckdb
import pytest

from collector.model import Population
from tests.support.commands import Done, collector
from tests.support.invoiced import LATE, LATER, PARTIAL, UNKNOWN, Invoiced, Numbers, Where, counted, invoiced

CENT = Decimal("0.01")
JUNE = ("--from", "2026-06-01", "--to", "2026-06-30")
TEAMS = {"acme": "qa", "globex": "web"}
ACCOUNT = Population.ACCOUNT_USER


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Invoiced:
    return invoiced(tmp_path_factory.mktemp("invoiced"))


def run(home: Invoiced, *words: str) -> Done:
    done = collector(*words, cwd=home.directory, env={"COLLECTOR_CONFIG": "collector.yaml"})
    assert done.code == 0, done.stderr
    return done


def rows(done: Done) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


def costs(where: Where, numbers: Numbers) -> dict[tuple[str, str], Decimal]:
    """What a window costs, by product and metric: each price of the config written out."""
    org, _, day = where
    found: dict[tuple[str, str], Decimal] = {}
    for product, (tests, seconds, pictures) in numbers.items():
        if product == "automation" and tests is not None:
            found[product, "tests"] = tests * (Decimal("0.0125") if day < date(2026, 6, 16) else Decimal("0.0099"))
        if product == "automation" and seconds is not None and TEAMS[org] == "qa":
            found[product, "minutes"] = Decimal(seconds) / 60 * Decimal("0.021")
        if pictures is not None:
            found[product, "screenshots"] = pictures * Decimal("0.0031")
    return found


def total(known: Mapping[Where, Numbers], of: Callable[[Where, str], bool] | None = None) -> Decimal:
    return sum(
        (
            cost
            for where, numbers in known.items()
            for (product, _), cost in costs(where, numbers).items()
            if of is None or of(where, product)
        ),
        Decimal(),
    )


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def test_sums_by_team_equal_the_calculation_and_what_is_left_out_is_counted(home: Invoiced) -> None:
    done = run(home, "export", *JUNE, "--by", "month,label:team", "--costs")
    found = {row["team"]: row for row in rows(done)}
    for team in ("qa", "web"):
        assert Decimal(found[team]["cost"]) == cents(total(home.now, lambda where, _: TEAMS[where[0]] == team))  # noqa: B023
        assert found[team]["currency"] == "EUR"
    assert {team: row["windows_unknown"] for team, row in found.items()} == {"qa": "0", "web": "2"}
    assert {team: row["windows_not_priced"] for team, row in found.items()} == {"qa": "60", "web": "59"}
    told = done.event("costs.rounded")
    assert Decimal(told["total"]) == cents(total(home.now))
    assert sum(Decimal(row["cost"]) for row in found.values()) + Decimal(told["rounding"]) == Decimal(told["total"])
    assert "tunnel" in done.event("costs.not_priced")["message"]


def test_costs_of_records_and_their_rounding_are_together_the_total(home: Invoiced) -> None:
    done = run(home, "export", *JUNE, "--costs")
    found = rows(done)
    for row in found:
        where = (row["org"], Population(row["population"]), date.fromisoformat(row["window_date"]))
        amount = sum(cost for (product, _), cost in costs(where, home.now[where]).items() if product == row["product"])
        priced = row["product"] != "tunnel" and row["quality"] == "measured"
        assert row["cost"] == (str(cents(Decimal(amount))) if priced else "")
        assert row["not_priced"] == ("no price" if row["product"] == "tunnel" else "")
    told = done.event("costs.rounded")
    assert Decimal(told["rounding"]) != 0
    shown = sum(Decimal(row["cost"]) for row in found if row["cost"])
    assert shown + Decimal(told["rounding"]) == Decimal(told["total"]) == cents(total(home.now))


def test_costs_are_exact_decimals_in_parquet(home: Invoiced) -> None:
    file = home.directory / "costs.parquet"
    told = run(home, "export", *JUNE, "--costs", "-o", str(file)).event("costs.rounded")
    with duckdb.connect() as database:
        (summed,) = database.execute(f"SELECT sum(cost) FROM '{file}'").fetchall()[0]
    assert summed + Decimal(told["rounding"]) == cents(total(home.now))


def test_costs_by_product_are_known_apart_from_what_has_no_price(home: Invoiced) -> None:
    found = {row["product"]: row for row in rows(run(home, "export", *JUNE, "--by", "product", "--costs"))}
    for product in ("automation", "visual"):
        assert Decimal(found[product]["cost"]) == cents(total(home.now, lambda _, name: name == product))  # noqa: B023
    assert (found["tunnel"]["cost"], found["tunnel"]["windows_not_priced"]) == ("", "119")
    only = rows(run(home, "export", *JUNE, "--product", "tunnel", "--by", "month", "--costs"))
    assert [row["cost"] for row in only] == [""]


def test_a_table_has_the_total_and_the_rounding(home: Invoiced) -> None:
    done = run(home, "export", *JUNE, "--by", "org,day", "--costs", "-f", "table")
    shown = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert f"{cents(total(home.now)):,}" in shown["all"]
    assert "of it: rounding" in done.stdout
    assert "cost EUR" in done.stdout


def focus(home: Invoiced, month: str, file: Path | None = None) -> Done:
    days = {"06": "30", "07": "31", "08": "31", "05": "31"}
    to = () if file is None else ("-o", str(file))
    return run(home, "export", "--from", f"2026-{month}-01", "--to", f"2026-{month}-{days[month]}", "-f", "focus", *to)


def billed(found: Iterable[Mapping[str, str]]) -> Decimal:
    return sum((Decimal(row["BilledCost"]) for row in found), Decimal())


def test_the_dataset_of_a_closed_month_is_as_it_was_then(home: Invoiced) -> None:
    done = focus(home, "06")
    found = rows(done)
    assert billed(found) == total(home.at_closing)
    assert Decimal(done.event("costs.rounded")["rounding"]) == 0
    by_window = {
        (row["x_Org"], Population(row["x_Population"]), date.fromisoformat(row["x_WindowDate"])): row for row in found
    }
    assert UNKNOWN not in by_window
    assert {row["ServiceName"] for row in found} == {"automation", "visual"}
    partial = [row for row in found if (row["x_Org"], row["x_WindowDate"]) == ("globex", str(PARTIAL[2]))]
    assert "visual" not in {row["ServiceName"] for row in partial if row["x_Population"] == PARTIAL[1]}
    assert {row["ChargeClass"] for row in found} == {""}
    assert {row["BillingPeriodStart"] for row in found} == {"2026-06-01T00:00:00Z"}
    first = next(row for row in found if row["x_Org"] == "globex" and row["x_WindowDate"] == "2026-06-01")
    assert (first["ChargePeriodStart"], first["ChargePeriodEnd"]) == ("2026-06-01T04:00:00Z", "2026-06-02T04:00:00Z")
    incomplete = done.event("costs.incomplete")
    assert (incomplete["unknown"], incomplete["windows"]) == (2, 120)
    assert "tunnel" in done.event("costs.not_priced")["message"]


@pytest.mark.parametrize(("month", "day"), [("07", LATE), ("08", LATER)])
def test_what_changed_later_is_a_correction_in_the_month_in_which_it_became_known(
    home: Invoiced, month: str, day: date
) -> None:
    found = rows(focus(home, month))
    where = ("acme", ACCOUNT, day)
    before, now = costs(where, counted(*where, before=True)), costs(where, home.now[where])
    assert {(row["ServiceName"], row["SkuMeter"].lower()): Decimal(row["BilledCost"]) for row in found} == {
        key: now[key] - before[key] for key in now if now[key] != before[key]
    }
    assert {row["ChargeClass"] for row in found} == {"Correction"}
    assert {row["x_WindowDate"] for row in found} == {str(day)}
    assert {row["BillingPeriodStart"] for row in found} == {f"2026-{month}-01T00:00:00Z"}


def test_all_months_have_together_what_is_known_now_and_duckdb_reads_it(home: Invoiced) -> None:
    range_ = ("--from", "2026-06-01", "--to", "2026-08-31", "-f", "focus")
    table, text = home.directory / "all.parquet", home.directory / "all.csv"
    for file in (table, text):
        run(home, "export", *range_, "-o", str(file))
    columns = "ServiceName, SubAccountId, sum(BilledCost::DECIMAL(38, 9)), sum(ConsumedQuantity::DECIMAL(38, 9))"
    query = f"SELECT {columns} FROM '{{}}' GROUP BY ALL ORDER BY ALL"
    with duckdb.connect() as database:
        of_table = database.execute(query.format(table)).fetchall()
        assert [(*key, a, b) for *key, a, b in of_table] == [
            (product, str(account), a, b) for product, account, a, b in database.execute(query.format(text)).fetchall()
        ]
        types = dict(database.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{table}')").fetchall())
        tags = database.execute(f"SELECT DISTINCT x_Org, Tags->>'team' FROM '{table}' ORDER BY 1").fetchall()
    accounts = {"acme": "77", "globex": "88"}
    for product, account, amount, _ in of_table:
        expected = total(home.now, lambda where, name: (name, accounts[where[0]]) == (product, account))  # noqa: B023
        assert amount == expected
    assert sum(row[2] for row in of_table) == total(home.now)
    assert tags == [("acme", "qa"), ("globex", "web")]
    assert (types["BilledCost"], types["BillingPeriodStart"]) == ("DECIMAL(38,9)", "TIMESTAMP WITH TIME ZONE")


def test_costs_without_prices_are_refused(home: Invoiced) -> None:
    text = (home.directory / "collector.yaml").read_text()
    (home.directory / "free.yaml").write_text(text[: text.index("prices:")] + text[text.index("orgs:") :])
    for words in (("--costs",), ("-f", "focus", *JUNE)):
        done = collector("export", *words, "-c", "free.yaml", cwd=home.directory)
        assert done.code == 2
        assert "needs prices: add them to the config" in done.stderr
