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


@dataclass(frozen=True)
class ShrunkenMean:
    """The fitted distribution of spend, by its first two moments.

    Parameters
    ----------
    mean : float
        Mean order value over customers, in currency; 0 where nothing is known of any repeat order's value.
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
        """Take the moments of repeat buyers with positive spend; of nobody's, all is 0."""
        if not len(monetary_value):
            return cls(0.0, 1.0, 0.0)
        mean = float(monetary_value.mean())
        squares = (monetary_value / mean - 1) ** 2
        between, within = nnls(np.column_stack([np.ones(len(squares)), 1 / frequency]), squares)[0]
        within = max(float(within), LEAST_SPREAD**2)
        orders = within / max(float(between), within / MOST_SHRUNKEN)
        return cls(mean, float(np.clip(orders, LEAST_SHRUNKEN, MOST_SHRUNKEN)), float(np.sqrt(within)) * mean)

    def log_likelihood(self, frequency: Array, monetary_value: Array) -> float:
        """Log-likelihood of the mean values of repeat buyers under normal distributions of these moments."""
        variance = self.deviation**2 * (1 / self.orders + 1 / frequency)
        squares = (monetary_value - self.mean) ** 2
        return float(-(np.log(2 * np.pi * variance) + squares / variance).sum() / 2)

    def expected_order_value(self, frequency: Array, monetary_value: Array) -> Array:
        """Expected value of a future order day: own and everyone's mean, weighted by their orders."""
        own = np.where(frequency > 0, monetary_value, 0.0)
        return np.asarray((self.orders * self.mean + frequency * own) / (self.orders + frequency))
