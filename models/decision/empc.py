"""EMPC: the expected maximum profit of a churn score, a customer, when the best share is contacted."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import betainc

from models.base import Array
from models.decision.offer import Rate
from models.errors import OneClassOnly, ParameterOutOfRange

SUCCESS = Rate(0.3, 20.0)
"""Beta(6, 14): the success rate that Verbraken, Verbeke and Baesens took."""


@dataclass(frozen=True)
class ExpectedMaximumProfit:
    """How well a score would pay.

    Parameters
    ----------
    profit : float
        A customer, in the currency of the value.
    share : float
        Of the customers to contact, on average over the success rate.
    """

    profit: float
    share: float


def expected_maximum_profit(
    churned: Array,
    score: Array,
    *,
    success: Rate = SUCCESS,
    value: float = 200.0,
    offer_cost: float = 10.0,
    contact_cost: float = 1.0,
) -> ExpectedMaximumProfit:
    """Measure a score by the profit it makes possible, over all success rates that the offer may have.

    Parameters
    ----------
    churned : ndarray of shape (n,)
        Who left, 0 or 1; between where that is known up to a probability.
    score : ndarray of shape (n,)
        Higher for who is thought to leave.
    success : Rate
        Share of those who would leave that the offer keeps.
    value : float
        What a customer who is kept is worth, on average.
    offer_cost, contact_cost : float
        Of an offer taken, below `value`, and of a contact.

    Returns
    -------
    ExpectedMaximumProfit
        Over the convex hull of the ROC curve.

    Raises
    ------
    OneClassOnly
        If nobody or everybody left.
    ParameterOutOfRange
        If an offer costs as much as the customer is worth, or a cost is negative.

    References
    ----------
    Verbraken, T., Verbeke, W. and Baesens, B. (2013). A Novel Profit Maximizing Metric for Measuring Classification
    Performance of Customer Churn Prediction Models. IEEE Transactions on Knowledge and Data Engineering 25(5), sections
    4 and 5; the defaults are theirs.

    Examples
    --------
    >>> found = expected_maximum_profit(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    >>> round(found.profit, 6)
    28.0
    """
    if not 0 <= offer_cost < value:
        raise ParameterOutOfRange("offer_cost", offer_cost, f"0 or more, below what a customer is worth ({value})")
    if not contact_cost >= 0:
        raise ParameterOutOfRange("contact_cost", contact_cost, "0 or more")
    rate = float(np.mean(churned)) if len(churned) else 0.0
    if not 0 < rate < 1:
        raise OneClassOnly("churned", len(churned), rate)
    caught, alarmed = _hull(churned, score)
    # from one corner of the hull to the next it pays to go where the success rate is above this one
    steps = (1 - rate) * (offer_cost + contact_cost) * np.diff(alarmed)
    caught_more = rate * np.diff(caught)
    ratio = np.divide(steps, caught_more, out=np.full(steps.shape, np.inf), where=caught_more > 0)
    edges = np.clip(np.concatenate([[0.0], (ratio + contact_cost) / (value - offer_cost), [1.0]]), 0.0, 1.0)
    weight = np.diff(betainc(success.alpha, success.beta, edges))
    mean = success.mean * np.diff(betainc(success.alpha + 1, success.beta, edges))
    gain = (value - offer_cost) * rate * caught * mean
    cost = (contact_cost * rate * caught + (offer_cost + contact_cost) * (1 - rate) * alarmed) * weight
    contacted = (rate * caught + (1 - rate) * alarmed) * weight
    return ExpectedMaximumProfit(float((gain - cost).sum()), float(contacted.sum()))


def _hull(churned: Array, score: Array) -> tuple[Array, Array]:
    """Corners of the ROC curve's upper convex hull: share of leavers and of stayers at or above each score.

    References
    ----------
    Fawcett, T. and Niculescu-Mizil, A. (2007). PAV and the ROC Convex Hull. Machine Learning 68, section 3: the hull's
    corners are where pooling adjacent violators begins another pool.
    """
    levels, place = np.unique(-np.asarray(score, dtype=np.float64), return_inverse=True)
    left, stayed = (np.bincount(place, weights=each, minlength=len(levels)) for each in (churned, 1 - churned))
    rows = left + stayed
    corners = isotonic_regression(left / rows, weights=rows, increasing=False).blocks
    caught, alarmed = (np.append(0.0, np.cumsum(each) / each.sum())[corners] for each in (left, stayed))
    return caught, alarmed
