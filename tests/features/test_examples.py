"""Every example under `examples/` is read as its README counts it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.catalogue import ALL, CLV
from features.engine.builder import available, build_features
from features.finding import Finding
from features.instants import read_instant
from features.profile import Profile, open_profile

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
Rows = Callable[..., list[dict[str, Any]]]


def counts(profile: Profile) -> dict[str, int]:
    return {summary.table: summary.rows for summary in profile.summaries}


def errors(profile: Profile) -> list[Finding]:
    return [finding for finding in profile.findings if finding.severity == "error"]


def frame(profile: Profile, table: str) -> pd.DataFrame:
    return pd.DataFrame(profile.tables[table].to_pyarrow().to_pylist())


@pytest.fixture(scope="module")
def contoso(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return open_profile(EXAMPLES / "contoso", tmp_path_factory.mktemp("quarantine"))


def read_contoso(name: str) -> pd.DataFrame:
    return pd.read_csv(EXAMPLES / "contoso" / "data" / f"{name}.csv.gz", dtype=str)


def test_contoso_is_five_tables_of_known_size(contoso: Profile) -> None:
    read = {table: rows.read for table, rows in contoso.counts.items()}
    assert read == {"customers": 5_000, "orders": 12_369 + 20_024, "surveys": 20_020, "identities": 5_002}
    assert counts(contoso) == {table: rows.used for table, rows in contoso.counts.items()}
    assert contoso.broken_rows == "quarantine"


def test_contosos_orphans_are_those_that_pandas_counts(contoso: Profile) -> None:
    known = set(read_contoso("contacts")["ContactId"])
    cards = read_contoso("loyalty_accounts").set_index("LoyaltyId")["ContactId"]
    online = ~read_contoso("online_purchases")["ContactId"].isin(known)
    stores = ~read_contoso("pos_purchases")["LoyaltyId"].map(cards).isin(known)
    reviews = ~read_contoso("website_reviews")["UserId"].isin(known)
    expected = {
        "orders": int(online.sum() + stores.sum()),
        "surveys": int(reviews.sum()),
        "identities": int((~cards.isin(known)).sum()),
    }
    assert expected == {"orders": 16, "surveys": 17, "identities": 2}
    found = [finding for finding in contoso.findings if finding.rule == "a customer_id that is not in customers"]
    assert {finding.table: finding.rows for finding in found} == expected
    assert contoso.counts["orders"].out_of_scope == expected["orders"]
    assert contoso.counts["identities"].out_of_scope == expected["identities"]


def test_contosos_reviews_given_twice_count_once(contoso: Profile) -> None:
    reviews = read_contoso("website_reviews")
    copies = reviews.duplicated(["UserId", "ReviewDate", "ReviewRating"]).sum()
    assert contoso.counts["surveys"].quarantined == copies
    assert contoso.counts["orders"].quarantined == 0


def test_contosos_store_purchases_reach_the_contact_through_the_loyalty_card(contoso: Profile) -> None:
    orders = frame(contoso, "orders")
    stores = orders[orders["channel"] == "store"].set_index("order_id")
    bought = read_contoso("pos_purchases")
    cards = read_contoso("loyalty_accounts").set_index("LoyaltyId")["ContactId"]
    expected = bought.set_index("PurchaseId")["LoyaltyId"].map(cards)
    known = expected[expected.isin(set(read_contoso("contacts")["ContactId"]))]
    assert stores["customer_id"].to_dict() == known.to_dict()
    paid = bought.set_index("PurchaseId")["TotalPrice"].astype(float)[known.index]
    assert float(stores["value"].astype(float).sum()) == pytest.approx(paid.sum(), abs=1e-6)


def test_contosos_dates_are_read_in_both_formats(contoso: Profile) -> None:
    days = frame(contoso, "orders").set_index("order_id")["event_time"]
    assert days["OPID_1002"] == pd.Timestamp("2018-10-10", tz="UTC")  # 10/10/2018
    assert days["OPID_1003"] == pd.Timestamp("2018-03-07", tz="UTC")  # 3/7/2018
    assert days["PID_1001"] == pd.Timestamp("2019-04-19", tz="UTC")  # 2019-04-19


def test_contosos_customers_are_known_before_the_crm_created_them(contoso: Profile) -> None:
    customers = frame(contoso, "customers")
    assert (customers["created_at"] == pd.Timestamp("2019-01-31", tz="UTC")).sum() == 4_993
    assert customers["ingested_at"].isna().all()
    assert customers["gender"].notna().all()


def test_the_clickstream_loses_its_30_copies_and_keeps_everything_else(rows_of: Rows) -> None:
    profile = open_profile(EXAMPLES / "clickstream")
    assert counts(profile) == {"customers": 600, "orders": 470, "events": 31_106 - 30}
    copies = [finding for finding in profile.findings if "exact copy" in finding.rule]
    assert [(finding.table, finding.rows, finding.of) for finding in copies] == [("events", 30, 31_106)]
    kinds = pd.Series([row["kind"] for row in rows_of(profile, "events", "kind")]).value_counts()
    assert (kinds["purchase"], kinds["support_ticket"], kinds["payment_error"]) == (470, 277, 119)
    assert build_features(profile, available(profile, ALL).features, [read_instant("2024-07-01")]).num_rows == 600


def test_cdnows_day_orders_give_the_features_of_the_bundled_profile(cdnow: Profile) -> None:
    profile = open_profile(EXAMPLES / "cdnow")
    assert counts(profile) == {"customers": 23_570, "orders": 69_659 - 2_068}
    times = [read_instant("1997-10-01")]
    assert build_features(profile, CLV, times).equals(build_features(cdnow, CLV, times))


def test_the_telco_table_becomes_attributes_subscriptions_and_an_outcome_apart(rows_of: Rows) -> None:
    profile = open_profile(EXAMPLES / "telco")
    assert counts(profile) == {"customers": 7_043, "subscriptions": 7_043}
    assert profile.labels is not None
    labels = profile.labels.to_pyarrow().to_pandas()
    assert int(labels["has_churned"].sum()) == 1_869
    rows = rows_of(profile, "subscriptions", "customer_id", "started_at")
    started = {row["customer_id"]: row["started_at"] for row in rows}
    assert started["5575-GNVDE"] == read_instant("2016-03-01")  # 34 months
    seen = {name.lower() for table in profile.tables.values() for name in table.columns}
    assert not any("churn" in name for name in seen)
    table = build_features(profile, available(profile, ALL).features, [read_instant("2019-01-02")])
    assert table.num_rows == 7_043


def test_the_complete_journeys_lines_become_baskets(complete_journey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETE_JOURNEY", str(complete_journey))
    profile = open_profile(EXAMPLES / "complete_journey")
    assert counts(profile) == {"customers": 2_469, "orders": 155_848, "events": 2_102 + 6_589, "campaigns": 6_589}
    orders = frame(profile, "orders")
    lines = pd.read_parquet(complete_journey / "transactions.parquet")
    assert float(orders["value"].sum()) == pytest.approx(4_596_039.58)
    basket = lines[lines["basket_id"] == lines["basket_id"].iloc[0]]
    found = orders.set_index("order_id").loc[str(basket["basket_id"].iloc[0])]
    assert float(str(found["value"])) == pytest.approx(basket["sales_value"].sum())
    assert found["item_count"] == basket["quantity"].sum()
    assert found["event_time"] == basket["transaction_timestamp"].min().tz_localize("UTC")
    states = frame(profile, "customers")
    assert (states["age_band"].notna().sum(), states["customer_id"].nunique()) == (801, 2_469)
