import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Model, State
from models.clv.contractual import ClvContractual, ClvContractualNaive
from models.clv.errors import NoRenewals
from models.clv.renewals.constant_churn import ConstantChurn
from models.clv.renewals.periods import Periods
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
    some = Subscribers.of(rows_of((days, True, 9.0)), Periods())
    assert some.renewals.tolist() == [renewals]
    assert some.days_to_renewal.tolist() == pytest.approx([to_renewal])


@pytest.mark.parametrize("start", pd.date_range("2023-01-01", "2024-02-29", freq="17D"))
def test_whoever_cancels_at_the_end_of_a_calendar_month_has_made_one_renewal_less_than_months(
    start: pd.Timestamp,
) -> None:
    for months in (1, 2, 6, 7, 11, 12, 24, 48):
        days = float((start + pd.DateOffset(months=months) - start).days)
        assert Subscribers.of(rows_of((days, False, 0.0)), Periods()).renewals.tolist() == [months - 1]


def test_renewals_due_are_those_before_the_end_of_the_horizon() -> None:
    some = Subscribers.of(rows_of((0.0, True, 9.0)), Periods())  # due after 33.4375, 63.875, 94.3125 days
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
    # What censoring is for: of twenty who left at once and twenty who stayed four renewals, half stay.
    model, _ = fit_to_subscribers(np.repeat([0.0, 4.0], 20), np.repeat([True, False], 20))
    assert 0.4 < float(model.survival(np.array([4.0]))[0]) < 0.6


@pytest.mark.parametrize("leaving", [0.01, 0.06, 0.3])
def test_subscribers_who_do_not_differ_are_forecast_as_well_as_by_the_rate_that_they_share(leaving: float) -> None:
    # Nothing then determines alpha + beta; the share that stays must still be right, early and late.
    generator = np.random.default_rng(1)
    lifetime, seen = generator.geometric(leaving, 2_000), generator.integers(1, 13, 2_000)
    has_left = lifetime <= seen
    model, _ = fit_to_subscribers(np.where(has_left, lifetime - 1, seen).astype(float), has_left)
    renewals = np.array([1.0, 6.0, 12.0])
    assert model.survival(renewals) == pytest.approx((1 - leaving) ** renewals, abs=0.03)


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


# ---- plans


def of_plan(plan: str | None, months: int, count: int, leaving: float, seed: int) -> pd.DataFrame:
    """Subscribers who can leave every so many months, a share of whom does each time; seen over up to five years."""
    generator = np.random.default_rng(seed)
    renewals = generator.geometric(leaving, count)
    seen = generator.uniform(0, 60 / months, count)
    left = renewals <= seen
    lasted = np.where(left, renewals * months * 30.4375 + generator.integers(-1, 2, count), seen * months * 30.4375)
    rows = rows_of(*zip(lasted, ~left, np.where(left, 0.0, 10.0), strict=True))
    return rows.assign(last_subscription_plan=plan, days_to_term=np.nan)


@pytest.fixture(scope="module")
def of_two_plans() -> ClvContractual:
    rows = pd.concat([of_plan("monthly", 1, 2_000, 0.08, 1), of_plan("yearly", 12, 1_000, 0.3, 2)], ignore_index=True)
    return ClvContractual(horizon_days=2 * YEAR, annual_discount_rate=0.0).fit(rows)


def test_plans_are_renewed_when_their_subscriptions_end(of_two_plans: ClvContractual) -> None:
    assert of_two_plans.periods_ == Periods(of_plan={"yearly": 365.25})
    assert "subscriptions of plan 'yearly' are renewed every 12 months" in " ".join(of_two_plans.warnings_)
    monthly, yearly = of_two_plans.strata_
    # At a constant rate of leaving the beta is narrow around it: what matters is the share that renews.
    for stratum, leaving in ((monthly, 0.08), (yearly, 0.3)):
        first, second = stratum.staying.survival(np.array([1.0, 2.0]))
        assert 1 - first == pytest.approx(leaving, abs=0.04)
        assert 1 - second / first == pytest.approx(leaving, abs=0.04)


def test_a_yearly_subscription_pays_once_a_year_what_its_year_costs(of_two_plans: ClvContractual) -> None:
    rows = rows_of((100, True, 10.0), (100, True, 10.0), (100, True, 10.0)).assign(
        last_subscription_plan=["yearly", "monthly", "never seen"], days_to_term=np.nan
    )
    scores = of_two_plans.score(rows)
    assert scores["expected_order_value"].tolist() == pytest.approx([120.0, 10.0, 10.0])
    assert scores["expected_orders"].iloc[0] == pytest.approx(0.7 + 0.49, abs=0.08)
    assert scores["days_to_next_order"].iloc[0] == pytest.approx(365.25 + 3 - 100)
    for name in ("clv", "expected_orders", "clv_high_90"):  # unknown plans are like the most
        assert scores[name].iloc[2] == scores[name].iloc[1]
    alone = pd.concat([of_two_plans.score(rows.iloc[[place]]) for place in range(3)], ignore_index=True)
    pd.testing.assert_frame_equal(alone, scores, check_exact=True)


