"""From one renewal to the next: by plan, as the terms agreed on and the ends of subscriptions show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import listed
from features.subscriptions import MONTH_DAYS, SETTLED_DAYS
from models.base import Array, column

PLAN, TERM = "last_subscription_plan", "days_to_term"
NO_PLAN = ""
LONGER = (24, 12, 6, 3)
"""Periods that are looked for, in months."""
LEAST_SEEN, MOST_OFF = 20, 0.1
"""Subscriptions that it takes to see a period, and the share of them that may have ended between renewals."""
SLACK_DAYS = SETTLED_DAYS + 1
Plans = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Periods:
    """Days from one renewal to the next.

    Parameters
    ----------
    usual : float
        Of a plan that is not named, and without a plan.
    of_plan : mapping of str to float
        Of plans that differ from it.
    """

    usual: float = MONTH_DAYS
    of_plan: Mapping[str, float] = field(default_factory=dict)

    def days(self, plans: Plans) -> Array:
        """Of each subscriber, by plan."""
        place, names = pd.factorize(plans)
        found = np.array([self.of_plan.get(name, self.usual) for name in names], dtype=np.float64)
        return np.asarray(found[place])

    @classmethod
    def found(cls, rows: pd.DataFrame) -> Self:
        """Look for plans whose subscriptions end, or are agreed on, by the quarter, half year or year.

        Nine in ten of at least `LEAST_SEEN` subscriptions that have ended must have lasted a whole number of periods;
        where fewer have ended, that goes for the terms agreed on. Otherwise people can leave every month.

        Parameters
        ----------
        rows : pandas.DataFrame
            Of the set `clv_contractual`.
        """
        plans, running = plans_of(rows), column(rows, "has_active_subscription") == 1
        lasted = column(rows, "subscription_spell_days")
        agreed = lasted + (column(rows, TERM) if TERM in rows else np.nan)
        place, names = pd.factorize(plans, sort=True)
        of_plan = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place, minlength=len(names)))[:-1])
        periods = {}
        for plan, here in zip(names, of_plan, strict=True):
            terms = agreed[here][running[here]]
            months = _months(lasted[here][~running[here]], terms[np.isfinite(terms)])
            if months != 1:
                periods[str(plan)] = months * MONTH_DAYS
        return cls(of_plan=periods)

    def words(self) -> tuple[str, ...]:
        """What was found, where it is not every month."""
        told = []
        for days in sorted(set(self.of_plan.values())):
            plans = [plan for plan, period in self.of_plan.items() if period == days]
            words = f"subscriptions{of_plans([plan for plan in plans if plan])}"
            told.append(
                f"{words} are renewed every {days / MONTH_DAYS:.0f} months, going by when they ended or by the terms "
                "agreed on"
            )
        return tuple(told)


def of_plans(plans: Sequence[str]) -> str:
    """Of which plans, in words; nothing of none."""
    return f" of plan{'s' if len(plans) > 1 else ''} {listed(plans)}" if plans else ""


def plans_of(rows: pd.DataFrame) -> Plans:
    """Plan of each subscriber; `NO_PLAN` where none is known."""
    if PLAN not in rows:
        return np.full(len(rows), NO_PLAN, dtype=object)
    return np.asarray(rows[PLAN].astype(object).where(rows[PLAN].notna(), NO_PLAN), dtype=object)


def _months(ended: Array, agreed: Array) -> int:
    """Months from renewal to renewal that lengths of subscriptions, in days, are whole multiples of; 1 unless shown."""
    lengths = ended if len(ended) >= LEAST_SEEN else agreed
    if len(lengths) < LEAST_SEEN:
        return 1
    for months in LONGER:
        period = months * MONTH_DAYS
        times = np.maximum(np.round(lengths / period), 1)
        if np.mean(np.abs(lengths - times * period) > SLACK_DAYS) <= MOST_OFF:
            return months
    return 1
