"""Features where a border, a tie or an odd amount decides."""

import math
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.exhaustive

Build = Callable[..., dict[str, dict[str, Any]]]

MICROSECOND = 1 / 86_400_000_000
"""In days."""


def c1(**columns: Any) -> dict[str, Any]:
    return {"customer_id": "c1"} | columns


def orders(*ages: float, **columns: Any) -> dict[str, list[dict[str, Any]]]:
    return {"orders": [c1(event_time=age) | columns for age in ages]}


# ---- entropy
@pytest.mark.parametrize("number", [1, 2, 3, 7, 11, 97])
def test_the_entropy_of_one_level_is_exactly_zero(number: int, features_now: Build) -> None:
    row = features_now(orders(*range(1, number + 1), channel="web", category="toys"))["c1"]
    assert (row["order_channel_entropy_365d"], row["order_category_entropy_365d"]) == (0.0, 0.0)
    assert row["preferred_order_channel_share_365d"] == 1.0


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("levels", [2, 3, 10])
def test_the_entropy_of_equal_levels_is_the_logarithm_of_their_number(
    levels: int, each: int, features_now: Build
) -> None:
    rows = {"orders": [c1(event_time=i + 1, category=f"level {i % levels}") for i in range(levels * each)]}
    entropy = features_now(rows)["c1"]["order_category_entropy_365d"]
    assert entropy == pytest.approx(math.log(levels), abs=1e-9)


# ---- slopes: periods (0, 30], (30, 60], ... (150, 180] days before, weighed 5, 3, 1, -1, -3, -5 over 35
@pytest.mark.parametrize(
    ("ages", "slope"),
    [
        ((1,), 5 / 35),
        ((30,), 5 / 35),
        ((30 + MICROSECOND,), 3 / 35),
        ((60, 90), (3 + 1) / 35),
        ((120,), -1 / 35),
        ((150, 150 + MICROSECOND), (-3 - 5) / 35),
        ((180,), -5 / 35),
        ((180 + MICROSECOND,), 0.0),
        ((15, 45, 75, 105, 135, 165), 0.0),
        ((15, 15, 15, 15, 15, 15, 45, 45, 45, 45, 45, 75, 75, 75, 75, 105, 105, 105, 135, 135, 165), 1.0),
    ],
    ids=str,
)
def test_the_slope_counts_an_order_in_the_period_that_ends_with_its_instant(
    ages: tuple[float, ...], slope: float, features_now: Build
) -> None:
    row = features_now(orders(400, *ages))["c1"]
    assert row["order_count_slope_180d"] == pytest.approx(slope, rel=1e-15)
    assert row["order_value_slope_180d"] == pytest.approx(slope, rel=1e-15)  # every order is worth 1


@pytest.mark.parametrize(("first", "slope"), [(180, None), (180 + MICROSECOND, 5 / 35)])
def test_a_slope_is_null_for_customers_younger_than_its_span(
    first: float, slope: float | None, features_now: Build
) -> None:
    row = features_now(orders(first, 1))["c1"]
    assert row["order_count_slope_180d"] == slope
    assert row["order_value_slope_180d"] == slope


def test_the_slope_of_values_weighs_amounts_and_not_orders(features_now: Build) -> None:
    rows = {"orders": [c1(event_time=400), c1(event_time=10, value=0.1), c1(event_time=160, value=1e12)]}
    assert features_now(rows)["c1"]["order_value_slope_180d"] == -(5e12 - 0.5) / 35


# ---- order days and what was ordered on them
def test_the_last_day_is_worth_all_its_orders(features_now: Build) -> None:
    rows = {
        "orders": [
            c1(event_time="2023-06-02T23:59:59.999999Z", value=2.5),
            c1(event_time="2023-06-02", value=0.5),
            c1(event_time="2023-06-01T23:59:59.999999Z", value=9.0),
            c1(event_time="2023-06-02T12:00:00Z", value=-7.0, is_return=True),
        ]
    }
    row = features_now(rows)["c1"]
    assert (row["first_day_value"], row["last_day_value"], row["largest_day_share"]) == (9.0, 3.0, 9 / 12)
    assert row["last_day_value_to_mean"] == 3 / (12 / 3)