def test_the_average_subscription_is_worth_the_mean_of_all_whatever_their_plans(of_two_plans: ClvContractual) -> None:
    learned = pd.concat([of_plan("monthly", 1, 2_000, 0.08, 1), of_plan("yearly", 12, 1_000, 0.3, 2)])
    scores = of_two_plans.score(learned.reset_index(drop=True))
    running = scores[scores["probability_active"] > 0]
    assert running["clv_of_average"].iloc[0] == pytest.approx(running["clv"].mean())
    ratios = of_two_plans.explain(learned.reset_index(drop=True))
    assert set(ratios) == {"probability_renewed", "periods_if_renewed", "period_price"}


def test_plans_of_one_period_are_told_apart_where_enough_have_left() -> None:
    parts = [of_plan("basic", 1, 1_500, 0.2, 1), of_plan("plus", 1, 1_500, 0.05, 2), of_plan("new", 1, 30, 0.5, 3)]
    model = ClvContractual().fit(pd.concat(parts, ignore_index=True))
    assert [stratum.plan for stratum in model.strata_] == [None, "basic", "plus"]
    rows = rows_of(*[(100, True, 10.0)] * 3).assign(last_subscription_plan=["basic", "plus", "new"], days_to_term=0.0)
    basic, plus, new = model.score(rows)["probability_active"]
    assert basic < new < plus
    assert set(model.fitted_parameters()) == {
        f"{name}{suffix}" for name in ("alpha", "beta") for suffix in ("", "_2_basic", "_3_plus")
    }
    naive = ClvContractualNaive().fit(pd.concat(parts, ignore_index=True))
    assert [stratum.plan for stratum in naive.strata_] == [None]


@pytest.mark.parametrize(("months", "days_to_term"), [(3, False), (6, False), (24, False), (12, True), (1, False)])
def test_periods_are_found_from_ends_or_from_terms_agreed_on(months: int, days_to_term: bool) -> None:
    rows = of_plan(None, months, 400, 0.3, months)
    if days_to_term:  # nobody has left yet
        rows = rows[rows["has_active_subscription"] == 1]
        period = months * 30.4375
        rows = rows.assign(days_to_term=period - rows["subscription_spell_days"] % period)
    expected = {} if months == 1 else {"": months * 30.4375}
    assert Periods.found(rows) == Periods(of_plan=expected)


def test_whoever_can_leave_any_day_is_taken_to_renew_monthly() -> None:
    rows = of_plan("any", 1, 2_000, 0.1, 5)
    lasted = np.random.default_rng(1).uniform(10, 1_500, 2_000)
    assert Periods.found(rows.assign(subscription_spell_days=lasted, days_to_term=50.0)).of_plan == {}


def test_a_period_that_was_set_goes_for_every_plan() -> None:
    rows = pd.concat([of_plan("monthly", 1, 500, 0.1, 1), of_plan("yearly", 12, 500, 0.3, 2)], ignore_index=True)
    assert ClvContractual(period_days=91.0).fit(rows).periods_ == Periods(91.0)


def test_a_plan_that_nobody_could_leave_yet_stays_as_the_others_do() -> None:
    fresh = rows_of(*[(50.0, True, 10.0)] * 40).assign(last_subscription_plan="yearly", days_to_term=315.25)
    model = ClvContractual().fit(pd.concat([of_plan("monthly", 1, 500, 0.1, 1), fresh], ignore_index=True))
    assert any("nobody who is renewed every 365.25 days" in said for said in model.warnings_)
    assert model.strata_[1].staying == model.strata_[0].staying


def test_a_model_of_plans_is_kept_and_read_again(of_two_plans: ClvContractual) -> None:
    again = ClvContractual.from_state(State(json.loads(json.dumps(of_two_plans.state().parameters))))
    rows = of_plan("yearly", 12, 50, 0.3, 9)
    pd.testing.assert_frame_equal(again.score(rows), of_two_plans.score(rows), check_exact=True)


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
    model.strata_ = (replace(model.strata_[0], staying=ShiftedBetaGeometric(alpha, beta)),)
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
    rows = rows.assign(last_subscription_plan="basic", days_to_term=100.0)
    assert isinstance(naive, ClvContractualNaive)
    flat, rising = (each.score(rows)["probability_active"].to_numpy() for each in (naive, model))
    assert flat[0] == pytest.approx(flat[1])
    assert rising[1] > rising[0]
