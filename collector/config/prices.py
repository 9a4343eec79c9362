"""The section `prices`: what usage costs.

Owns its keys, and that they make sense together. Which price counts is decided by `collector.core.prices`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from collector.config.messages import invalid
from collector.config.names import Labels, Name
from collector.config.sections import Section, Text, key
from collector.config.types import Date, Days, Money
from collector.core.costs import Metric
from collector.core.prices import EVERY, DurationUnit, Price, PriceList

# Codes of ISO 4217 in use, without metals, funds and codes for tests.
_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
    VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())
MAX_DECIMALS = 9


def check_currency(value: str) -> str:
    """Return a currency's code."""
    if value not in CURRENCIES:
        raise invalid("must be the code of a currency (ISO 4217) in capitals, such as USD, EUR or INR")
    return value


class PriceEntry(Section):
    """One price: of what, for whom, from which day on."""

    product: Text = key(EVERY, "the product that it is for, as the API names it; *: all that have no other price")
    metric: Metric = Field(description="what it is for: one of these costs the unit price")
    unit_price: Money = Field(description="an exact decimal, such as 0.005")
    since: Date = Field(alias="from", description="the first day on which it counts, on each org's calendar")
    org: Name | None = key(None, "the org that it is for, or a glob such as acme-*; null: all")
    label: Labels | None = key(None, "only orgs that have these labels, such as {cost_center: qa}; not beside `org`")

    @model_validator(mode="after")
    def _is_for_org_or_label(self) -> Self:
        if self.org is not None and self.label is not None:
            raise invalid("a price is for an org or for a label: give one of the two", "label")
        return self

    def price(self) -> Price:
        """Return it as the rest of the collector knows it."""
        return Price(
            metric=self.metric,
            unit_price=self.unit_price,
            since=self.since,
            product=self.product,
            org=self.org,
            label=tuple(sorted((self.label or {}).items())),
        )


class Prices(Section):
    """What usage costs: nothing is counted without a price."""

    currency: Annotated[str, AfterValidator(check_currency)] | None = key(None, "of all prices: a code of ISO 4217")
    duration_unit: DurationUnit | None = key(
        None, "what total_duration counts; needed by prices of minutes, as the API's documents contradict each other"
    )
    decimals: int = key(2, "decimals of amounts that are shown; sums are exact", ge=0, le=MAX_DECIMALS)
    closing: Days = key("5d", "how long after its end a month is closed: what changes later is a correction (FOCUS)")
    list: tuple[PriceEntry, ...] = key((), "the prices; the most specific one counts, of these the newest")

    @model_validator(mode="after")
    def _says_what_prices_need(self) -> Self:
        if self.list and self.currency is None:
            raise invalid("prices need a currency, such as USD", "currency")
        if self.duration_unit is None and any(one.metric is Metric.MINUTES for one in self.list):
            raise invalid(
                "prices of minutes need to know what total_duration counts: milliseconds, seconds or minutes. The "
                "API's documents contradict each other, so compare one day with your invoice",
                "duration_unit",
            )
        return self

    def price_list(self) -> PriceList:
        """Return the prices as the rest of the collector knows them."""
        return PriceList(
            [one.price() for one in self.list],
            currency=self.currency or "",
            decimals=self.decimals,
            duration_unit=self.duration_unit,
            closing=self.closing,
        )
