"""How well one column alone tells customers who churned from those who did not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array

CAUGHT, PURE, LET_IN = 0.90, 0.99, 0.10
"""A near-perfect rule catches so much of one class, is so pure, and lets at most so much of the other class in."""
FOLDS = 5
PRIOR_CUSTOMERS = 1.0


@dataclass(frozen=True)
class Classes:
    """How much of each row counts for either class, in customers.

    A customer's rows at several prediction times count as one together, and a label that is only a probability counts
    for both classes in part.

    Parameters
    ----------
    churned, kept : ndarray of shape (n,)
        Weights, at least 0.
    folds : ndarray of shape (n,)
        One of `FOLDS` groups for each row, the same for all rows of a customer.
    """

    churned: Array
    kept: Array
    folds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, share: Array, customer_ids: pd.Series) -> "Classes":
        """Weigh rows.

        Parameters
        ----------
        share : ndarray of shape (n,)
            1 where the customer churned, 0 where not, a probability where that is not known yet.
        customer_ids : pandas.Series
            Whose row it is.
        """
        codes = pd.factorize(customer_ids)[0]
        weight = 1.0 / np.bincount(codes)[codes]
        return cls(weight * share, weight * (1.0 - share), codes % FOLDS)

    @property
    def smaller(self) -> float:
        """Customers of the rarer class."""
        return float(min(self.churned.sum(), self.kept.sum()))


@dataclass(frozen=True)
class Rule:
    """A threshold or a level, and whom it catches.

    Parameters
    ----------
    where : str
        The condition on the column, in words.
    outcome : {"churned", "not churned"}
        The class it picks out.
    caught, purity : float
        Share of that class for which the condition holds; share of that class among those for whom it holds.
    customers : float
        For how many it holds.
    """

    where: str
    outcome: str
    caught: float
    purity: float
    customers: float

    def __str__(self) -> str:
        return (
            f"{self.where} catches {self.caught:.1%} of those {self.outcome} and is {self.purity:.1%} pure, "
            f"{self.customers:,.0f} customers"
        )


@dataclass(frozen=True)
class Levels:
    """The different values of a column, with the customers of either class at each.

    Parameters
    ----------
    values : ndarray of shape (k,)
        Different values; in ascending order if `ordered`.
    churned, kept : ndarray of shape (k,)
        Customers at each value.
    missing : ndarray of shape (2,)
        Customers without a value: churned, kept.
    ordered : bool
        Whether the values are numbers.
    """

    values: npt.NDArray[np.generic]
    churned: Array
    kept: Array
    missing: Array
    ordered: bool

    @classmethod
    def of(cls, column: pd.Series, classes: Classes) -> "Levels":
        """Count the customers of either class at each value of a column of numbers or of text."""
        if not pd.api.types.is_numeric_dtype(column.dtype):
            codes, values = pd.factorize(column)
            churned, kept = (_sums(codes + 1, w, len(values) + 1) for w in (classes.churned, classes.kept))
            missing = np.array([churned[0], kept[0]])
            return cls(np.asarray(values), churned[1:], kept[1:], missing, ordered=False)
        numbers = column.to_numpy(dtype=np.float64)
        order = np.argsort(numbers)  # missing ones come last
        known = len(numbers) - int(np.isnan(numbers).sum())
        ascending = numbers[order[:known]]
        first = (
            np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])) if known else np.array([], int)
        )
        both = [weights[order] for weights in (classes.churned, classes.kept)]
        churned, kept = (np.add.reduceat(w[:known], first) if known else np.array([]) for w in both)
        return cls(ascending[first], churned, kept, np.array([w[known:].sum() for w in both]), ordered=True)

    @property
    def totals(self) -> tuple[float, float]:
        """Customers of either class."""
        return float(self.churned.sum() + self.missing[0]), float(self.kept.sum() + self.missing[1])

    def auc(self, *, either_way: bool = True) -> float:
        """Probability that a churned customer's value is above a kept one's, ties by half.

        Customers without a value stand below or above all others, whichever separates more; with `either_way`, so does
        "below" instead of "above".
        """
        total, rest = self.totals
        below = np.cumsum(self.kept) - self.kept
        known = np.sum(self.churned * (below + self.kept / 2)) + self.missing[0] * self.missing[1] / 2
        last, first = known + self.missing[0] * self.kept.sum(), known + self.missing[1] * self.churned.sum()
        areas = [float(last / (total * rest)), float(first / (total * rest))]
        return max([*areas, *(1 - area for area in areas)] if either_way else areas)

    def near_perfect(self) -> Rule | None:
        """The one threshold or level that picks out a class nearly without error, if there is any."""
        total, rest = self.totals
        churned, kept, words = self._conditions()
        flipped = churned / total < kept / rest  # the condition's opposite is what picks out those who churned
        churned, kept = np.where(flipped, total - churned, churned), np.where(flipped, rest - kept, kept)
        caught, let_in = churned / total, kept / rest
        with np.errstate(invalid="ignore", divide="ignore"):
            purity = churned / (churned + kept)
            kept_purity = (rest - kept) / (rest - kept + total - churned)
        picks_churned = (caught >= CAUGHT) & (purity >= PURE) & (let_in <= LET_IN)
        picks_kept = (1 - let_in >= CAUGHT) & (kept_purity >= PURE) & (1 - caught <= LET_IN)
        passing = np.flatnonzero(picks_churned | picks_kept)
        if not len(passing):
            return None
        best = int(passing[np.argmax((caught - let_in)[passing])])
        if picks_churned[best]:
            where = words(best, opposite=bool(flipped[best]))
            return Rule(where, "churned", caught[best], purity[best], churned[best] + kept[best])
        where, held = words(best, opposite=not flipped[best]), total - churned[best] + rest - kept[best]
        return Rule(where, "not churned", 1 - let_in[best], kept_purity[best], held)

    def _conditions(self) -> tuple[Array, Array, "_Words"]:
        """Customers of either class for whom each condition holds, and the condition in words."""
        churned, kept = [self.churned, self.missing[:1]], [self.kept, self.missing[1:]]
        if self.ordered:
            low_churned, low_kept = np.cumsum(self.churned), np.cumsum(self.kept)
            churned += [low_churned, low_churned + self.missing[0]]
            kept += [low_kept, low_kept + self.missing[1]]
        return np.concatenate(churned), np.concatenate(kept), _Words(self.values, bool(self.missing.any()))

    def exclusive(self, least_odds: float, least_customers: float) -> Rule | None:
        """A single value (or any value) that stands for one class only, however few of that class it catches.

        Parameters
        ----------
        least_odds : float
            The odds of the class there, with half a customer added to each count, over its odds among all.
        least_customers : float
            At how many customers.
        """
        total, rest = self.totals
        filled = np.array([self.churned.sum()]), np.array([self.kept.sum()])
        churned, kept = (
            filled if self.ordered else (np.append(self.churned, filled[0]), np.append(self.kept, filled[1]))
        )
        held = churned + kept
        odds = (churned + 0.5) / (kept + 0.5) / (total / rest)
        purity = np.maximum(churned, kept) / np.maximum(held, 1e-9)
        passing = np.flatnonzero(
            (held >= least_customers) & (purity >= PURE) & (np.maximum(odds, 1 / odds) >= least_odds)
        )
        if not len(passing):
            return None
        best = int(passing[np.argmax(held[passing])])
        churns = bool(churned[best] > kept[best])
        where = "filled" if best == len(churned) - 1 else f"= {str(self.values[best])!r}"
        caught = churned[best] / total if churns else kept[best] / rest
        return Rule(where, "churned" if churns else "not churned", caught, purity[best], held[best])


@dataclass(frozen=True)
class _Words:
    """Names the conditions in the order of `Levels._conditions`."""

    values: npt.NDArray[np.generic]
    has_gaps: bool

    def __call__(self, place: int, *, opposite: bool) -> str:
        count = len(self.values)
        if place == count:
            return "filled" if opposite else "missing"
        kind, position = (0, place) if place < count else divmod(place - 1, count)
        value = self.values[position]
        shown = repr(str(value)) if isinstance(value, str) else f"{value:g}"
        if kind == 0:
            return f"other than {shown}" if opposite else f"= {shown}"
        gaps = " or missing" if self.has_gaps and opposite == (kind == 1) else ""
        return f"{'>' if opposite else '<='} {shown}{gaps}"


def level_rates(column: pd.Series, classes: Classes) -> Levels:
    """The churn rate that each customer's level of a text has among other customers; missing is a level of its own.

    The rate is taken without the fold of the row's own customer, so that a level nobody shares says nothing.
    """
    codes, values = pd.factorize(column)
    cells, size = (codes + 1) * FOLDS + classes.folds, (len(values) + 1) * FOLDS
    churned, kept = (_sums(cells, w, size).reshape(-1, FOLDS) for w in (classes.churned, classes.kept))
    overall = churned.sum() / (churned.sum() + kept.sum())
    others, other_kept = (w.sum(axis=1, keepdims=True) - w for w in (churned, kept))
    rates = (others + PRIOR_CUSTOMERS * overall) / (others + other_kept + PRIOR_CUSTOMERS)
    return Levels.of(pd.Series(rates[codes + 1, classes.folds]), classes)


def _sums(codes: npt.NDArray[np.int64], weights: Array, size: int) -> Array:
    return np.asarray(np.bincount(codes, weights, size), dtype=np.float64)
