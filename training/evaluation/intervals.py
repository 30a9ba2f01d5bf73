"""How sure the figures of a classifier are: 90 % intervals of every metric.

Rows of one person are taken together everywhere, so that several snapshots of a customer, or one customer under two
ids, do not count as more evidence than there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.base import Array
from training.evaluation.metrics import Z_90, churn_loss, churn_metrics, reliability, standard_error

DRAWS, MOST_PEOPLE = 200, 5_000
"""Bootstrap samples, and from how many people at most: of more, the spread is that of so many, scaled down."""
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A 90 % interval.

    Parameters
    ----------
    low, high : float
        Its ends.
    """

    low: float
    high: float


def with_intervals(churned: Array, probability: Array, people: npt.NDArray[Any], random_state: int) -> dict[str, float]:
    """The metrics of a classifier, each with ``<metric>_low`` and ``<metric>_high``.

    Parameters
    ----------
    churned, probability : ndarray of shape (n,)
        As `training.evaluation.metrics.churn_metrics` takes them.
    people : ndarray of shape (n,)
        Whose rows they are.
    random_state : int
        Seed of the bootstrap.
    """
    metrics = churn_metrics(churned, probability)
    found = intervals(churned, probability, people, metrics, random_state)
    for name, interval in found.items():
        metrics |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return metrics


def intervals(
    churned: Array, probability: Array, people: npt.NDArray[Any], metrics: Mapping[str, float], random_state: int
) -> dict[str, Interval]:
    """90 % intervals of metrics that are there already.

    Returns
    -------
    dict
        AUC by DeLong, log loss and Brier score by the normal approximation of mean row losses, the others by bootstrap.
    """
    who = np.unique(people, return_inverse=True)[1]
    rows = {
        "log_loss": churn_loss(churned, probability),
        "brier": churned * (1 - probability) ** 2 + (1 - churned) * probability**2,
    }
    found = {name: mean_interval(losses, who) for name, losses in rows.items()}
    if "roc_auc" in metrics:
        found["roc_auc"] = delong(churned, probability, who)
    return found | _bootstrapped(churned, probability, who, metrics, random_state)


def mean_interval(values: Array, who: Rows) -> Interval:
    """Interval of a mean, by the normal approximation."""
    mean, error = float(values.mean()), standard_error(values, who)
    return Interval(mean - Z_90 * error, mean + Z_90 * error)


def delong(churned: Array, probability: Array, who: Rows) -> Interval:
    """Interval of the area under the ROC curve.

    Parameters
    ----------
    churned : ndarray of shape (n,)
        0 and 1, both of which occur.
    probability : ndarray of shape (n,)
        Predicted.
    who : ndarray of shape (n,)
        Number of the person whose row it is.

    References
    ----------
    DeLong, E., DeLong, D. and Clarke-Pearson, D. (1988). Comparing the Areas under Two or More Correlated Receiver
    Operating Characteristic Curves. Biometrics 44, equations (4) to (6); persons with several rows as Obuchowski, N.
    (1997). Nonparametric Analysis of Clustered ROC Curve Data. Biometrics 53, section 3.
    """
    happened = churned == 1
    placed = {True: _placements(probability[happened], probability[~happened])}
    placed[False] = 1 - _placements(probability[~happened], probability[happened])
    area = float(placed[True].mean())
    parts = np.empty(len(churned))
    for side, places in placed.items():
        count = len(places)
        parts[happened == side] = (places - area) / np.sqrt(count * max(count - 1, 1))
    error = float(np.sqrt(np.sum(np.bincount(who, weights=parts) ** 2)))
    return Interval(max(area - Z_90 * error, 0.0), min(area + Z_90 * error, 1.0))


def _placements(values: Array, among: Array) -> Array:
    """Share of others that each value is above, ties by half."""
    ordered = np.sort(among)
    below, not_above = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + not_above) / 2 / len(ordered), dtype=np.float64)


def _bootstrapped(
    churned: Array, probability: Array, who: Rows, metrics: Mapping[str, float], random_state: int
) -> dict[str, Interval]:
    """Intervals by resampling persons; centred, since resampling alone makes a calibration error look larger."""
    generator = np.random.default_rng(random_state)
    people = int(who.max()) + 1
    used = min(people, MOST_PEOPLE)
    if used < people:
        kept = np.full(people, -1)
        kept[np.sort(generator.choice(people, used, replace=False))] = np.arange(used)
        who = kept[who]
        churned, probability, who = churned[who >= 0], probability[who >= 0], who[who >= 0]
    weights = generator.poisson(1.0, (DRAWS, used)).astype(np.float64)[:, who]
    order = np.argsort(-probability, kind="stable")
    draws = {
        "expected_calibration_error": _calibration_errors(churned, probability, weights),
        **_ranked(churned[order], probability[order], weights[:, order]),
    }
    ends = {"expected_calibration_error": 1.0, "average_precision": 1.0, "lift_top_decile": np.inf}
    found = {}
    for name, values in draws.items():
        if name in metrics:
            spread = (np.quantile(values, [0.05, 0.95]) - values.mean()) * np.sqrt(used / people)
            low, high = np.clip(metrics[name] + spread, 0.0, ends[name])
            found[name] = Interval(float(low), float(high))
    return found


