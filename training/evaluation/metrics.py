"""How good predictions are: every metric, by its standard name and natural sign."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from models.base import Array
from models.clv.orders.tails import Tail
from models.decision.empc import expected_maximum_profit

CLIP = 1e-6
Z_90 = 1.6449
"""How many standard errors to either side a 90 % interval reaches."""
LEAST_EXPECTED = 1e-6
LEAST_APART = 1e-12
"""Product of standard deviations below which numbers differ by rounding only."""


def churn_metrics(churned: Array, probability: Array) -> dict[str, float]:
    """Ranking and calibration of a churn probability.

    Parameters
    ----------
    churned : ndarray of shape (n,)
        0 or 1; between on rows whose window was cut short.
    probability : ndarray of shape (n,)
        Predicted.

    Returns
    -------
    dict
        `roc_auc` and `average_precision` (only where every label is known for certain and both occur), `log_loss`,
        `brier`, `expected_calibration_error`, `lift_top_decile`; `empc`, the expected maximum profit a customer on the
        terms that its authors took (a customer worth 200, an offer of 10, a contact of 1), where both occur.
    """
    metrics = {
        "log_loss": float(churn_loss(churned, probability).mean()),
        "brier": float(np.mean(churned * (1 - probability) ** 2 + (1 - churned) * probability**2)),
        "expected_calibration_error": expected_calibration_error(churned, probability),
        "lift_top_decile": lift_top_decile(churned, probability),
    }
    if set(np.unique(churned)) == {0.0, 1.0}:
        metrics["roc_auc"] = float(roc_auc_score(churned, probability))
        metrics["average_precision"] = float(average_precision_score(churned, probability))
    if 0 < np.mean(churned) < 1:
        metrics["empc"] = expected_maximum_profit(churned, probability).profit
    return metrics


def churn_loss(churned: Array, probability: Array) -> Array:
    """Log loss of each row."""
    p = np.clip(probability, CLIP, 1 - CLIP)
    return -(churned * np.log(p) + (1 - churned) * np.log(1 - p))


def standard_error(values: Array, people: npt.NDArray[Any] | None = None) -> float:
    """Of a mean, where rows of different people are independent and those of one are not; of every row by default."""
    parts = (values - values.mean()) / len(values)
    if people is not None:
        parts = np.bincount(np.unique(people, return_inverse=True)[1], weights=parts)
    return float(np.sqrt(np.sum(parts**2) * len(parts) / max(len(parts) - 1, 1)))


def reliability(churned: Array, probability: Array, bins: int = 10) -> dict[str, Array]:
    """Predicted against observed rate in bins of equal width.

    Returns
    -------
    dict
        `rows`, `predicted` and `observed` of each filled bin.
    """
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    rows = np.bincount(bin_of, minlength=bins).astype(np.float64)
    filled = rows > 0
    sums = [np.bincount(bin_of, weights=values, minlength=bins)[filled] for values in (probability, churned)]
    return {"rows": rows[filled], "predicted": sums[0] / rows[filled], "observed": sums[1] / rows[filled]}


def expected_calibration_error(churned: Array, probability: Array, bins: int = 10) -> float:
    """Mean distance of predicted and observed rate over bins of equal width, weighted by rows.

    References
    ----------
    Guo, C. et al. (2017). On Calibration of Modern Neural Networks. ICML, equation (3).
    """
    table = reliability(churned, probability, bins)
    return float(np.average(np.abs(table["predicted"] - table["observed"]), weights=table["rows"]))


def lift_top_decile(churned: Array, probability: Array) -> float:
    """Rate among the tenth with the highest probability, over the rate of all; ties share the place."""
    return _top_tenth(churned, probability) / max(float(churned.mean()), 1e-12)


def _top_tenth(values: Array, scores: Array) -> float:
    """Mean of values among the tenth that scores highest; rows tied at the border count in part."""
    wanted = len(scores) / 10
    border = np.sort(scores)[::-1][int(np.ceil(wanted)) - 1]
    above, at = scores > border, scores == border
    missing = wanted - above.sum()
    return float((values[above].sum() + values[at].mean() * missing) / wanted)


def poisson_deviance(orders: Array, expected: Array) -> Array:
    """Poisson deviance of each row: 2 (y log(y / m) - (y - m)), 2 m at y = 0."""
    m = np.maximum(expected, LEAST_EXPECTED)
    ratio = np.where(orders > 0, orders, 1.0) / m
    return 2 * (np.where(orders > 0, orders * np.log(ratio), 0.0) - (orders - m))


def clv_metrics(
    orders: Array, value: Array, expected_orders: Array, expected_value: Array, probability_no_order: Array
) -> dict[str, float]:
    """Accuracy of expected orders and value.

    Parameters
    ----------
    orders, value : ndarray of shape (n,)
        What was ordered in the horizon: order days and their value.
    expected_orders, expected_value : ndarray of shape (n,)
        What was expected.
    probability_no_order : ndarray of shape (n,)
        Predicted probability of no order in the horizon.

    Returns
    -------
    dict
        Metrics by standard name: of orders (deviance, errors, correlation, total) and of value (errors, concentration,
        total).
    """
    return {
        "poisson_deviance_orders": float(poisson_deviance(orders, expected_orders).mean()),
        "rmse_orders": float(np.sqrt(np.mean((orders - expected_orders) ** 2))),
        "mae_orders": float(np.mean(np.abs(orders - expected_orders))),
        "correlation_orders": _correlation(orders, expected_orders),
        "log_loss_no_order": float(churn_loss((orders == 0).astype(float), probability_no_order).mean()),
        "mae_value": float(np.mean(np.abs(value - expected_value))),
        "rmse_value": float(np.sqrt(np.mean((value - expected_value) ** 2))),
        "gini_value": normalised_gini(value, expected_value),
        "top_decile_share_value": _top_tenth(value, expected_value) * len(value) / 10 / max(float(value.sum()), 1e-12),
        "bias_total_orders": _bias(orders, expected_orders),
        "bias_total_value": _bias(value, expected_value),
    }


def _correlation(actual: Array, expected: Array) -> float:
    """Pearson's; 0 where one of them is the same for everybody."""
    apart = float(actual.std() * expected.std())
    return (
        float(np.mean((actual - actual.mean()) * (expected - expected.mean())) / apart) if apart > LEAST_APART else 0.0
    )


