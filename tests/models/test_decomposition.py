from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clv.btyd import ClvBgNbd
from models.clv.decomposition import STEPS, decompose
from models.clv.naive import ClvNaive
from models.clv.next_order import days_to_next_order
from models.clv.value import Terms
from models.errors import ParameterOutOfRange
from models.evidence import by_order_days

BOTH = pytest.mark.parametrize("family", [ClvBgNbd, ClvNaive])
FACTORS = ["probability_active", "discounted_orders_if_active", "expected_order_value", "margin_rate"]
AMOUNT = st.floats(0, 1e6)


@pytest.fixture(scope="module")
def rows(cdnow_sample_rows: pd.DataFrame) -> pd.DataFrame:
    return cdnow_sample_rows.iloc[:600].reset_index(drop=True)


def test_steps_from_the_average_customer_by_hand() -> None:
    # Average: 0.5 x 4 x 10 = 20. Twice the orders at the same rest: 40, and all of the 20 more is the orders'.
    own = {name: np.array([value]) for name, value in zip(FACTORS, (0.5, 8.0, 10.0, 1.0), strict=True)}
    found = decompose(own, dict(zip(FACTORS, (0.5, 4.0, 10.0, 1.0), strict=True)))
    assert {name: value[0] for name, value in found.items()} == pytest.approx(
        {"clv_of_average": 20, "clv_from_active": 0, "clv_from_orders": 20, "clv_from_order_value": 0}
        | {"clv_from_margin": 0}
    )


def test_factors_that_cancel_are_shown_as_gain_and_loss() -> None:
    # Twice the orders of half the value: no difference, made of + and - 20 ln 2.
    own = {name: np.array([value]) for name, value in zip(FACTORS, (0.5, 8.0, 5.0, 1.0), strict=True)}
    found = decompose(own, dict(zip(FACTORS, (0.5, 4.0, 10.0, 1.0), strict=True)))
    assert found["clv_from_orders"][0] == pytest.approx(20 * np.log(2))
    assert found["clv_from_order_value"][0] == pytest.approx(-20 * np.log(2))


@settings(max_examples=50, deadline=None)
@given(
    own=st.tuples(st.floats(0, 1), AMOUNT, AMOUNT, st.floats(0, 1)),
    average=st.tuples(st.floats(0.01, 1), st.floats(0.01, 100), st.floats(0.01, 1e4), st.floats(0.01, 1)),
)
def test_steps_add_up_to_the_value(
    own: tuple[float, float, float, float], average: tuple[float, float, float, float]
) -> None:
    factors = {name: np.array([value]) for name, value in zip(FACTORS, own, strict=True)}
    found = decompose(factors, dict(zip(FACTORS, average, strict=True)))
    parts = [float(found[name][0]) for name in ("clv_of_average", *STEPS)]
    assert np.isfinite(parts).all()
    assert sum(parts) == pytest.approx(np.prod(own), rel=1e-9, abs=1e-9 * max(map(abs, parts)))


@BOTH
def test_value_is_product_of_its_factors_less_cost_and_sum_of_its_steps(
    family: type[ClvBgNbd | ClvNaive], rows: pd.DataFrame
) -> None:
    scores = family(margin_rate=0.4, annual_cost_to_serve=2.0).fit(rows).score(rows)
    product = scores[FACTORS].prod(axis=1) + scores["clv_from_cost"]
    np.testing.assert_allclose(product, scores["clv"], rtol=1e-9, atol=1e-9)
    steps = scores[["clv_of_average", *STEPS, "clv_from_cost"]].sum(axis=1)
    np.testing.assert_allclose(steps, scores["clv"], rtol=1e-9, atol=1e-9)


def test_cost_to_serve_is_discounted_over_the_horizon() -> None:
    # Two half-years of 30-day steps at no discount: a year of cost. At 10 %: less than a year, more than 1 / 1.1.
    assert Terms(365.0, 0.0, 1.0, 12.0).cost_to_serve == pytest.approx(12.0)
    assert 12 / 1.1 < Terms(365.0, 0.1, 1.0, 12.0).cost_to_serve < 12
    assert Terms(73.0, 0.0, 1.0, 12.0).cost_to_serve == pytest.approx(12 / 5)


