import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.clv.btyd import ClvBgNbd, ClvMbgNbd
from models.clv.errors import InvalidHistory
from models.clv.lifetimes_adapter import to_lifetimes
from models.clv.naive import ClvNaive
from models.clv.orders.bgnbd import BgNbd
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.value import Terms
from models.errors import ParameterOutOfRange

Clv = ClvBgNbd | ClvNaive
BOTH = pytest.mark.parametrize("family", [ClvBgNbd, ClvNaive])


def clv_frame(*customers: tuple[float, float, float, float]) -> pd.DataFrame:
    columns = ["frequency", "recency_days", "T_days", "monetary_value"]
    return pd.DataFrame(customers, columns=columns).astype(np.float64)


HAND = clv_frame((0, 0, 100, np.nan), (2, 60, 100, 10), (1, 90, 200, 40))


@pytest.fixture(scope="module")
def rows(cdnow_sample_rows: pd.DataFrame) -> pd.DataFrame:
    return cdnow_sample_rows.iloc[:600].reset_index(drop=True)


def scored(family: type[Clv], rows: pd.DataFrame, **settings: float) -> pd.DataFrame:
    return family(**settings).fit(rows).score(rows)


def test_naive_forecast_is_half_the_own_and_half_everyones_rate_and_value() -> None:
    # Everyone's rate is 3 orders in 400 days, everyone's value (10 + 40) / 2.
    scores = ClvNaive(horizon_days=40, annual_discount_rate=0).fit(HAND).score(HAND)
    assert scores["expected_orders"].to_list() == pytest.approx([0.15, 0.55, 0.25])
    assert scores["expected_order_value"].to_list() == pytest.approx([25, 17.5, 32.5])
    assert scores["clv"].to_list() == pytest.approx([3.75, 9.625, 8.125])
    assert scores["probability_active"].to_list() == [1, 1, 1]


def test_orders_are_discounted_from_the_middle_of_each_step() -> None:
    # Half an order in each of two steps of 30 days, at 10 % a year.
    discounted = Terms(60.0, 0.1, 1.0).discounted_orders(lambda days: np.array([days / 60]))
    assert discounted[0] == pytest.approx(0.5 * 1.1 ** (-15 / 365) + 0.5 * 1.1 ** (-45 / 365), rel=1e-14)


def test_steps_of_a_horizon_that_is_no_multiple_of_30_days_are_equal_and_shorter() -> None:
    discounted = Terms(40.0, 0.1, 1.0).discounted_orders(lambda days: np.array([days / 40]))
    assert discounted[0] == pytest.approx(0.5 * 1.1 ** (-10 / 365) + 0.5 * 1.1 ** (-30 / 365), rel=1e-14)


@BOTH
def test_undiscounted_value_is_orders_times_value_times_margin(family: type[Clv], rows: pd.DataFrame) -> None:
    scores = scored(family, rows, horizon_days=273.0, annual_discount_rate=0.0, margin_rate=0.3)
    expected = scores["expected_orders"] * scores["expected_order_value"] * 0.3
    np.testing.assert_allclose(scores["clv"], expected, rtol=1e-12)


@BOTH
def test_value_falls_with_the_discount_rate(family: type[Clv], rows: pd.DataFrame) -> None:
    values = [scored(family, rows, annual_discount_rate=rate)["clv"] for rate in (0.0, 0.1, 0.5)]
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()


@BOTH
def test_discounting_over_a_year_costs_less_than_a_whole_year_of_it(family: type[Clv], rows: pd.DataFrame) -> None:
    now, later = (scored(family, rows, horizon_days=365.0, annual_discount_rate=rate)["clv"] for rate in (0.0, 0.1))
    assert (later > now / 1.1).all()


@BOTH
def test_value_is_proportional_to_the_margin(family: type[Clv], rows: pd.DataFrame) -> None:
    whole, part = (scored(family, rows, margin_rate=margin)["clv"] for margin in (1.0, 0.25))
    np.testing.assert_allclose(part, 0.25 * whole, rtol=1e-12)


