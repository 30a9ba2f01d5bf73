"""The ladder: from the model that asks most of the data to the one that asks least, every step named.

Whatever the histories, the end is a finite forecast; each step down is a warning in plain words.
"""

import numpy as np

from models.base import Array
from models.clv.histories import Histories
from models.clv.orders.base import WEAK_PENALTY, OrderModel, penalised
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.spend.base import SpendModel, spenders
from models.clv.spend.gamma_gamma import LEAST_Q, GammaGamma, heavy_tailed
from models.clv.spend.log_normal import LogNormal
from models.clv.spend.shrunken_mean import ShrunkenMean

PENALTIES = (WEAK_PENALTY, 1e-2, 1e-1)
CLEARLY = 1.0  # log-likelihood that a model must lose to a simpler one before it is left

Warnings = tuple[str, ...]


def fit_orders(first: type[OrderModel], histories: Histories, penalty: float = 0.0) -> tuple[OrderModel, Warnings]:
    """Fit an orders model, or what the histories can bear of it.

    The model by maximum likelihood; if the curvature says that this is a ridge or a bound, with a weak penalty chosen
    by the likelihood of customers held out; then MBG/NBD likewise; then a constant rate, shrunk to everyone's. A step
    is taken when customers held out are better described by a constant rate.

    Parameters
    ----------
    first : type
        The orders model wished for.
    histories : Histories
        Of all customers.
    penalty : float
        Above 0: weight of the squared parameters, as wished for, and no ladder.

    Returns
    -------
    model : OrderModel
        Always finite.
    warnings : tuple of str
        The steps taken; empty where the first model stands.
    """
    histories = histories.patterns()
    buyers = float(histories.weight[histories.frequency > 0].sum())
    if not buyers:
        return ConstantRate.estimate(histories)[0], (
            f"low evidence: no repeat buyer among {histories.customers:,.0f} customers; orders are forecast at a "
            "constant rate of half an order in all the days seen and one year more",
        )
    model, determined = first.estimate(histories, penalty)
    if determined or penalty > 0:
        return model, ()
    halves = _halves(histories)
    constant = _held_out(ConstantRate, halves, WEAK_PENALTY)
    steps: Warnings = ()
    rungs: tuple[type[OrderModel], ...] = (first,) if first is MbgNbd else (first, MbgNbd)
    for kind in rungs:
        score, chosen = max((_held_out(kind, halves, weak), weak) for weak in PENALTIES)
        if score >= constant - CLEARLY and np.isfinite(score):
            return kind.estimate(histories, chosen)[0], (*steps, penalised(kind.title, chosen))
        steps = (*steps, f"low evidence: {kind.title} describes customers held out worse than a constant rate does")
    return ConstantRate.estimate(histories)[0], (
        *steps,
        f"low evidence: {buyers:,.0f} repeat buyers do not tell leaving from silence, nor how order rates spread; "
        "orders are forecast at a constant rate, each customer's own shrunk towards everyone's",
    )


def _halves(histories: Histories) -> tuple[Histories, Histories]:
    """Split the customers of each pattern in two, odd ones in turn: the same for any order of customers."""
    even = histories.weight // 2
    odd = histories.weight - 2 * even
    turn = np.cumsum(odd) % 2 == 0
    weights = (even + odd * turn, even + odd * ~turn)
    x, recency, age = histories.frequency, histories.recency_days, histories.T_days
    first, second = (Histories(x, recency, age, weight).take(weight > 0) for weight in weights)
    return first, second


def _held_out(kind: type[OrderModel], halves: tuple[Histories, Histories], penalty: float) -> float:
    """Log-likelihood of each half under the model fitted to the other; minus infinity where a half has no repeat."""
    if not all(np.any(half.frequency > 0) for half in halves):
        return -np.inf
    one, other = halves
    pairs = ((one, other), (other, one))
    return sum(kind.estimate(seen, penalty)[0].log_likelihood(unseen) for seen, unseen in pairs)


def fit_spend(frequency: Array, monetary_value: Array) -> tuple[SpendModel, Warnings]:
    """Fit Gamma-Gamma, or what spend can bear of it.

    Gamma-Gamma by maximum likelihood; with q bounded where its mean does not exist, or log-normal if that describes
    spend better; where the curvature says that spend determines too little, a shrunken mean.

    Parameters
    ----------
    frequency, monetary_value : ndarray of shape (n,)
        Repeat order days and their mean value; NaN or 0 without one.

    Returns
    -------
    model : SpendModel
        Its expectations are finite and never negative.
    warnings : tuple of str
        The steps taken; empty where Gamma-Gamma stands.
    """
    spends = spenders(frequency, monetary_value)
    x, z = frequency[spends], monetary_value[spends]
    if not len(x):
        return ShrunkenMean.estimate(x, z), (
            "low evidence: no repeat order has a value above 0, so nothing says what an order will be worth; "
            "money is forecast at 0",
        )
    model, determined = GammaGamma.estimate(x, z)
    if model.q < LEAST_Q:
        bounded, _ = GammaGamma.estimate(x, z, LEAST_Q)
        other = LogNormal.estimate(x, z)
        if other.log_likelihood(x, z) <= bounded.log_likelihood(x, z):
            return bounded, (heavy_tailed(model.q),)
        return other, (
            f"low evidence: spend is so heavy-tailed that its mean is not determined by Gamma-Gamma (q = {model.q:.2f})"
            "; a log-normal distribution describes it better and is used instead",
        )
    if not determined:
        return ShrunkenMean.estimate(x, z), (
            f"low evidence: the spend of {len(x):,} buyers does not determine how it spreads between customers; "
            "each one's mean order value is shrunk towards everyone's instead",
        )
    return model, ()
