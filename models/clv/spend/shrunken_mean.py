"""Shrunken mean: a customer's mean order value, pulled towards everyone's as far as chance alone could explain it.

References
----------
.. [1] Buehlmann, H. and Straub, E. (1970). Glaubwuerdigkeit fuer Schadensaetze. Bulletin of the Swiss Association of
   Actuaries 70, 111-133.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.optimize import nnls

from models.base import Array

LEAST_SHRUNKEN, MOST_SHRUNKEN = 1.0, 1e3  # orders that everyone's mean counts for
LEAST_SPREAD = 1e-6  # of one order, relative to the mean
ROUNDS, SETTLED = 20, 1e-3
"""How often moments and weights are found from each other, and the relative change of weights that is none."""


@dataclass(frozen=True)
class ShrunkenMean:
    """The fitted distribution of spend, by its first two moments.

    Parameters
    ----------
    mean : float
        Everyone's mean order value, in currency; 0 where nothing is known of any repeat order's value.
    orders : float
        How many orders of one's own weigh as much as everyone's mean.
    deviation : float
        Standard deviation of an order around its customer's mean, in currency.
    """

    mean: float
    orders: float
    deviation: float

    kind: ClassVar[str] = "shrunken_mean"
    title: ClassVar[str] = "empirical-Bayes shrunken mean"

    @property
    def parameters(self) -> dict[str, float]:
        """The three parameters."""
        return {"mean": self.mean, "orders": self.orders, "deviation": self.deviation}

    @classmethod
    def estimate(cls, frequency: Array, monetary_value: Array) -> Self:
        """Take the moments of repeat buyers with positive spend; of nobody's, all is 0.

        A buyer counts as far as their own mean is trusted: where customers hardly differ, by their number of orders.
        Otherwise a few orders of the many who came once would say what an order of those who come often is worth.
        """
        if not len(monetary_value):
            return cls(0.0, 1.0, 0.0)
        orders, moments = LEAST_SHRUNKEN, np.column_stack([np.ones(len(frequency)), 1 / frequency])
        for _ in range(ROUNDS):
            before, trust = orders, frequency / (frequency + orders)
            mean = float(np.average(monetary_value, weights=trust))
            between, within = nnls(trust[:, None] * moments, trust * (monetary_value / mean - 1) ** 2)[0]
            within = max(float(within), LEAST_SPREAD**2)
            orders = float(np.clip(within / max(float(between), within / MOST_SHRUNKEN), LEAST_SHRUNKEN, MOST_SHRUNKEN))
            if abs(orders - before) < SETTLED * before:
                break
        return cls(mean, orders, float(np.sqrt(within)) * mean)

    def log_likelihood(self, frequency: Array, monetary_value: Array) -> float:
        """Log-likelihood of the mean values of repeat buyers under normal distributions of these moments."""
        variance = self.deviation**2 * (1 / self.orders + 1 / frequency)
        squares = (monetary_value - self.mean) ** 2
        return float(-(np.log(2 * np.pi * variance) + squares / variance).sum() / 2)

    def expected_order_value(self, frequency: Array, monetary_value: Array) -> Array:
        """Expected value of a future order day: own and everyone's mean, weighted by their orders."""
        own = np.where(frequency > 0, monetary_value, 0.0)
        return np.asarray((self.orders * self.mean + frequency * own) / (self.orders + frequency))
