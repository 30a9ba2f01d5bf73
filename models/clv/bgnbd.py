"""BG/NBD: how many orders a customer places while active, and when activity ends.

Each active customer orders at a rate of its own (gamma distributed) and may drop out after any order with a
probability of its own (beta distributed).

References
----------
.. [1] Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005). "Counting Your Customers" the Easy Way: An Alternative to
   the Pareto/NBD Model. Marketing Science 24(2), 275-284.
.. [2] Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2008). Computing P(alive) Using the BG/NBD Model. Technical note.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import betainc, betaln, expit, gammaln, hyp2f1, log_expit, psi

from models.base import Array, column
from models.clv.errors import InvalidHistory, NoRepeatOrders
from models.errors import ParameterOutOfRange
from models.optimise import minimise

LOG_BOUND = 12.0  # every fit ends within exp(+-12) of 1 in scaled time, so that no forecast can be infinite
RIDGE = 500.0  # a + b beyond this: the dropout probability is one number for all and its spread is not identified
WEAK_PENALTY = 1e-3
NEAR_ONE = 1e-6
START = (0.5, 1.0, 1.0, 2.0)
GRID_END, GRID_POINTS = 60.0, 4001


@dataclass(frozen=True)
class Histories:
    """Purchase histories: one entry a customer, or one a distinct pattern with the number of its customers.

    Parameters
    ----------
    frequency, recency_days, T_days : ndarray of shape (n,)
        x, t_x and T of [1]_.
    weight : ndarray of shape (n,)
        Customers with this history.
    """

    frequency: Array
    recency_days: Array
    T_days: Array
    weight: Array

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Histories":
        """Take the histories of feature rows, one entry a row."""
        x, recency, age = (column(rows, name) for name in ("frequency", "recency_days", "T_days"))
        return cls(x, recency, age, np.ones(len(rows)))

    def __len__(self) -> int:
        return len(self.frequency)

    def patterns(self) -> "Histories":
        """Count the distinct histories.

        Raises
        ------
        InvalidHistory
            If a history contradicts itself.
        """
        self._check()
        triples = np.column_stack([self.frequency, self.recency_days, self.T_days])
        distinct, which = np.unique(triples, axis=0, return_inverse=True)
        weight = np.bincount(which.ravel(), weights=self.weight).astype(np.float64)
        x, recency, age = (np.ascontiguousarray(distinct[:, i]) for i in range(3))
        return Histories(x, recency, age, weight)

    def _check(self) -> None:
        x, recency, age = self.frequency, self.recency_days, self.T_days
        rules = {
            "every history is known (frequency is not null)": np.isfinite(x + recency + age),
            "frequency >= 0": x >= 0,
            "0 <= recency_days <= T_days": (recency >= 0) & (recency <= age),
            "recency_days is 0 exactly at frequency 0": (x == 0) == (recency == 0),
        }
        for rule, holds in rules.items():
            if not holds.all():
                at = int(np.flatnonzero(~holds)[0])
                example = f"frequency {x[at]}, recency_days {recency[at]}, T_days {age[at]}"
                raise InvalidHistory(rule, int((~holds).sum()), example)


@dataclass(frozen=True)
class BgNbd:
    """The fitted distribution of ordering and dropping out.

    Parameters
    ----------
    r, alpha : float
        Shape and rate (in days) of the gamma distribution of the order rate.
    a, b : float
        Of the beta distribution of the dropout probability after each order.
    """

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, histories: Histories) -> float:
        """Log-likelihood of the histories, equation (6) of [1]_, time in days."""
        logs = np.log([self.r, self.alpha, self.a, self.b])
        patterns = histories.patterns()
        value, _ = _mean_log_likelihood(logs, _Prepared(patterns, scale=1.0))
        return float(value * patterns.weight.sum())

    def probability_active(self, histories: Histories) -> Array:
        """P(alive) at the end of T, equation (3) of [2]_; 1 for a customer without a repeat order.

        Parameters
        ----------
        histories : Histories
            Of n customers.

        Returns
        -------
        ndarray of shape (n,)
            In [0, 1].
        """
        repeat = histories.frequency > 0
        x = np.where(repeat, histories.frequency, 1.0)
        silent = (self.r + x) * np.log((self.alpha + histories.T_days) / (self.alpha + histories.recency_days))
        log_odds_gone = np.log(self.a / (self.b + x - 1)) + silent
        return np.where(repeat, expit(-log_odds_gone), 1.0)

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days, equation (10) of [1]_.

        Written with Euler's transformation of 2F1, in which no large power is left. Where SciPy still cannot compute it
        (nearly one dropout probability for all, or next to no dropout, over long horizons) it is integrated instead.

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
        a = self.a if abs(self.a - 1) > NEAR_ONE else 1 + NEAR_ONE  # the limit exists, the expression at 1 does not
        shape = a + self.b + histories.frequency - 1
        ahead = horizon_days / (self.alpha + histories.T_days + horizon_days)
        with np.errstate(over="ignore", invalid="ignore"):
            series = hyp2f1(a - 1, a + self.b - 1 - self.r, shape, ahead)
            remaining = np.exp((a - 1) * np.log1p(-ahead)) * series
            if_active: Array = np.asarray(shape / (a - 1) * (1 - remaining), dtype=np.float64)
        for i in np.flatnonzero(~((if_active > 0) & np.isfinite(if_active))):
            if_active[i] = self._integrated(float(histories.frequency[i]), float(histories.T_days[i]), horizon_days)
        return np.asarray(if_active * self.probability_active(histories), dtype=np.float64)

    def _integrated(self, frequency: float, T_days: float, horizon_days: float) -> float:  # noqa: N803 - T of [1]_
        """Expected orders of one active customer, integrated over the dropout probability p.

        Given p the expectation is ``(1 - (1 + p h / (alpha + T)) ** -(r + x)) / p``, and p is Beta(a, b + x); the
        trapezoid rule on the log-odds of p, with the two tails in closed form.
        """
        shape, ahead = self.r + frequency, horizon_days / (self.alpha + T_days)
        stay = self.b + frequency
        grid = np.linspace(-GRID_END, GRID_END, GRID_POINTS)
        density = np.exp(self.a * log_expit(grid) + stay * log_expit(-grid) - betaln(self.a, stay))
        p: Array = np.asarray(expit(grid))
        orders = -np.expm1(-shape * np.log1p(p * ahead)) / p
        middle = float(np.trapezoid(density * orders, grid))
        rare, sure = betainc(self.a, stay, p[0]), betainc(stay, self.a, p[0])
        return middle + float(rare * shape * ahead + sure * orders[-1])

    def expected_orders_of_new(self, days: float) -> float:
        """Expected repeat order days of a customer in the first days after the first order, equation (9) of [1]_."""
        zero = np.zeros(1)
        return float(self.expected_orders(Histories(zero, zero, zero, np.ones(1)), days)[0])

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days: gone already, or active and silent."""
        later = self.alpha + histories.T_days
        silent = np.exp((self.r + histories.frequency) * np.log(later / (later + horizon_days)))
        return np.asarray(1 - self.probability_active(histories) * (1 - silent), dtype=np.float64)

    def draw_orders(self, histories: Histories, horizon_days: float, generator: np.random.Generator) -> Array:
        """Draw what each customer may order in the next days: one predictive draw, shape (n,).

        Given the history and being active, rate and dropout probability are independent gamma and beta again; then
        the number of orders is the smaller of a Poisson count and the geometric number of orders until dropout.
        """
        active = generator.random(len(histories)) < self.probability_active(histories)
        rate = generator.gamma(self.r + histories.frequency, 1 / (self.alpha + histories.T_days))
        dropout = np.clip(generator.beta(self.a, self.b + histories.frequency), 1e-12, 1.0)
        orders = np.minimum(generator.poisson(rate * horizon_days), generator.geometric(dropout))
        return np.where(active, orders, 0).astype(np.float64)


