import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway, poisson
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_poisson_deviance,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from models.base import Array
from models.clv.orders.tails import Tail
from training.evaluation.metrics import (
    churn_loss,
    churn_metrics,
    clv_metrics,
    coverage,
    expected_calibration_error,
    lift_top_decile,
    normalised_gini,
    poisson_deviance,
    reliability,
    separation,
    value_coverage,
)

CHURNED = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
PROBABILITY = np.array([0.9, 0.2, 0.6, 0.35, 0.4, 0.1, 0.8, 0.6])


def test_churn_metrics_are_those_of_scikit_learn() -> None:
    found = churn_metrics(CHURNED, PROBABILITY)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(CHURNED, PROBABILITY))
    assert found["average_precision"] == pytest.approx(average_precision_score(CHURNED, PROBABILITY))
    assert found["log_loss"] == pytest.approx(log_loss(CHURNED, PROBABILITY))
    assert found["brier"] == pytest.approx(brier_score_loss(CHURNED, PROBABILITY))


def test_churn_metrics_by_hand() -> None:
    found = churn_metrics(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.75, 0.25, 0.5, 0.5]))
    assert found["roc_auc"] == 0.875  # of four pairs three are in order and one is tied
    assert found["brier"] == pytest.approx((0.0625 + 0.0625 + 0.25 + 0.25) / 4)
    # a flawless order would bring 0.5 * (0.3 * 190 - 1) = 28 a customer, contacting everybody 22.5
    assert 23 < found["empc"] < 28
    assert found["log_loss"] == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)


@pytest.mark.parametrize("churned", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.5, 1.0]])
def test_ranking_is_left_out_where_it_has_no_meaning(churned: list[float]) -> None:
    found = churn_metrics(np.array(churned), np.array([0.2, 0.5, 0.7]))
    both = {"empc"} if 0 < np.mean(churned) < 1 else set()
    assert set(found) == {"log_loss", "brier", "expected_calibration_error", "lift_top_decile", *both}
    assert all(np.isfinite(value) for value in found.values())


def test_fractional_label_counts_as_that_share_of_both_outcomes() -> None:
    found = churn_metrics(np.array([0.25]), np.array([0.4]))
    assert found["log_loss"] == pytest.approx(-(0.25 * np.log(0.4) + 0.75 * np.log(0.6)))
    assert found["brier"] == pytest.approx(0.25 * 0.36 + 0.75 * 0.16)


def test_certain_and_wrong_costs_much_and_not_infinitely() -> None:
    loss = churn_loss(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert loss == pytest.approx([-np.log(1e-6)] * 2)


def test_calibration_error_of_a_toy_table() -> None:
    # bin [0.1, 0.2): 2 rows, predicted 0.15, observed 0.5; bin [0.8, 0.9): 3 rows, predicted 0.85, observed 1
    churned = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
    probability = np.array([0.12, 0.18, 0.84, 0.85, 0.86])
    assert expected_calibration_error(churned, probability) == pytest.approx((2 * 0.35 + 3 * 0.15) / 5)


def test_reliability_lists_filled_bins_only_and_the_last_is_closed() -> None:
    table = reliability(np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.05, 0.95]))
    assert table["rows"].tolist() == [1.0, 2.0]
    assert table["predicted"] == pytest.approx([0.05, 0.975])
    assert table["observed"].tolist() == [0.0, 1.0]


def test_calibration_error_of_true_probabilities_is_small() -> None:
    generator = np.random.default_rng(3)
    probability = generator.random(20_000)
    churned = (generator.random(20_000) < probability).astype(np.float64)
    # ten bins of 2,000 rows: the standard error of a bin's rate is at most 0.011
    assert expected_calibration_error(churned, probability) < 0.02


def test_lift_is_the_rate_of_the_top_tenth_over_that_of_all() -> None:
    churned = np.array([1.0, 1.0] + [0.0] * 14 + [1.0, 1.0, 1.0, 0.0])
    probability = np.linspace(1, 0, 20)
    assert lift_top_decile(churned, probability) == pytest.approx(1.0 / 0.25)


def test_rows_tied_at_the_border_share_the_top_tenth() -> None:
    churned = np.array([1.0, 1.0, 0.0, 0.0, 1.0] + [0.0] * 15)
    probability = np.array([0.9] + [0.8] * 4 + [0.1] * 15)
    # one row above, and half of the four tied rows' rate for the second place
    assert lift_top_decile(churned, probability) == pytest.approx((1 + 0.5) / 2 / 0.15)


