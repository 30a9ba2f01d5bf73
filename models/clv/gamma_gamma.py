"""Gamma-Gamma: what a customer spends on an order day.

References
----------
.. [1] Fader, P. S. and Hardie, B. G. S. (2013). The Gamma-Gamma Model of Monetary Value. Technical note.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.special import gammaln, psi

from models.base import Array
from models.clv.curvature import LOG_BOUND, maximise
from models.clv.errors import NoRepeatOrders
from models.clv.spend import spenders

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

    kind: ClassVar[str] = "gamma_gamma"
    title: ClassVar[str] = "Gamma-Gamma"

    @property
    def parameters(self) -> dict[str, float]:
        """The three parameters, named as in the literature."""
        return {"p": self.p, "q": self.q, "v": self.v}

    @classmethod
    def estimate(cls, frequency: Array, monetary_value: Array, least_q: float = 0.0) -> tuple[Self, bool]:
        """Fit to repeat buyers with positive spend by maximum likelihood.

        Parameters
        ----------
        frequency, monetary_value : ndarray of shape (n,)
            Repeat order days, at least 1, and their mean value, above 0.
        least_q : float
            Bound of q from below; above 1, expected spend is never negative.

        Returns
        -------
        model : GammaGamma
            Always finite.
        determined : bool
            Whether spend determines all three parameters.
        """
        unit = float(monetary_value.mean())
        z = monetary_value / unit
        free = (-LOG_BOUND, LOG_BOUND)
        bounds = [free, (float(np.log(least_q)) if least_q else -LOG_BOUND, LOG_BOUND), free]
        start = (START[0], max(START[1], least_q), START[2])
        found = maximise(lambda logs: _mean_log_likelihood(logs, frequency, z), start, len(z), bounds=bounds)
        p, q, v = map(float, np.exp(found.logs))
        return cls(p, q, v * unit), found.determined

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
    spends = spenders(frequency, monetary_value)
    if not spends.any():
        raise NoRepeatOrders(len(frequency))
    x, z = frequency[spends], monetary_value[spends]
    model, _ = GammaGamma.estimate(x, z)
    if model.q >= LEAST_Q:
        return model, ()
    return GammaGamma.estimate(x, z, LEAST_Q)[0], (heavy_tailed(model.q),)


def heavy_tailed(q: float) -> str:
    """Say that q had to be bounded."""
    return (
        f"low evidence: spend is so heavy-tailed that its mean is not determined (q = {q:.2f}); fitted with "
        f"q >= {LEAST_Q:g}, which pulls expected spend towards the population's"
    )
