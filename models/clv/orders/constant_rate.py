"""Constant rate: customers order at rates of their own, shrunk towards everyone's, and nobody ever leaves.

Where the histories say too little to tell leaving from being silent, this is what can still be said.

References
----------
.. [1] Ehrenberg, A. S. C. (1959). The Pattern of Consumer Purchases. Applied Statistics 8(1), 26-41: the negative
   binomial distribution of purchases.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy.special import gammaln, psi

from models.base import Array
from models.clv.curvature import maximise
from models.clv.histories import Histories
from models.clv.orders.base import WEAK_PENALTY

START = (0.5, 1.0)
HALF_AN_ORDER, A_YEAR = 0.5, 365.0


@dataclass(frozen=True)
class ConstantRate:
    """The fitted distribution of order rates.

    Parameters
    ----------
    r, alpha : float
        Shape and rate (in days) of the gamma distribution of the order rate.
    log_covariance : ndarray of shape (2, 2) or None
        Covariance of the logarithms of the two.
    """

    r: float
    alpha: float
    log_covariance: Array | None = field(default=None, compare=False, repr=False)

    kind: ClassVar[str] = "constant_rate"
    title: ClassVar[str] = "constant rate"

    @property
    def parameters(self) -> dict[str, float]:
        """The two parameters, named as in the literature."""
        return {"r": self.r, "alpha": self.alpha}

    @classmethod
    def estimate(cls, histories: Histories, penalty: float = 0.0) -> tuple[Self, bool]:
        """Fit by maximum likelihood, never with less than a weak penalty.

        Without any repeat order the rate is what half an order in all the days seen, and one year more, would be.

        Parameters
        ----------
        histories : Histories
            Of all customers.
        penalty : float
            Weight of the sum of squared parameters (in scaled time) against the mean log-likelihood.
        """
        histories = histories.patterns()
        x, age, share = histories.frequency, histories.T_days, histories.weight / histories.customers
        if not np.any(x > 0):
            days = float(histories.weight @ age) + A_YEAR
            return cls(HALF_AN_ORDER, days), False
        scale = 10 / max(float(np.max(age)), 1.0)

        def likelihood(logs: Array) -> tuple[float, Array]:
            return _mean_log_likelihood(logs, x, age * scale, share)

        found = maximise(likelihood, START, histories.customers, max(penalty, WEAK_PENALTY))
        r, alpha = map(float, np.exp(found.logs))
        return cls(r, alpha / scale, found.covariance), found.determined

    def log_likelihood(self, histories: Histories) -> float:
        """Log-likelihood of the histories, comparable with that of the models in which customers leave."""
        patterns = histories.patterns()
        share = patterns.weight / patterns.customers
        logs = np.log([self.r, self.alpha])
        return _mean_log_likelihood(logs, patterns.frequency, patterns.T_days, share)[0] * patterns.customers

    def probability_active(self, histories: Histories) -> Array:
        """1 for everyone, shape (n,)."""
        return np.ones(len(histories))

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days: own and everyone's rate, weighted by evidence, carried forward."""
        return np.asarray((self.r + histories.frequency) / (self.alpha + histories.T_days) * horizon_days)

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days."""
        silent = -(self.r + histories.frequency) * np.log1p(horizon_days / (self.alpha + histories.T_days))
        return np.asarray(np.exp(silent))

    def draw_orders(self, histories: Histories, horizon_days: float, generator: np.random.Generator) -> Array:
        """Draw what each customer may order in the next days: one predictive draw, shape (n,)."""
        rate = generator.gamma(self.r + histories.frequency, 1 / (self.alpha + histories.T_days))
        return generator.poisson(rate * horizon_days).astype(np.float64)


def _mean_log_likelihood(logs: Array, x: Array, age: Array, share: Array) -> tuple[float, Array]:
    """Mean log-likelihood a customer and its gradient in the log-parameters."""
    r, alpha = np.exp(logs)
    later = np.log(alpha + age)
    value = share @ (gammaln(r + x) - gammaln(r) + r * logs[1] - (r + x) * later)
    at_r = share @ (psi(r + x) - psi(r) + logs[1] - later)
    at_alpha = share @ (r / alpha - (r + x) / (alpha + age))
    return float(value), np.array([at_r * r, at_alpha * alpha])
