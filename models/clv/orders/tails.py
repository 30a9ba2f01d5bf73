"""How likely so many orders are: the predictive distribution of each orders model, in closed form or by quadrature."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaln, gammainc

from models.base import Array
from models.clv.histories import Histories
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.pareto import ParetoNbd

Rows = npt.NDArray[np.intp]
Tail = Callable[[Rows, int], Array]
"""From some of the rows and a number k to each one's probability of at least k orders in the horizon."""

LEAST, MOST_STRETCH = 1e-9, 100.0
LEAVING_NODES, LEAVING_WEIGHTS = (half / 2 for half in np.polynomial.legendre.leggauss(8))


def tail_if_active(model: OrderModel, histories: Histories, horizon_days: float | Array, drift: float = 0.0) -> Tail:
    """The distribution of the number of orders of customers who are active; depends on frequency and T alone.

    Parameters
    ----------
    model : OrderModel
        Fitted.
    histories : Histories
        Of n customers.
    horizon_days : float or ndarray of shape (n,)
        How far ahead, for all or each customer's own.
    drift : float
        Relative variance of each customer's rate in the horizon around that until now: see `models.clv.drift`.

    Raises
    ------
    TypeError
        If the model is of none of the kinds in `models.clv.kinds`.
    """
    match model:
        case BgNbd():
            return _bgnbd_tail(model, histories, horizon_days, drift)
        case ParetoNbd():
            return _pareto_tail(model, histories, horizon_days, drift)
        case ConstantRate():
            return _constant_tail(model, histories, horizon_days, drift)
    raise TypeError(f"no distribution of orders for {type(model).__name__}")


def _bgnbd_tail(model: BgNbd, histories: Histories, horizon_days: float | Array, drift: float) -> Tail:
    """P(N >= k): neither the rate nor the dropout ends the orders before the k-th.

    Given the history and being active, rate and dropout probability are independent. The rate alone gives a negative
    binomial number of orders; the dropout lets k of them happen with probability ``E[(1 - p) ** (k - 1)]``.
    """
    shape, alpha = _rate(model, histories, drift)
    stay = model.b + histories.frequency + model.early
    ahead = horizon_days / (alpha + horizon_days)
    start = betaln(model.a, stay)

    def tail(rows: Rows, k: int) -> Array:
        lasting = np.exp(betaln(model.a, stay[rows] + k - 1) - start[rows])
        return np.asarray(betainc(k, shape[rows], ahead[rows]) * lasting)

    return tail


def _rate(model: BgNbd | ParetoNbd | ConstantRate, histories: Histories, drift: float) -> tuple[Array, Array]:
    """Shape and rate of the gamma distribution of each customer's order rate in the horizon.

    That until now is gamma distributed given the history; the product with a gamma distributed factor of mean 1 is
    taken as gamma distributed with the mean and variance of the product.
    """
    known = model.r + histories.frequency
    kept = 1 / (1 + drift * (known + 1))
    return known * kept, (model.alpha + histories.T_days) * kept


def stretched_tail(
    model: BgNbd | ConstantRate,
    histories: Histories,
    horizon_days: float,
    expected_orders: Array,
    probability_none: Array,
    drift: float = 0.0,
) -> Tail:
    """The distribution for a better forecast of the same customers, in the shape that their histories give it.

    Whether there is any order is as forecast; how many more there are is read from the model over a horizon that is
    stretched as far as the forecast of further orders differs from the model's.

    Parameters
    ----------
    model, histories, horizon_days, drift
        As for `tail_if_active`.
    expected_orders, probability_none : ndarray of shape (n,)
        The forecast.
    """
    rows = np.arange(len(histories))
    of_active = model.orders_if_active if isinstance(model, BgNbd) else model.expected_orders
    own = _further(of_active(histories, horizon_days), tail_if_active(model, histories, horizon_days, drift)(rows, 1))
    stretch = np.clip(_further(expected_orders, 1 - probability_none) / own, 1 / MOST_STRETCH, MOST_STRETCH)
    shaped = tail_if_active(model, histories, horizon_days * stretch, drift)
    first = np.maximum(shaped(rows, 1), LEAST)
    return lambda rows, k: np.asarray((1 - probability_none[rows]) * (shaped(rows, k) / first[rows]))


def _further(expected_orders: Array, any_order: Array) -> Array:
    """Expected orders after the first, given that there is one."""
    return np.maximum(expected_orders / np.maximum(any_order, LEAST) - 1, LEAST)


def poisson_tail(expected: Array) -> Tail:
    """P(N >= k) of orders that come at a known rate."""
    return lambda rows, k: np.asarray(gammainc(k, expected[rows]))


def _constant_tail(model: ConstantRate, histories: Histories, horizon_days: float | Array, drift: float) -> Tail:
    """P(N >= k) of a customer who never leaves: negative binomial."""
    shape, alpha = _rate(model, histories, drift)
    ahead = horizon_days / (alpha + horizon_days)
    return lambda rows, k: np.asarray(betainc(k, shape[rows], ahead[rows]))


def _pareto_tail(model: ParetoNbd, histories: Histories, horizon_days: float | Array, drift: float) -> Tail:
    """P(N >= k): negative binomial over the days until the horizon or leaving, whichever is first.

    Given the history and being active, the days to leaving are Pareto distributed; those within the horizon are
    integrated at Gauss-Legendre nodes of their distribution function.
    """
    shape, alpha = _rate(model, histories, drift)
    later = model.beta + histories.T_days
    staying = np.exp(-model.s * np.log1p(horizon_days / later))
    gone_by = (0.5 + LEAVING_NODES) * (1 - staying)[:, None]
    days = later[:, None] * np.expm1(-np.log1p(-gone_by) / model.s)
    until = np.broadcast_to(horizon_days, later.shape)[:, None]
    days = np.concatenate([np.minimum(days, until), until], axis=1)
    weights = np.concatenate([(1 - staying)[:, None] * LEAVING_WEIGHTS, staying[:, None]], axis=1)
    ahead = days / (alpha[:, None] + days)

    def tail(rows: Rows, k: int) -> Array:
        reached = betainc(k, shape[rows, None], ahead[rows])
        return np.asarray((weights[rows] * reached).sum(axis=1))

    return tail


def part(histories: Histories, rows: slice) -> Histories:
    """Some of the histories."""
    return histories.take(rows)
