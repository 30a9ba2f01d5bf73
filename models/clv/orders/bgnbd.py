"""BG/NBD: how many orders a customer places while active, and when activity ends.

Each active customer orders at a rate of its own (gamma distributed) and may drop out after any order with a
probability of its own (beta distributed).

References
----------
.. [1] Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005). "Counting Your Customers" the Easy Way: An Alternative to
   the Pareto/NBD Model. Marketing Science 24(2), 275-284.
.. [2] Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2008). Computing P(alive) Using the BG/NBD Model. Technical note.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy.special import betainc, betaln, expit, gammaln, hyp2f1, log_expit, psi

from models.base import Array
from models.clv.curvature import CHUNK, Likelihood, mean
from models.clv.errors import NoRepeatOrders
from models.clv.histories import Histories
from models.clv.orders.base import fit_or_penalise, maximise_over

__all__ = ["BgNbd", "Histories", "fit_bgnbd"]

NEAR_ONE = 1e-6
START = (0.5, 1.0, 1.0, 2.0)
GRID_END, GRID_POINTS = 60.0, 4001


@dataclass(frozen=True)
class BgNbd:
    """The fitted distribution of ordering and dropping out.

    Parameters
    ----------
    r, alpha : float
        Shape and rate (in days) of the gamma distribution of the order rate.
    a, b : float
        Of the beta distribution of the dropout probability after each order.
    log_covariance : ndarray of shape (4, 4) or None
        Covariance of the logarithms of the four.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_covariance: Array | None = field(default=None, compare=False, repr=False)

    kind: ClassVar[str] = "bgnbd"
    title: ClassVar[str] = "BG/NBD"
    early: ClassVar[float] = 0.0
    """Chances to drop out before the first repeat order."""

    @property
    def parameters(self) -> dict[str, float]:
        """The four parameters, named as in the literature."""
        return {"r": self.r, "alpha": self.alpha, "a": self.a, "b": self.b}

    @classmethod
    def estimate(cls, histories: Histories, penalty: float = 0.0) -> tuple[Self, bool]:
        """Fit by maximum likelihood, time scaled to 10 at the longest history.

        Parameters
        ----------
        histories : Histories
            Of all customers.
        penalty : float
            Weight of the sum of squared parameters (in scaled time) against the mean log-likelihood.

        Returns
        -------
        model : BgNbd
            Always finite.
        determined : bool
            Whether the histories determine all four parameters.

        Raises
        ------
        ParameterOutOfRange
            If the penalty is negative.
        NoRepeatOrders
            If no customer ordered on two days.
        """
        histories = histories.patterns()
        if not np.any(histories.frequency > 0):
            raise NoRepeatOrders(int(histories.customers))
        scale = 10 / max(float(np.max(histories.T_days)), 1.0)

        def likelihood(some: Histories) -> Likelihood:
            data = _Prepared(some, scale, cls.early)
            return lambda logs: _mean_log_likelihood(logs, data)

        found = maximise_over(histories, likelihood, START, penalty)
        r, alpha, a, b = map(float, np.exp(found.logs))
        return cls(r, alpha / scale, a, b, found.covariance), found.determined

    def log_likelihood(self, histories: Histories) -> float:
        """Log-likelihood of the histories, equation (6) of [1]_, time in days."""
        logs = np.log([self.r, self.alpha, self.a, self.b])
        patterns = histories.patterns()
        value, _ = _mean_log_likelihood(logs, _Prepared(patterns, 1.0, self.early))
        return float(value * patterns.weight.sum())

    def probability_active(self, histories: Histories) -> Array:
        """P(alive) at the end of T, equation (3) of [2]_; 1 for a customer without a chance to drop out.

        Parameters
        ----------
        histories : Histories
            Of n customers.

        Returns
        -------
        ndarray of shape (n,)
            In [0, 1].
        """
        x, chances = histories.frequency, histories.frequency + self.early
        silent = (self.r + x) * np.log((self.alpha + histories.T_days) / (self.alpha + histories.recency_days))
        log_odds_gone = np.log(self.a / (self.b + np.maximum(chances, 1) - 1)) + silent
        return np.where(chances > 0, expit(-log_odds_gone), 1.0)

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days, equation (10) of [1]_.

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
        """Expected order days in the next days of customers who are active; depends on frequency and T alone.

        Written with Euler's transformation of 2F1, in which no large power is left. Where SciPy still cannot compute it
        (nearly one dropout probability for all, or next to no dropout, over long horizons) it is integrated instead.
        """
        a = self.a if abs(self.a - 1) > NEAR_ONE else 1 + NEAR_ONE  # the limit exists, the expression at 1 does not
        shape = a + self.b + histories.frequency + self.early - 1
        ahead = horizon_days / (self.alpha + histories.T_days + horizon_days)
        with np.errstate(over="ignore", invalid="ignore"):
            series = hyp2f1(a - 1, a + self.b + self.early - 1 - self.r, shape, ahead)
            remaining = np.exp((a - 1) * np.log1p(-ahead)) * series
            if_active: Array = np.asarray(shape / (a - 1) * (1 - remaining), dtype=np.float64)
        for i in np.flatnonzero(~((if_active > 0) & np.isfinite(if_active))):
            if_active[i] = self._integrated(float(histories.frequency[i]), float(histories.T_days[i]), horizon_days)
        return if_active

    def _integrated(self, frequency: float, T_days: float, horizon_days: float) -> float:  # noqa: N803 - T of [1]_
        """Expected orders of one active customer, integrated over the dropout probability p.

        Given p the expectation is ``(1 - (1 + p h / (alpha + T)) ** -(r + x)) / p``, and p is Beta(a, b + chances
        survived); the trapezoid rule on the log-odds of p, with the two tails in closed form.
        """
        shape, ahead = self.r + frequency, horizon_days / (self.alpha + T_days)
        stay = self.b + frequency + self.early
        grid = np.linspace(-GRID_END, GRID_END, GRID_POINTS)
        density = np.exp(self.a * log_expit(grid) + stay * log_expit(-grid) - betaln(self.a, stay))
        p: Array = np.asarray(expit(grid))
        orders = -np.expm1(-shape * np.log1p(p * ahead)) / p
        middle = float(np.trapezoid(density * orders, grid))
        rare, sure = betainc(self.a, stay, p[0]), betainc(stay, self.a, p[0])
        return middle + float(rare * shape * ahead + sure * orders[-1])

    def expected_orders_of_new(self, days: float) -> float:
        """Expected repeat order days of a customer in the first days after the first order, equation (9) of [1]_."""
        return float(self.expected_orders(Histories.of_new(), days)[0])

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days: gone already, or active and silent."""
        some = 1 - self.silence_if_active(histories, horizon_days)
        return np.asarray(1 - self.probability_active(histories) * some, dtype=np.float64)

    def silence_if_active(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days of customers who are active; depends on frequency and T alone."""
        later = self.alpha + histories.T_days
        return np.exp((self.r + histories.frequency) * np.log(later / (later + horizon_days)))

    def draw_orders(self, histories: Histories, horizon_days: float, generator: np.random.Generator) -> Array:
        """Draw what each customer may order in the next days: one predictive draw, shape (n,).

        Given the history and being active, rate and dropout probability are independent gamma and beta again; then
        the number of orders is the smaller of a Poisson count and the geometric number of orders until dropout.
        """
        active = generator.random(len(histories)) < self.probability_active(histories)
        rate = generator.gamma(self.r + histories.frequency, 1 / (self.alpha + histories.T_days))
        dropout = np.clip(generator.beta(self.a, self.b + histories.frequency + self.early), 1e-12, 1.0)
        orders = np.minimum(generator.poisson(rate * horizon_days), generator.geometric(dropout))
        return np.where(active, orders, 0).astype(np.float64)


