"""Pareto/NBD: an active customer orders at a rate of its own and leaves at a moment of its own, unseen.

Both rates are gamma distributed over customers. What the literature writes as a difference of two hypergeometric
functions is one integral over the moment of leaving, positive throughout; it is computed as that, by Gauss-Legendre
quadrature in log time, so that no order of alpha and beta and no long history can cancel or overflow.

References
----------
.. [1] Schmittlein, D. C., Morrison, D. G. and Colombo, R. (1987). Counting Your Customers: Who Are They and What Will
   They Do Next? Management Science 33(1), 1-24.
.. [2] Fader, P. S. and Hardie, B. G. S. (2005). A Note on Deriving the Pareto/NBD Model and Related Expressions.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy.special import exprel, gammaln, psi

from models.base import Array
from models.clv.curvature import Likelihood, mean
from models.clv.errors import NoRepeatOrders
from models.clv.histories import Histories
from models.clv.orders.base import fit_or_penalise, maximise_over

START = (0.5, 1.0, 0.5, 1.0)
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(24)
NEGLIGIBLE = 28.0  # where the integrand has fallen by exp(-28) the rest of the integral is below rounding
CHUNK = 1_024  # customers at a time: their nodes fit the processor's cache


@dataclass(frozen=True)
class ParetoNbd:
    """The fitted distribution of ordering and leaving.

    Parameters
    ----------
    r, alpha : float
        Shape and rate (in days) of the gamma distribution of the order rate.
    s, beta : float
        Of the rate of leaving.
    log_covariance : ndarray of shape (4, 4) or None
        Covariance of the logarithms of the four.
    """

    r: float
    alpha: float
    s: float
    beta: float
    log_covariance: Array | None = field(default=None, compare=False, repr=False)

    kind: ClassVar[str] = "pareto_nbd"
    title: ClassVar[str] = "Pareto/NBD"

    @property
    def parameters(self) -> dict[str, float]:
        """The four parameters, named as in the literature."""
        return {"r": self.r, "alpha": self.alpha, "s": self.s, "beta": self.beta}

    @classmethod
    def estimate(cls, histories: Histories, penalty: float = 0.0) -> tuple[Self, bool]:
        """Fit by maximum likelihood, time scaled to 10 at the longest history; see `BgNbd.estimate`."""
        histories = histories.patterns()
        if not np.any(histories.frequency > 0):
            raise NoRepeatOrders(int(histories.customers))
        scale = 10 / max(float(np.max(histories.T_days)), 1.0)

        def likelihood(some: Histories) -> Likelihood:
            data = _Prepared(some, scale)
            return lambda logs: _mean_log_likelihood(logs, data)

        found = maximise_over(histories, likelihood, START, penalty)
        r, alpha, s, beta = map(float, np.exp(found.logs))
        return cls(r, alpha / scale, s, beta / scale, found.covariance), found.determined

    def log_likelihood(self, histories: Histories) -> float:
        """Log-likelihood of the histories, equation (18) of [2]_, time in days."""
        patterns = histories.patterns()
        logs = np.log([*self.parameters.values()])
        return _mean_log_likelihood(logs, _Prepared(patterns, 1.0))[0] * patterns.customers

    def probability_active(self, histories: Histories) -> Array:
        """P(alive) at the end of T, equation (36) of [2]_.

        Parameters
        ----------
        histories : Histories
            Of n customers.

        Returns
        -------
        ndarray of shape (n,)
            In [0, 1].
        """
        x, age = histories.frequency, histories.T_days
        gone = _log_gone(self.r + x, self.alpha, self.s, self.beta, histories.recency_days, age)
        active = -(self.r + x) * np.log(self.alpha + age) - self.s * np.log(self.beta + age)
        return np.asarray(np.exp(active - np.logaddexp(active, gone)))

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days, equation (41) of [2]_, with its limit at s = 1.

        Parameters
        ----------
        histories : Histories
            Of n customers.
        horizon_days : float
            How far ahead.

        Returns
        -------
        ndarray of shape (n,)
            At least 0.
        """
        if_active = self.orders_if_active(histories, horizon_days)
        return np.asarray(if_active * self.probability_active(histories), dtype=np.float64)

    def orders_if_active(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days of customers who are active; depends on frequency and T alone."""
        later = self.beta + histories.T_days
        growth = np.log1p(horizon_days / later)
        days_active = later * growth * exprel((1 - self.s) * growth)
        rate = (self.r + histories.frequency) / (self.alpha + histories.T_days)
        return np.asarray(rate * days_active, dtype=np.float64)

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days: gone already, silent throughout, or gone before the next order."""
        some = 1 - self.silence_if_active(histories, horizon_days)
        return np.asarray(1 - self.probability_active(histories) * some, dtype=np.float64)

    def silence_if_active(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days of customers who are active; depends on frequency and T alone."""
        shape, alpha, beta = self.r + histories.frequency, self.alpha + histories.T_days, self.beta + histories.T_days
        silent = -shape * np.log1p(horizon_days / alpha) - self.s * np.log1p(horizon_days / beta)
        start, end = np.zeros(len(histories)), np.full(len(histories), horizon_days)
        leaving = _log_gone(shape, alpha, self.s, beta, start, end) + shape * np.log(alpha) + self.s * np.log(beta)
        return np.asarray(np.minimum(np.exp(np.logaddexp(silent, leaving)), 1.0), dtype=np.float64)

    def draw_orders(self, histories: Histories, horizon_days: float, generator: np.random.Generator) -> Array:
        """Draw what each customer may order in the next days: one predictive draw, shape (n,).

        Given the history and being active, the two rates are independent and gamma distributed again.
        """
        active = generator.random(len(histories)) < self.probability_active(histories)
        rate = generator.gamma(self.r + histories.frequency, 1 / (self.alpha + histories.T_days))
        leaving = np.maximum(generator.gamma(self.s, 1 / (self.beta + histories.T_days)), 1e-300)
        days_active = np.minimum(generator.standard_exponential(len(histories)) / leaving, horizon_days)
        return np.where(active, generator.poisson(rate * days_active), 0).astype(np.float64)


class _Prepared:
    """What the likelihood needs of the histories at every step of the fit, computed once."""

    def __init__(self, histories: Histories, scale: float) -> None:
        self.frequency = histories.frequency
        self.recency = histories.recency_days * scale
        self.T = histories.T_days * scale
        self.share = histories.weight / histories.weight.sum()
        self.counts, self.which = np.unique(histories.frequency, return_inverse=True)


@dataclass(frozen=True)
class _Leaving:
    """The moment of leaving between two times, of a customer with a shape of ordering.

    The density of leaving at t without an order since is ``s (alpha + t) ** -shape (beta + t) ** -(s + 1)``. Its
    integral is over ``log(least + t)``, least of alpha and beta, up to where nothing is left of it.
    """

    order: Array
    leave: Array
    log_order: Array
    log_leave: Array
    log_weight: Array

    @classmethod
    def between(cls, shape: Array, alpha: Array, s: float, beta: Array, start: Array, end: Array) -> "_Leaving":
        least, most = np.minimum(alpha, beta), np.maximum(alpha, beta)
        steepness = np.where(alpha <= beta, shape, s + 1)
        total = shape + s + 1
        with np.errstate(over="ignore"):
            length = np.minimum(
                np.minimum((most + start) * np.expm1(NEGLIGIBLE / total), end - start),
                (least + start) * np.expm1(NEGLIGIBLE / steepness),
            )
        half = np.log1p(length / (least + start)) / 2
        grown = half[:, None] * (1 + NODES)
        at = start[:, None] + (least + start)[:, None] * np.expm1(grown)
        order, leave = alpha[:, None] + at, beta[:, None] + at
        log_order, log_leave = np.log(order), np.log(leave)
        with np.errstate(divide="ignore"):
            log_step = np.log(s * half * (least + start))[:, None] + grown + np.log(NODE_WEIGHTS)
        return cls(order, leave, log_order, log_leave, log_step - shape[:, None] * log_order - (s + 1) * log_leave)

    @property
    def log_total(self) -> Array:
        top = self.log_weight[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            total = top + np.log(np.exp(self.log_weight - top[:, None]).sum(axis=1))
        return np.where(np.isfinite(top), total, -np.inf)


def _log_gone(shape: Array, alpha: float | Array, s: float, beta: float | Array, start: Array, end: Array) -> Array:
    """Logarithm of the integral of leaving between two times, customer by customer."""
    alpha, beta = np.broadcast_to(alpha, shape.shape), np.broadcast_to(beta, shape.shape)
    total = np.empty(len(shape))
    for i in range(0, len(shape), CHUNK):
        part = slice(i, i + CHUNK)
        total[part] = _Leaving.between(shape[part], alpha[part], s, beta[part], start[part], end[part]).log_total
    return total


def _mean_log_likelihood(logs: Array, data: _Prepared) -> tuple[float, Array]:
    """Mean log-likelihood a customer and its gradient in the log-parameters, equation (18) of [2]_."""
    r, alpha, s, beta = np.exp(logs)
    counts = data.counts
    common = (gammaln(r + counts) - gammaln(r) + r * logs[1] + s * logs[3])[data.which]
    at_r = (psi(r + counts) - psi(r))[data.which] + logs[1]
    value, slopes = mean(data.share, common), np.array([mean(data.share, at_r), r / alpha, logs[3], s / beta])
    for i in range(0, len(data.frequency), CHUNK):
        part = slice(i, i + CHUNK)
        share, shape, age = data.share[part], r + data.frequency[part], data.T[part]
        one = np.ones_like(shape)
        leaving = _Leaving.between(shape, alpha * one, s, beta * one, data.recency[part], age)
        active = -shape * np.log(alpha + age) - s * np.log(beta + age)
        joint = np.logaddexp(active, leaving.log_total)
        stayed = np.exp(active - joint)
        moments = np.exp(leaving.log_weight - joint[:, None])  # probability of having left, by moment
        gone = moments.sum(axis=1)
        value += float(share @ joint)
        slopes -= [
            share @ (stayed * np.log(alpha + age) + _sums(moments, leaving.log_order)),
            share @ (shape * (stayed / (alpha + age) + _sums(moments, 1 / leaving.order))),
            share @ (stayed * np.log(beta + age) + _sums(moments, leaving.log_leave) - gone / s),
            share @ (stayed * s / (beta + age) + (s + 1) * _sums(moments, 1 / leaving.leave)),
        ]
    return value, slopes * np.exp(logs)


def _sums(weights: Array, values: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->i", weights, values))


def fit_pareto_nbd(histories: Histories, penalty: float = 0.0) -> tuple[ParetoNbd, tuple[str, ...]]:
    """Fit as `models.clv.orders.bgnbd.fit_bgnbd` does."""
    return fit_or_penalise(ParetoNbd, histories, penalty)
