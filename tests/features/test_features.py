import re
from collections.abc import Callable
from typing import Any

import pytest

from features.catalogue import ALL, CATALOGUE, CLV, FEATURE_SETS
from features.contract import FACT_TABLES, TABLES
from features.engine.builder import build_features
from features.instants import last_observed_day, read_instant
from features.profile import Profile
from features.spec import FeatureSet

Build = Callable[..., dict[str, dict[str, Any]]]

MICROSECOND = 1 / 86_400_000_000
"""In days."""


def c1(**columns: Any) -> dict[str, Any]:
    return {"customer_id": "c1"} | columns


def picked(*names: str) -> FeatureSet:
    return FeatureSet("picked", 1, tuple(CATALOGUE[name] for name in names))


@pytest.mark.parametrize("name", CATALOGUE)
def test_null_is_explained_in_the_description(name: str) -> None:
    feature = CATALOGUE[name]
    assert feature.nullable == bool(re.search(r"\bnull\b", feature.description))


# ---- borders of the windows
COUNTED: dict[str, tuple[str, dict[str, Any]]] = {
    "order_count": ("orders", {}),
    "order_value": ("orders", {"value": 1.0}),
    "order_day_count": ("orders", {}),
    "order_margin_value": ("orders", {"margin_value": 1.0}),
    "order_channel_count": ("orders", {"channel": "web"}),
    "order_channel_switch_count": ("orders", {"channel": "web"}),
    "order_category_count": ("orders", {"category": "toys"}),
    "return_count": ("orders", {"is_return": True}),
    "return_value": ("orders", {"is_return": True, "value": -1.0}),
    "event_count": ("events", {"kind": "anything"}),
    "event_day_count": ("events", {"kind": "anything"}),
    "event_channel_count": ("events", {"kind": "anything", "channel": "web"}),
    "touchpoint_count": ("events", {"kind": "anything", "touchpoint": "cart"}),
    "visit_count": ("events", {"kind": "session"}),
    "site_visit_count": ("events", {"kind": "page_view"}),
    "app_open_count": ("events", {"kind": "app_open"}),
    "store_visit_count": ("events", {"kind": "store_visit"}),
    "social_mention_count": ("events", {"kind": "social_mention"}),
    "cart_add_count": ("events", {"kind": "cart_add"}),
    "cart_abandon_count": ("events", {"kind": "cart_abandon"}),
    "loyalty_points_earned": ("events", {"kind": "loyalty_earn", "value": 1.0}),
    "loyalty_points_redeemed": ("events", {"kind": "loyalty_redeem", "value": 1.0}),
    "redemption_count": ("events", {"kind": "coupon_redeem"}),
    "email_sent_count": ("events", {"kind": "email_sent"}),
    "support_contact_count": ("events", {"kind": "call"}),
    "complaint_count": ("events", {"kind": "complaint"}),
    "support_ticket_count": ("events", {"kind": "support_ticket"}),
    "call_count": ("events", {"kind": "call"}),
    "repeated_support_contact_count": ("events", {"kind": "call"}),
    "campaign_contact_count": ("campaigns", {"campaign_id": "m1"}),
    "survey_asked_count": ("surveys", {"metric": "nps"}),
    "nps_asked_count": ("surveys", {"metric": "nps"}),
    "csat_asked_count": ("surveys", {"metric": "csat"}),
    "ces_asked_count": ("surveys", {"metric": "ces"}),
    "nps_answered_count": ("surveys", {"metric": "nps", "score": 1}),
    "csat_answered_count": ("surveys", {"metric": "csat", "score": 1}),
    "ces_answered_count": ("surveys", {"metric": "ces", "score": 1}),
    "price_increase_count": ("subscriptions", {"monthly_value": 2.0}),
}
EARLIER: dict[str, dict[str, Any]] = {
    "order_channel_switch_count": {"channel": "app"},
    "repeated_support_contact_count": {},
    "price_increase_count": {"monthly_value": 1.0},
}
"""What is counted only when another fact went before it: that fact's columns."""
ZERO_OR_MORE = [name for name in CATALOGUE if re.search(r"_\d+d$", name) and not CATALOGUE[name].nullable]


def border_rows(days: int) -> dict[str, list[dict[str, Any]]]:
    """Customers with one fact of every kind: just before the window, at its first instant, in its last, at its end."""
    ages = {"before": days + MICROSECOND, "first": days, "last": MICROSECOND, "end": 0}
    rows: dict[str, list[dict[str, Any]]] = {
        "customers": [{"customer_id": f"{stem}/{where}"} for stem in COUNTED for where in ages],
        **{table: [] for table in FACT_TABLES},
    }
    for stem, (table, columns) in COUNTED.items():
        for where, age in ages.items():
            customer = f"{stem}/{where}"
            earlier = [(age + 3, columns | EARLIER[stem])] if stem in EARLIER else []
            for happened, held in [*earlier, (age, columns)]:
                clocks = {str(TABLES[table].clock): happened}
                clocks |= {"responded_at": happened} if "score" in held else {}
                ids = {"subscription_id": customer} if table == "subscriptions" else {}
                rows[table].append({"customer_id": customer} | ids | clocks | held)
    return rows


