"""Time to churn: rows at several prediction times with when each customer had left, the curve, and how good it is."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE
from features.engine.builder import build_features
from features.instants import days
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, column
from models.churn.curve import COLUMNS, EDGES, FEATURES, SINCE, ChurnCurve, PersonPeriods
from training.rows.keyed import keyed_frame
from training.rows.labels import future_lapses

LEAST_HISTORY_DAYS = 60
LEAST_LEFT = 100
MOST_ROWS = 200_000
"""Rows learned from, evenly taken: fifteen columns need no more."""
MOST_PAIRS_ROWS = 2_000
"""Customers of whom every pair is compared."""


def curve_rows(
    profile: Profile, names: Sequence[str], times: Sequence[datetime], threshold_days: int, known_until: datetime
) -> PersonPeriods:
    """Customers who had not left at some prediction times, and when they had.

    Parameters
    ----------
    profile : Profile
        With `orders`.
    names : sequence of str
        Features that the churn model takes.
    times : sequence of datetime
        Prediction times.
    threshold_days : int
        Silence after which a customer has left.
    known_until : datetime
        Nothing later is looked at.
    """
    wanted = FeatureSet("curve", 1, tuple(CATALOGUE[name] for name in FEATURES if name in names))
    keys, rows = keyed_frame(build_features(profile, wanted, times), wanted)
    there = (column(rows, SINCE) < threshold_days) & rows["frequency"].notna().to_numpy()
    keys, rows = keys[there].reset_index(drop=True), rows[there].reset_index(drop=True)
    lapses = future_lapses(profile, times, threshold_days, known_until)
    for frame in (keys, lapses):
        frame["prediction_time"] = frame["prediction_time"].astype("datetime64[us, UTC]")
    wait = keys.merge(lapses, on=["customer_id", "prediction_time"], how="left")["wait_days"].to_numpy(dtype=np.float64)
    watched = (pd.Timestamp(known_until) - keys["prediction_time"]).dt.total_seconds().to_numpy() / 86_400
    return PersonPeriods(rows, wait, watched)


def fit_curve(
    profile: Profile, names: Sequence[str], threshold_days: int, cutoff: datetime
) -> tuple[ChurnCurve, PersonPeriods] | None:
    """Fit the curve to what was known before a cutoff.

    Parameters
    ----------
    profile, names, threshold_days
        As for `curve_rows`.
    cutoff : datetime
        Nothing later is looked at.

    Returns
    -------
    tuple of ChurnCurve and PersonPeriods, or None
        With what it learned from; None where the history is too short or too few leave in it.
    """
    earliest = profile.known_from + days(LEAST_HISTORY_DAYS)
    times = [cutoff - days(edge) for edge in EDGES if cutoff - days(edge) >= earliest]
    if not times or not {SINCE, "frequency"} <= set(names):
        return None
    seen = curve_rows(profile, names, times, threshold_days, cutoff)
    if np.isfinite(seen.wait_days).sum() < LEAST_LEFT:
        return None
    chosen = np.unique(np.linspace(0, len(seen.rows) - 1, min(len(seen.rows), MOST_ROWS)).astype(np.int64))
    rows = seen.rows.iloc[chosen].reset_index(drop=True)
    learned = PersonPeriods(rows, seen.wait_days[chosen], seen.observed_days[chosen])
    return ChurnCurve.fit(learned, float(threshold_days)), learned


def curve_metrics(curve: ChurnCurve, seen: PersonPeriods, learned: PersonPeriods) -> dict[str, float]:
    """How well a curve foretells who leaves first, and when.

    Parameters
    ----------
    curve : ChurnCurve
        Learned before.
    seen : PersonPeriods
        What came after, of everyone for equally long.
    learned : PersonPeriods
        What it learned from, as the Kaplan-Meier curve of the baseline does.

    Returns
    -------
    dict
        `c_index` (Harrell: everyone is watched equally long, so that no weights for censoring are needed),
        `integrated_brier` over the periods that were seen and learned, and `integrated_brier_kaplan_meier` of the one
        curve that everyone shares. Empty where no period was seen.

    References
    ----------
    Harrell, F. E. et al. (1982). Evaluating the Yield of Medical Tests. JAMA 247(18). Graf, E. et al. (1999).
    Assessment and comparison of prognostic classification schemes for survival data. Statistics in Medicine 18, (4).
    """
    watched = float(seen.observed_days.min()) if len(seen.rows) else 0.0
    edges = [edge for edge, _ in zip(EDGES, curve.hazards, strict=False) if edge <= watched]
    if not edges:
        return {}
    told = curve.score(seen.rows)[list(COLUMNS[: len(edges)])].to_numpy()
    left = np.column_stack([seen.wait_days < edge for edge in edges]).astype(np.float64)
    everyone = _kaplan_meier(learned, edges)
    brier, usual = ((left - told) ** 2).mean(axis=0), ((left - everyone) ** 2).mean(axis=0)
    return {
        "c_index": concordance(told[:, -1], np.where(seen.wait_days < edges[-1], seen.wait_days, np.inf)),
        "integrated_brier": _integrated(brier, edges),
        "integrated_brier_kaplan_meier": _integrated(usual, edges),
    }


def concordance(risk: Array, wait_days: Array) -> float:
    """Share of the pairs of customers in which who leaves sooner was told the higher risk; ties count half.

    Parameters
    ----------
    risk : ndarray of shape (n,)
        Of at most 2,000 customers, evenly taken, every pair is compared.
    wait_days : ndarray of shape (n,)
        Until they left; infinite where they were not seen to.

    Examples
    --------
    >>> concordance(np.array([0.9, 0.5, 0.1]), np.array([1.0, 5.0, np.inf]))
    1.0
    """
    chosen = np.unique(np.linspace(0, len(risk) - 1, min(len(risk), MOST_PAIRS_ROWS)).astype(np.int64))
    risk, wait = risk[chosen], wait_days[chosen]
    sooner = wait[:, None] < wait[None, :]
    if not sooner.any():
        return 0.5
    higher = np.sign(risk[:, None] - risk[None, :])[sooner]
    return float((higher + 1).mean() / 2)


def _kaplan_meier(seen: PersonPeriods, edges: Sequence[int]) -> Array:
    """Share that has left by the end of each period, from all that were at risk in it."""
    staying, answer = 1.0, []
    for begin, end in zip((0, *edges), edges, strict=False):
        left = seen.period(begin, end)[1]
        staying *= 1 - (left.mean() if len(left) else 0.0)
        answer.append(1 - staying)
    return np.array(answer)


def _integrated(brier: Array, edges: Sequence[int]) -> float:
    """Area under the Brier score over time by trapezoids from 0, where nobody has left, a day."""
    times = np.array([0, *edges], dtype=np.float64)
    values = np.array([0.0, *brier])
    return float(np.sum(np.diff(times) * (values[1:] + values[:-1]) / 2) / times[-1])
