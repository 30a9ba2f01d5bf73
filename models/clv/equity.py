"""Customer equity: what a group of customers is worth together, with an interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.special import stdtrit

ALL = "all customers"
COLUMNS = ("clv", "clv_standard_deviation")
COST = "clv_from_cost"
"""What serving the customers costs, negative: their value falls no further. Taken as nothing where it is not known."""
NORMAL = {50: 0.6744897501960817, 90: 1.6448536269514722}
"""How many standard deviations the central interval reaches to either side."""
USUAL_ERROR, USUAL_WEIGHT = 0.15, 1
"""What totals are usually off by, and as how many measured errors that counts."""
Sums = tuple[int, float, float, float]
"""Customers, value, variance and the least that the value can be."""


@dataclass(frozen=True)
class Equity:
    """The value of a group of customers, in the profile's currency and to the cent.

    Parameters
    ----------
    group : str
        A segment, or `ALL`.
    customers : int
        In it.
    value : float
        Sum of `clv`.
    low_90, low_50, high_50, high_90 : float
        Between what bounds it lies with 90 and 50 % probability.
    """

    group: str
    customers: int
    value: float
    low_90: float
    low_50: float
    high_50: float
    high_90: float

    @classmethod
    def of(
        cls,
        group: str,
        customers: int,
        value: float,
        variance: float,
        errors: Sequence[float],
        least: float = -math.inf,
    ) -> "Equity":
        """Put an interval around a sum.

        The sum of many independent customers is nearly normal, and over many of them nearly certain; what remains is
        that the level of all is wrong together.

        Parameters
        ----------
        group, customers, value
            See `Equity`.
        variance : float
            Sum of the customers' own.
        errors : sequence of float
            See `level_reach`.
        least : float
            Below which the sum cannot be.
        """
        own = math.sqrt(variance)
        bounds = {}
        for level, reach in NORMAL.items():
            together = level_reach(errors, level)
            below, above = (abs(value * math.expm1(sign * together)) for sign in (-1, 1))
            bounds[f"low_{level}"] = round(max(value - math.hypot(reach * own, below), min(least, value)), 2)
            bounds[f"high_{level}"] = round(value + math.hypot(reach * own, above), 2)
        return cls(group=group, customers=customers, value=round(value, 2), **bounds)


def level_reach(errors: Sequence[float], level: int) -> float:
    """How far the logarithm of a total reaches to either side, from how wrong earlier totals were.

    Errors are taken as normal around 0 with a variance that they themselves, and what totals are usually off by, say
    something of: the next one is Student distributed, so that few errors make a wide interval.

    Parameters
    ----------
    errors : sequence of float
        Logarithms of actual over expected totals, from earlier origins.
    level : int
        Percent inside, such as 90.

    References
    ----------
    Gelman, A. et al. (2013). Bayesian Data Analysis, section 2.6: normal with known mean and unknown variance.
    """
    weight = USUAL_WEIGHT + len(errors)
    scale = math.sqrt((USUAL_WEIGHT * USUAL_ERROR**2 + sum(error**2 for error in errors)) / weight)
    return scale * float(stdtrit(weight, 0.5 + level / 200))


def customer_equity(batches: Iterable[pd.DataFrame], errors: Sequence[float]) -> list[Equity]:
    """Value all customers together, then each segment, the most valuable first.

    Parameters
    ----------
    batches : iterable of pandas.DataFrame
        The scores in parts, one row a customer: `COLUMNS`, `COST` if known, and `segment` where there are segments.
        Who has no value is left out.
    errors : sequence of float
        See `level_reach`.

    Returns
    -------
    list of Equity
        Empty where the scores lack a column.
    """
    sums: dict[str, list[Sums]] = {}
    for batch in batches:
        if not set(COLUMNS) <= set(batch.columns):
            return []
        valued = batch.dropna(subset=["clv"])
        sums.setdefault(ALL, []).append(_sums(valued))
        for name, rows in valued.groupby("segment") if "segment" in valued else ():
            sums.setdefault(str(name), []).append(_sums(rows))
    equities = []
    for name, parts in sums.items():
        customers, values, variances, least = zip(*parts, strict=True)
        value, variance = math.fsum(values), math.fsum(variances)
        equities.append(Equity.of(name, sum(customers), value, variance, errors, math.fsum(least)))
    return sorted(equities, key=lambda equity: (equity.group != ALL, -equity.value, equity.group))


def _sums(rows: pd.DataFrame) -> Sums:
    least = math.fsum(rows[COST]) if COST in rows else 0.0
    return len(rows), math.fsum(rows["clv"]), math.fsum(rows["clv_standard_deviation"] ** 2), least
