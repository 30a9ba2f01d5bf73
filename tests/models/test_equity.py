import numpy as np
import pandas as pd
import pytest

from models.clv.equity import ALL, Equity, customer_equity, level_reach

KNOWN_LEVEL = (0.0,) * 1_000_000
"""So many totals without an error that only the customers' own spread is left."""
SCORES = pd.DataFrame(
    {"clv": [10.0, 30.0, 60.0], "clv_standard_deviation": [3.0, 4.0, 12.0], "segment": ["new", "new", "loyal"]}
)


def test_total_comes_first_and_segments_by_value() -> None:
    found = customer_equity([SCORES], ())
    assert [(each.group, each.customers, each.value) for each in found] == [
        (ALL, 3, 100),
        ("loyal", 1, 60),
        ("new", 2, 40),
    ]


def test_interval_of_independent_customers_by_hand() -> None:
    # 3, 4 and 12 make 13: 13 x 1.6449 = 21.38, 13 x 0.6745 = 8.77; the level was never wrong.
    total = customer_equity([SCORES], KNOWN_LEVEL)[0]
    bounds = (total.low_90, total.low_50, total.high_50, total.high_90)
    assert bounds == pytest.approx((78.62, 91.23, 108.77, 121.38), abs=0.01)


def test_interval_without_a_measured_error_takes_the_usual_one() -> None:
    # Student with 1 degree: 6.314 x 0.15 = 0.947; hypot(21.38, 100 (1 - exp(-0.947))) = 64.85, up 100 (exp(0.947) - 1)
    total = customer_equity([SCORES], ())[0]
    assert (total.low_90, total.high_90) == pytest.approx((35.15, 259.24), abs=0.05)


@pytest.mark.parametrize("sign", [-1, 1])
def test_interval_is_widened_by_how_wrong_totals_were(sign: int) -> None:
    # (0.15^2 + 2 x 0.3^2) / 3 = 0.2598^2; Student with 3 degrees: 2.353 x 0.2598 = 0.6114
    assert level_reach((sign * 0.3, 0.3), 90) == pytest.approx(0.6114, abs=1e-4)
    # hypot(21.38, 45.74) = 50.49
    assert customer_equity([SCORES], (sign * 0.3, 0.3))[0].low_90 == pytest.approx(49.51, abs=0.01)


def test_error_of_the_level_does_not_average_out_over_more_customers() -> None:
    few, many = (Equity.of("g", n, 100.0 * n, 50.0**2 * n, (0.1, 0.1)) for n in (1, 10_000))
    reach = np.expm1(2.3534 * np.sqrt((0.15**2 + 2 * 0.1**2) / 3))
    assert (few.high_90 - few.value) / few.value == pytest.approx(np.hypot(1.6449 * 0.5, reach), rel=1e-3)
    assert (many.high_90 - many.value) / many.value == pytest.approx(reach, rel=1e-2)


@pytest.mark.parametrize("shock", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("level", [50, 90])
def test_intervals_cover_the_next_shock_as_often_as_they_say(shock: float, level: int) -> None:
    # 4,000 logs with four measured errors each: the standard error of a coverage is below 0.008
    errors = np.random.default_rng(0).normal(0, shock, (4_000, 5))
    covered = np.mean([abs(last) <= level_reach(earlier, level) for *earlier, last in errors])
    assert level / 100 - 0.05 < covered < level / 100 + 0.07


def test_a_total_below_nothing_keeps_its_bounds_in_order() -> None:
    loss = Equity.of("g", 2, -100.0, 0.0, (0.1, 0.1))
    assert loss.low_90 < loss.low_50 < loss.value < loss.high_50 < loss.high_90


def test_an_interval_of_value_does_not_reach_below_what_serving_costs() -> None:
    # one customer of such spread that 1.6449 x 1,000 would take the total of 110 to -1,535
    wild = pd.DataFrame({"clv": [10.0, 100.0], "clv_standard_deviation": [1.0, 1_000.0]})
    total = customer_equity([wild], KNOWN_LEVEL)[0]
    assert (total.low_90, total.low_50) == (0.0, 0.0)
    assert total.high_90 == pytest.approx(110 + 1644.85, abs=0.01)
    costly = customer_equity([wild.assign(clv_from_cost=[-3.0, -4.0])], KNOWN_LEVEL)[0]
    assert (costly.low_90, costly.value) == (-7.0, 110.0)


def test_order_of_the_rows_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    scores = pd.DataFrame({"clv": generator.lognormal(3, 2, 1_000), "clv_standard_deviation": 1.0, "segment": "a"})
    assert customer_equity([scores], (0.1,)) == customer_equity([scores.sample(frac=1, random_state=1)], (0.1,))
    assert customer_equity([scores], (0.1,)) == customer_equity([scores.iloc[:99], scores.iloc[99:]], (0.1,))


def test_scores_without_values_or_segments_have_no_equity_or_only_the_total() -> None:
    assert customer_equity([SCORES[["segment"]]], (0.1,)) == []
    assert [each.group for each in customer_equity([SCORES.drop(columns="segment")], (0.1,))] == [ALL]
