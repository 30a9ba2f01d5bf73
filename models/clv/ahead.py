"""What customers will do: whether they are active, and how those go on who are.

How a customer who is active goes on depends on frequency and T alone, of which there are far fewer pairs than
customers; it is computed once a pair.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from models.base import Array
from models.clv.distinct import distinct_whole
from models.clv.drift import Drift
from models.clv.histories import Histories
from models.clv.intervals import Bounds, shared_bounds
from models.clv.next_order import WITHIN_DAYS, days_to_next_order
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.orders.tails import Rows, Tail, part, tail_if_active
from models.clv.spend.base import SpendModel
from models.clv.spend.spread import spend_shapes
from models.clv.value import Terms

NONE = Drift()
LEAST = 1e-12


@dataclass(frozen=True)
class Ahead:
    """The future of n customers.

    Parameters
    ----------
    model : OrderModel
        Fitted.
    active : ndarray of shape (n,)
        P(alive) of each customer.
    pairs : Histories
        The distinct pairs of frequency and T.
    which : ndarray of shape (n,)
        The pair of each customer.
    """

    model: OrderModel
    active: Array
    pairs: Histories
    which: Rows

    @classmethod
    def of(cls, model: OrderModel, histories: Histories) -> Self:
        """See ahead of customers with these histories."""
        return cls(model, model.probability_active(histories), *histories.pairs())

    def orders_if_active(self, horizon_days: float) -> Array:
        """Expected orders in the next days, given that the customer is active."""
        return self._orders(horizon_days)[self.which]

    def orders_if_any(self, horizon_days: float) -> Array:
        """Expected orders in the next days, given that there is one."""
        any_order = np.maximum(1 - self._silence(slice(None), horizon_days), LEAST)
        return np.asarray((self._orders(horizon_days) / any_order)[self.which])

    def discounted_if_active(self, terms: Terms) -> Array:
        """Expected orders of the horizon in today's terms, given that the customer is active."""
        return terms.discounted_orders(self._orders)[self.which]

    def any_order(self, some: slice, days: float) -> Array:
        """Probability of an order in the next days, of some of the customers."""
        return np.asarray(self.active[some] * (1 - self._silence(slice(None), days))[self.which[some]])

    def _orders(self, horizon_days: float) -> Array:
        if isinstance(self.model, BgNbd | ParetoNbd):
            return self.model.orders_if_active(self.pairs, horizon_days)
        return self.model.expected_orders(self.pairs, horizon_days)  # nobody leaves

    def _silence(self, some: slice, days: float) -> Array:
        pairs = part(self.pairs, some)
        if isinstance(self.model, BgNbd | ParetoNbd):
            return self.model.silence_if_active(pairs, days)
        return self.model.probability_no_order(pairs, days)

    def tail(self, horizon_days: float, drift: float = 0.0) -> Tail:
        """The predictive distribution of orders; for the drift see `models.clv.drift`."""
        if_active = tail_if_active(self.model, self.pairs, horizon_days, drift)

        def tail(rows: Rows, k: int) -> Array:
            needed, place = distinct_whole(self.which[rows], len(self.pairs))
            return np.asarray(self.active[rows] * if_active(needed, k)[place])

        return tail

    def bounds(self, spend: SpendModel, horizon_days: float, drift: Drift = NONE, *, with_cost: bool = False) -> Bounds:
        """Predictive intervals of orders, and of their value in expected order values, also as a cost needs them."""
        return shared_bounds(
            lambda some: tail_if_active(self.model, part(self.pairs, some), horizon_days, drift.rate),
            *drift.shapes(*spend_shapes(spend, self.pairs.frequency)),
            self.active,
            self.which,
            self.active if with_cost else None,
        )

    def waits(self) -> dict[str, Array]:
        """Quantiles of the days to the next order, given that there is one: see `days_to_next_order`."""
        if_active = days_to_next_order(self._silence, len(self.pairs))
        return {name: np.where(self.active > 0, days[self.which], WITHIN_DAYS) for name, days in if_active.items()}
