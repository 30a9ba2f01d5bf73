from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Model
from models.clv.contractual import ClvContractual, ClvContractualNaive
from models.clv.errors import NoRenewals
from models.clv.renewals.constant_churn import ConstantChurn
from models.clv.renewals.shifted_beta_geometric import Outcomes, ShiftedBetaGeometric, fit_to_subscribers
from models.clv.renewals.subscribers import Subscribers
from models.errors import ParameterOutOfRange

HIGH_END = (1_000, 869, 743, 653, 593, 551, 517, 491)
YEAR = 365.0


def rows_of(*subscribers: tuple[float, bool, float]) -> pd.DataFrame:
    """Days of the spell, whether it runs, price a month."""
    columns = ["subscription_spell_days", "has_active_subscription", "subscription_monthly_value"]
    return pd.DataFrame(subscribers, columns=columns).astype(np.float64)


def high_end_rows() -> pd.DataFrame:
    """The High End cohort of Fader and Hardie (2007) as yearly subscriptions seen seven and a half years on."""
    gone = [
        (YEAR * renewal, False, 0.0)
        for renewal in range(1, 8)
        for _ in range(HIGH_END[renewal - 1] - HIGH_END[renewal])
    ]
    return rows_of(*gone, *[(YEAR * 7.5, True, 10.0)] * HIGH_END[-1])


@pytest.fixture(scope="module")
def high_end() -> ClvContractual:
    return ClvContractual(horizon_days=3 * YEAR, annual_discount_rate=0.1, margin_rate=0.5, period_days=YEAR).fit(
        high_end_rows()
    )


# ---- renewals


@pytest.mark.parametrize(
    ("days", "renewals", "to_renewal"),
    [(0.0, 0, 33.4375), (31.0, 0, 2.4375), (33.4375, 0, 0.0), (33.5, 1, 30.375), (62.0, 1, 1.875), (365.0, 11, 3.25)],
)
def test_a_renewal_is_made_three_days_after_a_month(days: float, renewals: int, to_renewal: float) -> None:
    some = Subscribers.of(rows_of((days, True, 9.0)), 30.4375)
    assert some.renewals.tolist() == [renewals]
    assert some.days_to_renewal.tolist() == pytest.approx([to_renewal])


@pytest.mark.parametrize("start", pd.date_range("2023-01-01", "2024-02-29", freq="17D"))
def test_whoever_cancels_at_the_end_of_a_calendar_month_has_made_one_renewal_less_than_months(
    start: pd.Timestamp,
) -> None:
    for months in (1, 2, 6, 7, 11, 12, 24, 48):
        days = float((start + pd.DateOffset(months=months) - start).days)
        assert Subscribers.of(rows_of((days, False, 0.0)), 30.4375).renewals.tolist() == [months - 1]


def test_renewals_due_are_those_before_the_end_of_the_horizon() -> None:
    some = Subscribers.of(rows_of((0.0, True, 9.0)), 30.4375)  # due after 33.4375, 63.875, 94.3125 days
    assert [some.due_within(days).tolist() for days in (33.4375, 33.5, 94.3, 94.5)] == [[0], [1], [2], [3]]


# ---- fitting


def test_subscribers_one_by_one_give_the_parameters_of_fader_hardie_2007(high_end: ClvContractual) -> None:
    assert high_end.fitted_parameters() == pytest.approx({"alpha": 0.668, "beta": 3.806}, abs=5e-4)


def test_subscribers_who_began_at_different_times_give_back_the_parameters_they_were_drawn_from() -> None:
    # Four and a half standard errors of each log-parameter, by its own curvature: a false alarm in 100,000.
    generator = np.random.default_rng(1)
    lifetime = generator.geometric(generator.beta(0.7, 2.0, 100_000))
    seen = generator.integers(0, 12, 100_000)
    has_left = lifetime <= seen
    model, said = fit_to_subscribers(np.where(has_left, lifetime - 1, seen).astype(float), has_left)
    assert said == ()
    assert model.log_covariance is not None
    errors = np.sqrt(np.diag(model.log_covariance))
    assert np.all(np.abs(np.log([model.alpha / 0.7, model.beta / 2.0])) < 4.5 * errors)


def test_leaving_running_subscribers_out_would_understate_how_long_they_stay() -> None:
    # What censoring is for: of two who left at once and two who stayed four renewals, half stay.
    model, _ = fit_to_subscribers(np.array([0.0, 0.0, 4.0, 4.0]), np.array([True, True, False, False]))
    assert 0.4 < float(model.survival(np.array([4.0]))[0]) < 0.6


def test_the_baseline_is_the_share_that_left_of_the_renewals_that_came_up() -> None:
    # renewals came up: 1 + 3 of those who left, 4 of who stayed; two left
    outcomes = Outcomes.of_subscribers(np.array([0.0, 2.0, 4.0]), np.array([True, True, False]))
    assert ConstantChurn.of(outcomes).churn_rate == pytest.approx(2.5 / 9)


def test_without_any_renewal_nothing_can_be_fitted() -> None:
    with pytest.raises(NoRenewals, match="none of 2 subscribers has come to a renewal"):
        ClvContractual().fit(rows_of((3.0, True, 9.0), (20.0, True, 9.0)))


@pytest.mark.parametrize("days", [0.0, 0.5, -30.0, 4_000.0, float("nan")])
def test_a_period_that_makes_no_sense_is_refused(days: float) -> None:
    with pytest.raises(ParameterOutOfRange, match="period_days is"):
        ClvContractual(period_days=days).fit(high_end_rows())


