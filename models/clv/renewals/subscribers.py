"""Subscribers as renewals see them: how many each has made, when the next is due and how many the horizon holds.

A renewal counts as made once the subscription has run `SETTLED_DAYS` beyond the day on which it was due: calendar
months are of 28 to 31 days, and one that was cancelled at the end of a month was not renewed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.subscriptions import MONTH_DAYS, SETTLED_DAYS
from models.base import Array, column
from models.clv.renewals.periods import Periods, Plans, plans_of


@dataclass(frozen=True)
class Subscribers:
    """The present or last time of being subscribed of n customers.

    Parameters
    ----------
    spell_days : ndarray of shape (n,)
        How long it has lasted, or lasted.
    is_running : ndarray of bool, shape (n,)
        Whether it goes on.
    monthly_value : ndarray of shape (n,)
        Price a month of the subscriptions that run.
    period_days : ndarray of shape (n,)
        From one renewal to the next.
    plans : ndarray of shape (n,)
        What each has subscribed to last; "" where it is not known.
    """

    spell_days: Array
    is_running: npt.NDArray[np.bool_]
    monthly_value: Array
    period_days: Array
    plans: Plans

    @classmethod
    def of(cls, rows: pd.DataFrame, periods: Periods) -> "Subscribers":
        """Take them from feature rows of the set `clv_contractual`."""
        running, plans = column(rows, "has_active_subscription") == 1, plans_of(rows)
        spell, price = column(rows, "subscription_spell_days"), column(rows, "subscription_monthly_value")
        return cls(spell, running, price, periods.days(plans), plans)

    def __len__(self) -> int:
        return len(self.spell_days)

    @property
    def renewals(self) -> Array:
        """Renewals made."""
        made: Array = np.ceil((self.spell_days - SETTLED_DAYS) / self.period_days) - 1
        return np.maximum(made, 0.0)

    @property
    def days_to_renewal(self) -> Array:
        """Days until the next renewal counts as made, 0 or more."""
        return np.maximum((self.renewals + 1) * self.period_days + SETTLED_DAYS - self.spell_days, 0.0)

    @property
    def period_value(self) -> Array:
        """What one renewal pays."""
        return np.asarray(self.monthly_value * self.period_days / MONTH_DAYS)

    def due_within(self, horizon_days: float) -> Array:
        """Renewals that come up in the next days."""
        return np.maximum(np.ceil((horizon_days - self.days_to_renewal) / self.period_days), 0.0)