def test_one_order_day_has_neither_lateness_nor_a_longest_gap(features_now: Build) -> None:
    row = features_now(orders(300))["c1"]
    names = ("order_gap_maximum_days", "last_order_gap_days", "last_order_gap_to_mean",
             "days_since_last_order_to_longest_gap")  # fmt: skip
    assert [row[name] for name in names] == [None] * 4
    assert row["is_late"] is False


@pytest.mark.parametrize(("last", "late"), [(10, False), (10 + MICROSECOND, True)])
def test_a_customer_of_equal_gaps_is_late_once_silent_for_longer(last: float, late: bool, features_now: Build) -> None:
    row = features_now(orders(last, last + 10, last + 20), "2024-01-01T12:00:00Z")["c1"]
    assert (row["order_gap_std_days"], row["is_late"]) == (0.0, late)


def test_two_order_days_are_never_late_for_want_of_a_spread(features_now: Build) -> None:
    assert features_now(orders(300, 310))["c1"]["is_late"] is False


@pytest.mark.parametrize(
    ("age", "habit"), [(365 + MICROSECOND, False), (365, True), (275 + MICROSECOND, True), (275, False), (10, False)]
)
def test_a_seasonal_habit_is_an_order_in_the_coming_quarter_of_last_year(
    age: float, habit: bool, features_now: Build
) -> None:
    assert features_now(orders(age))["c1"]["has_order_same_time_last_year"] is habit


# ---- weekdays and hours
@pytest.mark.parametrize("day", ["1969-10-0{}", "2026-04-0{}"])  # the third is a Friday
def test_weekdays_and_hours_are_those_of_utc_also_before_1970(day: str, features_now: Build) -> None:
    friday, saturday, sunday, monday = (day.format(number) for number in (3, 4, 5, 6))
    times = [f"{friday}T23:59:59.999999Z", f"{saturday}T00:00:00Z", f"{sunday}T17:59:59.999999Z",
             f"{sunday}T18:00:00Z", f"{monday}T00:00:00Z"]  # fmt: skip
    row = features_now({"orders": [c1(event_time=time) for time in times]}, day.format(9))["c1"]
    assert (row["weekend_order_share_365d"], row["evening_order_share_365d"]) == (3 / 5, 2 / 5)
    assert row["top_weekday_order_share_365d"] == 2 / 5


def test_weekdays_with_equally_many_orders_share_the_top(features_now: Build) -> None:
    assert features_now(orders(1, 8, 2, 9, 3))["c1"]["top_weekday_order_share_365d"] == 2 / 5
    assert features_now(orders(1, 2, 3, 4, 5, 6, 7))["c1"]["top_weekday_order_share_365d"] == 1 / 7
    assert features_now(orders(7, 14, 21))["c1"]["top_weekday_order_share_365d"] == 1.0


def test_of_channels_with_equally_many_orders_the_last_in_the_alphabet_is_preferred(features_now: Build) -> None:
    rows = {
        "orders": [c1(event_time=i + 1, channel=name) for i, name in enumerate(["web", "app", "web", "app", "zoo"])]
    }
    row = features_now(rows)["c1"]
    assert (row["preferred_order_channel_365d"], row["preferred_order_channel_share_365d"]) == ("web", 2 / 5)
    assert row["order_channel_switch_count_365d"] == 4


# ---- lifecycle: order days 20 days apart, so that 1.5, 3 and 6 rhythms are 30, 60 and 120 days
@pytest.mark.parametrize(
    ("silent", "state", "days"),
    [
        (30, "active", 30),
        (30 + MICROSECOND, "at risk", MICROSECOND),
        (60 - MICROSECOND, "at risk", 30 - MICROSECOND),
        (60, "lapsed", 0),
        (120 - MICROSECOND, "lapsed", 60 - MICROSECOND),
        (120, "former", 0),
        (500, "former", 380),
    ],
)
def test_the_lifecycle_state_changes_at_multiples_of_the_rhythm(
    silent: float, state: str, days: float, features_now: Build
) -> None:
    row = features_now(orders(silent, silent + 20, silent + 40))["c1"]
    assert (row["rhythm_days"], row["lifecycle_state"]) == (20.0, state)
    assert row["days_in_lifecycle_state"] == pytest.approx(days, abs=MICROSECOND / 100)


