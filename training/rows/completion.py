"""Labels whose window the cutoff cuts short, completed by how customers have come back so far.

At a cutoff nobody has seen 273 days of what followed a prediction time 120 days ago: a customer who ordered within
those 120 days has not churned for certain, one who did not may still order in the rest. Throwing the latter away, or
calling them churned, teaches the wrong rate; waiting for whole windows leaves a young shop without any. So the label
of a silent customer is the *probability* of staying silent through the rest of the window, from a discrete-time
hazard of the first order fitted on the same history. Where every window is whole, nothing changes.

References
----------
Singer, J. D. and Willett, J. B. (1993). It's About Time: Using Discrete-Time Survival Analysis to Study Duration and
the Timing of Events. Journal of Educational Statistics 18(2), equation (4): logistic hazard by period.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression

from models.base import Array, column

PERIOD_DAYS = 30.0


@dataclass(frozen=True)
class Seen:
    """What was seen of the label windows before the cutoff.

    Parameters
    ----------
    frequency, days_since_last_order, T_days : ndarray of shape (n,)
        Each row's history at its prediction time.
    days_to_order : ndarray of shape (n,)
        From the window's start to the first order in it; NaN when none was seen.
    observed_days : ndarray of shape (n,)
        How much of the window lies before the cutoff.
    """

    frequency: Array
    days_since_last_order: Array
    T_days: Array
    days_to_order: Array
    observed_days: Array

    @classmethod
    def of(cls, rows: pd.DataFrame, days_to_order: Array, observed_days: Array) -> "Seen":
        """Take the history from feature columns."""
        repeats, since, age = (column(rows, name) for name in ("frequency", "days_since_last_order", "T_days"))
        return cls(repeats, since, age, days_to_order, observed_days)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Seen":
        """Some of the rows."""
        return Seen(
            self.frequency[chosen],
            self.days_since_last_order[chosen],
            self.T_days[chosen],
            self.days_to_order[chosen],
            self.observed_days[chosen],
        )


def complete_labels(seen: Seen, horizon_days: float) -> Array:
    """Probability that each row has no order in its whole label window.

    Parameters
    ----------
    seen : Seen
        What was seen before the cutoff.
    horizon_days : float
        Length of the whole window.

    Returns
    -------
    ndarray of shape (n,)
        0 where an order was seen, 1 where the whole window was seen without one, between where it was cut short.
    """
    silent = np.isnan(seen.days_to_order)
    cut = silent & (seen.observed_days < horizon_days)
    label = silent.astype(np.float64)
    if cut.any():
        hazard = _Hazard(seen)
        label[cut] = hazard.survival(seen.rows(cut), seen.observed_days[cut], horizon_days)
    return label


class _Hazard:
    """Probability of the first order in a period of 30 days (or all that was seen), given none before in the window."""

    def __init__(self, seen: Seen) -> None:
        designs, outcomes = [], []
        longest = float(np.max(seen.observed_days))
        self.period = min(PERIOD_DAYS, longest)
        for start in np.arange(0, longest - self.period + 1e-9, self.period):
            end = start + self.period
            at_risk = (seen.observed_days >= end) & ~(seen.days_to_order < start)
            designs.append(_terms(seen.rows(at_risk), start + self.period / 2))
            outcomes.append(seen.days_to_order[at_risk] < end)
        design, outcome = np.concatenate(designs), np.concatenate(outcomes)
        self.center, spread = design.mean(axis=0), design.std(axis=0)
        self.scale = np.where(spread > 1e-9, spread, 1.0)
        self.overall = float(outcome.mean())
        self.model = None
        if 0 < self.overall < 1:
            self.model = LogisticRegression(max_iter=2000).fit((design - self.center) / self.scale, outcome)

    def _at(self, seen: Seen, elapsed: float) -> Array:
        if self.model is None:
            return np.full(len(seen.frequency), self.overall)
        design = (_terms(seen, elapsed) - self.center) / self.scale
        return self.model.predict_proba(design)[:, 1]  # type: ignore[no-any-return]

    def survival(self, seen: Seen, from_days: Array, to_days: float) -> Array:
        """Probability of no order from some days into the window until its end."""
        survival = np.ones(len(seen.frequency))
        for start in np.unique(from_days):
            here = from_days == start
            group = seen.rows(here)
            edges = np.append(np.arange(start, to_days, self.period), to_days)
            for begin, end in pairwise(edges):
                share = (end - begin) / self.period
                survival[here] *= (1 - self._at(group, float(begin + end) / 2)) ** share
        return survival


def _terms(seen: Seen, elapsed: float) -> Array:
    """Design of the hazard: silence by now, repeat orders, age, and how they bend each other."""
    silence = np.log(seen.days_since_last_order + elapsed + 1)
    repeats = np.log1p(np.minimum(seen.frequency, 10))
    age = np.log(seen.T_days + elapsed + 1)
    once = (seen.frequency == 0).astype(np.float64)
    return np.column_stack(
        [
            silence,
            repeats,
            age,
            silence * repeats,
            once,
            silence * once,
            silence**2,
            age * repeats,
            repeats**2,
        ]
    )
