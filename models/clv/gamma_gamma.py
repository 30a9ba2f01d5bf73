"""Gamma-Gamma: what a customer spends on an order day.

References
----------
.. [1] Fader, P. S. and Hardie, B. G. S. (2013). The Gamma-Gamma Model of Monetary Value. Technical note.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, psi

from models.base import Array
from models.clv.errors import NoRepeatOrders
from models.optimise import minimise

LOG_BOUND = 12.0
START = (4.0, 3.0, 0.5)
LEAST_Q = 1.5  # at q <= 1 the mean spend of the population does not exist, and expected spend turns negative


@dataclass(frozen=True)
class GammaGamma:
    """The fitted distribution of spend.

    Parameters
    ----------
    p, q, v : float
        Shape of a customer's spend, shape and scale (in currency) of its spread between customers.
    """

    p: float
    q: float
    v: float

    @property
    def population_mean(self) -> float:
        """Mean spend over customers, p v / (q - 1)."""
        return self.p * self.v / (self.q - 1)

    def log_likelihood(self, frequency: Array, monetary_value: Array) -> float:
        """Log-likelihood of the mean values of repeat buyers, equation (1a) of [1]_."""
        logs = np.log([self.p, self.q, self.v])
        value, _ = _mean_log_likelihood(logs, frequency, monetary_value)
        return float(value * len(frequency))

    def expected_order_value(self, frequency: Array, monetary_value: Array) -> Array:
        """Expected value of a future order day, equation (5) of [1]_; the population's for one without a repeat.

        Parameters
        ----------
        frequency : ndarray of shape (n,)
            Repeat order days.
        monetary_value : ndarray of shape (n,)
            Mean value of them; anything where frequency is 0.

        Returns
        -------
        ndarray of shape (n,)
            Above 0.
        """
        own = np.where(frequency > 0, monetary_value, 0.0)
        return self.p * (self.v + frequency * own) / (self.p * frequency + self.q - 1)


def _mean_log_likelihood(logs: Array, x: Array, z: Array) -> tuple[float, Array]:
    """Mean log-likelihood a customer and its gradient in the log-parameters."""
    p, q, v = np.exp(logs)
    total = np.log(x * z + v)
    value = (
        gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * logs[2] - np.log(z) + p * x * np.log(x * z)
        - (p * x + q) * total
    )  # fmt: skip
    at_p = x * (psi(p * x + q) - psi(p * x) + np.log(x * z) - total)
    at_q = psi(p * x + q) - psi(q) + logs[2] - total
    at_v = q / v - (p * x + q) / (x * z + v)
    return float(value.mean()), np.array([at_p.mean() * p, at_q.mean() * q, at_v.mean() * v])


def fit_gamma_gamma(frequency: Array, monetary_value: Array) -> tuple[GammaGamma, tuple[str, ...]]:
    """Fit by maximum likelihood to the customers with a repeat order of positive value.

    Parameters
    ----------
    frequency, monetary_value : ndarray of shape (n,)
        Repeat order days and their mean value; NaN or 0 without one.

    Returns
    -------
    model : GammaGamma
        With q at least 1.5: expected spend is never negative.
    warnings : tuple of str
        What was done when spend is too spread out for the model.

    Raises
    ------
    NoRepeatOrders
        If no customer has a repeat order of positive value.
    """
    spends = (frequency > 0) & (np.nan_to_num(monetary_value) > 0)
    if not spends.any():
        raise NoRepeatOrders(len(frequency))
    x, z = frequency[spends], monetary_value[spends]
    unit = float(z.mean())

    def search(least_q: float) -> Array:
        def loss(logs: Array) -> tuple[float, Array]:
            value, slope = _mean_log_likelihood(logs, x, z / unit)
            return -value, -slope

        free = (-LOG_BOUND, LOG_BOUND)
        return np.exp(minimise(loss, np.log(START), [free, (float(np.log(least_q)), LOG_BOUND), free]))

    p, q, v = search(float(np.exp(-LOG_BOUND)))
    warnings: tuple[str, ...] = ()
    if q < LEAST_Q:
        warnings = (
            f"low evidence: spend is so heavy-tailed that its mean is not determined (q = {q:.2f}); fitted with "
            f"q >= {LEAST_Q:g}, which pulls expected spend towards the population's",
        )
        p, q, v = search(LEAST_Q)
    return GammaGamma(float(p), float(q), float(v * unit)), warnings
