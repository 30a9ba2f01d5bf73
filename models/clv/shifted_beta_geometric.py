"""Shifted beta-geometric: how long subscribers stay, renewal by renewal.

At every renewal each subscriber leaves with a probability of its own, beta distributed over subscribers; the longer a
cohort has stayed, the more loyal those who are left.

References
----------
.. [1] Fader, P. S. and Hardie, B. G. S. (2007). How to Project Customer Retention. Journal of Interactive Marketing
   21(1), 76-90.
.. [2] Fader, P. S. and Hardie, B. G. S. (2010). Customer-Base Valuation in a Contractual Setting: The Perils of
   Ignoring Heterogeneity. Marketing Science 29(1), 85-93.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betaln, psi

from models.base import Array
from models.clv.curvature import maximise
from models.clv.errors import InvalidSurvivors
from models.errors import ParameterOutOfRange

START = (1.0, 1.0)
WEAK_PENALTY = 1e-5
RENEWALS = 2_000  # beyond these the rest is a geometric series


@dataclass(frozen=True)
class ShiftedBetaGeometric:
    """The fitted distribution of how many renewals a subscriber stays.

    Parameters
    ----------
    alpha, beta : float
        Of the beta distribution of the probability of leaving at a renewal.
    log_covariance : ndarray of shape (2, 2) or None
        Covariance of the logarithms of the two.
    """

    alpha: float
    beta: float
    log_covariance: Array | None = field(default=None, compare=False, repr=False)

    @property
    def parameters(self) -> dict[str, float]:
        """The two parameters, named as in the literature."""
        return {"alpha": self.alpha, "beta": self.beta}

    def survival(self, renewals: Array) -> Array:
        """Share of a cohort still there after so many renewals, equation (6) of [1]_; 1 after none."""
        logs = betaln(self.alpha, self.beta + renewals) - betaln(self.alpha, self.beta)
        return np.asarray(np.exp(logs))

    def retention(self, renewals: Array) -> Array:
        """Share of those who were there before a renewal (1, 2, ...) who stay, equation (8) of [1]_."""
        return np.asarray((self.beta + renewals - 1) / (self.alpha + self.beta + renewals - 1))

    def log_likelihood(self, survivors: Sequence[float]) -> float:
        """Log-likelihood of a cohort's numbers, equation (7) of [1]_; see `fit_shifted_beta_geometric`."""
        counts = _checked(survivors)
        value, _ = _mean_log_likelihood(np.log([self.alpha, self.beta]), counts / counts[0])
        return float(value * counts[0])

    def residual_lifetime(self, renewals: Array, discount_rate: float, within: Array | float = np.inf) -> Array:
        """Discounted expected residual lifetime, equation (5) of [2]_: paid periods still to come.

        Parameters
        ----------
        renewals : ndarray of shape (n,)
            Renewals each active subscriber has made; the next is due now.
        discount_rate : float
            Of one period, above 0 unless `within` is finite.
        within : float or ndarray of shape (n,)
            How many coming renewals count; all unless given.

        Returns
        -------
        ndarray of shape (n,)
            At least 0.

        Raises
        ------
        ParameterOutOfRange
            If the discount rate is below 0, or 0 without an end.
        """
        if not (discount_rate > 0 or (discount_rate == 0 and np.isfinite(within).all())):
            raise ParameterOutOfRange("discount_rate", discount_rate, "above 0, or 0 with a last renewal that counts")
        made = np.asarray(renewals, dtype=np.float64)
        coming = np.arange(min(RENEWALS, float(np.max(within))))
        last = np.broadcast_to(np.asarray(within, dtype=np.float64), made.shape)
        staying = betaln(self.alpha, self.beta + made[:, None] + coming + 1) - betaln(
            self.alpha, self.beta + made[:, None]
        )
        worth = np.exp(staying - coming * np.log1p(discount_rate))
        total = (worth * (coming < last[:, None])).sum(axis=1)
        endless = np.isinf(last) & bool(discount_rate)
        # nearly loyal by then: each further renewal is worth the last one's, discounted
        rest = worth[:, -1] / discount_rate if discount_rate else np.zeros(len(made))
        return np.asarray(total + np.where(endless, rest, 0.0))


def fit_shifted_beta_geometric(survivors: Sequence[float]) -> tuple[ShiftedBetaGeometric, tuple[str, ...]]:
    """Fit to one cohort by maximum likelihood.

    Parameters
    ----------
    survivors : sequence of float
        Subscribers at the start, then those still there after each renewal.

    Returns
    -------
    model : ShiftedBetaGeometric
        Always finite.
    warnings : tuple of str
        What was done where the numbers do not determine both parameters.

    Raises
    ------
    InvalidSurvivors
        If there are fewer than two numbers, the first is not above 0, or one is above the one before.
    """
    counts = _checked(survivors)
    shares = counts / counts[0]
    found = maximise(lambda logs: _mean_log_likelihood(logs, shares), START, float(counts[0]))
    said: tuple[str, ...] = ()
    if not found.determined:
        found = maximise(lambda logs: _mean_log_likelihood(logs, shares), START, float(counts[0]), WEAK_PENALTY)
        said = (
            f"low evidence: {counts[0]:,.0f} subscribers over {len(counts) - 1} renewals do not determine how they "
            f"differ in loyalty; fitted with a weak penalty ({WEAK_PENALTY:g})",
        )
    alpha, beta = map(float, np.exp(found.logs))
    return ShiftedBetaGeometric(alpha, beta, found.covariance), said


def _checked(survivors: Sequence[float]) -> Array:
    counts = np.asarray(survivors, dtype=np.float64)
    falling = len(counts) > 1 and counts[0] > 0 and np.all(np.diff(counts) <= 0) and counts[-1] >= 0
    if not falling:
        raise InvalidSurvivors(survivors)
    return counts


def _mean_log_likelihood(logs: Array, shares: Array) -> tuple[float, Array]:
    """Mean log-likelihood a subscriber and its gradient in the log-parameters."""
    alpha, beta = np.exp(logs)
    renewal = np.arange(1.0, len(shares))
    left, stayed, last = shares[:-1] - shares[1:], shares[-1], len(shares) - 1.0
    start = betaln(alpha, beta)
    value = left @ (betaln(alpha + 1, beta + renewal - 1) - start) + stayed * (betaln(alpha, beta + last) - start)
    both = psi(alpha + beta)
    after = psi(alpha + beta + renewal)
    end = psi(alpha + beta + last)
    at_alpha = left @ (psi(alpha + 1) - after - psi(alpha) + both) + stayed * (both - end)
    at_beta = left @ (psi(beta + renewal - 1) - after - psi(beta) + both)
    at_beta += stayed * (psi(beta + last) - end - psi(beta) + both)
    return float(value), np.array([at_alpha * alpha, at_beta * beta])
