"""When the first order comes: rates by the time already waited, by channel and by attributes.

The rate of first orders falls with the days since the relationship began and differs by channel and attribute. Everyone
known was a prospect from then until the first order, or is one still: first orders over days waited are rates, whatever
the horizon, and nobody's wait has to be over. How far a channel's rate departs from everyone's is pulled towards no
difference, as far as customers held out say.

References
----------
Holford, T. R. (1980). The analysis of rates and of survivorship using log-linear models. Biometrics 36(2), 299-305:
the piecewise constant rate as a Poisson regression of events with the days at risk as offset.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize

from models.base import Array, column
from models.encoding import MAXIMUM_LEVELS

AGE = "tenure_days"
EDGES = (0.0, 7.0, 30.0, 90.0, 180.0, 365.0, np.inf)
"""Days since the relationship began at which the rate may change."""
SPREADS = (0.0, 0.25, 0.5, 1.0)
"""Standard deviations of the log rates of channels and attributes that are tried; 0 is no difference."""
AGE_SPREAD = 1.0
LEAST_RATE, HALF_AN_ORDER, HALF = 1e-9, 0.5, 0.5
UNKNOWN = "missing"
Flags = npt.NDArray[np.bool_]
Effects = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Waits:
    """How long customers were prospects and how many waits a first order ended, by the time since they began.

    Parameters
    ----------
    rows : pandas.DataFrame
        The channel and the attributes, as text: of one customer, or of all who share them.
    days, orders : ndarray of shape (n, 6)
        Days waited and first orders in each interval of `EDGES`.
    """

    rows: pd.DataFrame
    days: Array
    orders: Array

    @classmethod
    def of(cls, rows: pd.DataFrame, start: Array, end: Array, ordered: Flags) -> Self:
        """Take each customer's wait.

        Parameters
        ----------
        rows : pandas.DataFrame
            The channel and the attributes.
        start, end : ndarray of shape (n,)
            Days since the relationship began between which the customer was seen waiting.
        ordered : ndarray of shape (n,)
            Whether the first order ended it.
        """
        days, orders = [], []
        for low, high in pairwise(EDGES):
            days.append(np.maximum(np.minimum(end, high) - np.maximum(start, low), 0.0))
            orders.append(ordered & (end > low) & (end <= high))
        return cls(rows, np.column_stack(days), np.column_stack(orders).astype(np.float64))

    def where(self, chosen: Flags) -> "Waits":
        """Some of them."""
        return Waits(self.rows[chosen].reset_index(drop=True), self.days[chosen], self.orders[chosen])

    def counted(self) -> "Waits":
        """Those who share all attributes, together."""
        named = pd.DataFrame({name: names_of(self.rows[name]) for name in self.rows}, index=self.rows.index)
        if named.empty:
            return Waits(named.iloc[:1], self.days.sum(axis=0, keepdims=True), self.orders.sum(axis=0, keepdims=True))
        group = named.groupby(list(named.columns), sort=True).ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        days, orders = (np.zeros((len(first), self.days.shape[1])) for _ in range(2))
        np.add.at(days, group, self.days)
        np.add.at(orders, group, self.orders)
        return Waits(named.iloc[first].reset_index(drop=True), days, orders)


@dataclass(frozen=True)
class FirstOrders:
    """The fitted rates.

    Parameters
    ----------
    rates : tuple of float
        First orders a day in each interval of `EDGES`, of a customer without any difference.
    effects : dict of str to dict of str to float
        For each channel or attribute the log rate ratio of each of its values.
    """

    rates: tuple[float, ...]
    effects: Effects

    @classmethod
    def fit(cls, waits: Waits) -> Self:
        """Fit by penalised maximum likelihood, with as much difference as describes customers held out best."""
        halves = np.random.default_rng(0).random(len(waits.days)) < HALF
        one, other = waits.where(halves).counted(), waits.where(~halves).counted()
        pairs = ((one, other), (other, one))

        def held_out(spread: float) -> float:
            return sum(cls.with_spread(seen, spread).log_likelihood(unseen) for seen, unseen in pairs)

        return cls.with_spread(waits.counted(), max(SPREADS, key=lambda spread: (held_out(spread), -spread)))

    @classmethod
    def with_spread(cls, waits: Waits, spread: float) -> Self:
        """Fit with so much difference between channels; the rates by age are pulled towards the rate of all ages."""
        days, orders = waits.days, waits.orders
        overall = max(orders.sum(), HALF_AN_ORDER) / max(days.sum(), 1.0)
        levels = {str(name): _levels(waits.rows[name]) for name in waits.rows} if spread else {}
        codes = [_codes(waits.rows[name], known) for name, known in levels.items()]
        starts = np.cumsum([len(EDGES) - 1, *(len(known) for known in levels.values())])
        spreads = np.concatenate([np.full(starts[0], AGE_SPREAD), np.full(starts[-1] - starts[0], spread or 1.0)])

        def loss(at: Array) -> tuple[float, Array]:
            effect = sum((np.append(at[a:b], 0.0)[c] for c, (a, b) in zip(codes, pairwise(starts), strict=True)), 0.0)
            expected = days * overall * np.exp(np.clip(at[: starts[0]] + np.reshape(effect, (-1, 1)), -30.0, 30.0))
            surplus = expected - orders
            of_row = surplus.sum(axis=1)
            slopes = [np.bincount(c, of_row, b - a + 1)[:-1] for c, (a, b) in zip(codes, pairwise(starts), strict=True)]
            gradient = np.concatenate([surplus.sum(axis=0), *slopes]) + at / spreads**2
            likelihood = (orders.sum(axis=0) @ at[: starts[0]]) + (orders.sum(axis=1) * effect).sum()
            return float(expected.sum() - likelihood + ((at / spreads) ** 2).sum() / 2), gradient

        found = minimize(loss, np.zeros(starts[-1]), jac=True, method="L-BFGS-B").x
        effects = {
            name: {level: float(found[a + i]) for i, level in enumerate(known)}
            for (name, known), (a, _) in zip(levels.items(), pairwise(starts), strict=True)
        }
        return cls(tuple(map(float, overall * np.exp(found[: starts[0]]))), effects)

    def log_likelihood(self, waits: Waits) -> float:
        """Log-likelihood of other customers' waits."""
        rates = np.array(self.rates) * np.exp(self.log_ratios(waits.rows).sum(axis=1))[:, None]
        return float((waits.orders * np.log(np.maximum(rates, LEAST_RATE)) - waits.days * rates).sum())

    def summed(self, rows: pd.DataFrame, days: float) -> Array:
        """Rate of each prospect summed over the next days; its negative exponential is the probability of no order."""
        return np.asarray(self.summed_by_age(rows, days) * np.exp(self.log_ratios(rows).sum(axis=1)))

    def summed_by_age(self, rows: pd.DataFrame, days: float) -> Array:
        """The same of prospects without any difference but their age."""
        age = np.maximum(column(rows, AGE), 0.0)
        summed = np.zeros(len(rows))
        for (low, high), rate in zip(pairwise(EDGES), self.rates, strict=True):
            summed += rate * np.maximum(np.minimum(age + days, high) - np.maximum(age, low), 0.0)
        return summed

    def log_ratios(self, rows: pd.DataFrame) -> Array:
        """Effect of each channel and attribute of each row, shape (n, number of them)."""
        found = [[of.get(name, 0.0) for name in names_of(rows[key])] for key, of in self.effects.items()]
        return np.array(found, dtype=np.float64).reshape(len(found), len(rows)).T

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"rates": list(self.rates), "effects": self.effects}


def names_of(values: "pd.Series[Any]") -> list[str]:
    """Text values, with a word for the unknown ones."""
    return [UNKNOWN if pd.isna(value) else str(value) for value in values]


def _levels(values: "pd.Series[Any]") -> list[str]:
    counts = pd.Series(names_of(values), dtype=object).value_counts()
    return [str(level) for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAXIMUM_LEVELS]]


def _codes(values: "pd.Series[Any]", levels: list[str]) -> npt.NDArray[np.intp]:
    """Place of each value among the levels; the one after the last for any other."""
    places = {level: i for i, level in enumerate(levels)}
    return np.array([places.get(name, len(levels)) for name in names_of(values)], dtype=np.intp)