@pytest.fixture(scope="module")
def at_borders(features_of: Build) -> dict[int, dict[str, dict[str, Any]]]:
    windows = {int(name.rsplit("_", 1)[1][:-1]) for name in ZERO_OR_MORE}
    return {days: features_of(border_rows(days), features=picked(*ZERO_OR_MORE)) for days in windows}


@pytest.mark.parametrize("name", ZERO_OR_MORE)
@pytest.mark.parametrize(("where", "counts"), [("before", 0), ("first", 1), ("last", 1), ("end", 0)])
def test_a_window_holds_its_first_instant_and_not_the_prediction_time(
    name: str, where: str, counts: int, at_borders: dict[int, dict[str, dict[str, Any]]]
) -> None:
    stem, days = re.fullmatch(r"(.+)_(\d+)d", name).groups()  # type: ignore[union-attr]
    assert at_borders[int(days)][f"{stem}/{where}"][name] == counts


# ---- order days, gaps and trends
def test_several_orders_on_a_utc_day_are_one_order_day(features_now: Build) -> None:
    orders = [
        c1(event_time="2023-06-01T00:00:00Z", value=1.0),
        c1(event_time="2023-06-01T23:59:59.999999Z", value=2.0),
        c1(event_time="2023-06-02T00:00:00Z", value=4.0),
        c1(event_time="2023-06-02T12:00:00Z", value=8.5),
    ]
    row = features_now({"orders": orders})["c1"]
    assert (row["frequency"], row["recency_days"], row["monetary_value"]) == (1, 1, 12.5)


@pytest.mark.parametrize(
    ("at", "T_days"),
    [
        ("1997-10-01", 272),
        ("1997-10-01T00:00:00.000001Z", 273),
        ("1997-09-30T12:00:00Z", 272),
        ("1997-01-01T00:00:01Z", 0),
        ("1997-01-02", 0),
    ],
)
def test_t_days_end_on_the_last_observed_day_as_in_the_literature(at: str, T_days: int, features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time="1997-01-01")]}, at)["c1"]
    assert row["T_days"] == T_days
    first_day = read_instant("1997-01-01").date()
    assert row["T_days"] == (last_observed_day(read_instant(at)) - first_day).days


def test_order_days_before_1970_count_like_later_ones(features_now: Build) -> None:
    orders = [
        c1(event_time="1969-12-30T23:00:00Z", channel="web"),
        c1(event_time="1970-01-01T01:00:00Z", channel="app"),
        c1(event_time="1965-12-31", channel="zoo"),
    ]
    row = features_now({"orders": orders}, "1970-01-02")["c1"]
    assert (row["frequency"], row["recency_days"], row["T_days"]) == (2, 1462, 1462)
    assert row["last_order_channel"] == "app"


def test_the_last_order_channel_before_1970_is_the_latest(features_now: Build) -> None:
    orders = [c1(event_time="1969-01-01", channel="new"), c1(event_time="1966-01-01", channel="old")]
    row = features_now({"orders": orders}, "1969-06-01")["c1"]
    assert row["last_order_channel"] == "new"


def test_the_last_score_before_1970_is_on_its_scale(features_now: Build) -> None:
    surveys = [c1(metric="nps", sent_at="1969-01-01", responded_at="1969-01-01", score=7)]
    assert features_now({"surveys": surveys}, "1969-06-01")["c1"]["nps_last_score"] == 7.0


def test_one_order_day_has_no_repeat_value_and_no_gap(features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time=10, value=5.0), c1(event_time=10, value=2.0)]})["c1"]
    assert (row["frequency"], row["recency_days"], row["monetary_value"]) == (0, 0, None)
    assert (row["order_gap_mean_days"], row["order_gap_std_days"], row["days_since_last_order_to_gap"]) == (None,) * 3
    assert row["first_day_value"] == 7.0


def test_two_order_days_have_a_gap_and_no_spread(features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time=10), c1(event_time=30)]})["c1"]
    assert (row["order_gap_mean_days"], row["order_gap_std_days"]) == (20.0, None)
    assert row["days_since_last_order_to_gap"] == 0.5


def test_equal_gaps_have_a_spread_of_exactly_zero(features_now: Build) -> None:
    orders = [c1(event_time=7 * i + 1) for i in range(30)]
    assert features_now({"orders": orders})["c1"]["order_gap_std_days"] == 0.0


