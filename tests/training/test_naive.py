import numpy as np
import pandas as pd
import pytest

from training.evaluation.naive import NAIVE, LastPeriod
from training.rows.splits import Split

NAN = float("nan")


def split(ids: str, rows: list[tuple[float, float, float, float]], outcome: list[tuple[float, float]]) -> Split:
    """Histories (frequency, recency_days, T_days, mean value) of customers a, b, ... with what came of them."""
    return Split(
        "train",
        pd.DataFrame({"customer_id": list(ids)}),
        pd.DataFrame(rows, columns=["frequency", "recency_days", "T_days", "monetary_value"]),
        pd.DataFrame(outcome, columns=["order_days", "order_value"]),
        "",
    )


@pytest.fixture
def now() -> Split:
    """A orders often and lately, b ordered once, c came only now."""
    return split("abc", [(4, 90, 100, 10.0), (0, 0, 100, NAN), (0, 0, 0, NAN)], [(0, 0)] * 3)


@pytest.fixture
def period() -> LastPeriod:
    """In the last 50 days a ordered twice for 30, b not at all; what is forecast is 100 days."""
    return LastPeriod(split("ab", [(2, 45, 50, 8.0), (0, 0, 50, NAN)], [(2, 30.0), (0, 0.0)]), 50.0, 100.0)


def test_mean_rate_goes_on_as_on_average_since_the_first_order(now: Split, period: LastPeriod) -> None:
    told = NAIVE["mean_rate"](now, period)
    assert told.orders.tolist() == [4.0, 0.0, pytest.approx(2.0)]  # c has no age: 4 orders in 200 days of all
    assert told.value.tolist() == [40.0, 0.0, pytest.approx(20.0)]
    np.testing.assert_allclose(told.probability_no_order, np.exp([-4.0, 0.0, -2.0]))


def test_last_period_repeats_itself_scaled_to_the_horizon(now: Split, period: LastPeriod) -> None:
    told = NAIVE["last_period"](now, period)
    assert told.orders.tolist() == [4.0, 0.0, pytest.approx(2.0)]
    assert told.value.tolist() == [60.0, 0.0, pytest.approx(20.0)]


def test_population_mean_is_the_same_for_everyone(now: Split, period: LastPeriod) -> None:
    told = NAIVE["population_mean"](now, period)
    assert told.orders.tolist() == [2.0, 2.0, 2.0]  # 1 a customer in half the time
    assert told.value.tolist() == [30.0, 30.0, 30.0]
    assert told.probability_no_order.tolist() == [0.25, 0.25, 0.25]  # half were silent, twice


def test_segment_mean_is_that_of_customers_who_stood_as_one_does(now: Split, period: LastPeriod) -> None:
    """B stood then as now: one order, long ago. Nobody stood as a or c do: they get everyone's mean."""
    told = NAIVE["segment_mean"](now, period)
    assert told.orders.tolist() == [2.0, 0.0, 2.0]
    assert told.probability_no_order.tolist() == [0.25, 1.0, 0.25]
