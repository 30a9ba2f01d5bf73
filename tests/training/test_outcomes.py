"""Labels of subscriptions that end and of events, at every edge; computed by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from features.errors import EventUnreadable
from features.occurrences import read_occurrence
from features.profile import Profile
from training.config import TrainConfig
from training.errors import ConfigInvalid, EventUnknown
from training.fit import fit
from training.propensity import require_happened
from training.rows.labels import future_ends, future_occurrences
from training.rows.outcomes import churn_outcome, event_outcome

AT = datetime(2024, 3, 1, tzinfo=UTC)
LATER = datetime(2025, 1, 1, tzinfo=UTC)
NO_ORDERS = pd.DataFrame(
    {"customer_id": ["z"], "order_id": ["z"], "event_time": ["2020-01-01T00:00:00Z"], "value": [1.0]}
)


def waits(labels: pd.DataFrame) -> dict[str, float]:
    return dict(zip(labels["customer_id"], labels["wait_days"], strict=True))


@pytest.fixture
def ends(make_profile: Callable[..., Profile]) -> Callable[..., dict[str, float]]:
    """Days from 2024-03-01 to each customer's end; of subscriptions (customer, began, ended), 30 days ahead."""

    def find(
        *terms: tuple[str, str, str | None], grace_days: int = 10, known_until: datetime = LATER
    ) -> dict[str, float]:
        frame = pd.DataFrame(terms, columns=["customer_id", "started_at", "ended_at"])
        for name in ("started_at", "ended_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        frame.insert(1, "subscription_id", [f"s{i}" for i in range(len(frame))])
        profile = make_profile(NO_ORDERS, subscriptions=frame)
        return waits(future_ends(profile, [AT], 30, 0, grace_days, known_until))

    return find


Ends = Callable[..., dict[str, float]]


def test_a_subscription_that_ends_in_the_window_is_an_end(ends: Ends) -> None:
    assert ends(("a", "2024-01-01", "2024-03-06")) == {"a": 5.0}


@pytest.mark.parametrize(
    ("ended", "found"),
    [
        ("2024-03-01T00:00:00Z", {"a": 0.0}),
        ("2024-02-29T23:59:59Z", {}),
        ("2024-03-30T23:59:59Z", {"a": pytest.approx(30.0, abs=1e-4)}),
        ("2024-03-31T00:00:00Z", {}),
        (None, {}),
    ],
    ids=["first instant", "before", "last instant", "after", "running"],
)
def test_only_ends_inside_the_window_count(ended: str | None, found: Any, ends: Ends) -> None:
    assert ends(("a", "2024-01-01", ended)) == found


def test_a_renewal_within_the_grace_is_no_end(ends: Ends) -> None:
    assert ends(("a", "2024-01-01", "2024-03-06"), ("a", "2024-03-16", None)) == {}
    assert ends(("a", "2024-01-01", "2024-03-06"), ("a", "2024-03-16T00:00:01Z", None)) == {"a": 5.0}


def test_subscriptions_that_run_at_once_end_with_the_last(ends: Ends) -> None:
    assert ends(("a", "2024-01-01", "2024-03-06"), ("a", "2024-02-01", None)) == {}
    assert ends(("a", "2024-01-01", "2024-03-20"), ("a", "2024-02-01", "2024-03-06")) == {"a": 19.0}
    assert ends(("a", "2024-01-01", "2024-03-06"), ("b", "2024-02-01", None)) == {"a": 5.0}


def test_a_renewal_that_ends_in_the_window_is_the_end(ends: Ends) -> None:
    assert ends(("a", "2024-01-01", "2024-03-06"), ("a", "2024-03-10", "2024-03-20")) == {"a": 19.0}


def test_an_end_whose_grace_is_not_over_is_not_known_to_be_one(ends: Ends) -> None:
    term = ("a", "2024-01-01", "2024-03-06")
    assert ends(term, known_until=datetime(2024, 3, 16, tzinfo=UTC)) == {"a": 5.0}
    assert ends(term, known_until=datetime(2024, 3, 15, tzinfo=UTC)) == {}


def test_a_subscription_begun_in_the_window_does_not_end_for_who_had_none(ends: Ends) -> None:
    assert ends(("a", "2024-03-02", "2024-03-06")) == {}


@pytest.fixture
def happens(make_profile: Callable[..., Profile]) -> Callable[..., dict[str, float]]:
    """Days from 2024-03-01 to each customer's first event of a kind, 10 days ahead."""

    def find(event: str, *events: tuple[str, str, str], known_until: datetime = LATER, **more: Any) -> dict[str, float]:
        frame = pd.DataFrame(events, columns=["customer_id", "event_time", "kind"])
        frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True, format="ISO8601")
        profile = make_profile(NO_ORDERS, events=frame.assign(**more))
        return waits(future_occurrences(profile, read_occurrence(event), [AT], 10, 0, known_until))

    return find


REDEEMED = "kind = 'loyalty_redeem'"


