"""Log-normal spend: customers' mean values spread by factors, with tails heavier than Gamma-Gamma can bear.

The expected value always exists, however heavy the tail.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from models.base import Array
from models.clv.curvature import LOG_BOUND, maximise

WIDEST_TAU = 3.0  # mean spend is at most exp(9 / 2) = 90 times the median
START = (1.0, 0.7, 0.7)


@dataclass(frozen=True)
class LogNormal:
    """The fitted distribution of spend.

    Parameters
    ----------
    median : float
        Median over customers of their mean order value, in currency.
    tau, sigma : float
        Standard deviation of its logarithm between customers, and of one order around the customer's.
    """

    median: float
    tau: float
    sigma: float

    kind: ClassVar[str] = "log_normal"
    title: ClassVar[str] = "log-normal"

    @property
    def parameters(self) -> dict[str, float]:
        """The three parameters."""
        return {"median": self.median, "tau": self.tau, "sigma": self.sigma}

    @classmethod
    def estimate(cls, frequency: Array, monetary_value: Array) -> Self:
        """Fit to repeat buyers with positive spend by maximum likelihood."""
        unit = float(np.exp(np.log(monetary_value).mean()))
        z, inverse = np.log(monetary_value / unit), 1 / frequency
        free, narrow = (-LOG_BOUND, LOG_BOUND), (-6.0, float(np.log(WIDEST_TAU)))
        found = maximise(
            lambda logs: _mean_log_likelihood(logs, inverse, z), START, len(z), bounds=[free, narrow, narrow]
        )
        median, tau, sigma = map(float, np.exp(found.logs))
        return cls(median * unit, tau, sigma)

    def log_likelihood(self, frequency: Array, monetary_value: Array) -> float:
        """Log-likelihood of the mean values of repeat buyers, comparable with Gamma-Gamma's."""
        z = np.log(monetary_value)
        value, _ = _mean_log_likelihood(np.log([self.median, self.tau, self.sigma]), 1 / frequency, z)
        return float(value * len(z) - z.sum())

    def expected_order_value(self, frequency: Array, monetary_value: Array) -> Array:
        """Expected value of a future order day, the own shrunk towards everyone's on the scale of factors."""
        known = (frequency > 0) & (monetary_value > 0)
        own = np.log(np.where(known, monetary_value, self.median) / self.median)
        precision = np.where(known, frequency, 0.0) / self.sigma**2
        trust = precision / (precision + self.tau**-2)
        return np.asarray(self.median * np.exp(trust * own + self.tau**2 * (1 - trust) / 2))


def _mean_log_likelihood(logs: Array, inverse_frequency: Array, z: Array) -> tuple[float, Array]:
    """Mean log-density of the log values and its gradient in the log-parameters."""
    between, within = np.exp(2 * logs[1]), np.exp(2 * logs[2]) * inverse_frequency
    variance, off = between + within, z - logs[0]
    value = -(np.log(2 * np.pi * variance) + off**2 / variance) / 2
    at_variance = (off**2 / variance - 1) / variance / 2
    slopes = [(off / variance).mean(), (at_variance * 2 * between).mean(), (at_variance * 2 * within).mean()]
    return float(value.mean()), np.array(slopes)