@pytest.mark.parametrize(
    ("gap", "rhythm"), [(1, 14.0), (14, 14.0), (15, 15.0), (180, 180.0), (181, 180.0), (None, 90.0)]
)
def test_the_rhythm_is_kept_between_two_weeks_and_half_a_year(
    gap: int | None, rhythm: float, features_now: Build
) -> None:
    row = features_now(orders(5) if gap is None else orders(5, 5 + gap))["c1"]
    assert row["rhythm_days"] == rhythm


@pytest.mark.parametrize(("gap", "state"), [(180, "active"), (181, "reactivated")])
def test_a_customer_back_after_more_than_half_a_year_is_reactivated(gap: int, state: str, features_now: Build) -> None:
    row = features_now(orders(5, 5 + gap))["c1"]
    assert (row["lifecycle_state"], row["days_in_lifecycle_state"]) == (state, 5.0)


@pytest.mark.parametrize(("age", "state"), [(1, "new"), (135, "new"), (136, "at risk"), (270, "lapsed")])
def test_a_customer_of_one_order_day_is_new_for_one_and_a_half_rhythms(
    age: float, state: str, features_now: Build
) -> None:
    row = features_now(orders(age))["c1"]
    assert (row["lifecycle_state"], row["rhythm_days"]) == (state, 90.0)


def test_a_prospect_has_no_days_in_a_state(features_now: Build) -> None:
    row = features_now({"orders": [c1(event_time=3, value=-1.0, is_return=True)]})["c1"]
    assert (row["lifecycle_state"], row["days_in_lifecycle_state"]) == ("prospect", None)


# ---- loyalty points
def test_points_are_exact_to_four_decimals(features_now: Build) -> None:
    earned = [c1(event_time=i + 1, kind="loyalty_earn", value=0.1) for i in range(10)]
    odd = [c1(event_time=20, kind="loyalty_earn", value=0.00004), c1(event_time=21, kind="loyalty_earn", value=1 / 3)]
    spent = [c1(event_time=22, kind="loyalty_redeem", value=0.3)]
    row = features_now({"events": earned + odd + spent})["c1"]
    assert (row["loyalty_points_earned_365d"], row["loyalty_points_redeemed_365d"]) == (1.3333, 0.3)
    assert row["loyalty_points_balance"] == 1.0333


@pytest.mark.parametrize("huge", [1e14, -1e14, 1e300, math.inf, -math.inf])
def test_points_beyond_a_hundred_trillion_are_left_out(huge: float, features_now: Build) -> None:
    ages = {"loyalty_earn": (huge, 99999999999999.0, 0.5), "loyalty_redeem": (huge, 1.0)}
    rows = {"events": [c1(event_time=i + 1, kind=kind, value=v) for kind in ages for i, v in enumerate(ages[kind])]}
    row = features_now(rows)["c1"]
    assert row["loyalty_points_earned_365d"] == 99999999999999.5
    assert row["loyalty_points_balance"] == 99999999999998.5
    assert row["redemption_count_365d"] == 2


def test_an_item_count_without_bounds_is_left_out_of_the_mean(features_now: Build) -> None:
    rows = {"orders": [c1(event_time=i + 1, item_count=n) for i, n in enumerate((3.0, 1e300, None, 1.5))]}
    assert features_now(rows)["c1"]["order_item_count_mean_365d"] == 2.25


# ---- campaigns
def test_contacts_held_back_for_control_are_no_contacts(features_now: Build) -> None:
    rows = {
        "campaigns": [
            c1(campaign_id="m1", event_time=5, is_control=True),
            c1(campaign_id="m2", event_time=40, is_control=False),
            {"customer_id": "held back", "campaign_id": "m1", "event_time": 5, "is_control": True},
        ],
        "events": [{"customer_id": "held back", "kind": "coupon_redeem", "event_time": 2}],
    }
    names = ("campaign_contact_count_90d", "days_since_last_campaign", "redemption_to_contact_365d")
    features = features_now(rows)
    assert [features["c1"][name] for name in names] == [1, 40.0, 0.0]
    assert [features["held back"][name] for name in names] == [0, None, None]