def test_only_facts_that_meet_the_condition_count(happens: Callable[..., dict[str, float]]) -> None:
    found = happens(
        REDEEMED,
        ("a", "2024-03-03", "loyalty_redeem"),
        ("a", "2024-03-02", "loyalty_earn"),
        ("b", "2024-03-02", "loyalty_earn"),
        ("c", "2024-03-11", "loyalty_redeem"),
        ("d", "2024-02-29", "loyalty_redeem"),
        ("e", "2024-03-01", "loyalty_redeem"),
    )
    assert found == {"a": 2.0, "e": 0.0}


def test_a_fact_not_known_by_then_does_not_count(happens: Callable[..., dict[str, float]]) -> None:
    late = pd.Timestamp("2024-03-09", tz="UTC")
    event = ("a", "2024-03-03", "loyalty_redeem")
    assert happens(REDEEMED, event, ingested_at=late, known_until=datetime(2024, 3, 8, tzinfo=UTC)) == {}
    assert happens(REDEEMED, event, ingested_at=late) == {"a": 2.0}


def test_a_survey_happens_when_it_is_answered(make_profile: Callable[..., Profile]) -> None:
    surveys = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "metric": ["nps", "nps", "csat"],
            "sent_at": pd.to_datetime(["2024-02-20", "2024-03-02", "2024-03-02"], utc=True),
            "responded_at": pd.to_datetime(pd.Series(["2024-03-04", None, "2024-03-03"]), utc=True),
            "score": pd.array([9, None, 3], "Int64"),
        }
    )
    profile = make_profile(NO_ORDERS, surveys=surveys)
    found = future_occurrences(profile, read_occurrence("metric = 'nps'"), [AT], 10, 0, LATER)
    assert waits(found) == {"a": 3.0}


def test_an_order_given_back_is_no_order(make_profile: Callable[..., Profile]) -> None:
    orders = pd.DataFrame(
        {
            "customer_id": ["a", "b"],
            "order_id": ["1", "2"],
            "event_time": pd.to_datetime(["2024-03-02", "2024-03-02"], utc=True),
            "value": [5.0, 5.0],
            "is_return": [True, False],
        }
    )
    assert waits(future_occurrences(make_profile(orders), read_occurrence("orders"), [AT], 10, 0, LATER)) == {"b": 1.0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("channel = 'web'", "it fits the tables 'orders', 'events'"),
        ("colour = 'red'", "it fits no table"),
        ("orders: value", "is not true or false"),
        ("orders: count(*) > 1", "'COUNT(*)'"),
        ("orders: event_time > '2024-01-01'", "is not true or false"),
        ("orders: value > (SELECT 1)", "SELECT 1"),
        ("events: kind = ", "neither a column nor an expression"),
        ("", "it fits no table"),
    ],
)
def test_what_is_no_condition_on_one_table_is_refused(text: str, problem: str) -> None:
    with pytest.raises(EventUnreadable) as refused:
        read_occurrence(text)
    assert problem in str(refused.value)
    assert "Allowed" in str(refused.value)


def test_an_event_reads_again_from_what_it_says_of_itself() -> None:
    for text in ("orders", REDEEMED, "orders: category = 'Toys' AND value > 20"):
        found = read_occurrence(text)
        assert read_occurrence(found.text) == found


def test_the_two_labels_of_churn_have_two_names_and_two_audiences() -> None:
    bought, subscribed = (
        churn_outcome(TrainConfig.model_validate({"target": target})) for target in ("non_contractual", "contractual")
    )
    assert (bought.name, bought.eligible.name) == ("churned", "ordered")
    assert (subscribed.name, subscribed.eligible.name) == ("churned_contractual", "subscribed")
    words = subscribed.words(TrainConfig(horizon_days=60))
    assert words == "subscription ended in 60 days and not renewed within 30 days"


def test_churn_is_not_asked_of_those_who_cannot_leave() -> None:
    with pytest.raises(ConfigInvalid, match="ordered or active, where churn is non_contractual"):
        churn_outcome(TrainConfig(eligible="former"))
    with pytest.raises(ConfigInvalid, match="subscribed, where churn is contractual"):
        churn_outcome(TrainConfig(target="contractual", eligible="ordered"))


def test_propensity_is_asked_of_everyone_unless_told_otherwise() -> None:
    assert event_outcome(TrainConfig(event="orders")).eligible.name == "known"
    assert event_outcome(TrainConfig(event="orders", eligible="former")).eligible.name == "former"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("orders: category = 'Bread'", r"no row of 'orders' has ever met it.*category holds 'food', 'toys'"),
        ("orders: channel = 'web'", r"'orders' of this profile has no column 'channel'.*'category'"),
    ],
)
def test_event_that_the_profile_knows_nothing_of_is_refused_with_what_it_knows(
    event: str, said: str, make_orders: Callable[..., pd.DataFrame], make_profile: Callable[..., Profile]
) -> None:
    rows = [("a", f"2024-0{month}-05", 10.0) for month in range(1, 9)]
    profile = make_profile(make_orders(*rows, category=["food"] * 5 + ["toys"] * 3))
    with pytest.raises(EventUnknown, match=said):
        fit("propensity", profile, TrainConfig(event=event, horizon_days=30))
    require_happened(profile, read_occurrence("orders: category = 'toys' and value > 5"))