def _calibration_errors(churned: Array, probability: Array, weights: Array, bins: int = 10) -> Array:
    """Expected calibration error of each weighting."""
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    order = np.argsort(bin_of, kind="stable")
    first = np.unique(bin_of[order], return_index=True)[1]
    gaps = np.add.reduceat(weights[:, order] * (probability - churned)[order], first, axis=1)
    return np.asarray(np.abs(gaps).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0), dtype=np.float64)


def _ranked(churned: Array, probability: Array, weights: Array) -> dict[str, Array]:
    """Average precision and lift of each weighting, of rows in falling order of probability; ties share a place."""
    last = np.flatnonzero(np.append(probability[1:] != probability[:-1], True))
    rows = np.cumsum(weights, axis=1)[:, last]
    hits = np.cumsum(weights * churned, axis=1)[:, last]
    total, happened = np.maximum(rows[:, -1:], 1e-9), np.maximum(hits[:, -1:], 1e-9)
    gained = np.diff(hits, axis=1, prepend=0.0)
    precision = hits / np.maximum(rows, 1e-9)
    top = np.array(
        [np.interp(r[-1] / 10, np.append(0.0, r), np.append(0.0, h)) for r, h in zip(rows, hits, strict=True)]
    )
    return {
        "average_precision": (gained * precision).sum(axis=1) / happened[:, 0],
        "lift_top_decile": top / (total[:, 0] / 10) / (happened[:, 0] / total[:, 0]),
    }


def rate_interval(happened: Array, rows: Array) -> tuple[Array, Array]:
    """Wilson's 90 % interval of rates.

    Parameters
    ----------
    happened, rows : ndarray
        Rows with the outcome, and all rows; broadcast against each other.

    References
    ----------
    Wilson, E. (1927). Probable Inference, the Law of Succession, and Statistical Inference. JASA 22(158).
    """
    n = np.maximum(rows, 1e-9)
    rate, spread = happened / n, Z_90**2 / n
    middle = (rate + spread / 2) / (1 + spread)
    half = Z_90 / (1 + spread) * np.sqrt(np.maximum(rate * (1 - rate), 0) / n + spread / (4 * n))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def reliability_with_intervals(churned: Array, probability: Array) -> dict[str, Array]:
    """Predicted against observed rate in bins of equal width, with the interval of the observed."""
    table = reliability(churned, probability)
    low, high = rate_interval(table["observed"] * table["rows"], table["rows"])
    return {**table, "observed_low": low, "observed_high": high}


def gains_and_lift(churned: Array, probability: Array) -> dict[str, Array]:
    """What each tenth of the rows, most likely first, holds of the outcome.

    Returns
    -------
    dict
        By tenth: `rows`, `predicted`, `observed`, its `lift` over the rate of all and `gain`, the share of the outcome
        caught down to it, the last three with ``_low`` and ``_high``.
    """
    count = len(churned)
    order = np.lexsort((np.arange(count), -probability))
    tenth = np.empty(count, dtype=np.int64)
    tenth[order] = np.arange(count) * 10 // count
    rows = np.bincount(tenth, minlength=10).astype(np.float64)
    hits, expected = (
        np.asarray(np.bincount(tenth, weights=values, minlength=10), dtype=np.float64)
        for values in (churned, probability)
    )
    some = np.maximum(rows, 1.0)
    overall, total = max(float(churned.mean()), 1e-12), max(float(churned.sum()), 1e-12)
    low, high = rate_interval(hits, rows)
    caught = np.asarray(np.cumsum(hits), dtype=np.float64)
    gain_low, gain_high = rate_interval(caught, np.full(10, total))
    return {
        "tenth": np.arange(1.0, 11.0),
        "rows": rows,
        "predicted": expected / some,
        "observed": hits / some,
        "observed_low": low,
        "observed_high": high,
        "lift": hits / some / overall,
        "lift_low": low / overall,
        "lift_high": high / overall,
        "gain": caught / total,
        "gain_low": gain_low,
        "gain_high": gain_high,
    }