@pytest.mark.parametrize(("first", "trend"), [(180, None), (180 + MICROSECOND, 1.0), (300, 1.0)])
def test_a_trend_is_null_for_customers_younger_than_both_spans(
    first: float, trend: float | None, features_now: Build
) -> None:
    orders = [c1(event_time=first), c1(event_time=90, value=3.0)]
    names = ("order_count_trend_90d", "order_value_trend_90d")
    row = features_now({"orders": orders})["c1"]
    assert [row[name] for name in names] == [trend, trend]


@pytest.mark.parametrize(("first", "trend"), [(11, None), (60, None), (60 + MICROSECOND, 1.0)])
def test_a_trend_of_events_is_null_for_customers_younger_than_both_spans(
    first: float, trend: float | None, features_now: Build
) -> None:
    row = features_now({"events": [c1(event_time=first, kind="session"), c1(event_time=5, kind="session")]})["c1"]
    assert row["event_count_trend_30d"] == trend


def test_a_trend_splits_the_spans_at_ninety_days(features_now: Build) -> None:
    orders = [c1(event_time=200), c1(event_time=180), c1(event_time=90 + MICROSECOND), c1(event_time=90)]
    row = features_now({"orders": orders})["c1"]
    assert row["order_count_trend_90d"] == (1 - 2) / (1 + 2)


def test_a_trend_over_two_empty_spans_is_null(features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time=300)]})["c1"]
    assert (row["order_count_trend_90d"], row["order_value_trend_90d"]) == (None, None)


def test_orders_given_away_have_no_discount_share_and_no_value_trend(features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time=300, value=0.0), c1(event_time=10, value=0.0)]})["c1"]
    assert (row["order_value_mean"], row["discount_share_365d"], row["order_value_trend_90d"]) == (0.0, None, None)
    assert row["order_count_trend_90d"] == 1.0


# ---- what was given back, and where it was ordered
def test_a_customer_who_only_gave_back_has_no_order(features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time=10, value=-4.0, is_return=True)]})["c1"]
    assert (row["frequency"], row["order_count_365d"], row["days_since_last_order"]) == (None, 0, None)
    assert (row["return_count_365d"], row["return_value_365d"], row["return_rate_365d"]) == (1, 4.0, None)


def test_more_can_be_given_back_than_was_ordered(features_now: Build) -> None:
    orders = [c1(event_time=400, value=30.0), c1(event_time=10, value=10.0)]
    returned = [c1(event_time=5, value=30.0, is_return=True)]
    assert features_now({"orders": orders + returned})["c1"]["return_rate_365d"] == 3.0


def test_the_last_order_channel_skips_orders_without_one(features_now: Build) -> None:
    orders = [c1(event_time=1), c1(event_time=2, channel="éclair"), c1(event_time=3, channel="web")]
    row = features_now({"orders": orders})["c1"]
    assert row["last_order_channel"] == "éclair"


# ---- surveys
def silence(features_now: Build, *surveys: dict[str, Any]) -> tuple[Any, Any]:
    row = features_now({"surveys": [c1(metric="nps") | survey for survey in surveys]})["c1"]
    return row["is_nps_silent"], row["nps_last_score"]


@pytest.mark.parametrize(
    ("surveys", "expected"),
    [
        ([{"sent_at": 10}], (True, None)),
        ([{"sent_at": 10, "responded_at": 9, "score": 0}], (False, 0.0)),
        ([{"sent_at": 20, "responded_at": 19, "score": 8}, {"sent_at": 10}], (True, 8.0)),
        ([{"sent_at": 20}, {"sent_at": 10, "responded_at": 9, "score": 8}], (False, 8.0)),
        ([{"sent_at": 20, "responded_at": 5, "score": 8}, {"sent_at": 10}], (True, 8.0)),
        ([{"sent_at": 20, "responded_at": 5, "score": 8}, {"sent_at": 10, "responded_at": 9, "score": 2}],
         (False, 8.0)),
        ([{"sent_at": 10, "responded_at": 9}], (True, None)),
        ([{"sent_at": 10, "responded_at": 0, "score": 8}], (True, None)),
        ([{"sent_at": 10, "responded_at": -3, "score": 8}], (True, None)),
        ([{"sent_at": 0, "responded_at": 0, "score": 8}], (False, None)),
        ([{"sent_at": 10, "responded_at": 9, "score": 8, "ingested_at": -1}], (False, None)),
        ([{"sent_at": 10}, {"sent_at": 10, "responded_at": 9, "score": 8}], (False, 8.0)),
    ],
    ids=[
        "asked", "answered with the lowest score", "answered, then silent", "silent, then answered",
        "a late answer to an older question", "two answers, the older question answered last", "answered without score",
        "answered at the prediction time", "answered later", "asked at the prediction time", "known only later",
        "asked twice at once, answered once",
    ],
)  # fmt: skip
def test_silence_is_told_from_an_answer(
    surveys: list[dict[str, Any]], expected: tuple[Any, Any], features_now: Build
) -> None:
    assert silence(features_now, *surveys) == expected


