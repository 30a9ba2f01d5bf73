"""Customers without an order: rates of first orders, what they spend, and the forecast made of both."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clv.answer import COLUMNS
from models.clv.first_orders import FirstOrders, Waits
from models.clv.prospects import FirstValues, Prospects
from models.clv.value import Terms

TERMS = Terms(90.0, 0.1, 0.5)


def waits(channels: list[str], end: list[float], ordered: list[bool]) -> Waits:
    rows = pd.DataFrame({"acquisition_channel": channels})
    return Waits.of(rows, np.zeros(len(end)), np.array(end), np.array(ordered))


def simulated(customers: int, seed: int = 0) -> Waits:
    """Half by mail, who order at a rate of 1 / 50 a day, half by search, at 1 / 500; all seen for 200 days."""
    generator = np.random.default_rng(seed)
    by_mail = np.arange(customers) % 2 == 0
    first = generator.exponential(np.where(by_mail, 50.0, 500.0))
    channels = np.where(by_mail, "mail", "search").tolist()
    return waits(channels, np.minimum(first, 200.0).tolist(), (first < 200).tolist())


def rows_of(channels: list[str], tenure: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"tenure_days": tenure, "acquisition_channel": pd.Series(channels, dtype=object)})


@pytest.fixture(scope="module")
def first() -> FirstOrders:
    return FirstOrders.fit(simulated(4_000))


@pytest.fixture(scope="module")
def prospects(first: FirstOrders) -> Prospects:
    spent = FirstValues(30.0, 0.5, {"mail": 40.0, "search": 20.0})
    waiting = rows_of(["mail", "search"], [10.0, 100.0])
    return Prospects.of(first, spent, waiting, lambda days: 0.01 * days, TERMS, 1_200)


def test_days_and_first_orders_are_counted_in_the_age_at_which_they_fell() -> None:
    # Waited 10 days and ordered; waited 100 days from day 20 on and still does.
    rows = pd.DataFrame({"acquisition_channel": ["mail", "mail"]})
    seen = Waits.of(rows, np.array([0.0, 20.0]), np.array([10.0, 120.0]), np.array([True, False]))
    assert seen.days.tolist() == [[7, 3, 0, 0, 0, 0], [0, 10, 60, 30, 0, 0]]
    assert seen.orders.tolist() == [[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    together = seen.counted()
    assert together.days.tolist() == [[7, 13, 60, 30, 0, 0]]
    assert together.orders.sum() == 1


def test_rates_of_channels_are_recovered(first: FirstOrders) -> None:
    """2,000 customers a channel: the standard error of a log rate is below 0.05."""
    by_day = first.summed(rows_of(["mail", "search"], [30.0, 30.0]), 1.0)
    np.testing.assert_allclose(np.log(by_day * [50, 500]), 0, atol=0.25)


def test_channels_that_do_not_differ_are_given_next_to_no_difference() -> None:
    seen = simulated(2_000)
    shuffled = seen.rows.sample(frac=1.0, random_state=3).reset_index(drop=True)
    alike = FirstOrders.fit(Waits(shuffled, seen.days, seen.orders))
    ratios = alike.log_ratios(rows_of(["mail", "search"], [1.0, 1.0])).sum(axis=1)
    assert abs(ratios[0] - ratios[1]) < 0.15


def test_few_customers_depart_less_from_everyone_than_many() -> None:
    few, many = (FirstOrders.with_spread(simulated(n, seed=1), 0.5).effects["acquisition_channel"] for n in (40, 4_000))
    assert 0 < few["mail"] - few["search"] < many["mail"] - many["search"]


def test_without_any_first_order_the_rate_is_half_an_order_in_all_days_waited() -> None:
    none = FirstOrders.fit(waits(["mail"] * 10, [5.0] * 10, [False] * 10))
    assert none.rates[0] == pytest.approx(0.5 / 50, rel=0.7)
    assert none.rates[-1] == pytest.approx(0.5 / 50)


def test_values_of_channels_are_shrunk_to_everyones() -> None:
    generator = np.random.default_rng(0)
    channels = pd.Series(["mail"] * 200 + ["search"] * 200 + ["rare"], dtype=object)
    values = np.concatenate([generator.normal(40, 5, 200), generator.normal(20, 5, 200), [90.0]])
    fitted = FirstValues.fit(channels, values)
    assert fitted.of_channel["mail"] == pytest.approx(values[:200].mean(), rel=0.01)
    assert fitted.mean < fitted.of_channel["rare"] < 90
    told = fitted.expected(rows_of(["mail", "never seen"], [1.0, 1.0]))
    assert told.tolist() == [fitted.of_channel["mail"], fitted.mean]


def test_values_that_are_all_alike_are_that_value() -> None:
    fitted = FirstValues.fit(pd.Series(["a", "b"] * 5, dtype=object), np.full(10, 7.0))
    assert fitted.expected(rows_of(["a", "b"], [1.0, 1.0])).tolist() == pytest.approx([7.0, 7.0])


def test_expected_orders_are_the_first_and_what_follows_it(prospects: Prospects) -> None:
    # At a constant rate h the orders in t days are 1 - S + 0.01 (t - (1 - S) / h), S = exp(-h t).
    flat = Prospects.of(
        FirstOrders((0.02,) * 6, {}), prospects.spent, rows_of(["mail"], [10.0]), lambda days: 0.01 * days, TERMS, 1
    )
    left = np.exp(-0.02 * 90)
    expected = 1 - left + 0.01 * (90 - (1 - left) / 0.02)
    assert flat.expected_orders(rows_of(["mail"], [10.0]), 90.0)[0] == pytest.approx(expected, rel=1e-3)


def test_the_answer_has_the_columns_of_other_customers_and_low_evidence(prospects: Prospects) -> None:
    scores = prospects.score(rows_of(["mail", "search"], [10.0, 100.0]), TERMS)
    assert list(scores.columns) == list(COLUMNS)
    assert scores["evidence"].tolist() == ["low", "low"]
    factors = scores[["probability_active", "discounted_orders_if_active", "expected_order_value"]]
    np.testing.assert_allclose(factors.prod(axis=1) * 0.5, scores["clv"], rtol=1e-9)


def test_kept_and_read_back_it_scores_the_same(prospects: Prospects) -> None:
    rows = rows_of(["mail", "search", "never seen"], [0.0, 100.0, 4_000.0])
    again = Prospects.from_state(json.loads(json.dumps(prospects.state())))
    pd.testing.assert_frame_equal(again.score(rows, TERMS), prospects.score(rows, TERMS))


def test_a_row_is_scored_the_same_alone_and_among_others(prospects: Prospects) -> None:
    rows = rows_of(["mail", "search", "mail"], [0.0, 100.0, 400.0])
    whole = prospects.score(rows, TERMS)
    for i in range(3):
        alone = prospects.score(rows.iloc[[i]].reset_index(drop=True), TERMS)
        pd.testing.assert_frame_equal(alone, whole.iloc[[i]].reset_index(drop=True))


def test_reasons_name_the_channel_that_raises_the_rate(prospects: Prospects) -> None:
    told = prospects.explain(rows_of(["mail", "search"], [10.0, 10.0]))
    assert told["acquisition_channel"][0] > 0 > told["acquisition_channel"][1]


@settings(max_examples=40, deadline=None)
@given(
    tenure=st.floats(0, 36_500),
    channel=st.sampled_from(["mail", "search", "never seen", None]),
    days=st.floats(1, 1_000),
)
def test_extreme_prospects_are_finite_and_grow_with_the_horizon(
    prospects: Prospects, tenure: float, channel: str | None, days: float
) -> None:
    rows = pd.DataFrame({"tenure_days": [tenure], "acquisition_channel": pd.Series([channel], dtype=object)})
    scores = prospects.score(rows, TERMS).drop(columns="evidence").iloc[0].astype(float)
    assert np.isfinite(scores.to_numpy()).all()
    assert scores["clv_low_90"] <= scores["clv_low_50"] <= scores["clv_high_50"] <= scores["clv_high_90"]
    assert 0 <= prospects.expected_orders(rows, days)[0] <= prospects.expected_orders(rows, days * 1.1)[0] * (1 + 1e-3)