# ---- surveys
def answer(metric: str, score: int, answered: float, touchpoint: str | None) -> dict[str, Any]:
    return c1(metric=metric, sent_at=300, responded_at=answered, score=score, touchpoint=touchpoint)


@pytest.mark.parametrize(
    ("answers", "touchpoint"),
    [
        ([answer("nps", 0, 20, "older"), answer("csat", 1, 10, "later"), answer("ces", 1, 30, "oldest")], "later"),
        ([answer("nps", 5, 10, "app"), answer("nps", 5, 10, "web")], "web"),
        ([answer("nps", 5, 5, "half"), answer("csat", 2, 90, "quarter"), answer("ces", 3, 50, "third")], "quarter"),
        ([answer("nps", 0, 5, None), answer("nps", 6, 9, "known")], "known"),
        ([answer("nps", 0, 0, "not answered yet"), answer("nps", 10, 9, "answered")], "answered"),
        ([answer("nps", 0, 5, None)], None),
    ],
    ids=["the last of equals", "at once", "on its scale", "unknown", "not answered yet", "nothing known"],
)
def test_the_worst_touchpoint_is_that_of_the_lowest_answer_on_its_scale(
    answers: list[dict[str, Any]], touchpoint: str | None, features_now: Build
) -> None:
    assert features_now({"surveys": answers})["c1"]["worst_survey_touchpoint"] == touchpoint
    assert features_now({"surveys": answers[::-1]})["c1"]["worst_survey_touchpoint"] == touchpoint


@pytest.mark.parametrize(
    ("ordered", "asked", "waited"),
    [
        ((30,), (10,), 20.0),
        ((30, 10), (10,), 0.0),
        ((10,), (10,), 0.0),
        ((30, 10 + MICROSECOND), (10,), MICROSECOND),
        ((30, 5), (10,), 20.0),
        ((30,), (10, 10, 12), 20.0),
        ((5,), (10,), None),
        ((30,), (), None),
    ],
    ids=[
        "before",
        "also at the instant",
        "at the instant",
        "just before",
        "also after",
        "asked twice",
        "after",
        "none",
    ],
)
def test_an_order_at_the_very_instant_of_the_question_comes_before_it(
    ordered: tuple[float, ...], asked: tuple[float, ...], waited: float | None, features_now: Build
) -> None:
    surveys = [c1(metric="nps", sent_at=age) for age in asked]
    for turned in (1, -1):
        rows = {"surveys": surveys[::turned], **orders(*ordered[::turned])}
        assert features_now(rows)["c1"]["order_to_survey_days"] == waited


def test_one_kind_of_answer_neither_agrees_nor_disagrees(features_now: Build) -> None:
    row = features_now({"surveys": [answer("ces", 7, 9, None)]})["c1"]
    assert (row["experience_mean"], row["experience_disagreement"]) == (1.0, None)
    row = features_now({"surveys": [answer("ces", 1, 9, None), answer("nps", 0, 9, None)]})["c1"]
    assert (row["experience_mean"], row["experience_disagreement"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        ("nps", ["detractor"] * 7 + ["passive"] * 2 + ["promoter"] * 2),
        ("csat", [None, "dissatisfied", "dissatisfied", "neutral", "satisfied", "satisfied"]),
        ("ces", [None, "hard", "hard", "hard", "neutral", "easy", "easy", "easy"]),
    ],
)
def test_scores_have_the_names_of_their_metric(metric: str, names: list[str | None], features_now: Build) -> None:
    surveys = [
        {"customer_id": str(score), "metric": metric, "sent_at": 9, "responded_at": 8, "score": score}
        for score, name in enumerate(names)
        if name
    ]
    features = features_now({"surveys": surveys})
    assert {score: row[f"{metric}_category"] for score, row in features.items()} == {
        str(score): name for score, name in enumerate(names) if name
    }


# ---- support
@pytest.mark.parametrize(("gap", "repeated"), [(0, 0), (1, 1), (7, 1), (8, 0)])
def test_a_support_contact_is_repeated_within_a_week_of_days(gap: int, repeated: int, features_now: Build) -> None:
    events = [c1(event_time=20, kind="call"), c1(event_time=20 - gap, kind="complaint")]
    assert features_now({"events": events})["c1"]["repeated_support_contact_count_365d"] == repeated