# ---- subscriptions, tenure
@pytest.mark.parametrize(
    ("ended_at", "running"), [(None, True), (-1, True), (0, True), (MICROSECOND, False), (5, False)]
)
def test_a_subscription_runs_until_an_end_before_the_prediction_time(
    ended_at: float | None, running: bool, features_now: Build
) -> None:
    subscription = c1(subscription_id="s1", started_at=10, ended_at=ended_at, monthly_value=3.0)
    row = features_now({"subscriptions": [subscription]})["c1"]
    assert (row["has_active_subscription"], row["subscription_monthly_value"]) == (running, 3.0 if running else 0.0)
    assert row["subscription_tenure_days"] == 10.0


@pytest.mark.parametrize(
    ("created_at", "tenure"), [(None, None), (0, None), (-3, None), (MICROSECOND, MICROSECOND), (2, 2)]
)
def test_a_relationship_that_still_lies_ahead_has_no_tenure(
    created_at: float | None, tenure: float | None, features_now: Build
) -> None:
    row = features_now({"customers": [c1(created_at=created_at)]})["c1"]
    assert row["tenure_days"] == tenure


# ---- the table itself
def test_rows_are_the_customers_known_by_each_prediction_time_in_order(features_of: Build) -> None:
    customers: list[dict[str, Any]] = [
        {"customer_id": "later", "ingested_at": -MICROSECOND},
        {"customer_id": "just", "ingested_at": 0},
        {"customer_id": "always"},
    ]
    orders = [{"customer_id": row["customer_id"], "event_time": 5} for row in customers]
    assert list(features_of({"customers": customers, "orders": orders}, features=CLV)) == ["always", "just"]


def test_a_feature_table_has_the_declared_columns_and_types(small_profile: Profile) -> None:
    table = build_features(small_profile, ALL, [read_instant("2024-01-01")])
    assert tuple(table.column_names) == ("customer_id", "prediction_time", *ALL.names)
    types = {"float64": "double", "int64": "int64", "bool": "bool", "string": "string"}
    assert [str(field.type) for field in table.schema][2:] == [types[feature.dtype] for feature in ALL.features]
    assert str(table.schema.field("prediction_time").type) == "timestamp[us, tz=UTC]"


def test_columns_follow_the_order_of_the_set_and_hold_no_ingredients(small_profile: Profile) -> None:
    features = picked("return_rate_365d", "days_since_last_order_to_gap", "frequency")
    table = build_features(small_profile, features, [read_instant("2024-01-01")])
    assert table.column_names[2:] == ["return_rate_365d", "days_since_last_order_to_gap", "frequency"]


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_declared_nulls_and_bounds_hold_on_the_simulated_profile(name: str, simulated: Profile) -> None:
    features = FEATURE_SETS[name]
    times = [simulated.known_until, read_instant("2023-06-01T10:30:00Z")]
    table = build_features(simulated, features, times)
    assert table.num_rows > 1_500
    for feature in features.features:
        values = table[feature.name]
        assert feature.nullable or values.null_count == 0, feature.name
        known = [value for value in values.to_pylist() if value is not None]
        assert known, feature.name
        if feature.minimum is not None:
            assert min(known) >= feature.minimum, feature.name
        if feature.maximum is not None:
            assert max(known) <= feature.maximum, feature.name


def test_recency_never_exceeds_t_on_the_simulated_profile(simulated: Profile) -> None:
    table = build_features(simulated, CLV, [simulated.known_until, read_instant("2023-06-01T10:30:00Z")])
    rows = [row for row in table.to_pylist() if row["frequency"] is not None]
    assert all(0 <= row["recency_days"] <= row["T_days"] for row in rows)
    assert all((row["recency_days"] == 0) == (row["frequency"] == 0) for row in rows)
    assert all((row["monetary_value"] is None) == (row["frequency"] == 0) for row in rows)


def test_btyd_summary_of_cdnow_matches_fader_hardie_lee_2005(cdnow_sample: Profile) -> None:
    table = build_features(cdnow_sample, CLV, [read_instant("1997-10-01")]).to_pandas()
    assert len(table) == 2_357
    assert (table["frequency"] > 0).sum() == 946
    assert table["frequency"].sum() == 2_457
    assert (table["T_days"].min(), table["T_days"].max()) == (189, 272)
