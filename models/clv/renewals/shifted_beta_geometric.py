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
import numpy.typing as npt
from scipy.special import betaln, psi

from models.base import Array
from models.clv.curvature import maximise
from models.clv.errors import InvalidSurvivors, NoRenewals
from models.errors import ParameterOutOfRange

Flags = npt.NDArray[np.bool_]

START = (1.0, 1.0)
USUAL, UNSURE = 3.0, 2.0
"""Mean and standard deviation of the log of alpha + beta where subscribers do not determine it: within a factor of
50 of 20, from loyal and disloyal subscribers far apart to all nearly alike."""
JEFFREYS = 0.5
"""Of the mean probability of leaving: half a renewal refused and half a one made."""
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
        return self.log_likelihood_of(Outcomes.of_cohort(_checked(survivors)))

    def log_likelihood_of(self, outcomes: "Outcomes") -> float:
        """Log-likelihood of what subscribers did, whenever they began."""
        value, _ = _mean_log_likelihood(np.log([self.alpha, self.beta]), outcomes)
        return value * outcomes.subscribers

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
    return _fit(Outcomes.of_cohort(_checked(survivors)))


def fit_to_subscribers(renewals: Array, has_left: Flags) -> tuple[ShiftedBetaGeometric, tuple[str, ...]]:
    """Fit to subscribers who began at different times, by maximum likelihood.

    Parameters
    ----------
    renewals : ndarray of shape (n,)
        Renewals each has made: whole numbers, 0 or more.
    has_left : ndarray of bool, shape (n,)
        Whether the subscriber left at the renewal after them; the others are still there, and what they will do is
        not known (censored).

    Returns
    -------
    model, warnings
        As of `fit_shifted_beta_geometric`.

    Raises
    ------
    NoRenewals
        If nobody has come to a renewal.
    """
    return _fit(Outcomes.of_subscribers(renewals, has_left))


@dataclass(frozen=True)
class Outcomes:
    """How many subscribers left at each renewal, and how many were last seen there.

    Parameters
    ----------
    left : ndarray of shape (k,)
        Who left at renewal 1, 2, ..., k.
    stayed : ndarray of shape (k + 1,)
        Who was last seen after 0, 1, ..., k renewals.
    """

    left: Array
    stayed: Array

    @classmethod
    def of_cohort(cls, survivors: Array) -> "Outcomes":
        """Count those of one cohort."""
        stayed = np.zeros(len(survivors))
        stayed[-1] = survivors[-1]
        return cls(survivors[:-1] - survivors[1:], stayed)

    @classmethod
    def of_subscribers(cls, renewals: Array, has_left: Flags) -> "Outcomes":
        """Count those of subscribers; see `fit_to_subscribers`.

        Raises
        ------
        NoRenewals
            If nobody has come to a renewal.
        """
        made = renewals.astype(np.int64)
        if not (has_left.any() or made.any()):
            raise NoRenewals(len(made))
        last = int(made.max()) + 1
        left = np.bincount(made[has_left], minlength=last).astype(np.float64)
        return cls(left, np.bincount(made[~has_left], minlength=last + 1).astype(np.float64))

    @property
    def renewals(self) -> float:
        """Renewals that came up, made or not."""
        return float(self.left @ np.arange(1.0, len(self.left) + 1) + self.stayed @ np.arange(len(self.stayed)))

    @property
    def subscribers(self) -> float:
        """How many there are."""
        return float(self.left.sum() + self.stayed.sum())


def _fit(outcomes: Outcomes) -> tuple[ShiftedBetaGeometric, tuple[str, ...]]:
    def likelihood(logs: Array) -> tuple[float, Array]:
        return _mean_log_likelihood(logs, outcomes)

    def posterior(logs: Array) -> tuple[float, Array]:
        value, slope = likelihood(logs)
        prior, steeper = _log_prior(logs)
        return value + prior / outcomes.subscribers, slope + steeper / outcomes.subscribers

    found = maximise(likelihood, START, outcomes.subscribers)
    said: tuple[str, ...] = ()
    if not found.determined:
        found = maximise(posterior, START, outcomes.subscribers)
        said = (
            f"low evidence: {outcomes.subscribers:,.0f} subscribers over {len(outcomes.left)} renewals do not "
            "determine how they differ in loyalty; fitted with a weak prior",
        )
    alpha, beta = map(float, np.exp(found.logs))
    return ShiftedBetaGeometric(alpha, beta, found.covariance), said


def _log_prior(logs: Array) -> tuple[float, Array]:
    """What subscribers elsewhere say of alpha and beta, and its gradient in the log-parameters.

    A penalty of the parameters themselves would say that subscribers leave: beta is large where few do.
    """
    shares = np.exp(logs - np.logaddexp(*logs))
    off = float(np.logaddexp(*logs) - USUAL) / UNSURE
    value = -0.5 * off**2 + JEFFREYS * float(np.log(shares).sum())
    return value, -off / UNSURE * shares + JEFFREYS * (1 - 2 * shares)


def _checked(survivors: Sequence[float]) -> Array:
    counts = np.asarray(survivors, dtype=np.float64)
    falling = len(counts) > 1 and counts[0] > 0 and np.all(np.diff(counts) <= 0) and counts[-1] >= 0
    if not falling:
        raise InvalidSurvivors(survivors)
    return counts


def _mean_log_likelihood(logs: Array, outcomes: Outcomes) -> tuple[float, Array]:
    """Mean log-likelihood a subscriber and its gradient in the log-parameters."""
    alpha, beta = np.exp(logs)
    left, stayed = outcomes.left / outcomes.subscribers, outcomes.stayed / outcomes.subscribers
    made = np.arange(float(len(stayed)))
    before = made[:-1]  # the renewals made by those who left at the next
    start = betaln(alpha, beta)
    value = left @ (betaln(alpha + 1, beta + before) - start) + stayed @ (betaln(alpha, beta + made) - start)
    both, after = psi(alpha + beta), psi(alpha + beta + made)
    at_alpha = left @ (psi(alpha + 1) - after[1:] - psi(alpha) + both) + stayed @ (both - after)
    later = psi(beta + made) - psi(beta) + both
    at_beta = left @ (later[:-1] - after[1:]) + stayed @ (later - after)
    return float(value), np.array([at_alpha * alpha, at_beta * beta])