@BOTH
@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("horizon_days", 0.0, "more than 0, at most 36500"),
        ("horizon_days", -30.0, "more than 0, at most 36500"),
        ("horizon_days", float("nan"), "more than 0, at most 36500"),
        ("horizon_days", 40_000.0, "more than 0, at most 36500"),
        ("annual_discount_rate", -0.1, "0 to 10 a year"),
        ("annual_discount_rate", 11.0, "0 to 10 a year"),
        ("margin_rate", 0.0, "more than 0, at most 1"),
        ("margin_rate", 1.1, "more than 0, at most 1"),
    ],
)
def test_terms_that_make_no_sense_are_refused_with_value_and_range(
    family: type[Clv], setting: str, value: float, allowed: str
) -> None:
    with pytest.raises(ParameterOutOfRange) as refused:
        family(**{setting: value}).fit(HAND)
    assert str(refused.value).startswith(f"{setting} is {value!r}. Allowed: {allowed}.")


@BOTH
def test_contributions_add_up_to_the_log_ratio_of_undiscounted_values(family: type[Clv], rows: pd.DataFrame) -> None:
    model = family(horizon_days=273.0).fit(rows)
    scores = model.score(rows)
    log_value = np.log(scores["expected_orders"].to_numpy() * scores["expected_order_value"].to_numpy())
    contributions = model.explain(rows).sum(axis=1).to_numpy()
    np.testing.assert_allclose(contributions - contributions[0], log_value - log_value[0], atol=1e-9)


def test_contributions_compare_with_a_customer_of_average_orders_and_spend(rows: pd.DataFrame) -> None:
    model = ClvBgNbd(horizon_days=273.0).fit(rows)
    scores = model.score(rows)
    average = scores["expected_orders"].mean() * scores["expected_order_value"].mean()
    value = scores["expected_orders"] * scores["expected_order_value"]
    np.testing.assert_allclose(model.explain(rows).sum(axis=1), np.log(value / average), atol=1e-9)


@BOTH
def test_reason_values_are_the_factors_of_the_undiscounted_value(family: type[Clv], rows: pd.DataFrame) -> None:
    model = family(horizon_days=273.0, annual_discount_rate=0.0).fit(rows)
    np.testing.assert_allclose(model.reason_values(rows).prod(axis=1), model.score(rows)["clv"], rtol=1e-9)


def test_a_customer_who_is_surely_gone_has_finite_contributions() -> None:
    rows = clv_frame(*[(0, 0, 300, np.nan), (1, 20, 300, 9), (3, 290, 300, 12)] * 20)
    model = ClvBgNbd().fit(rows)
    gone = clv_frame((5_000, 5_000, 36_000, 10.0))
    assert model.score(gone)["probability_active"][0] == 0
    assert model.score(gone)["clv"][0] == 0
    assert np.isfinite(model.explain(gone).to_numpy()).all()


def test_fitted_parameters_are_named_as_in_the_literature(cdnow_sample_rows: pd.DataFrame) -> None:
    model = ClvBgNbd().fit(cdnow_sample_rows)
    assert list(model.fitted_parameters()) == ["r", "alpha", "a", "b", "p", "q", "v"]
    assert model.fitted_parameters()["alpha"] == pytest.approx(30.895, abs=5e-4)


def test_warnings_of_both_distributions_are_kept(rows: pd.DataFrame) -> None:
    heavy = clv_frame(*[(1, 20, 60, (100 / rank) ** 2.5) for rank in range(1, 101)])
    model = ClvBgNbd().fit(heavy)
    assert any("order rates" in said for said in model.warnings_)
    assert any("heavy-tailed" in said for said in model.warnings_)
    (once,) = model.fit(rows).warnings_  # the sample bears both; what BG/NBD takes for granted is told of it alone
    assert once.startswith("BG/NBD takes all")
    assert ClvMbgNbd().fit(rows).warnings_ == ()


ONCE = clv_frame(*[(0, 0, age, np.nan) for age in range(30)])
FREE = clv_frame(*[(0, 0, 90, np.nan), (2, 50, 90, 0.0)] * 20)


def test_naive_forecast_of_a_profile_without_a_paid_repeat_order_is_finite_and_says_so() -> None:
    # Half an order in 435 customer days and 365 more; money is not known.
    once, free = ClvNaive(horizon_days=80.0).fit(ONCE), ClvNaive().fit(FREE)
    assert once.score(ONCE)["expected_orders"][0] == pytest.approx(0.5 / 800 * 80)
    assert all(said.startswith("low evidence: no repeat") for said in (*once.warnings_, *free.warnings_))
    for model, rows in ((once, ONCE), (free, FREE)):
        assert (model.score(rows)["clv"] == 0).all()
        assert np.isfinite(model.explain(rows).to_numpy()).all()


