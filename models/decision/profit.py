"""The profit curve: what contacting the customers most likely to leave brings, and up to which probability it pays."""

from dataclasses import dataclass

import numpy as np

from models.base import Array
from models.clv.equity import NORMAL
from models.decision.offer import Offer


@dataclass(frozen=True)
class ProfitCurve:
    """Total profit by how many customers are contacted, those with the highest probability first.

    Parameters
    ----------
    share : ndarray of shape (k,)
        Of the customers contacted, from 0 to 1.
    threshold : ndarray of shape (k,)
        Lowest probability among them; infinite where nobody is contacted.
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
    churned: Array, probability: Array, value: Array, offer: Offer, value_error: float = 0.0
) -> ProfitCurve:
    """Draw the profit curve of a score.

    Parameters
    ----------
    churned : ndarray of shape (n,)
        Who left, 0 or 1; or a calibrated probability, where that is not known yet.
    probability : ndarray of shape (n,)
        The score by which customers are chosen; equal ones are contacted together.
    value : ndarray of shape (n,)
        What a customer who is kept is worth.
    offer : Offer
        What is done.
    value_error : float
        See `Offer.level_variance`.

    Returns
    -------
    ProfitCurve
        From nobody to everybody.
    """
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, dtype=np.intp)
    leavers, worth, profit = (
        np.append(0.0, np.cumsum(each[order])[ends])
        for each in (churned, churned * value, offer.profit(churned, value))
    )
    contacts = np.append(0.0, ends + 1.0)
    reach = NORMAL[90] * np.sqrt(offer.level_variance(leavers, worth, contacts, value_error))
    share, threshold = contacts / max(len(ranked), 1), np.append(np.inf, ranked[ends])
    return ProfitCurve(share, threshold, profit, profit - reach, profit + reach)
