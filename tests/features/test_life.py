"""Every feature by hand: one customer with facts in every table, and one without any."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from features.catalogue import CATALOGUE

Build = Callable[..., dict[str, dict[str, Any]]]


def c1(**columns: Any) -> dict[str, Any]:
    return {"customer_id": "c1"} | columns


LIFE: dict[str, list[dict[str, Any]]] = {
    "customers": [
        c1(created_at="2023-01-01", acquisition_channel="search", acquisition_cost=12.5, region="north",
           age_band="35-44", income_band="high", company_size="1-9", industry="retail", tier="gold"),
        {"customer_id": "nobody"},
    ],
    "orders": [
        # order days 2022-11-27, 2023-01-01, 09-03 (Sundays), 10-03 (Tuesday), 12-02, 12-30 (Saturdays);
        # 400, 365, 120, 90, 30 and 2 days before; gaps of 35, 245, 30, 60, 28 days
        c1(event_time="2022-11-27", value=10.0, channel="phone", category="books", margin_value=100.0, item_count=50.0),
        c1(event_time="2023-01-01", value=20.0, discount_value=5.0, channel="web", category="books", margin_value=4.0,
           item_count=3.0),
        c1(event_time="2023-09-03T08:00:00Z", value=30.0, discount_value=0.0, channel="app", category="toys",
           margin_value=6.5, item_count=2.0),
        c1(event_time="2023-09-03T20:00:00Z", value=15.5, discount_value=4.5, channel="app"),
        c1(event_time="2023-10-03", value=40.0, channel="store", margin_value=-1.25, item_count=1.0),
        c1(event_time="2023-12-02", value=8.25, discount_value=1.75, channel="web", category="toys", is_return=False,
           item_count=4.0),
        c1(event_time="2023-12-30T18:00:00Z", value=12.1, channel="web", margin_value=2.0),
        c1(event_time="2023-12-30T18:00:00Z", value=7.9, channel="app", ingested_at="2024-01-01"),
        # not known yet
        c1(event_time="2024-01-01", value=1000.0, channel="zoo", category="zoo"),
        c1(event_time="2023-12-31", value=1000.0, channel="zoo", ingested_at="2024-01-01T00:00:00.000001Z"),
        # given back
        c1(event_time="2023-10-10", value=-6.0, is_return=True, channel="zoo", category="zoo", margin_value=-9.0,
           item_count=9.0),
        c1(event_time="2023-01-01", value=4.0, is_return=True),
        c1(event_time="2022-12-31T23:59:59Z", value=-100.0, is_return=True),
        c1(event_time="2024-01-01", value=-100.0, is_return=True),
    ],
    "events": [
        c1(event_time=1, kind="session"),
        c1(event_time=2, kind="email_click", channel="email"),
        c1(event_time=2.5, kind="email_open", channel="email"),
        c1(event_time=3, kind="email_sent"),
        c1(event_time=4, kind="ticket_resolved"),
        c1(event_time=5, kind="support_ticket"),
        c1(event_time=6, kind="cart_add", channel="app", touchpoint="cart"),
        c1(event_time=10, kind="cart_abandon", touchpoint="cart"),
        c1(event_time=12, kind="loyalty_redeem"),
        c1(event_time=15, kind="loyalty_earn", value=100.5),
        c1(event_time=20, kind="email_sent"),
        c1(event_time=29, kind="app_open"),
        c1(event_time=30, kind="page_view", channel="web", touchpoint="home"),
        # 13 events on 12 days so far
        c1(event_time=31, kind="store_visit", channel="store"),
        c1(event_time=40, kind="email_sent"),
        c1(event_time=45, kind="coupon_redeem", value=5.0),
        c1(event_time=50, kind="loyalty_redeem", value=60.0),
        c1(event_time=60, kind="cart_add"),
        # 5 more in the 30 days before
        c1(event_time=70, kind="email_click"),
        c1(event_time=80, kind="complaint", touchpoint="delivery"),
        c1(event_time=86, kind="support_ticket"),
        c1(event_time=89, kind="cart_add"),
        c1(event_time=90, kind="call", channel="phone"),
        c1(event_time=90, kind="cart_abandon"),
        c1(event_time=90, kind="email_sent"),
        # 25 events on 22 days within 90 days
        c1(event_time=91, kind="email_open", touchpoint="newsletter"),
        c1(event_time=100, kind="social_mention", channel="forum"),
        c1(event_time=120, kind="cart_add"),
        c1(event_time=365, kind="complaint"),
        c1(event_time=365, kind="loyalty_earn", value=20.25),
        # more than a year ago, or not known yet
        c1(event_time=366, kind="complaint"),
        c1(event_time=380, kind="loyalty_redeem", value=10.0),
        c1(event_time=400, kind="loyalty_earn", value=1000.0),
        c1(event_time=0, kind="session", channel="zoo", touchpoint="zoo"),
    ],
    "surveys": [
        c1(metric="nps", sent_at=370, responded_at=369, score=3, touchpoint="shop"),
        c1(metric="nps", sent_at=100, responded_at=99, score=9),
        c1(metric="nps", sent_at=100, responded_at=99, score=7),
        c1(metric="nps", sent_at=10, responded_at=0, score=1, touchpoint="zoo"),
        c1(metric="csat", sent_at=380, responded_at=376.5, score=1, touchpoint="delivery"),
        c1(metric="csat", sent_at=365),
        c1(metric="csat", sent_at=50, responded_at=49, score=4, programme="periodic"),
        c1(metric="ces", sent_at=200, responded_at=199, score=6),
        c1(metric="ces", sent_at=20, responded_at=19, score=2, programme="event", touchpoint="help"),
        c1(metric="ces", sent_at=0, responded_at=0, score=7, programme="zoo"),
    ],
    "subscriptions": [
        c1(subscription_id="s1", started_at=300, ended_at=100, monthly_value=10.0, term_ends_at=100),
        c1(subscription_id="s2", started_at=50, monthly_value=9.99, plan="silver", term_ends_at=-20),
        c1(subscription_id="s3", started_at=40, ended_at=-5, monthly_value=5.01, term_ends_at=-30),
        c1(subscription_id="s4", started_at=0, monthly_value=100.0, plan="zoo", term_ends_at=-1),
        # dearer after a pause, cheaper at once, dearer after exactly a day
        c1(subscription_id="s5", started_at=290, ended_at=280, monthly_value=4.0, plan="basic"),
        c1(subscription_id="s5", started_at=200, ended_at=120, monthly_value=6.0),
        c1(subscription_id="s5", started_at=120, ended_at=60, monthly_value=5.0),
        c1(subscription_id="s5", started_at=59, ended_at=58, monthly_value=5.5),
        # dearer after a pause, more than a year ago
        c1(subscription_id="s6", started_at=500, ended_at=400, monthly_value=1.0),
        c1(subscription_id="s6", started_at=370, ended_at=310, monthly_value=3.0),
    ],
    "campaigns": [
        c1(campaign_id="m1", event_time=10, channel="email", cost=0.5),
        c1(campaign_id="m2", event_time=90, is_control=False),
        c1(campaign_id="m3", event_time=5, is_control=True),
        c1(campaign_id="m4", event_time=100),
        c1(campaign_id="m5", event_time=365),
        c1(campaign_id="m6", event_time=366),
        c1(campaign_id="m7", event_time=0),
        c1(campaign_id="m8", event_time=7, ingested_at=-1),
    ],
}  # fmt: skip

GAPS = (35, 245, 30, 60, 28)
GAP_MEAN = 398 / 5
YEAR_VALUE = 20 + 30 + 15.5 + 40 + 8.25 + 12.1 + 7.9
VALUE_MEAN = (YEAR_VALUE + 10) / 8

EXPECTED: dict[str, tuple[Any, Any]] = {
    # feature: (value of the life above on 2024-01-01, value of a customer without facts)
    "frequency": (5, None),
    "recency_days": (398, None),
    "T_days": (399, None),
    "monetary_value": ((20 + 45.5 + 40 + 8.25 + 20) / 5, None),
    "days_since_last_order": (1.25, None),
    "order_gap_mean_days": (GAP_MEAN, None),
    "order_gap_std_days": (math.sqrt(sum((gap - GAP_MEAN) ** 2 for gap in GAPS) / 4), None),
    "days_since_first_order": (400.0, None),
    "order_gap_maximum_days": (245.0, None),
    "last_order_gap_days": (28.0, None),
    "last_order_gap_to_mean": (28 / GAP_MEAN, None),
    "days_since_last_order_to_gap": (1.25 / GAP_MEAN, None),
    "is_late": (False, False),
    "days_since_last_order_to_longest_gap": (1.25 / 245, None),
    # orders
    "order_count_7d": (2, 0),
    "order_count_30d": (3, 0),
    "order_count_90d": (4, 0),
    "order_count_180d": (6, 0),
    "order_count_365d": (7, 0),
    "order_value_7d": (20.0, 0.0),
    "order_value_30d": (28.25, 0.0),
    "order_value_90d": (68.25, 0.0),
    "order_value_180d": (68.25 + 45.5, 0.0),
    "order_value_365d": (YEAR_VALUE, 0.0),
    "order_day_count_7d": (1, 0),
    "order_day_count_30d": (2, 0),
    "order_day_count_90d": (3, 0),
    "order_day_count_180d": (4, 0),
    "order_day_count_365d": (5, 0),
    "order_value_mean": (VALUE_MEAN, None),
    "order_value_maximum": (40.0, None),
    "first_day_value": (10.0, None),
    "order_value_minimum": (7.9, None),
    "last_day_value": (20.0, None),
    "last_day_value_to_mean": (20 / VALUE_MEAN, None),
    "largest_day_share": (45.5 / (YEAR_VALUE + 10), None),
    "order_count_trend_30d": ((3 - 0) / (3 + 0), None),
    "order_count_trend_90d": ((4 - 2) / (4 + 2), None),
    "order_count_trend_180d": ((6 - 0) / (6 + 0), None),
    "order_value_trend_30d": ((28.25 - 0) / (28.25 + 0), None),
    "order_value_trend_90d": ((68.25 - 45.5) / (68.25 + 45.5), None),
    "order_value_trend_180d": ((113.75 - 0) / (113.75 + 0), None),
    # periods of 30 days, latest first: 3, 0, 1, 2, 0, 0 orders of 28.25, 0, 40, 45.5, 0, 0;
    # centred at 2.5, 1.5, 0.5, -0.5, -1.5, -2.5, whose squares sum to 17.5
    "order_count_slope_180d": ((2.5 * 3 + 0.5 * 1 - 0.5 * 2) / 17.5, None),
    "order_value_slope_180d": ((2.5 * 28.25 + 0.5 * 40 - 0.5 * 45.5) / 17.5, None),
    "has_order_same_time_last_year": (True, False),
    # baskets: web, app, app, store, web, web, app in the year, phone before it
    "order_value_mean_90d": (68.25 / 4, None),
    "order_value_mean_365d": (YEAR_VALUE / 7, None),
    "discount_share_90d": (1.75 / (68.25 + 1.75), None),
    "discount_share_365d": (11.25 / (YEAR_VALUE + 11.25), None),
    "discounted_order_share_365d": (3 / 7, None),
    "order_margin_value_365d": (4 + 6.5 - 1.25 + 2, 0.0),
    "order_item_count_mean_365d": ((3 + 2 + 1 + 4) / 4, None),
    "order_channel_count_365d": (3, 0),
    "first_order_channel": ("phone", None),
    "last_order_channel": ("web", None),
    "preferred_order_channel_365d": ("web", None),
    "preferred_order_channel_share_365d": (3 / 7, None),
    "order_channel_entropy_365d": (2 * 3 / 7 * math.log(7 / 3) + 1 / 7 * math.log(7), None),
    "order_channel_switch_count_365d": (5, 0),
    "order_category_count_365d": (2, 0),
    "first_order_category": ("books", None),
    "preferred_order_category_365d": ("toys", None),
    "order_category_entropy_365d": (2 / 3 * math.log(3 / 2) + 1 / 3 * math.log(3), None),
    "largest_category_share_365d": ((30 + 8.25) / (30 + 8.25 + 20), None),
    "weekend_order_share_365d": (6 / 7, None),
    "evening_order_share_365d": (3 / 7, None),
    "top_weekday_order_share_365d": (3 / 7, None),
    # what was given back, and where the customer stands
    "return_count_90d": (1, 0),
    "return_count_365d": (2, 0),
    "return_value_365d": (10.0, 0.0),
    "return_rate_365d": (10 / YEAR_VALUE, None),
    "margined_order_value": (10 + 20 + 30 + 40 + 12.1 - 6, None),
    "net_margin_value": (100 + 4 + 6.5 - 1.25 + 2 - 9, None),
    "net_order_value": (10 + 20 + 30 + 15.5 + 40 + 8.25 + 12.1 + 7.9 - 6 - 4 - 100, None),
    "days_since_last_return": (83.0, None),
    "rhythm_days": (GAP_MEAN, 90.0),
    "lifecycle_state": ("active", "prospect"),
    "days_in_lifecycle_state": (1.25, None),
    # events
    "event_count_7d": (7, 0),
    "event_count_30d": (13, 0),
    "event_count_90d": (25, 0),
    "event_count_180d": (28, 0),
    "event_count_365d": (30, 0),
    "event_day_count_30d": (12, 0),
    "event_day_count_90d": (22, 0),
    "event_count_trend_30d": ((13 - 5) / (13 + 5), None),
    "event_count_trend_90d": ((25 - 3) / (25 + 3), None),
    "days_since_last_event": (1.0, None),
    "visit_count_7d": (1, 0),
    "visit_count_30d": (3, 0),
    "visit_count_90d": (4, 0),
    "days_since_last_visit": (1.0, None),
    "site_visit_count_90d": (2, 0),
    "app_open_count_90d": (1, 0),
    "store_visit_count_90d": (1, 0),
    "social_mention_count_365d": (1, 0),
    "cart_add_count_90d": (3, 0),
    "cart_abandon_count_90d": (2, 0),
    "cart_abandonment_rate_90d": (2 / 3, None),
    "event_channel_count_90d": (5, 0),
    "last_event_channel": ("email", None),
    "touchpoint_count_90d": (3, 0),
    "loyalty_points_earned_365d": (100.5 + 20.25, 0.0),
    "loyalty_points_redeemed_365d": (60.0, 0.0),
    "loyalty_points_balance": (100.5 + 20.25 + 1000 - 60 - 10, 0.0),
    "loyalty_burn_rate_365d": (60 / 120.75, None),
    "redemption_count_365d": (3, 0),
    "email_sent_count_90d": (4, 0),
    "email_open_rate_90d": (1 / 4, None),
    "email_click_rate_90d": (2 / 4, None),
    "days_since_last_response": (2.0, None),
    "campaign_contact_count_90d": (2, 0),
    "campaign_contact_count_365d": (4, 0),
    "days_since_last_campaign": (10.0, None),
    "redemption_to_contact_365d": (3 / 4, None),
    # support: contact days 366, 365, 90, 86, 80 and 5 days before
    "support_contact_count_30d": (1, 0),
    "support_contact_count_90d": (4, 0),
    "support_contact_count_365d": (5, 0),
    "complaint_count_90d": (1, 0),
    "complaint_count_365d": (2, 0),
    "support_ticket_count_90d": (2, 0),
    "call_count_90d": (1, 0),
    "days_since_last_support_contact": (5.0, None),
    "unresolved_ticket_count": (1, 0),
    "repeated_support_contact_count_365d": (3, 0),
    # surveys: answers nps 3, then 9 and 7 at once; csat 1, 4; ces 6, 2
    "nps_last_score": (9.0, None),
    "csat_last_score": (4.0, None),
    "ces_last_score": (2.0, None),
    "nps_mean_score": ((3 + 9 + 7) / 3, None),
    "csat_mean_score": ((1 + 4) / 2, None),
    "ces_mean_score": ((6 + 2) / 2, None),
    "nps_minimum_score": (3.0, None),
    "csat_minimum_score": (1.0, None),
    "ces_minimum_score": (2.0, None),
    "nps_trend": (9 - (3 + 7) / 2, None),
    "csat_trend": (4 - 1 / 1, None),
    "ces_trend": (2 - 6 / 1, None),
    "nps_spread": (9.0 - 3, None),
    "csat_spread": (4.0 - 1, None),
    "ces_spread": (6.0 - 2, None),
    "days_since_nps_answer": (99.0, None),
    "days_since_csat_answer": (49.0, None),
    "days_since_ces_answer": (19.0, None),
    "nps_category": ("promoter", None),
    "csat_category": ("satisfied", None),
    "ces_category": ("hard", None),
    "nps_asked_count_365d": (3, 0),
    "csat_asked_count_365d": (2, 0),
    "ces_asked_count_365d": (2, 0),
    "nps_answered_count_365d": (2, 0),
    "csat_answered_count_365d": (1, 0),
    "ces_answered_count_365d": (2, 0),
    "nps_response_rate_365d": (2 / 3, None),
    "csat_response_rate_365d": (1 / 2, None),
    "ces_response_rate_365d": (2 / 2, None),
    "is_nps_silent": (True, False),
    "is_csat_silent": (False, False),
    "is_ces_silent": (False, False),
    "survey_asked_count_90d": (3, 0),
    "survey_asked_count_365d": (7, 0),
    "survey_response_rate_365d": (5 / 7, None),
    "days_since_last_answer": (19.0, None),
    "days_since_unanswered_question": (10.0, None),
    "survey_answer_delay_mean_days": ((6 * 1 + 3.5) / 7, None),
    "order_to_survey_days": (30.0 - 10, None),
    "last_survey_programme": ("event", None),
    "worst_survey_touchpoint": ("delivery", None),
    "experience_mean": ((9 / 10 + 3 / 4 + 1 / 6) / 3, None),
    "experience_disagreement": (9 / 10 - 1 / 6, None),
    # subscriptions
    "has_active_subscription": (True, False),
    "active_subscription_count": (2, 0),
    "subscription_tenure_days": (500.0, None),
    "days_since_last_subscription_end": (58.0, None),
    "subscription_monthly_value": (9.99 + 5.01, 0.0),
    "last_subscription_plan": ("silver", None),
    "days_to_term": (20.0, None),
    "subscription_renewal_count": (4, 0),
    "subscription_pause_count": (2, 0),
    "subscription_price_change": ((6 - 4) + (5 - 6) + (5.5 - 5) + (3 - 1), 0.0),
    "price_increase_count_365d": (2, 0),
    "subscription_spell_days": (500.0, None),
    # portrait
    "tenure_days": (365.0, None),
    "acquisition_channel": ("search", None),
    "acquisition_cost": (12.5, None),
    "region": ("north", "missing"),
    "age_band": ("35-44", "missing"),
    "gender": ("missing", "missing"),
    "income_band": ("high", "missing"),
    "company_size": ("1-9", "missing"),
    "industry": ("retail", "missing"),
    "tier": ("gold", "missing"),
}
TOLERANCE = {"order_channel_entropy_365d": 1e-9, "order_category_entropy_365d": 1e-9}
"""The terms of an entropy are rounded to ten decimals; all else is as exact as a float."""


@pytest.fixture(scope="module", params=["batch", "request"])
def life(request: pytest.FixtureRequest, features_of: Build, features_now: Build) -> dict[str, dict[str, Any]]:
    return (features_of if request.param == "batch" else features_now)(LIFE)


def test_every_feature_of_the_catalogue_has_a_hand_computed_value() -> None:
    assert set(EXPECTED) == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_feature_has_its_hand_computed_value(name: str, life: dict[str, dict[str, Any]]) -> None:
    expected = EXPECTED[name][0]
    tolerance = TOLERANCE.get(name, 1e-14)
    assert life["c1"][name] == (pytest.approx(expected, rel=tolerance) if isinstance(expected, float) else expected)
    assert type(life["c1"][name]) is type(expected)


@pytest.mark.parametrize("name", CATALOGUE)
def test_feature_of_a_customer_without_facts_is_zero_or_null_as_declared(
    name: str, life: dict[str, dict[str, Any]]
) -> None:
    expected = EXPECTED[name][1]
    assert (life["nobody"][name], type(life["nobody"][name])) == (expected, type(expected))
    assert CATALOGUE[name].nullable == (expected is None)
