"""One currency for the amounts of every table, with rates and amounts computed by hand."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from features.contract import TABLES
from features.errors import ContractBroken, MappingInvalid
from features.profile import open_profile

Write = Callable[..., Path]
Rows = Callable[..., list[dict[str, Any]]]

MAPPING = """
currency: {target: EUR, rates: fx}
sources: {people: people.csv, sales: sales.csv, plans: plans.csv, mails: mails.csv, fx: fx.csv}
times: {formats: YYYY-MM-DD, zone: UTC}
tables:
  customers: {from: people, columns: {customer_id: Id, created_at: Since, acquisition_cost: Cost, currency: Cur}}
  orders:
    from: sales
    columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount, currency: {constant: EUR}}
  subscriptions:
    from: plans
    columns: {customer_id: Id, subscription_id: Nr, started_at: Begin, monthly_value: Fee, currency: Cur}
  campaigns:
    from: mails
    columns: {customer_id: Id, campaign_id: Nr, event_time: Day, cost: Cost, currency: {constant: USD}}
"""
FILES = {
    "people": "Id,Since,Cost,Cur\na,2024-01-01,10,GBP\nb,2024-01-03,4.50,EUR\nc,2024-01-03,,GBP\n",
    "sales": "Id,Nr,Day,Amount\na,1,2024-01-05,10.00\n",
    "plans": (
        "Id,Nr,Begin,Fee,Cur\n"
        "a,s1,2024-01-05,10.00,USD\n"  # 10 x 0.9
        "b,s2,2024-01-06,10.00,USD\n"  # 10 x 0.95, the rate of that very day
        "c,s3,2024-01-07,7.25,EUR\n"
    ),
    "mails": "Id,Nr,Day,Cost\na,m1,2024-01-02,0.30\nb,m1,2024-01-09,\n",
    "fx": "currency,day,rate\nUSD,2024-01-01,0.9\nUSD,2024-01-06,0.95\nGBP,2024-01-01,1.2\n",
}


def amounts(rows_of: Rows, profile: Any, table: str, key: str, amount: str) -> list[tuple[Any, ...]]:
    return [(row[amount], row["currency"]) for row in rows_of(profile, table, key, amount, "currency")]


def test_the_amounts_of_every_table_are_converted_as_of_their_own_clock(write_mapping: Write, rows_of: Rows) -> None:
    profile = open_profile(write_mapping(MAPPING, **FILES))
    assert amounts(rows_of, profile, "subscriptions", "subscription_id", "monthly_value") == [
        (Decimal("9.0000"), "EUR"),
        (Decimal("9.5000"), "EUR"),
        (Decimal("7.2500"), "EUR"),
    ]
    assert amounts(rows_of, profile, "customers", "customer_id", "acquisition_cost") == [
        (Decimal("12.0000"), "EUR"),
        (Decimal("4.5000"), "EUR"),
        (None, "EUR"),
    ]
    assert amounts(rows_of, profile, "campaigns", "event_time", "cost") == [(Decimal("0.2700"), "EUR"), (None, "EUR")]
    assert amounts(rows_of, profile, "orders", "order_id", "value") == [(Decimal("10.0000"), "EUR")]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("plans", "2024-01-05", "2023-12-31", r"subscriptions.currency: 1 of 3 rows has no rate as of their time, "
                                              r"e.g. currency 'USD'.* Add rates to source 'fx', or correct"),
        ("plans", "7.25,EUR", "7.25,CHF", r"subscriptions.currency: 1 of 3 rows .* 'CHF'"),
        ("mails", "2024-01-02", "2023-12-31", r"campaigns.currency: 1 of 2 rows has no rate as of their time"),
        ("people", "a,2024-01-01", "a,", r"customers.currency: 1 of 3 rows .* 'GBP'.* or correct customers.created_at"),
    ],
)  # fmt: skip
def test_an_amount_without_a_rate_as_of_its_time_is_named(
    write_mapping: Write, file: str, old: str, new: str, said: str
) -> None:
    assert old in FILES[file]
    with pytest.raises(ContractBroken) as refused:
        open_profile(write_mapping(MAPPING, **FILES | {file: FILES[file].replace(old, new)}))
    assert refused.match(said)


def test_a_row_without_an_amount_needs_no_rate(write_mapping: Write, rows_of: Rows) -> None:
    mails = FILES["mails"].replace("b,m1,2024-01-09,", "b,m1,2023-01-09,")  # before the first rate, and free
    profile = open_profile(write_mapping(MAPPING, **FILES | {"mails": mails}))
    assert amounts(rows_of, profile, "campaigns", "event_time", "cost") == [(None, "EUR"), (Decimal("0.2700"), "EUR")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Fee, currency: Cur", "Fee", "currency: found it without subscriptions.currency. .* 'monthly_value'"),
        ("cost: Cost, currency: {constant: USD}", "cost: Cost", "currency: found it without campaigns.currency"),
        ("created_at: Since, ", "", "currency: found it without customers.created_at"),
    ],
)
def test_an_amount_whose_currency_or_time_is_not_said_is_refused(
    write_mapping: Write, old: str, new: str, said: str
) -> None:
    assert old in MAPPING
    with pytest.raises(MappingInvalid, match=said):
        open_profile(write_mapping(MAPPING.replace(old, new), **FILES))


def test_tables_in_different_currencies_are_refused(write_mapping: Write) -> None:
    mapping = MAPPING.replace("currency: {target: EUR, rates: fx}\n", "")
    files = FILES | {"people": FILES["people"].replace("GBP", "EUR"), "plans": FILES["plans"].replace("USD", "EUR")}
    said = "campaigns.currency: mixed currencies, found 'USD', beside 'EUR' in customers"
    with pytest.raises(ContractBroken, match=said):
        open_profile(write_mapping(mapping, **files))


def test_every_table_with_amounts_can_say_their_currency_and_time() -> None:
    priced = {name: table for name, table in TABLES.items() if table.money}
    assert sorted(priced) == ["campaigns", "customers", "orders", "subscriptions"]
    assert all({"currency", table.priced_at} <= set(table.by_name) for table in priced.values())
