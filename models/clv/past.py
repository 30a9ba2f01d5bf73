"""What customers did after earlier prediction times: what a lifetime value model may learn from besides histories."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array

YEAR_DAYS, MONTH_DAYS = 365, 30


@dataclass(frozen=True)
class Past:
    """Rows at prediction times before the cutoff, each with what followed in a window that ended by the cutoff.

    Parameters
    ----------
    rows : pandas.DataFrame, shape (n_rows, n_features)
        Features as known at each prediction time; a customer has a row at each.
    window_days : float
        Length of the window after each prediction time.
    order_days, order_value : ndarray of shape (n_rows,)
        Days with an order in the window, and their value.
    ages : ndarray of shape (n_rows,), optional
        Days from each row's prediction time to the cutoff; without them no weight is tested out of time.
    months, year, year_ago : Past, optional
        Of purchase histories alone, with ages; None where the history is too short. Windows of `MONTH_DAYS`, one after
        the other back from the cutoff, and those `YEAR_DAYS` before them; windows as long as these at times spread over
        the last year; and the one as long as the horizon that began `YEAR_DAYS` before the cutoff.
    """

    rows: pd.DataFrame
    window_days: float
    order_days: Array
    order_value: Array
    ages: Array | None = None
    months: "Past | None" = None
    year: "Past | None" = None
    year_ago: "Past | None" = None

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Past":
        """Some of the rows."""
        ages = None if self.ages is None else self.ages[chosen]
        rows = self.rows[chosen].reset_index(drop=True)
        return Past(rows, self.window_days, self.order_days[chosen], self.order_value[chosen], ages)

    def latest(self) -> "Past":
        """The rows at the latest prediction time; all of them where their ages are not known."""
        return self if self.ages is None else self.where(self.ages == self.ages.min(initial=np.inf))

    def over_by_latest(self) -> "Past":
        """The rows whose windows were over by the latest prediction time; none where their ages are not known."""
        ages = np.zeros(len(self.rows)) if self.ages is None else self.ages
        return self.where(ages >= ages.min(initial=np.inf) + self.window_days)
