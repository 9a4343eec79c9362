"""The columns of a dataset by FOCUS 1.2, and their values in a format without types."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from collector.core.columns import Column, Kind, Row, Value

_T, _D, _I = Kind.TEXT, Kind.DECIMAL, Kind.INSTANT
# Columns that the specification demands, and those of its others that apply; by name, ours behind them.
COLUMNS = (
    Column("BilledCost", _D, "The quantity times the unit price"),
    Column("BillingAccountId", _T, "The organization's id: it is what the provider bills"),
    Column("BillingAccountName", _T),
    Column("BillingCurrency", _T),
    Column("BillingPeriodEnd", _I, "The end of the month, in UTC"),
    Column("BillingPeriodStart", _I, "The month, in UTC"),
    Column("ChargeCategory", _T),
    Column("ChargeClass", _T, "`Correction` of a month that was closed; else empty"),
    Column("ChargeDescription", _T),
    Column("ChargeFrequency", _T),
    Column("ChargePeriodEnd", _I, "The first instant after the window"),
    Column("ChargePeriodStart", _I, "The first instant of the window, on the org's own calendar"),
    Column("CommitmentDiscountStatus", _T, "Empty: no commitment discount is known"),  # rules of others refer to it
    Column("ConsumedQuantity", _D),
    Column("ConsumedUnit", _T),
    Column("ContractedCost", _D),
    Column("ContractedUnitPrice", _D, "The price of the config"),
    Column("EffectiveCost", _D),
    Column("InvoiceId", _T, "Empty: no invoice of the provider is known"),
    Column("InvoiceIssuerName", _T),
    Column("ListCost", _D, "As the billed cost: no list price is known"),
    Column("PricingCategory", _T),
    Column("PricingQuantity", _D),
    Column("PricingUnit", _T),
    Column("ProviderName", _T),
    Column("PublisherName", _T),
    Column("ServiceCategory", _T),
    Column("ServiceName", _T, "The product, as the API names it"),
    Column("ServiceSubcategory", _T),
    Column("SkuId", _T, "The product and the metric"),
    Column("SkuMeter", _T, "The metric"),
    Column("SkuPriceDetails", _T, "The product and the metric, as JSON"),
    Column("SkuPriceId", _T, "The product, the metric and the unit price"),
    Column("SubAccountId", _T, "The organization's id"),
    Column("SubAccountName", _T),
    Column("Tags", _T, "The org's labels in the present config, as JSON"),
    Column("x_Org", _T, "The org's name in the config"),
    Column("x_Population", _T, "Whose usage: humans or service accounts"),
    Column("x_Quality", _T, "How much the number can be relied upon"),
    Column("x_RecordId", _T, "As in the stream of records"),
    Column("x_RestatedAt", _I, "Of a correction: when the number was restated"),
    Column("x_Revision", Kind.INTEGER, "Of the record that has the number"),
    Column("x_Timezone", _T, "The zone of the org's calendar"),
    Column("x_WindowDate", Kind.DATE, "The local date on which the window begins: it decides the month and the price"),
)


def as_text(row: Row) -> Row:
    """Return a row for a format without types: instants as the specification writes them, decimals with a point.

    Readers guess the type of a column: quantities that happen to be whole would be integers in one month only.
    """
    return [_text(value) for value in row]


def _text(value: Value) -> Value:
    match value:
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case Decimal():
            text = f"{value:f}"
            return text if "." in text else f"{text}.0"
        case _:
            return value
