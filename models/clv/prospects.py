"""What customers are worth who have never ordered: the first order if it comes, and what usually follows one.

All of it is low evidence: a prospect is a channel, some attributes and a wait. The answer has the columns of the other
customers', so that it can be read beside them, but never among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from models.base import Array
from models.clv.answer import answer
from models.clv.first_orders import AGE, FirstOrders, names_of
from models.clv.histories import Histories
from models.clv.intervals import bounds
from models.clv.next_order import days_to_next_order
from models.clv.orders.tails import Rows, Tail
from models.clv.value import Terms

CHANNEL = "acquisition_channel"
STEPS = 24
MOST_CREDENCE = 1e6
TINY = 1e-12


@dataclass(frozen=True)
class FirstValues:
    """What is spent on a first order day.

    Parameters
    ----------
    mean : float
        Over all customers who ordered, in currency.
    relative_variance : float
        Variance over the squared mean.
    of_channel : dict of str to float
        The mean by channel, shrunk towards everyone's.

    References
    ----------
    Buehlmann, H. and Straub, E. (1970). Glaubwuerdigkeit fuer Schadensaetze. Bulletin of the Swiss Association of
    Actuaries 70, 111-133: each mean weighs n / (n + k), k the variance within over that between.
    """

    mean: float
    relative_variance: float
    of_channel: dict[str, float]

    @classmethod
    def fit(cls, channels: "pd.Series[Any]", values: Array) -> Self:
        """Take the moments of first order days of known value."""
        if not len(values) or values.mean() <= 0:
            return cls(0.0, 0.0, {})
        mean, variance = float(values.mean()), float(values.var())
        groups = pd.Series(values).groupby(names_of(channels))
        size, own = groups.size(), groups.mean()
        within = float(groups.var(ddof=0).mul(size).sum() / max(len(values) - len(size), 1))
        spread = float((size * (own - mean) ** 2).sum()) - (len(size) - 1) * within
        room = len(values) - float((size**2).sum()) / len(values)
        between = max(spread / room, 0.0) if room > 0 else 0.0
        credence = min(within / between, MOST_CREDENCE) if between > 0 else MOST_CREDENCE
        shrunk = (size * own + credence * mean) / (size + credence)
        return cls(mean, variance / mean**2, {str(name): float(of) for name, of in shrunk.items()})

    def expected(self, rows: pd.DataFrame) -> Array:
        """Expected value of each prospect's order, shape (n,)."""
        if CHANNEL not in rows:
            return np.full(len(rows), self.mean)
        return np.array([self.of_channel.get(name, self.mean) for name in names_of(rows[CHANNEL])], dtype=np.float64)