class _Prepared:
    """What the likelihood needs of the histories at every step of the fit, computed once."""

    def __init__(self, histories: Histories, scale: float) -> None:
        self.frequency = histories.frequency
        self.recency = histories.recency_days * scale
        self.T = histories.T_days * scale
        self.share = histories.weight / histories.weight.sum()
        self.counts, self.which = np.unique(histories.frequency, return_inverse=True)
        self.repeat = self.frequency > 0
        self.mean_frequency = float(self.share @ self.frequency)


def _mean_log_likelihood(logs: Array, data: _Prepared) -> tuple[float, Array]:
    """Mean log-likelihood a customer and its gradient in the log-parameters, equation (6) of [1]_.

    The two branches (active, and gone after the last order) are joined as ``logaddexp(0, difference)``; gamma
    functions are evaluated on the distinct frequencies only.
    """
    r, alpha, a, b = np.exp(logs)
    x, counts = data.frequency, data.counts
    later, last = np.log(alpha + data.T), np.log(alpha + data.recency)
    common = (
        gammaln(r + counts) - gammaln(r) + gammaln(b + counts) - gammaln(b) + gammaln(a + b) - gammaln(a + b + counts)
    )
    gone = np.log(a / (b + np.maximum(counts, 1) - 1))[data.which] + (r + x) * (later - last)
    gone = np.where(data.repeat, gone, -np.inf)
    value = data.share @ (common[data.which] + r * logs[1] - (r + x) * later + np.logaddexp(0.0, gone))
    weight = np.where(data.repeat, expit(gone), 0.0)
    at_r = (psi(r + counts) - psi(r))[data.which] + logs[1] - later + weight * (later - last)
    at_alpha = r / alpha - (r + x) * ((1 - weight) / (alpha + data.T) + weight / (alpha + data.recency))
    shared = (psi(a + b) - psi(a + b + counts))[data.which]
    at_a = shared + weight / a
    at_b = shared + (psi(b + counts) - psi(b))[data.which] - weight / (b + np.maximum(x, 1) - 1)
    slopes = np.array([data.share @ at_r, data.share @ at_alpha, data.share @ at_a, data.share @ at_b])
    return float(value), slopes * np.exp(logs)