def _bias(actual: Array, expected: Array) -> float:
    """Expected over actual total, less 1; where nothing came, 1 if anything was expected."""
    total, forecast = float(actual.sum()), float(expected.sum())
    return forecast / total - 1 if total > 0 else float(forecast > 0)


def normalised_gini(actual: Array, predicted: Array) -> float:
    """How well predictions order the actual values: 1 as the values themselves, 0 as chance.

    References
    ----------
    Wang, X., Liu, T. and Miao, J. (2019). A Deep Probabilistic Model for Customer Lifetime Value Prediction, section 5.
    """
    own = _gini(actual, actual)
    return _gini(actual, predicted) / own if own > 0 else 0.0


def _gini(actual: Array, by: Array) -> float:
    order = np.argsort(-by, kind="stable")
    # rows with one prediction are taken together, so that the order of the data does not matter
    _, first, size = np.unique(-by[order], return_index=True, return_counts=True)
    means = np.add.reduceat(actual[order], first) / size
    gained = np.cumsum(np.repeat(means, size)) / max(float(actual.sum()), 1e-12)
    return float(gained.mean() - (len(actual) + 1) / (2 * len(actual)))


def coverage(orders: Array, tail: Tail, level: float, generator: np.random.Generator) -> float:
    """Share of customers whose randomised probability integral transform lies in the central interval.

    Parameters
    ----------
    orders : ndarray of shape (n,)
        What was ordered.
    tail : callable
        The predictive distribution; see `models.clv.orders.tails`.
    level : float
        Nominal coverage, such as 0.9.
    generator : numpy Generator
        Breaks ties.

    References
    ----------
    Czado, C., Gneiting, T. and Held, L. (2009). Predictive Model Assessment for Count Data. Biometrics 65, section 2.
    """
    reached, passed = np.ones(len(orders)), np.empty(len(orders))
    for k in np.unique(orders):
        rows = np.flatnonzero(orders == k)
        passed[rows] = tail(rows, int(k) + 1)
        if k > 0:
            reached[rows] = tail(rows, int(k))
    place = 1 - reached + generator.random(len(orders)) * (reached - passed)
    return float(np.mean(np.abs(place - 0.5) <= level / 2))


def value_coverage(
    value: Array, low: Array, high: Array, probability_none: Array, level: float, generator: np.random.Generator
) -> float:
    """Share of customers whose value lies in its central interval; those without any take a random place below it.

    Parameters
    ----------
    value : ndarray of shape (n,)
        What was spent.
    low, high : ndarray of shape (n,)
        Bounds of the interval.
    probability_none : ndarray of shape (n,)
        Predicted probability of spending nothing.
    level : float
        Nominal coverage, such as 0.9.
    generator : numpy Generator
        Breaks ties at nothing.
    """
    place = probability_none * generator.random(len(value))
    inside = np.where(value > 0, (value > low) & (value <= high), np.abs(place - 0.5) <= level / 2)
    return float(inside.mean())


def separation(values: Array, groups: npt.NDArray[np.int64]) -> float:
    """Share of the variance of some values that lies between groups (eta squared), 0 to 1."""
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    rows = np.bincount(groups)
    filled = rows > 0
    means = np.bincount(groups, weights=values)[filled] / rows[filled]
    return float((rows[filled] * (means - values.mean()) ** 2).sum() / total)