class _Prepared:
    """What the likelihood needs of the histories at every step of the fit, computed once."""

    def __init__(self, histories: Histories, scale: float, early: float = 0.0) -> None:
        share = histories.weight / histories.weight.sum()
        self.counts, which = np.unique(histories.frequency, return_inverse=True)
        self.chances: Array = self.counts + early
        self.shares: Array = np.bincount(which, weights=share).astype(np.float64)
        recency, age = histories.recency_days * scale, histories.T_days * scale
        parts = [slice(i, i + CHUNK) for i in range(0, len(share), CHUNK)]
        self.chunks = [(histories.frequency[i], recency[i], age[i], share[i], which[i]) for i in parts]


def _mean_log_likelihood(logs: Array, data: _Prepared) -> tuple[float, Array]:
    """Mean log-likelihood a customer and its gradient in the log-parameters, equation (6) of [1]_.

    The two branches (active, and gone after the last order) are joined as ``logaddexp(0, difference)``; gamma
    functions are evaluated on the distinct frequencies only.
    """
    r, alpha, a, b = np.exp(logs)
    counts, chances = data.counts, data.chances
    last_chance = b + np.maximum(chances, 1) - 1
    common = (
        gammaln(r + counts) - gammaln(r) + r * logs[1]
        + gammaln(b + chances) - gammaln(b) + gammaln(a + b) - gammaln(a + b + chances)
    )  # fmt: skip
    odds_gone = np.where(chances > 0, np.log(a / last_chance), -np.inf)
    shared = psi(a + b) - psi(a + b + chances)
    slopes = np.array(
        [
            mean(data.shares, psi(r + counts) - psi(r) + logs[1]),
            r / alpha,
            mean(data.shares, shared),
            mean(data.shares, shared + psi(b + chances) - psi(b)),
        ]
    )
    value = mean(data.shares, common)
    for x, recency, age, share, which in data.chunks:
        later, last = np.log(alpha + age), np.log(alpha + recency)
        silent, shape = later - last, r + x
        gone = odds_gone[which] + shape * silent
        rarer = np.exp(-np.abs(gone))
        either = np.maximum(gone, 0.0) + np.log1p(rarer)  # logaddexp(0, gone), whose exponential serves twice
        left = share * np.where(gone > 0, 1.0, rarer) / (1 + rarer)
        value += mean(share, either - shape * later)
        slopes += [
            mean(left, silent) - mean(share, later),
            -mean(shape, (share - left) / (alpha + age) + left / (alpha + recency)),
            float(left.sum()) / a,
            -mean(left, 1 / last_chance[which]),
        ]
    return float(value), slopes * np.exp(logs)


def fit_bgnbd(histories: Histories, penalty: float = 0.0) -> tuple[BgNbd, tuple[str, ...]]:
    """Fit by maximum likelihood, with a weak penalty where that determines too little.

    Parameters
    ----------
    histories, penalty
        See `BgNbd.estimate`, which also says what is raised.

    Returns
    -------
    model : BgNbd
        Always finite.
    warnings : tuple of str
        What was done when the data do not determine all four parameters.
    """
    return fit_or_penalise(BgNbd, histories, penalty)
