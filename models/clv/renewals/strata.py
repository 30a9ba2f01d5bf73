"""Subscribers who are alike in when they can leave and, where enough of them have left, in their plan."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array
from models.clv.renewals.subscribers import Subscribers

Places = npt.NDArray[np.intp]


class Staying(Protocol):
    """How long subscribers stay, renewal by renewal."""

    @property
    def parameters(self) -> dict[str, float]:
        """Named as in the literature."""

    def survival(self, renewals: Array) -> Array:
        """Share of a cohort still there after so many renewals; 1 after none."""


@dataclass(frozen=True)
class Stratum:
    """Subscribers whose staying is one distribution.

    Parameters
    ----------
    plan : str or None
        Whose; None: all of the period whose plan has no stratum of its own.
    period_days : float
        From one renewal to the next.
    staying : Staying
        How long they stay.
    running : int
        Subscribers learned from whose subscription was running.
    price : float
        What they pay a period, on average.
    """

    plan: str | None
    period_days: float
    staying: Staying
    running: int = 0
    price: float = 0.0

    @property
    def title(self) -> str:
        """As in a legend."""
        return f"every {self.period_days:g} days" if self.plan is None else self.plan


def strata_of(subscribers: Subscribers, strata: Sequence[Stratum]) -> Places:
    """Which stratum each subscriber is of: the plan's own, else its period's, else the first."""
    own = {stratum.plan: place for place, stratum in enumerate(strata) if stratum.plan is not None}
    together = {stratum.period_days: place for place, stratum in enumerate(strata) if stratum.plan is None}
    place, plans = pd.factorize(subscribers.plans)
    when, periods = pd.factorize(subscribers.period_days)
    of_plan = np.array([own.get(plan, -1) for plan in plans], dtype=np.intp)[place]
    of_period = np.array([together.get(float(days), 0) for days in periods], dtype=np.intp)[when]
    return np.where(of_plan >= 0, of_plan, of_period)


def named_parameters(strata: Sequence[Stratum]) -> dict[str, float]:
    """The parameters of all strata; those of the first have the names of the literature, the others a suffix."""
    named = dict(strata[0].staying.parameters)
    for place, stratum in enumerate(strata[1:], start=2):
        suffix = f"{place}_{re.sub(r'[^A-Za-z0-9.-]+', '_', stratum.title)}"
        named |= {f"{name}_{suffix}": value for name, value in stratum.staying.parameters.items()}
    return named