def test_a_profile_without_a_repeat_buyer_is_forecast_at_half_an_order_in_all_days_seen_and_a_year() -> None:
    # 435 customer days and 365; each customer's own history of no order weighs too.
    model = ClvBgNbd(horizon_days=80.0).fit(ONCE)
    scores = model.score(ONCE)
    assert scores["expected_orders"].to_list() == pytest.approx([0.5 / (800 + age) * 80 for age in range(30)])
    assert (scores["clv"] == 0).all()
    assert len(model.warnings_) == 2
    assert all(said.startswith("low evidence: no repeat") for said in model.warnings_)


def test_a_profile_whose_repeat_orders_are_all_free_is_forecast_at_no_money() -> None:
    model = ClvBgNbd().fit(FREE)
    assert (model.score(FREE)["clv"] == 0).all()
    assert (model.score(FREE)["expected_orders"] > 0).all()
    assert any("money is forecast at 0" in said for said in model.warnings_)


@BOTH
def test_negative_spend_is_refused_when_fitted_and_when_scored(family: type[Clv], rows: pd.DataFrame) -> None:
    negative = rows.copy()
    negative.loc[3, ["frequency", "recency_days", "monetary_value"]] = [1.0, 5.0, -4.0]
    for attempt in (family().fit, family().fit(rows).score):
        with pytest.raises(InvalidHistory, match=r"monetary_value >= 0 does not hold in 1 row\(s\).*-4\.0"):
            attempt(negative)


@pytest.fixture
def adapted(cdnow_sample_rows: pd.DataFrame) -> tuple[ClvBgNbd, Any, Any]:
    model = ClvBgNbd(horizon_days=273.0).fit(cdnow_sample_rows)
    return model, *to_lifetimes(model)


def test_lifetimes_objects_predict_the_same_orders(
    adapted: tuple[ClvBgNbd, Any, Any], cdnow_sample_rows: pd.DataFrame
) -> None:
    model, orders, _ = adapted
    triple = [cdnow_sample_rows[name] for name in ("frequency", "recency_days", "T_days")]
    scores = model.score(cdnow_sample_rows)
    np.testing.assert_allclose(
        orders.conditional_expected_number_of_purchases_up_to_time(273.0, *triple), scores["expected_orders"], rtol=1e-9
    )


def test_lifetimes_objects_predict_the_same_order_value(
    adapted: tuple[ClvBgNbd, Any, Any], cdnow_sample_rows: pd.DataFrame
) -> None:
    model, _, spend = adapted
    value = cdnow_sample_rows["monetary_value"].fillna(0.0)
    np.testing.assert_allclose(
        spend.conditional_expected_average_profit(cdnow_sample_rows["frequency"], value),
        model.score(cdnow_sample_rows)["expected_order_value"],
        rtol=1e-9,
    )


def test_lifetimes_objects_can_be_shown(adapted: tuple[ClvBgNbd, Any, Any]) -> None:
    _, orders, spend = adapted
    assert "alpha: 30.9" in repr(orders)
    assert "p: 6.25" in repr(spend)


def test_handing_over_to_lifetimes_leaves_warnings_as_they_were(rows: pd.DataFrame) -> None:
    model = ClvBgNbd().fit(rows)
    before = list(warnings.filters)
    to_lifetimes(model)
    assert list(warnings.filters) == before


def test_kept_parameters_are_the_model() -> None:
    model = ClvBgNbd()
    model.columns_ = tuple(HAND.columns)
    model.orders_, model.spend_ = BgNbd(0.243, 30.898, 0.793, 2.426), GammaGamma(6.25, 3.74, 15.44)
    model.average_ = {
        "probability_active": 1.0,
        "orders_if_active": 1.0,
        "expected_order_value": 1.0,
        "discounted_orders_if_active": 1.0,
    }
    again = ClvBgNbd.from_state(model.state())
    assert again.score(HAND).equals(model.score(HAND))
