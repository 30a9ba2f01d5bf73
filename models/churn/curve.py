"""When a customer will have left: a discrete-time hazard, one logistic regression a period.

A customer has left by orders once silent for the threshold. From a prediction time on, the hazard of a period is the
probability to leave in it, of those who had not left before it; the curve follows from their product and never falls.

References
----------
Singer, J. D. and Willett, J. B. (1993). It's About Time: Using Discrete-Time Survival Analysis to Study Duration and
the Timing of Events. Journal of Educational Statistics 18(2), equations (1) and (4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, State, column
from models.churn.logistic import ChurnLogistic

EDGES = (30, 60, 90, 180, 365)
"""Days at which periods end."""
COLUMNS = tuple(f"probability_churned_{days}d" for days in EDGES)
FEATURES = (
    "frequency",
    "days_since_last_order",
    "T_days",
    "order_gap_mean_days",
    "order_gap_std_days",
    "days_since_last_order_to_gap",
    "order_count_30d",
    "order_count_90d",
    "order_count_365d",
    "order_count_trend_90d",
    "order_value_mean",
    "event_count_30d",
    "days_since_last_event",
    "complaint_count_365d",
    "nps_last_score",
)
"""What it looks at, where the model beside it has it: few columns, since it is asked in every request."""
SINCE = "days_since_last_order"
LEAST_EVENTS = 30


@dataclass(frozen=True)
class PersonPeriods:
    """Who was there when a period began, and who left in it.

    Parameters
    ----------
    rows : pandas.DataFrame
        Features at the prediction time.
    wait_days : ndarray of shape (n,)
        From the prediction time until the customer had left; NaN while that was not seen.
    observed_days : ndarray of shape (n,)
        How long the customer was watched.
    """

    rows: pd.DataFrame
    wait_days: Array
    observed_days: Array

    def period(self, begin: float, end: float) -> tuple[npt.NDArray[np.bool_], Array]:
        """Which rows are at risk in a period that was seen whole, and which of those left in it."""
        at_risk = (self.observed_days >= end) & ~(self.wait_days < begin)
        return at_risk, (self.wait_days < end)[at_risk].astype(np.float64)


@dataclass(frozen=True)
class ChurnCurve:
    """Hazards of the periods.

    Parameters
    ----------
    columns : tuple of str
        Features it takes, in order.
    threshold_days : float
        Silence after which a customer has left.
    hazards : tuple of ChurnLogistic or float
        One a period; a number where too few left in it to tell them apart. Shorter than `EDGES` where the history does
        not reach as far.
    """

    columns: tuple[str, ...]
    threshold_days: float
    hazards: tuple[ChurnLogistic | float, ...]

    @classmethod
    def fit(cls, seen: PersonPeriods, threshold_days: float) -> Self:
        """Fit a hazard to every period that was seen whole for some customers.

        Parameters
        ----------
        seen : PersonPeriods
            Rows at several prediction times, of customers who had not left.
        threshold_days : float
            Silence after which a customer has left.
        """
        columns = tuple(name for name in FEATURES if name in seen.rows)
        hazards: list[ChurnLogistic | float] = []
        for begin, end in zip((0, *EDGES), EDGES, strict=False):
            at_risk, left = seen.period(begin, end)
            if not at_risk.any():
                break
            rare = min(left.sum(), len(left) - left.sum())
            rows = seen.rows[list(columns)][at_risk].reset_index(drop=True)
            hazards.append(ChurnLogistic().fit(rows, left) if rare >= LEAST_EVENTS else float(left.mean()))
        return cls(columns, threshold_days, tuple(hazards))

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Probability to have left within 30, 60, 90, 180 and 365 days; NaN beyond what was learned.

        It never falls from one column to the next, and is 1 of those who have left already.
        """
        taken = rows[list(self.columns)]
        gone = column(rows, SINCE) >= self.threshold_days
        staying = np.where(gone, 0.0, 1.0)
        answer = {name: np.full(len(rows), np.nan) for name in COLUMNS}
        for name, hazard in zip(COLUMNS, self.hazards, strict=False):
            rate = hazard if isinstance(hazard, float) else hazard.score(taken)["probability_churned"].to_numpy()
            staying = staying * (1 - rate)
            answer[name] = 1 - staying
        return pd.DataFrame(answer)

    def beside(
        self, rows: pd.DataFrame, probability: Array, window_days: float, has_left: npt.NDArray[np.bool_]
    ) -> pd.DataFrame:
        """As `score`, agreeing with what else is said of a customer.

        Parameters
        ----------
        rows : pandas.DataFrame of n rows
            Features at the prediction time.
        probability : ndarray of shape (n,)
            To place no order in the label window of the model beside it.
        window_days : float
            From the prediction time to that window's end: who places none in it has been silent for the threshold by
            then, so that the curve cannot be lower from there on.
        has_left : ndarray of shape (n,)
            Who counts as having left already, by their own rhythm. Others whose silence is as long as the threshold
            have left with `probability`, whenever one asks: the rest of them comes back.
        """
        told, waiting = self.score(rows), (column(rows, SINCE) >= self.threshold_days) & ~has_left
        for days, name in zip(EDGES, COLUMNS, strict=True):
            least = probability if days >= window_days else 0.0
            by_hazards = told[name].to_numpy()
            at_least = np.maximum(by_hazards, least)
            told[name] = np.where(waiting & ~np.isnan(by_hazards), probability, at_least)
        return told

    def state(self) -> dict[str, Any]:
        """Everything as JSON."""
        kept = [hazard if isinstance(hazard, float) else dict(hazard.state().parameters) for hazard in self.hazards]
        return {"columns": list(self.columns), "threshold_days": self.threshold_days, "hazards": kept}

    @classmethod
    def from_state(cls, kept: Mapping[str, Any]) -> Self:
        """Make it again."""
        hazards = tuple(h if isinstance(h, float) else ChurnLogistic.from_state(State(h)) for h in kept["hazards"])
        return cls(tuple(kept["columns"]), float(kept["threshold_days"]), hazards)