def test_lift_of_a_constant_is_one() -> None:
    assert lift_top_decile(CHURNED, np.full(8, 0.4)) == pytest.approx(1.0)


def test_lift_without_any_churn_is_zero() -> None:
    assert lift_top_decile(np.zeros(10), np.linspace(0, 1, 10)) == 0.0


def test_poisson_deviance_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(5)
    expected = generator.gamma(1.0, 2.0, 200)
    orders = generator.poisson(expected).astype(np.float64)
    assert poisson_deviance(orders, expected).mean() == pytest.approx(mean_poisson_deviance(orders, expected))


def test_poisson_deviance_by_hand() -> None:
    found = poisson_deviance(np.array([0.0, 3.0, 2.0]), np.array([0.5, 3.0, 1.0]))
    assert found == pytest.approx([1.0, 0.0, 2 * (2 * np.log(2) - 1)])


def test_expecting_nothing_where_orders_came_is_finite() -> None:
    assert np.isfinite(poisson_deviance(np.array([2.0]), np.array([0.0]))).all()


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 50)), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_poisson_deviance_is_never_negative(pairs: list[tuple[int, float]]) -> None:
    orders, expected = np.array(pairs, dtype=np.float64).T
    assert (poisson_deviance(orders, expected) >= -1e-9).all()


ORDERS = np.array([0.0, 2.0, 1.0, 0.0, 3.0])
VALUE = np.array([0.0, 30.0, 10.0, 0.0, 60.0])
EXPECTED = np.array([0.5, 1.5, 1.0, 0.25, 2.0])
EXPECTED_VALUE = np.array([5.0, 20.0, 15.0, 2.0, 50.0])
NONE = np.array([0.6, 0.25, 0.4, 0.75, 0.1])


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return clv_metrics(ORDERS, VALUE, EXPECTED, EXPECTED_VALUE, NONE)


def test_clv_errors_are_those_of_scikit_learn(found: dict[str, float]) -> None:
    assert found["rmse_orders"] == pytest.approx(root_mean_squared_error(ORDERS, EXPECTED))
    assert found["mae_orders"] == pytest.approx(mean_absolute_error(ORDERS, EXPECTED))
    assert found["rmse_value"] == pytest.approx(root_mean_squared_error(VALUE, EXPECTED_VALUE))
    assert found["mae_value"] == pytest.approx(mean_absolute_error(VALUE, EXPECTED_VALUE))
    assert found["log_loss_no_order"] == pytest.approx(log_loss(ORDERS == 0, NONE))
    assert found["poisson_deviance_orders"] == pytest.approx(mean_poisson_deviance(ORDERS, EXPECTED))


def test_bias_of_a_total_is_predicted_over_actual_less_one(found: dict[str, float]) -> None:
    assert found["bias_total_orders"] == pytest.approx(5.25 / 6 - 1)
    assert found["bias_total_value"] == pytest.approx(92 / 100 - 1)


def test_share_of_value_from_the_tenth_expected_to_be_worth_most(found: dict[str, float]) -> None:
    assert found["top_decile_share_value"] == pytest.approx(0.5 * 60 / 100)  # a tenth of five rows is half a row


def test_clv_metrics_of_customers_who_never_ordered_again_are_finite() -> None:
    nothing = np.zeros(5)
    found = clv_metrics(nothing, nothing, EXPECTED, EXPECTED_VALUE, NONE)
    assert all(np.isfinite(value) for value in found.values())


def test_gini_of_the_values_themselves_is_one() -> None:
    assert normalised_gini(VALUE, VALUE) == pytest.approx(1.0)
    assert normalised_gini(VALUE, VALUE**2 + 7) == pytest.approx(1.0)


def test_gini_of_a_constant_is_zero() -> None:
    assert normalised_gini(VALUE, np.full(5, 3.0)) == pytest.approx(0.0, abs=1e-12)


def test_gini_of_the_opposite_order_is_minus_one() -> None:
    assert normalised_gini(VALUE, -VALUE) == pytest.approx(-1.0)


def test_gini_by_hand() -> None:
    # in predicted order 3, 1, 0: cumulated shares 3/4, 1, 1 against 1/3, 2/3, 1; the best order is the same
    # in the order 1, 3, 0: 1/4, 1, 1; so (9/4 - 2) / (11/4 - 2)
    assert normalised_gini(np.array([3.0, 1.0, 0.0]), np.array([1.0, 2.0, 0.0])) == pytest.approx(1 / 3)


