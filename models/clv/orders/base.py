"""What an orders model can do, whatever its story of how customers order and leave."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, Self, TypeVar

import numpy as np

from models.base import Array
from models.clv.curvature import Likelihood, Maximum, maximise, polish
from models.clv.histories import Histories

WEAK_PENALTY = 1e-3
MANY = 20_000  # patterns; more than these are fitted to a part of them first
PART = 8


class OrderModel(Protocol):
    """A fitted distribution of ordering and dropping out, time in days.

    Attributes
    ----------
    kind : str
        Its name in what is kept and said.
    title : str
        Its name as the literature writes it.
    log_covariance : ndarray of shape (k, k) or None
        Covariance of the logarithms of `parameters`, in their order, from the curvature of the likelihood; None where
        it has none.
    """

    kind: ClassVar[str]
    title: ClassVar[str]

    @property
    def log_covariance(self) -> Array | None:
        """Covariance of the logarithms of the parameters."""

    @property
    def parameters(self) -> dict[str, float]:
        """Named as in the literature, in the order in which the class takes them."""

    @classmethod
    def estimate(cls, histories: Histories, penalty: float = 0.0) -> tuple[Self, bool]:
        """Fit to histories with a repeat order; the flag says whether they determine all parameters."""

    def log_likelihood(self, histories: Histories) -> float:
        """Log-likelihood of the histories."""

    def probability_active(self, histories: Histories) -> Array:
        """P(alive) at the end of T, shape (n,)."""

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days, shape (n,)."""

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days, shape (n,)."""

    def draw_orders(self, histories: Histories, horizon_days: float, generator: np.random.Generator) -> Array:
        """One predictive draw of what each customer orders in the next days, shape (n,)."""


def maximise_over(
    histories: Histories, likelihood: Callable[[Histories], Likelihood], start: Sequence[float], penalty: float
) -> Maximum:
    """Maximise a likelihood over patterns of histories.

    Over many, every eighth of them gives the start and the curvature, with which Newton steps reach the maximum of all.

    Parameters
    ----------
    histories : Histories
        One entry a pattern.
    likelihood : callable
        From some histories to their likelihood.
    start, penalty
        See `models.clv.curvature.maximise`.
    """
    if len(histories) > MANY:
        part = histories.take(np.arange(len(histories)) % PART == 0)
        near = maximise(likelihood(part), start, part.customers, penalty)
        whole = likelihood(histories)
        if near.determined and penalty == 0 and (found := polish(whole, near, part.customers, histories.customers)):
            return found
        return maximise(whole, np.exp(near.logs), histories.customers, penalty)
    return maximise(likelihood(histories), start, histories.customers, penalty)


Fitted = TypeVar("Fitted", bound=OrderModel)


def fit_or_penalise(model: type[Fitted], histories: Histories, penalty: float = 0.0) -> tuple[Fitted, tuple[str, ...]]:
    """Fit by maximum likelihood; where the histories determine too little and no penalty was given, with a weak one.

    Parameters
    ----------
    model : type
        What to fit.
    histories : Histories
        Of all customers, some with a repeat order.
    penalty : float
        Weight of the sum of squared parameters (in scaled time) against the mean log-likelihood.

    Returns
    -------
    model : OrderModel
        Always finite.
    warnings : tuple of str
        What was done when the histories do not determine all parameters.
    """
    fitted, determined = model.estimate(histories, penalty)
    if determined or penalty > 0:
        return fitted, ()
    return model.estimate(histories, WEAK_PENALTY)[0], (penalised(model.title, WEAK_PENALTY),)


def penalised(title: str, penalty: float) -> str:
    """Say that a weak penalty had to help a model."""
    return (
        "low evidence: the purchase histories do not determine the spread of dropout or order rates between "
        f"customers; {title} is fitted with a weak penalty ({penalty:g}) instead"
    )
