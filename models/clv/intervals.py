"""Predictive intervals: between what bounds a customer's orders and value of the horizon will lie.

They are of what the customer will do, not of the mean, and use no random numbers: the distribution of the number of
orders is exact where a model's tail is known in closed form, and the value of those orders is computed on fixed nodes.
A row is therefore answered the same alone and among others, today and tomorrow.

Value is a sum of as many gamma distributed amounts as there are orders, with a scale of the customer's own that is
known as far as its own orders tell. Relative to the expected order value it is ``N``-fold, twice spread::

    value / expected_order_value = (G(p N) / p) * ((q + p x - 1) / G(q + p x))

with G(k) a gamma variable of shape k and scale 1 (equation (5) and appendix of [1]_).

References
----------
.. [1] Fader, P. S. and Hardie, B. G. S. (2013). The Gamma-Gamma Model of Monetary Value. Technical note.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from models.base import Array
from models.clv.distinct import distinct_whole
from models.clv.orders.tails import Rows, Tail

LEVELS = {"low_90": 0.05, "low_50": 0.25, "high_50": 0.75, "high_90": 0.95}
"""The bounds of the central 50 % and 90 % intervals as quantiles."""
NODES = 256
CHUNK = 8_192
CORES = 2
EXACT = 100
"""Up to twice `EXACT` orders every number is looked at, beyond in steps of a hundredth."""
COUNT_NODES = (np.arange(NODES) + 0.5) / NODES
SPEND_NODES, SCALE_NODES = ((0.5 + np.arange(NODES) * step) % 1.0 for step in (0.7548776662466927, 0.5698402909980532))


@dataclass(frozen=True)
class Bounds:
    """The predictive distribution of each row, by the names of `LEVELS`.

    Parameters
    ----------
    orders : dict of str to ndarray of shape (n,)
        Bounds of the number of orders.
    value : dict of str to ndarray of shape (n,)
        Bounds of the value of these orders, in expected order values.
    deviation : ndarray of shape (n,)
        Standard deviation of that value.
    value_gone_last : dict of str to ndarray of shape (n,)
        Bounds of the value where customers who are gone rank above all others, with infinite value, instead of below;
        empty unless it was asked for, which `less_cost` needs where serving costs.
    """

    orders: dict[str, Array]
    value: dict[str, Array]
    deviation: Array
    value_gone_last: dict[str, Array]

    def less_cost(self, worth: Array, cost: float) -> dict[str, Array]:
        """Bounds of what customers bring less what serving them costs, which only those do who are active.

        With value R, worth w each and cost c, a customer who is gone brings 0 and one who is active ``w R - c``. Ranked
        by that, those who are gone stand where 0 stands: a quantile below 0 is one of the ranking in which they come
        last, one above 0 of that in which they come first, and 0 whatever lies between.

        Parameters
        ----------
        worth : ndarray of shape (n,)
            What an expected order value brings.
        cost : float
            Of a customer who is active; above 0 only with `value_gone_last`.
        """
        if not cost:
            return {name: worth * bound for name, bound in self.value.items()}
        found = {}
        for name, gone_first in self.value.items():
            gone_last = self.value_gone_last[name]
            if_active = np.full(len(worth), np.inf)
            np.multiply(worth, gone_last, out=if_active, where=np.isfinite(gone_last))
            found[name] = np.where(if_active < cost, if_active - cost, np.maximum(worth * gone_first - cost, 0.0))
        return found


def bounds(
    tail_of: Callable[[slice], Tail], spend_shape: float, scale_shape: Array, alive: Array | None = None
) -> Bounds:
    """Compute the intervals of n rows in chunks, on two cores.

    Parameters
    ----------
    tail_of : callable
        From a range of rows to the distribution of their orders; rows count from 0 within it.
    spend_shape : float
        p of Gamma-Gamma; infinite where every order of a customer has the same value.
    scale_shape : ndarray of shape (n,)
        q + p x of Gamma-Gamma, above 1; infinite where that value is known.
    alive : ndarray of shape (n,), optional
        Probability that each row's customer is active, where `Bounds.value_gone_last` is asked for.
    """
    rows = len(scale_shape)
    return shared_bounds(tail_of, spend_shape, scale_shape, np.ones(rows), np.arange(rows), alive)


def shared_bounds(
    tail_of: Callable[[slice], Tail],
    spend_shape: float,
    scale_shape: Array,
    active: Array,
    which: Rows,
    alive: Array | None = None,
) -> Bounds:
    """Compute the intervals of rows that share what they do if active, each kind of which is computed once.

    Parameters
    ----------
    tail_of, spend_shape, scale_shape
        See `bounds`; of m kinds of customers who are active.
    active : ndarray of shape (n,)
        Probability that each row's customer is.
    which : ndarray of shape (n,)
        The kind of each row.
    alive
        See `bounds`.
    """
    kinds = len(scale_shape)
    widths = (len(LEVELS), len(LEVELS), 1, len(LEVELS) if alive is not None else 0)
    found = tuple(np.empty((len(which), width)) for width in widths)
    order = np.argsort(which, kind="stable")
    starts = np.arange(0, kinds, CHUNK)
    edges = np.searchsorted(which[order], np.append(starts, kinds))

    def one(chunk: int) -> None:
        some, rows = slice(starts[chunk], starts[chunk] + CHUNK), order[edges[chunk] : edges[chunk + 1]]
        of_kinds = tail_of(some), spend_shape, scale_shape[some]
        some_found = _chunk(*of_kinds, active[rows], which[rows] - some.start, None if alive is None else alive[rows])
        for whole, part in zip(found, some_found, strict=True):
            whole[rows] = part

    if len(starts) <= 1:
        list(map(one, range(len(starts))))
    else:
        with ThreadPoolExecutor(CORES) as cores:
            list(cores.map(one, range(len(starts))))
    orders, value, deviation, gone_last = (of.T for of in found)
    return Bounds(
        orders=dict(zip(LEVELS, orders, strict=True)),
        value=dict(zip(LEVELS, value, strict=True)),
        deviation=deviation[0],
        value_gone_last=dict(zip(LEVELS, gone_last, strict=True)) if alive is not None else {},
    )


def _chunk(
    tail: Tail, spend_shape: float, scale_shape: Array, active: Array, which: Rows, alive: Array | None
) -> tuple[Array, Array, Array, Array]:
    any_if_active = tail(np.arange(len(scale_shape)), 1)
    orders, counts = _counts(tail, any_if_active, active, which)
    relative = _spends(counts, spend_shape) * _scales(scale_shape)
    relative.sort(axis=1)
    any_order = active * any_if_active[which]
    value = _quantiles(relative, which, any_order, 1 - any_order)
    gone_last = np.empty((len(which), 0))
    if alive is not None:
        gone_last = _quantiles(relative, which, any_order, np.maximum(alive - any_order, 0.0))
        gone_last[np.array(list(LEVELS.values())) > np.maximum(alive, any_order)[:, None]] = np.inf
    mean, square = relative.mean(axis=1)[which], np.square(relative).mean(axis=1)[which]
    spread = any_order * square - np.square(any_order * mean)
    return orders, value, np.sqrt(np.maximum(spread, 0.0))[:, None], gone_last


def _quantiles(relative: Array, which: Rows, any_order: Array, none: Array) -> Array:
    """Quantiles at `LEVELS` where a share has no order, which is worth 0, and then come those who have any."""
    value = np.zeros((len(which), len(LEVELS)))
    for at, level in enumerate(LEVELS.values()):
        some = np.flatnonzero((level > none) & (any_order > 0))
        place = (level - none[some]) / any_order[some] * NODES - 0.5
        value[some, at] = _interpolated(relative, which[some], place)
    return value


def _counts(tail: Tail, any_if_active: Array, active: Array, which: Rows) -> tuple[Array, npt.NDArray[np.int64]]:
    """Quantiles of each row's number of orders at `LEVELS`, and of each kind's at `COUNT_NODES` if there is any."""
    levels = np.array(list(LEVELS.values()))
    quantiles = np.zeros((len(which), len(levels)))
    steps = np.zeros((len(any_if_active), NODES + 1), dtype=np.int64)
    before, k, reached = 0, 1, any_if_active.copy()
    going, rows = np.flatnonzero(any_if_active > 0), np.arange(len(which))
    while len(going):
        likely = (active[rows] * reached[which[rows]])[:, None] > 1 - levels
        quantiles[rows] += (k - before) * likely
        rows = rows[likely[:, -1]]
        before, k = k, k + max(1, k // EXACT)
        reached[going] = tail(going, k)
        share = reached[going] / any_if_active[going]
        steps[going, np.ceil((1 - share) * NODES - 0.5).astype(np.intp)] += k - before  # nodes from here on have k
        going = going[share > 0.5 / NODES]
    return quantiles, 1 + np.cumsum(steps[:, :NODES], axis=1)


def _spends(counts: npt.NDArray[np.int64], shape: float) -> Array:
    """Value of so many orders over the mean of one, at the nodes."""
    if np.isinf(shape):
        return counts.astype(np.float64)
    if not len(counts):
        return np.empty((0, NODES))
    distinct, which = distinct_whole(counts, int(counts.max()) + 1)
    table = np.stack([_gamma_nodes(shape * float(count), spend=True) for count in distinct]) / shape
    return np.asarray(table[which, np.arange(NODES)])


def _scales(shapes: Array) -> Array:
    """A customer's own mean order value over the expected one, at the nodes."""
    distinct, which = np.unique(shapes, return_inverse=True)
    table = [(s - 1) / _gamma_nodes(float(s), spend=False) if np.isfinite(s) else np.ones(NODES) for s in distinct]
    return np.stack(table)[which.ravel()] if table else np.empty((0, NODES))


@lru_cache(maxsize=4_096)
def _gamma_nodes(shape: float, *, spend: bool) -> Array:
    """Gamma quantiles at the nodes."""
    return np.asarray(gammaincinv(shape, SPEND_NODES if spend else SCALE_NODES))


def _interpolated(ordered: Array, rows: Rows, place: Array) -> Array:
    """Values at fractional places of ordered rows."""
    inside = np.clip(place, 0.0, NODES - 1.0)
    below = np.minimum(inside.astype(np.intp), NODES - 2)
    low, high = ordered[rows, below], ordered[rows, below + 1]
    return np.asarray(low + (high - low) * (inside - below))
