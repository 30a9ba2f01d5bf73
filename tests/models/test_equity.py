import numpy as np
import pandas as pd
import pytest

from models.clv.equity import ALL, Equity, customer_equity

SCORES = pd.DataFrame(
    {"clv": [10.0, 30.0, 60.0], "clv_standard_deviation": [3.0, 4.0, 12.0], "segment": ["new", "new", "loyal"]}
)


def test_total_comes_first_and_segments_by_value() -> None:
    found = customer_equity([SCORES], None)
    assert [(each.group, each.customers, each.value) for each in found] == [
        (ALL, 3, 100),
        ("loyal", 1, 60),
        ("new", 2, 40),
    ]


def test_interval_of_independent_customers_by_hand() -> None:
    # 3, 4 and 12 make 13: 13 x 1.6449 = 21.38, 13 x 0.6745 = 8.77.
    total = customer_equity([SCORES], 0.0)[0]
    assert (total.low_90, total.low_50, total.high_50, total.high_90) == (78.62, 91.23, 108.77, 121.38)


@pytest.mark.parametrize("bias", [-0.2, 0.2])
def test_interval_is_widened_by_how_wrong_the_total_was(bias: float) -> None:
    # hypot(13, 20) = 23.85: 100 - 1.6449 x 23.85
    assert customer_equity([SCORES], bias)[0].low_90 == pytest.approx(60.76, abs=0.005)


def test_bias_does_not_average_out_over_more_customers() -> None:
    few, many = (Equity.of("g", n, 100.0 * n, 50.0**2 * n, 0.1) for n in (1, 10_000))
    assert (few.high_90 - few.value) / few.value == pytest.approx(1.6449 * np.hypot(0.5, 0.1), rel=1e-3)
    assert (many.high_90 - many.value) / many.value == pytest.approx(0.16449, rel=1e-2)


def test_order_of_the_rows_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    scores = pd.DataFrame({"clv": generator.lognormal(3, 2, 1_000), "clv_standard_deviation": 1.0, "segment": "a"})
    assert customer_equity([scores], 0.1) == customer_equity([scores.sample(frac=1, random_state=1)], 0.1)
    assert customer_equity([scores], 0.1) == customer_equity([scores.iloc[:99], scores.iloc[99:]], 0.1)


def test_scores_without_values_or_segments_have_no_equity_or_only_the_total() -> None:
    assert customer_equity([SCORES[["segment"]]], 0.1) == []
    assert [each.group for each in customer_equity([SCORES.drop(columns="segment")], 0.1)] == [ALL]