def fit_bgnbd(histories: Histories, penalty: float = 0.0) -> tuple[BgNbd, tuple[str, ...]]:
    """Fit by maximum likelihood.

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
    warnings : tuple of str
        What was done when the data do not determine all four parameters.

    Raises
    ------
    ParameterOutOfRange
        If the penalty is negative.
    NoRepeatOrders
        If no customer ordered on two days.
    """
    if not penalty >= 0:
        raise ParameterOutOfRange("penalty", penalty, "0 or more")
    histories = histories.patterns()
    if not np.any(histories.frequency > 0):
        raise NoRepeatOrders(int(histories.weight.sum()))
    scale = 10 / max(float(np.max(histories.T_days)), 1.0)
    data = _Prepared(histories, scale)

    def search(weight: float) -> Array:
        def loss(logs: Array) -> tuple[float, Array]:
            value, slope = _mean_log_likelihood(logs, data)
            squares = np.exp(2 * logs)
            return -value + weight * float(squares.sum()), -slope + 2 * weight * squares

        return np.exp(minimise(loss, np.log(START), [(-LOG_BOUND, LOG_BOUND)] * 4))

    r, alpha, a, b = search(penalty)
    warnings: tuple[str, ...] = ()
    if penalty == 0 and (a + b > RIDGE or max(r, alpha) > RIDGE):
        r, alpha, a, b = search(WEAK_PENALTY)
        warnings = (
            "low evidence: the purchase histories do not determine the spread of dropout or order rates between "
            f"customers; fitted with a weak penalty ({WEAK_PENALTY:g}) instead",
        )
    return BgNbd(float(r), float(alpha / scale), float(a), float(b)), warnings