def test_cost_to_serve_is_taken_from_value_for_as_far_as_a_customer_is_active(rows: pd.DataFrame) -> None:
    free, served = (ClvBgNbd(annual_cost_to_serve=cost).fit(rows).score(rows) for cost in (0.0, 5.0))
    cost = Terms(365.0, 0.1, 1.0, 5.0).cost_to_serve
    np.testing.assert_allclose(free["clv"] - served["clv"], cost * free["probability_active"], rtol=1e-9)
    assert (free["clv_from_cost"] == 0).all()
    np.testing.assert_allclose(served["clv_from_cost"], -cost * free["probability_active"])


def test_cost_to_serve_moves_a_bound_by_all_of_it_or_to_nothing(rows: pd.DataFrame) -> None:
    # who is active costs all of it and who is gone nothing: a share of it is nobody's
    free, served = (ClvBgNbd(annual_cost_to_serve=cost).fit(rows).score(rows) for cost in (0.0, 5.0))
    cost, certain = Terms(365.0, 0.1, 1.0, 5.0).cost_to_serve, free["probability_active"] == 1
    bounds = ["clv_low_90", "clv_low_50", "clv_high_50", "clv_high_90"]
    np.testing.assert_allclose(free.loc[certain, bounds] - cost, served.loc[certain, bounds], rtol=1e-9)
    assert certain.any()
    assert (~certain).any()
    for before, after in pairwise(bounds):
        assert (served[before] <= served[after]).all()
    assert (served[bounds] >= -cost).all(axis=None)
    gained = served["clv_high_90"] > 0  # where the bound is of who orders, and is active
    np.testing.assert_allclose((free["clv_high_90"] - served["clv_high_90"])[gained], cost, rtol=1e-9)
    gone = free["probability_active"] < 0.05
    assert (served.loc[gone, bounds[:3]] == 0).all(axis=None)


@BOTH
@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf")])
def test_impossible_cost_to_serve_is_refused_by_name(
    family: type[ClvBgNbd | ClvNaive], cost: float, rows: pd.DataFrame
) -> None:
    with pytest.raises(ParameterOutOfRange, match="annual_cost_to_serve"):
        family(annual_cost_to_serve=cost).fit(rows)


def test_next_order_of_a_known_rate_has_exponential_quantiles() -> None:
    rate = np.array([0.1, 0.01])
    found = days_to_next_order(lambda some, days: np.exp(-rate[some] * days), 2)
    for name, level in zip(found, (0.25, 0.5, 0.75), strict=True):
        np.testing.assert_allclose(found[name], -np.log(1 - level) / rate, rtol=0.01)


def test_next_order_is_given_that_there_is_one() -> None:
    # Half are gone: the others wait as if nobody were.
    found = days_to_next_order(lambda _, days: np.array([0.5 + 0.5 * np.exp(-0.1 * days)]), 1)
    assert found["days_to_next_order"][0] == pytest.approx(np.log(2) / 0.1, rel=0.01)


def test_no_next_order_is_as_far_away_as_we_look() -> None:
    found = days_to_next_order(lambda _, days: np.ones(1) + 0 * days, 1)
    assert [days[0] for days in found.values()] == [3650, 3650, 3650]


@BOTH
def test_bounds_of_the_next_order_are_around_it(family: type[ClvBgNbd | ClvNaive], rows: pd.DataFrame) -> None:
    scores = family().fit(rows).score(rows)
    assert (scores["days_to_next_order_low_50"] < scores["days_to_next_order"]).all()
    assert (scores["days_to_next_order"] < scores["days_to_next_order_high_50"]).all()


def test_evidence_counts_repeat_order_days() -> None:
    x = np.array([0.0, 1.0, 3.0, 4.0, 90.0])
    assert by_order_days(x).to_list() == ["low", "medium", "medium", "high", "high"]
