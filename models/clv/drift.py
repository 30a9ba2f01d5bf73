"""How far customers depart from their histories, learned from what followed an earlier prediction time.

The models give each customer one rate of ordering and one mean order value for life. Real ones change: in the horizon
either is what it was until now times a factor of mean 1, whose variance is the drift. So nobody is foreseen as closely
as the number of orders alone would have it. What a spend model says of single orders it has read from means over
histories; how far orders really spread around their customer's mean shows in what followed, too.

All three are of highest likelihood for what followed the latest earlier prediction time whose window was over by the
cutoff. Nothing after the cutoff is looked at.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import Bounds, minimize, minimize_scalar
from scipy.special import betaln

from models.base import Array
from models.clv.orders.tails import Tail

LEAST, MOST = 1e-4, 4.0
"""Relative variances below are none, and above are a matter of other things than drift."""
MOST_SPREAD = 100.0
CLEARLY = 3.0
"""Log-likelihood that must be gained: what chance gains once in twenty times with two parameters."""
LEAST_PROBABILITY = 1e-9
"""No count is taken as less likely than this: one customer does not decide for all."""
SHARPEST = 1e6
"""Order values with a shape above this do not spread."""
PRECISION = 0.01
START = np.log([[0.01, 1.0], [0.1, 1.0], [0.01, 2.0]])
"""Drift and spread of order values, about which the best are sought."""


@dataclass(frozen=True)
class Drift:
    """How much wider than histories say the predictive distribution is.

    Parameters
    ----------
    rate : float
        Relative variance of each customer's order rate around that until now.
    order_value : float
        The same of its mean order value: what is added to ``1 / (q + p x - 1)``, by which that is unknown.
    spread : float
        Variance of an order's value around its customer's mean, over that of the spend model; below 1 is narrower.
    """

    rate: float = 0.0
    order_value: float = 0.0
    spread: float = 1.0

    @classmethod
    def estimate(
        cls, tail_of: Callable[[float], Tail], order_days: Array, relative: Array, shape: float, own_shape: Array
    ) -> "Drift":
        """Estimate what describes best what n customers went on to do; none where that is not clear.

        Parameters
        ----------
        tail_of : callable
            From a drift of rates to the predictive distribution of their orders.
        order_days : ndarray of shape (n,)
            What they ordered.
        relative : ndarray of shape (n,)
            Value of that in expected order values; not above 0 where nothing is known of it.
        shape, own_shape
            See `models.clv.spend.spread.spend_shapes`.
        """
        spent = (order_days > 0) & (relative > 0)
        of_value = _of_value(order_days[spent], relative[spent], shape, own_shape[spent])
        return replace(of_value, rate=_of_rate(tail_of, order_days))

    def shapes(self, shape: float, own_shape: Array) -> tuple[float, Array]:
        """The shapes of `models.clv.spend.spread.spend_shapes` with the drift in them."""
        return shape / self.spread, 1 + (own_shape - 1) / (1 + self.order_value * (own_shape - 1))

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _of_rate(tail_of: Callable[[float], Tail], order_days: Array) -> float:
    known = _count_likelihood(tail_of(0.0), order_days)
    found = minimize_scalar(
        lambda log: -_count_likelihood(tail_of(float(np.exp(log))), order_days),
        bounds=(np.log(LEAST), np.log(MOST)),
        method="bounded",
        options={"xatol": PRECISION},
    )
    return float(np.exp(found.x)) if -found.fun > known + CLEARLY else 0.0


def _count_likelihood(tail: Tail, order_days: Array) -> float:
    reached, passed = np.ones(len(order_days)), np.empty(len(order_days))
    for k in np.unique(order_days):
        rows = np.flatnonzero(order_days == k)
        passed[rows] = tail(rows, int(k) + 1)
        if k > 0:
            reached[rows] = tail(rows, int(k))
    return float(np.log(np.maximum(reached - passed, LEAST_PROBABILITY)).sum())


def _of_value(orders: Array, relative: Array, shape: float, own_shape: Array) -> Drift:
    """The drift of order values, from the value of a known number of orders."""
    if not len(orders) or shape > SHARPEST:
        return Drift()

    def loss(logs: Array) -> float:
        drift, spread = map(float, np.exp(logs))
        shapes = Drift(order_value=drift, spread=spread).shapes(shape, own_shape)
        return -_value_likelihood(orders, relative, *shapes)

    ends = np.log([[LEAST, 1 / MOST_SPREAD], [MOST, MOST_SPREAD]])
    about: Any = {"xatol": PRECISION, "fatol": PRECISION, "initial_simplex": START}
    found = minimize(loss, START[0], method="Nelder-Mead", bounds=Bounds(*ends), options=about)
    if -found.fun <= _value_likelihood(orders, relative, shape, own_shape) + CLEARLY:
        return Drift()
    drift, spread = map(float, np.exp(found.x))
    return Drift(order_value=drift, spread=spread)


def _value_likelihood(orders: Array, relative: Array, shape: float, own_shape: Array) -> float:
    """Of the value of so many orders: beta prime distributed, as equation (5) of `models.clv.intervals` has it."""
    total, scale = shape * orders, shape / (own_shape - 1)
    y = relative * scale
    logs = (total - 1) * np.log(y) - (total + own_shape) * np.log1p(y) - betaln(total, own_shape) + np.log(scale)
    return float(logs.sum())
