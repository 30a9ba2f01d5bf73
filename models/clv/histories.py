"""Purchase histories: all that the orders models know of customers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, column
from models.clv.distinct import distinct_rows, distinct_whole, packed, unpacked
from models.clv.errors import InvalidHistory


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
    def counted(cls, patterns: pd.DataFrame) -> "Histories":
        """Take distinct histories with the number of their `customers`, as an engine counted them.

        Raises
        ------
        InvalidHistory
            If a history contradicts itself.
        """
        names = ("frequency", "recency_days", "T_days", "customers")
        x, recency, age, customers = (column(patterns, name) for name in names)
        return cls(x, recency, age, customers).patterns()

    @classmethod
    def of_new(cls, customers: int = 1) -> "Histories":
        """Histories of customers who placed their first order just now."""
        zero = np.zeros(customers)
        return cls(zero, zero, zero, np.ones(customers))

    def take(self, which: npt.NDArray[np.bool_] | slice) -> "Histories":
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
        """Count the distinct histories, in the order of frequency, recency and T.

        Raises
        ------
        InvalidHistory
            If a history contradicts itself.
        """
        if self.is_counted:
            return self
        self._check()
        parts = (self.frequency, self.recency_days, self.T_days)
        together = packed(parts)
        if together is None:
            first, which = distinct_rows(parts)
            weight = np.bincount(which, weights=self.weight, minlength=len(first)).astype(np.float64)
            x, recency, age = (values[first] for values in parts)
        else:
            found, weight = _counted(together.numbers, self.weight)
            x, recency, age = unpacked(found, together.bases)
        return Histories(x, recency, age, weight, is_counted=True)

    def pairs(self) -> tuple["Histories", npt.NDArray[np.intp]]:
        """Distinct pairs of frequency and T, on which alone it depends how a customer who is active goes on.

        Returns
        -------
        pairs : Histories
            As of customers whose last order was on the last day.
        which : ndarray of shape (n,)
            The pair of each entry.
        """
        parts = (self.frequency, self.T_days)
        together = packed(parts)
        if together is None:
            first, which = distinct_rows(parts)
            x, age = (values[first] for values in parts)
        else:
            found, which = distinct_whole(together.numbers, together.below)
            x, age = unpacked(found, together.bases)
        return Histories(x, np.where(x > 0, age, 0.0), age, np.ones(len(x))), which

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


def _counted(numbers: npt.NDArray[np.int64], weight: Array) -> tuple[npt.NDArray[np.int64], Array]:
    """Distinct numbers in order, and the weight of each."""
    if np.all(weight == 1):
        found, counts = np.unique(numbers, return_counts=True)
        return found, counts.astype(np.float64)
    order = np.argsort(numbers)
    ordered = numbers[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[first], np.add.reduceat(weight[order], first)