@dataclass(frozen=True)
class Prospects:
    """The fitted forecast of customers without an order.

    Parameters
    ----------
    columns : tuple of str
        The features it takes: days since the relationship began, channel, attributes.
    first : FirstOrders
        When the first order comes.
    spent : FirstValues
        What it is worth.
    repeat_days, repeats : tuple of float
        Orders expected after the first one, by the days since it.
    average : mapping of str to float
        Factors of an average prospect: see `models.clv.decomposition.decompose`.
    waiting, first_orders : int
        Prospects at the cutoff and first orders seen: what all this was learned from.
    """

    columns: tuple[str, ...]
    first: FirstOrders
    spent: FirstValues
    repeat_days: tuple[float, ...]
    repeats: tuple[float, ...]
    average: Mapping[str, float]
    waiting: int
    first_orders: int

    @classmethod
    def of(
        cls,
        first: FirstOrders,
        spent: FirstValues,
        waiting: pd.DataFrame,
        repeats_after: Callable[[float], float],
        terms: Terms,
        first_orders: int,
    ) -> Self:
        """Put together what was learned.

        Parameters
        ----------
        first, spent
            See `Prospects`.
        waiting : pandas.DataFrame
            Features of those who are prospects at the cutoff.
        repeats_after : callable
            From a number of days to the orders expected in them after a first order.
        terms : Terms
            On what terms orders are valued.
        first_orders : int
            How many first orders were seen.
        """
        grid = np.linspace(0, terms.horizon_days, STEPS + 1).tolist()
        after = tuple(float(repeats_after(days)) if days else 0.0 for days in grid)
        columns = tuple(map(str, waiting.columns))
        made = cls(columns, first, spent, tuple(grid), after, {}, len(waiting), first_orders)
        return replace(made, average={name: float(of.mean()) for name, of in made._factors(waiting, terms).items()})

    def probability_no_order(self, rows: pd.DataFrame, days: float) -> Array:
        """Probability that the first order does not come in the next days."""
        return np.asarray(np.exp(-self.first.summed(rows, days)))

    def expected_orders(self, rows: pd.DataFrame, days: float) -> Array:
        """Expected order days in the next days: the first one, and what follows it in the days then left."""
        edges = np.linspace(0, days, STEPS + 1)
        left = np.stack([self.probability_no_order(rows, edge) for edge in edges])
        remaining = days - (edges[1:] + edges[:-1]) / 2
        follow = 1 + np.interp(remaining, self.repeat_days, self.repeats)
        expected = np.zeros(len(rows))  # not a product of matrices, which sums a lone row in another order
        for orders, comes in zip(follow, left[:-1] - left[1:], strict=True):
            expected += orders * comes
        return expected

    def _factors(self, rows: pd.DataFrame, terms: Terms) -> dict[str, Array]:
        comes = np.maximum(1 - self.probability_no_order(rows, terms.horizon_days), TINY)
        discounted = terms.discounted_orders(lambda days: self.expected_orders(rows, days))
        return {
            "probability_active": comes,
            "discounted_orders_if_active": discounted / comes,
            "expected_order_value": self.spent.expected(rows),
        }

    def score(self, rows: pd.DataFrame, terms: Terms) -> pd.DataFrame:
        """Value each prospect; the columns of `models.clv.answer.COLUMNS`.

        `probability_active` is the probability of a first order in the horizon; what an active customer costs to serve
        is charged with it. How many orders follow a first one is taken as geometric.
        """
        factors = self._factors(rows, terms)
        comes, orders = factors["probability_active"], self.expected_orders(rows, terms.horizon_days)
        shape = 1 / self.spent.relative_variance if self.spent.relative_variance > 0 else np.inf
        return answer(
            Histories.of_new(len(rows)),
            terms,
            self.average,
            probability_active=comes,
            expected_orders=orders,
            discounted_orders=comes * factors["discounted_orders_if_active"],
            order_value=factors["expected_order_value"],
            bounds=bounds(
                lambda some: _geometric_tail(comes[some], orders[some]), shape, np.full(len(rows), np.inf), comes
            ),
            waits=days_to_next_order(lambda some, days: self.probability_no_order(rows.iloc[some], days), len(rows)),
        )

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Log ratio that each channel or attribute and the time waited give the rate of first orders."""
        ratios = self.first.log_ratios(rows)
        by_name = dict(zip(self.first.effects, ratios.T, strict=True))
        summed = np.maximum(self.first.summed_by_age(rows, self.repeat_days[-1]), TINY)
        usual = -np.log1p(-min(self.average["probability_active"], 1 - TINY))
        return pd.DataFrame({AGE: np.log(summed / usual), **by_name})

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The features themselves."""
        return rows

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "columns": list(self.columns),
            "first": self.first.state(),
            "spent": {
                "mean": self.spent.mean,
                "relative_variance": self.spent.relative_variance,
                "of_channel": self.spent.of_channel,
            },
            "repeat_days": list(self.repeat_days),
            "repeats": list(self.repeats),
            "average": dict(self.average),
            "waiting": self.waiting,
            "first_orders": self.first_orders,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """From JSON."""
        first = FirstOrders(tuple(state["first"]["rates"]), state["first"]["effects"])
        return cls(
            tuple(state["columns"]), first, FirstValues(**state["spent"]), tuple(state["repeat_days"]),
            tuple(state["repeats"]), state["average"], state["waiting"], state["first_orders"],
        )  # fmt: skip


def _geometric_tail(comes: Array, orders: Array) -> Tail:
    """P(N >= k): the first order comes, and so many follow it."""
    further = np.maximum(orders / comes - 1, 0.0)
    share = further / (1 + further)

    def tail(rows: Rows, k: int) -> Array:
        return np.asarray(comes[rows] * share[rows] ** (k - 1))

    return tail
