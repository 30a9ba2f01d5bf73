"""The profit curve: what contacting customers in the order of a score brings, and down to which score it pays."""

from dataclasses import dataclass

import numpy as np

from models.base import Array
from models.clv.equity import NORMAL
from models.decision.offer import Effect, Offer


@dataclass(frozen=True)
class ProfitCurve:
    """Total profit by how many customers are contacted, those with the highest score first.

    Parameters
    ----------
    share : ndarray of shape (k,)
        Of the customers contacted, from 0 to 1.
    threshold : ndarray of shape (k,)
        Lowest score among them; infinite where nobody is contacted.
    profit, low_90, high_90 : ndarray of shape (k,)
        Expected total profit and its central 90 % interval, normal with the variance of `Offer.level_variance`.
    """

    share: Array
    threshold: Array
    profit: Array
    low_90: Array
    high_90: Array

    @property
    def best(self) -> int:
        """Where the expected profit is highest; of several places the one with the fewest contacts."""
        return int(np.argmax(self.profit))


def profit_curve(
    score: Array, churned: Array, value: Array, offer: Offer, effect: Effect, value_error: float = 0.0
) -> ProfitCurve:
    """Draw the profit curve of a score.

    Parameters
    ----------
    score : ndarray of shape (n,)
        By which customers are chosen, the highest first; equal ones are contacted together.
    churned : ndarray of shape (n,)
        Who left, 0 or 1; or a calibrated probability, where that is not known yet.
    value : ndarray of shape (n,)
        What a customer who is kept is worth.
    offer : Offer
        What it costs.
    effect : Effect
        What a contact changes; of an offer with a success rate ``Effect.of_rate(rate, churned)``.
    value_error : float
        See `Offer.level_variance`.

    Returns
    -------
    ProfitCurve
        From nobody to everybody.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, dtype=np.intp)
    profit, variance = (
        np.append(0.0, each[ends])
        for each in (
            np.cumsum(offer.profit(churned, value, effect)[order]),
            offer.level_variance(churned, value, effect, value_error, order),
        )
    )
    reach = NORMAL[90] * np.sqrt(variance)
    share = np.append(0.0, ends + 1.0) / max(len(ranked), 1)
    return ProfitCurve(share, np.append(np.inf, ranked[ends]), profit, profit - reach, profit + reach)