def test_few_who_left_and_free_subscriptions_are_said() -> None:
    model = ClvContractual().fit(rows_of((100, True, 0.0), (200, True, 9.0), (70, False, 0.0)))
    said = " ".join(model.warnings_)
    assert "expected_orders are periods paid" in said
    assert "only 1 of 3 subscribers have left" in said
    assert "1 running subscriptions have no monthly_value" in said


# ---- scoring


def test_value_is_the_discounted_margin_of_the_renewals_that_are_expected(high_end: ClvContractual) -> None:
    # Running for 1.5 years: one renewal made; the next are due in 0.5, 1.5 and 2.5 years and 3 days.
    score = high_end.score(rows_of((1.5 * YEAR, True, 10.0))).iloc[0]
    a, b = high_end.fitted_parameters().values()
    staying = np.cumprod([(b + made) / (a + b + made) for made in (1, 2, 3)])
    price, days = 10.0 * YEAR / 30.4375, np.array([0.5, 1.5, 2.5]) * YEAR + 3
    assert score["probability_active"] == pytest.approx(staying[0])
    assert score["expected_orders"] == pytest.approx(staying.sum())
    assert score["expected_order_value"] == pytest.approx(price)
    assert score["clv"] == pytest.approx(0.5 * price * (staying * 1.1 ** (-days / 365)).sum())
    assert score["days_to_next_order"] == pytest.approx(0.5 * YEAR + 3)


def test_intervals_are_quantiles_of_the_exact_distribution_of_the_lifetime(high_end: ClvContractual) -> None:
    rows = rows_of((1.5 * YEAR, True, 10.0))
    a, b = high_end.fitted_parameters().values()
    staying = np.cumprod([(b + made) / (a + b + made) for made in (1, 2, 3)])
    below = 1 - staying  # P(N < 1), P(N < 2), P(N < 3)
    expected = [float((below <= level).sum()) for level in (0.05, 0.25, 0.75, 0.95)]
    score = high_end.score(rows).iloc[0]
    names = ("low_90", "low_50", "high_50", "high_90")
    assert [score[f"expected_orders_{name}"] for name in names] == expected
    tail = high_end.order_tail(rows)
    assert [float(tail(np.array([0]), k)[0]) for k in (1, 2, 3, 4)] == pytest.approx([*staying, 0.0])


def test_whose_subscription_has_ended_is_worth_nothing(high_end: ClvContractual) -> None:
    score = high_end.score(rows_of((1.5 * YEAR, False, 0.0))).iloc[0]
    named = ("probability_active", "expected_orders", "clv", "expected_orders_high_90", "clv_high_90")
    assert [score[name] for name in named] == [0.0] * 5


def test_factors_and_steps_explain_the_value(high_end: ClvContractual) -> None:
    scores = high_end.score(rows_of((10, True, 5.0), (900, True, 20.0), (2_000, True, 10.0), (700, False, 0.0)))
    product = (
        scores["probability_active"] * scores["discounted_orders_if_active"] * scores["expected_order_value"] * 0.5
    )
    np.testing.assert_allclose(scores["clv"], product + scores["clv_from_cost"], atol=1e-9)
    steps = scores[["clv_of_average", "clv_from_active", "clv_from_orders", "clv_from_order_value", "clv_from_cost"]]
    np.testing.assert_allclose(steps.sum(axis=1), scores["clv"], atol=1e-6)
    assert scores["evidence"].tolist() == ["low", "medium", "high", "medium"]


@settings(max_examples=40, deadline=None)
@given(
    days=st.floats(0, 8_000),
    price=st.floats(0, 1e6),
    alpha=st.floats(0.01, 50),
    beta=st.floats(0.01, 50),
    horizon=st.floats(1, 3_650),
)
def test_forecasts_are_finite_ordered_and_grow_with_loyalty_and_horizon(
    days: float, price: float, alpha: float, beta: float, horizon: float
) -> None:
    model = ClvContractual(horizon_days=horizon).fit(high_end_rows())
    model.staying_ = ShiftedBetaGeometric(alpha, beta)
    rows = rows_of((days, True, price), (days + 31, True, price))
    now = model.score(rows)
    assert np.isfinite(now.select_dtypes("number").to_numpy()).all()
    for name in ("expected_orders", "clv"):
        bounds = [now[f"{name}_{at}"].to_numpy() for at in ("low_90", "low_50", "high_50", "high_90")]
        assert all((low <= high + 1e-9).all() for low, high in pairwise(bounds))
    assert now["probability_active"].iloc[1] >= now["probability_active"].iloc[0] - 1e-12
    longer = model.set_params(horizon_days=horizon + 31).score(rows)
    assert (longer["expected_orders"] >= now["expected_orders"] - 1e-12).all()


def test_baseline_ignores_how_long_a_subscriber_has_stayed(fitted: Callable[[str], Model]) -> None:
    naive, model = fitted("clv_contractual_naive"), fitted("clv_contractual")
    rows = rows_of((40, True, 9.0), (40 + 10 * 30.4375, True, 9.0))
    assert isinstance(naive, ClvContractualNaive)
    flat, rising = (each.score(rows)["probability_active"].to_numpy() for each in (naive, model))
    assert flat[0] == pytest.approx(flat[1])
    assert rising[1] > rising[0]