def test_gini_does_not_depend_on_the_order_of_tied_rows() -> None:
    actual, predicted = np.array([5.0, 0.0, 1.0, 0.0, 9.0]), np.array([1.0, 1.0, 2.0, 2.0, 2.0])
    turned = normalised_gini(actual[::-1], predicted[::-1])
    assert normalised_gini(actual, predicted) == pytest.approx(turned)


def test_gini_without_any_value_is_zero() -> None:
    assert normalised_gini(np.zeros(4), np.arange(4.0)) == 0.0


@pytest.fixture(scope="module")
def poisson_draws() -> tuple[Array, Array]:
    """Orders of 4,000 customers from a Poisson of known mean, and 400 draws from the same."""
    generator = np.random.default_rng(17)
    mean = generator.gamma(0.5, 3.0, 4_000)
    return generator.poisson(mean).astype(np.float64), generator.poisson(mean, (400, 4_000)).astype(np.float64)


def tail_of(draws: Array) -> Tail:
    """The distribution that draws stand for."""
    return lambda rows, k: np.asarray((draws[:, rows] >= k).mean(axis=0))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_of_a_perfectly_specified_poisson_is_nominal(level: float, poisson_draws: tuple[Array, Array]) -> None:
    orders, draws = poisson_draws
    # four standard errors of 4,000 customers are 0.032 at 50 % and 0.019 at 90 %
    tolerance = 4 * np.sqrt(level * (1 - level) / 4_000)
    assert coverage(orders, tail_of(draws), level, np.random.default_rng(0)) == pytest.approx(level, abs=tolerance)


def test_too_narrow_draws_cover_less(poisson_draws: tuple[Array, Array]) -> None:
    orders, draws = poisson_draws
    narrow = np.broadcast_to(draws.mean(axis=0).round(), draws.shape)
    assert coverage(orders, tail_of(narrow), 0.9, np.random.default_rng(0)) < 0.8


def test_coverage_of_customers_certain_not_to_order_is_nominal() -> None:
    zero = np.zeros(10_000)
    found = coverage(zero, tail_of(np.zeros((5, 10_000))), 0.9, np.random.default_rng(0))
    assert found == pytest.approx(0.9, abs=0.012)


def test_exact_distribution_function_gives_the_same_coverage(poisson_draws: tuple[Array, Array]) -> None:
    orders = np.arange(4_000.0) % 5
    draws = np.random.default_rng(1).poisson(2.0, (2_000, 4_000)).astype(np.float64)
    place = poisson.cdf(orders - 1, 2.0) + np.random.default_rng(0).random(4_000) * poisson.pmf(orders, 2.0)
    assert coverage(orders, tail_of(draws), 0.5, np.random.default_rng(0)) == pytest.approx(
        np.mean(np.abs(place - 0.5) <= 0.25), abs=0.01
    )


def test_separation_is_eta_squared() -> None:
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    values = np.array([1.0, 2.0, 3.0, 5.0, 7.0, 2.0, 2.0, 5.0])
    parts = [values[groups == group] for group in range(3)]
    statistic = f_oneway(*parts).statistic
    assert separation(values, groups) == pytest.approx(statistic * 2 / (statistic * 2 + 5))
    means = np.array([2.0, 6.0, 3.0])[groups]
    assert separation(values, groups) == pytest.approx(r2_score(values, means))


def test_separation_is_whole_between_and_none_within_groups() -> None:
    assert separation(np.array([1.0, 1.0, 4.0, 4.0]), np.array([0, 0, 3, 3])) == 1.0
    assert separation(np.array([1.0, 4.0, 1.0, 4.0]), np.array([0, 0, 1, 1])) == 0.0


def test_separation_of_equal_values_is_zero() -> None:
    assert separation(np.ones(4), np.array([0, 0, 1, 1])) == 0.0


def test_value_coverage_counts_who_spent_nothing_by_how_likely_that_was() -> None:
    # Spenders: one of two inside. The silent: never expected to spend, so their places fill [0, 1] evenly.
    value = np.array([5.0, 50.0] * 5_000 + [0.0] * 10_000)
    low, high = np.ones(20_000), np.full(20_000, 10.0)
    found = value_coverage(value, low, high, np.ones(20_000), 0.9, np.random.default_rng(0))
    assert found == pytest.approx((0.5 + 0.9) / 2, abs=0.01)


def test_silence_that_was_next_to_impossible_is_outside_every_interval() -> None:
    nothing = np.zeros(100)
    found = value_coverage(nothing, nothing + 1, nothing + 9, np.full(100, 0.01), 0.9, np.random.default_rng(0))
    assert found == 0.0
