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
from models.clv.curvature import CHUNK, LOG_BOUND, maximise, mean
from models.clv.errors import NoRepeatOrders
from models.clv.spend.base import spenders

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
        data = _Prepared(frequency, z)
        found = maximise(lambda logs: _mean_log_likelihood(logs, data), start, len(z), bounds=bounds)
        p, q, v = map(float, np.exp(found.logs))
        return cls(p, q, v * unit), found.determined

    @property
    def population_mean(self) -> float:
        """Mean spend over customers, p v / (q - 1)."""
        return self.p * self.v / (self.q - 1)

    def log_likelihood(self, frequency: Array, monetary_value: Array) -> float:
        """Log-likelihood of the mean values of repeat buyers, equation (1a) of [1]_."""
        logs = np.log([self.p, self.q, self.v])
        value, _ = _mean_log_likelihood(logs, _Prepared(frequency, monetary_value))
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


class _Prepared:
    """What the likelihood needs of spend at every step of the fit, computed once."""

    def __init__(self, x: Array, z: Array) -> None:
        self.counts, customers = np.unique(x, return_counts=True)
        self.shares = customers / len(x)
        self.mean_log = float(np.log(z).mean())
        spent = x * z
        self.mean_log_spent = float((x * np.log(spent)).mean())
        self.chunks = [(x[i : i + CHUNK], spent[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]


def _mean_log_likelihood(logs: Array, data: _Prepared) -> tuple[float, Array]:
    """Mean log-likelihood a customer and its gradient in the log-parameters; gamma functions on distinct frequencies.

    What differs from customer to customer are the means of ``log(x z + v)`` and of its slope in v, plain and times x.
    """
    p, q, v = np.exp(logs)
    customers, sums = 0, np.zeros(4)
    for x, spent in data.chunks:
        total = spent + v
        log, slope = np.log(total), 1 / total
        sums += [log.sum(), mean(x, log), slope.sum(), mean(x, slope)]
        customers += len(x)
    log_mean, log_mean_x, slope_mean, slope_mean_x = sums / customers
    shapes, ends = p * data.counts, p * data.counts + q
    value = (
        mean(data.shares, gammaln(ends) - gammaln(shapes)) - gammaln(q) + q * logs[2] - data.mean_log
        + p * data.mean_log_spent - p * log_mean_x - q * log_mean
    )  # fmt: skip
    at_p = mean(data.shares, data.counts * (psi(ends) - psi(shapes))) + data.mean_log_spent - log_mean_x
    at_q = mean(data.shares, psi(ends)) - psi(q) + logs[2] - log_mean
    at_v = q / v - p * slope_mean_x - q * slope_mean
    return float(value), np.array([at_p * p, at_q * q, at_v * v])


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
