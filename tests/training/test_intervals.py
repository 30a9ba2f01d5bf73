"""Intervals of a classifier's figures."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from models.base import Array
from training.evaluation.intervals import (
    delong,
    gains_and_lift,
    intervals,
    mean_interval,
    rate_interval,
    with_intervals,
)
from training.evaluation.metrics import churn_metrics, expected_calibration_error, lift_top_decile


def drawn(rows: int, seed: int) -> tuple[Array, Array]:
    """Outcomes of customers whose probabilities are the truth, rounded so that some are tied."""
    generator = np.random.default_rng(seed)
    probability = np.round(generator.beta(1.0, 3.0, rows), 2)
    return (generator.random(rows) < probability).astype(np.float64), probability


def test_delong_by_hand() -> None:
    # positives 0.9, 0.4 and negatives 0.5, 0.2, 0.1: placements 1, 2/3 and 1/2, 1, 1; area 5/6
    # S10 = (1/36 + 1/36) / 1, S01 = (1/9 + 1/36 + 1/36) / 2; variance = S10 / 2 + S01 / 3
    found = delong(np.array([1.0, 1, 0, 0, 0]), np.array([0.9, 0.4, 0.5, 0.2, 0.1]), np.arange(5))
    error = np.sqrt(2 / 36 / 2 + 6 / 36 / 2 / 3)
    assert found.low == pytest.approx(5 / 6 - 1.6449 * error)
    assert found.high == 1.0


def test_mean_interval_by_hand() -> None:
    found = mean_interval(np.array([1.0, 2.0, 3.0]), np.arange(3))
    assert (found.low, found.high) == pytest.approx((2 - 1.6449 / np.sqrt(3), 2 + 1.6449 / np.sqrt(3)))


def test_wilson_by_hand() -> None:
    # Wilson (1927) with z = 1.6449 at 0 of 10: upper end z^2 / (n + z^2)
    low, high = rate_interval(np.array([0.0]), np.array([10.0]))
    assert (low[0], high[0]) == pytest.approx((0.0, 1.6449**2 / (10 + 1.6449**2)), abs=1e-9)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "log_loss", "brier", "lift_top_decile"])
def test_intervals_hold_the_figure_of_other_customers_nine_times_in_ten(name: str) -> None:
    """120 samples of 500: the standard error of a share of 0.9 is 0.027, of which 0.1 is nearly four."""
    truth = churn_metrics(*drawn(400_000, seed=0))[name]
    inside = []
    for seed in range(1, 121):
        found = with_intervals(*drawn(500, seed), np.arange(500), random_state=0)
        inside.append(found[f"{name}_low"] <= truth <= found[f"{name}_high"])
    assert np.mean(inside) == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize(
    "measure",
    [average_precision_score, expected_calibration_error, lift_top_decile],
    ids=["average_precision", "expected_calibration_error", "lift_top_decile"],
)
def test_resampling_by_weights_spreads_as_resampling_of_rows(
    measure: Callable[[Array, Array], float], request: pytest.FixtureRequest
) -> None:
    churned, probability = drawn(800, seed=1)
    generator = np.random.default_rng(2)
    rows = [generator.integers(0, 800, 800) for _ in range(400)]
    low, high = np.quantile([measure(churned[r], probability[r]) for r in rows], [0.05, 0.95])
    name = request.node.callspec.id
    found = intervals(churned, probability, np.arange(800), churn_metrics(churned, probability), 0)[name]
    assert found.high - found.low == pytest.approx(high - low, rel=0.25)


def test_repeated_rows_of_the_same_people_are_no_evidence() -> None:
    churned, probability = drawn(400, seed=3)
    once = with_intervals(churned, probability, np.arange(400), 0)
    again = with_intervals(np.tile(churned, 5), np.tile(probability, 5), np.tile(np.arange(400), 5), 0)
    for name in ("roc_auc", "log_loss", "brier", "average_precision", "expected_calibration_error"):
        width, repeated = (found[f"{name}_high"] - found[f"{name}_low"] for found in (once, again))
        assert repeated == pytest.approx(width, rel=0.02)


def test_many_rows_have_narrow_intervals_although_few_are_resampled() -> None:
    few, many = (with_intervals(*drawn(rows, seed=4), np.arange(rows), 0) for rows in (5_000, 80_000))
    for name in ("average_precision", "lift_top_decile"):
        widths = [found[f"{name}_high"] - found[f"{name}_low"] for found in (few, many)]
        assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)


def test_figures_that_need_certain_labels_have_no_interval_without_them() -> None:
    found = with_intervals(np.array([0.2, 1.0, 0.0, 0.7]), np.array([0.1, 0.9, 0.2, 0.6]), np.arange(4), 0)
    assert "roc_auc_low" not in found
    assert found["brier_low"] < found["brier"] < found["brier_high"]


def test_gains_and_lift_by_hand() -> None:
    churned = np.array([1.0] * 6 + [0.0] * 14)
    table = gains_and_lift(churned, np.linspace(1, 0, 20))
    assert table["rows"].tolist() == [2.0] * 10
    assert table["observed"].tolist() == [1.0] * 3 + [0.0] * 7
    assert table["lift"][:4] == pytest.approx([20 / 6] * 3 + [0.0])
    assert table["gain"] == pytest.approx([1 / 3, 2 / 3] + [1.0] * 8)
    assert (table["gain_low"] <= table["gain"]).all()
    assert (table["gain"] <= table["gain_high"]).all()
