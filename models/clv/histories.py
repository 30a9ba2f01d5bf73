"""Purchase histories: all that the orders models know of customers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, column
from models.clv.errors import InvalidHistory

LARGEST = 2**53
"""Whole numbers below this are exact in float64."""


@dataclass(frozen=True)
class Histories:
    """Purchase histories: one entry a customer, or one a distinct pattern with the number of its customers.

    Parameters
    ----------
    frequency, recency_days, T_days : ndarray of shape (n,)
        x, t_x and T of the literature.
    weight : ndarray of shape (n,)
        Customers with this history.
    is_counted : bool
        Whether the entries are distinct patterns already, valid and in order.
    """

    frequency: Array
    recency_days: Array
    T_days: Array
    weight: Array
    is_counted: bool = False

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Histories":
        """Take the histories of feature rows, one entry a row."""
        x, recency, age = (column(rows, name) for name in ("frequency", "recency_days", "T_days"))
        return cls(x, recency, age, np.ones(len(rows)))

    @classmethod
    def of_new(cls, customers: int = 1) -> "Histories":
        """Histories of customers who placed their first order just now."""
        zero = np.zeros(customers)
        return cls(zero, zero, zero, np.ones(customers))

    def take(self, which: npt.NDArray[np.bool_]) -> "Histories":
        """Keep some of the entries."""
        x, recency, age = self.frequency[which], self.recency_days[which], self.T_days[which]
        return Histories(x, recency, age, self.weight[which], self.is_counted)

    @property
    def customers(self) -> float:
        """How many customers the entries stand for."""
        return float(self.weight.sum())

    def __len__(self) -> int:
        return len(self.frequency)

    def patterns(self) -> "Histories":
        """Count the distinct histories.

        Raises
        ------
        InvalidHistory
            If a history contradicts itself.
        """
        if self.is_counted:
            return self
        self._check()
        packed = self._packed()
        if packed is None:
            return self._numbered()
        numbers, (days, ages) = packed
        if np.all(self.weight == 1):
            distinct, weight = np.unique(numbers, return_counts=True)
        else:
            order = np.argsort(numbers)
            numbers = numbers[order]
            first = np.flatnonzero(np.diff(numbers, prepend=-1))
            distinct, weight = numbers[first], np.add.reduceat(self.weight[order], first)
        rest, age = np.divmod(distinct, ages)
        x, recency = np.divmod(rest, days)
        return Histories(*(values.astype(np.float64) for values in (x, recency, age, weight)), is_counted=True)

    def _packed(self) -> tuple[npt.NDArray[np.int64], tuple[int, int]] | None:
        """Each history as one whole number in their order, and its bases; None where days are broken or too many."""
        parts = (self.frequency, self.recency_days, self.T_days)
        if not len(self) or any(np.any(values != np.trunc(values)) for values in parts):
            return None
        counts, days, ages = (int(values.max()) + 1 for values in parts)
        if counts * days * ages > LARGEST:
            return None
        numbers = (self.frequency * days + self.recency_days) * ages + self.T_days
        return numbers.astype(np.int64), (days, ages)

    def _numbered(self) -> "Histories":
        """Count the distinct histories whatever their numbers: one part after the other."""
        first, pattern = np.zeros(0, dtype=np.int64), np.zeros(len(self), dtype=np.int64)
        for values in (self.frequency, self.recency_days, self.T_days):  # numbered in their order, one by one
            distinct, place = np.unique(values, return_inverse=True)
            _, first, pattern = np.unique(pattern * len(distinct) + place, return_index=True, return_inverse=True)
        weight = np.bincount(pattern, weights=self.weight, minlength=len(first)).astype(np.float64)
        return Histories(self.frequency[first], self.recency_days[first], self.T_days[first], weight, is_counted=True)

    def _check(self) -> None:
        x, recency, age = self.frequency, self.recency_days, self.T_days
        rules = {
            "every history is known (frequency is not null)": np.isfinite(x + recency + age),
            "frequency >= 0": x >= 0,
            "0 <= recency_days <= T_days": (recency >= 0) & (recency <= age),
            "recency_days is 0 exactly at frequency 0": (x == 0) == (recency == 0),
        }
        for rule, holds in rules.items():
            if not holds.all():
                at = int(np.flatnonzero(~holds)[0])
                example = f"frequency {x[at]}, recency_days {recency[at]}, T_days {age[at]}"
                raise InvalidHistory(rule, int((~holds).sum()), example)