def test_more_resolved_than_opened_leaves_no_ticket_open(features_now: Build) -> None:
    events = [c1(event_time=9, kind="support_ticket")] + [c1(event_time=8, kind="ticket_resolved")] * 2
    assert features_now({"events": events})["c1"]["unresolved_ticket_count"] == 0


# ---- subscriptions
def term(started: float, ended: float | None, value: float | None = None, name: str = "s1") -> dict[str, Any]:
    return c1(subscription_id=name, started_at=started, ended_at=ended, monthly_value=value)


@pytest.mark.parametrize(
    ("terms", "renewals", "pauses"),
    [
        ([term(100, 50)], 0, 0),
        ([term(100, 50), term(50, None)], 1, 0),
        ([term(100, 50), term(49, None)], 1, 0),
        ([term(100, 50), term(49 - MICROSECOND, None)], 1, 1),
        ([term(100, 50), term(20, 15), term(5, None)], 2, 2),
        ([term(100, None), term(20, None)], 1, 0),
        ([term(100, 50), term(20, None, name="s2")], 0, 0),
        ([term(100, 50), term(0, None)], 0, 0),
    ],
    ids=["one", "at once", "after a day", "after more", "twice", "never ended", "another id", "begins now"],
)
def test_a_pause_is_more_than_a_day_between_terms_of_one_id(
    terms: list[dict[str, Any]], renewals: int, pauses: int, features_now: Build
) -> None:
    for rows in (terms, terms[::-1]):
        row = features_now({"subscriptions": rows})["c1"]
        assert (row["subscription_renewal_count"], row["subscription_pause_count"]) == (renewals, pauses)


@pytest.mark.parametrize(
    ("prices", "change", "increases"),
    [
        ((10.0,), 0.0, 0),
        ((10.0, 10.0), 0.0, 0),
        ((0.1, 0.3, 0.2), 0.1, 1),
        ((9.0, 4.5), -4.5, 0),
        ((None, 5.0), 0.0, 0),
        ((5.0, None, 7.0), 0.0, 0),
        ((1.0, 2.0, 3.0), 2.0, 2),
    ],
    ids=str,
)
def test_price_changes_compare_a_term_with_the_one_before_of_the_same_id(
    prices: tuple[float | None, ...], change: float, increases: int, features_now: Build
) -> None:
    terms = [term(90 - 10 * i, 85 - 10 * i, price) for i, price in enumerate(prices)]
    row = features_now({"subscriptions": [*terms, term(50, None, 1000.0, name="s2")]})["c1"]
    assert (row["subscription_price_change"], row["price_increase_count_365d"]) == (change, increases)


@pytest.mark.parametrize(
    ("terms", "days"),
    [
        ([term(100, 40)], 60.0),
        ([term(100, None)], 100.0),
        ([term(100, 80), term(50, None)], 100.0),
        ([term(100, 80), term(50 - MICROSECOND, None)], 50.0 - MICROSECOND),
        ([term(100, 80), term(40, 30)], 10.0),
        ([term(200, 100), term(190, 180), term(80, None)], 200.0),
        ([term(200, 190), term(100, 60, name="s2"), term(80, None)], 100.0),
        ([term(100, None), term(0, None)], 100.0),
    ],
    ids=[
        "ended",
        "running",
        "paused 30 days",
        "paused longer",
        "last one ended",
        "inside another",
        "two at once",
        "now",
    ],
)
def test_a_spell_of_subscriptions_goes_on_over_pauses_up_to_30_days(
    terms: list[dict[str, Any]], days: float, features_now: Build
) -> None:
    for rows in (terms, terms[::-1]):
        assert features_now({"subscriptions": rows})["c1"]["subscription_spell_days"] == pytest.approx(days, abs=1e-12)


def test_the_term_that_has_run_out_counts_down_below_zero(features_now: Build) -> None:
    running = term(90, None) | {"term_ends_at": 3}
    ended = term(80, 70, name="s2") | {"term_ends_at": 60}
    assert features_now({"subscriptions": [running, ended]})["c1"]["days_to_term"] == -3.0
