"""Who is a prospect, a customer or a former customer, on days counted by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.population import POPULATIONS, count_population
from features.profile import Profile, examine_profile, profile_from_tables
from features.usability.page import write_page
from features.usability.report import assess

END = pd.Timestamp("2024-12-31", tz="UTC")


def ago(days: float | None) -> Any:
    return pd.NaT if days is None else END - pd.Timedelta(days=days)


ORDERED = {  # 20 days apart: 1.5, 3 and 6 rhythms are 30, 60 and 120 days
    "new": [5],
    "steady": [30, 10],
    "late": [60, 40],
    "lapsed": [90, 70],
    "gone": [220, 200],
    "gone but subscribed": [220, 200],
    "ended but ordering": [30, 10],
}
SUBSCRIBED = {  # from, until
    "subscriber": (300, None),
    "left": (300, 100),
    "back": (300, 100),
    "gone but subscribed": (300, None),
    "ended but ordering": (300, 100),
    "ends later": (300, -10),
}
EXPECTED = {"prospect": 2, "active": 7, "at risk": 1, "lapsed": 1, "former": 2}


@pytest.fixture
def tables() -> Mapping[str, pd.DataFrame]:
    people = sorted({*ORDERED, *SUBSCRIBED, "prospect", "another"})
    orders = [(name, f"{name}-{day}", ago(day), 5.0) for name, days in ORDERED.items() for day in days]
    terms = [(name, name, ago(start), ago(end)) for name, (start, end) in SUBSCRIBED.items()]
    terms.append(("back", "again", ago(50), pd.NaT))
    return {
        "customers": pd.DataFrame({"customer_id": people}),
        "orders": pd.DataFrame(orders, columns=["customer_id", "order_id", "event_time", "value"]),
        "subscriptions": pd.DataFrame(terms, columns=["customer_id", "subscription_id", "started_at", "ended_at"]),
        "events": pd.DataFrame({"customer_id": ["prospect"], "event_time": [ago(0.5)], "kind": ["session"]}),
    }


def counted(profile: Profile) -> tuple[str, dict[str, int]]:
    found = count_population(profile)
    assert found is not None
    return found.as_of, found.customers


def test_every_customer_belongs_to_one_population_at_the_end(tables: Mapping[str, pd.DataFrame]) -> None:
    assert counted(profile_from_tables(tables)) == ("2024-12-31", EXPECTED)
    assert sum(EXPECTED.values()) == len(tables["customers"])


def test_without_subscriptions_the_rhythm_alone_decides(tables: Mapping[str, pd.DataFrame]) -> None:
    rest = {name: table for name, table in tables.items() if name != "subscriptions"}
    expected = {"prospect": 6, "active": 3, "at risk": 1, "lapsed": 1, "former": 2}
    assert counted(profile_from_tables(rest)) == ("2024-12-31", expected)


def test_without_orders_the_subscriptions_alone_decide(tables: Mapping[str, pd.DataFrame]) -> None:
    rest = {name: table for name, table in tables.items() if name != "orders"}
    expected = {"prospect": 7, "active": 4, "at risk": 0, "lapsed": 0, "former": 2}
    assert counted(profile_from_tables(rest)) == ("2024-12-31", expected)


def test_where_nothing_tells_them_apart_nothing_is_claimed(tables: Mapping[str, pd.DataFrame]) -> None:
    rest = {name: tables[name] for name in ("customers", "events")}
    assert count_population(profile_from_tables(rest)) is None


def test_the_report_shows_every_population(tables: Mapping[str, pd.DataFrame], tmp_path: Path) -> None:
    report = assess(profile_from_tables(tables))
    assert report.document()["population"] == {"as_of": "2024-12-31", "customers": EXPECTED}
    page = write_page(report, tmp_path / "page.html").read_text()
    assert "Customers by population as of 2024-12-31" in page
    for name, tally in EXPECTED.items():
        assert f'<td>{name}</td><td class="n">{tally}</td><td class="quiet">{POPULATIONS[name]}</td>' in page


def test_a_broken_profile_is_counted_as_far_as_it_goes(write_folder: Callable[..., Path]) -> None:
    folder = write_folder({
        "customers.csv": "customer_id\na\nb\n",
        "orders.csv": "customer_id,order_id,event_time,value\na,1,2024-01-05T00:00:00Z,x\nghost,2,someday,1\n",
    })  # fmt: skip
    report = assess(examine_profile(folder))
    assert not report.is_valid
    assert report.population is not None
    assert report.population.customers == {"prospect": 1, "active": 1, "at risk": 0, "lapsed": 0, "former": 0}
