"""Customer equity: what a group of customers is worth together, with an interval."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

ALL = "all customers"
COLUMNS = ("clv", "clv_standard_deviation")
NORMAL = {50: 0.6744897501960817, 90: 1.6448536269514722}
"""How many standard deviations the central interval reaches to either side."""
Sums = tuple[int, float, float]
"""Customers, value and variance."""


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
    def of(cls, group: str, customers: int, value: float, variance: float, bias: float | None) -> "Equity":
        """Put an interval around a sum.

        The sum of many independent customers is nearly normal, and over many of them nearly certain; what remains is
        that the level of all is wrong together. How wrong it was on the holdout is taken as the standard deviation of
        how wrong it will be.

        Parameters
        ----------
        group, customers, value
            See `Equity`.
        variance : float
            Sum of the customers' own.
        bias : float or None
            Expected over actual total of value on the holdout, less 1.
        """
        deviation = math.hypot(math.sqrt(variance), value * (bias or 0.0))
        bounds = {f"low_{level}": round(value - reach * deviation, 2) for level, reach in NORMAL.items()}
        bounds |= {f"high_{level}": round(value + reach * deviation, 2) for level, reach in NORMAL.items()}
        return cls(group=group, customers=customers, value=round(value, 2), **bounds)


def customer_equity(batches: Iterable[pd.DataFrame], bias: float | None) -> list[Equity]:
    """Value all customers together, then each segment, the most valuable first.

    Parameters
    ----------
    batches : iterable of pandas.DataFrame
        The scores in parts, one row a customer: `COLUMNS`, and `segment` where there are segments. Who has no value
        is left out.
    bias : float or None
        See `Equity.of`.

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
        customers, values, variances = zip(*parts, strict=True)
        equities.append(Equity.of(name, sum(customers), math.fsum(values), math.fsum(variances), bias))
    return sorted(equities, key=lambda equity: (equity.group != ALL, -equity.value, equity.group))


def _sums(rows: pd.DataFrame) -> Sums:
    return len(rows), math.fsum(rows["clv"]), math.fsum(rows["clv_standard_deviation"] ** 2)
