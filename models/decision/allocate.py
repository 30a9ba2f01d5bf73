"""Who gets which action: the most expected profit that a budget and the channels' limits allow.

One action a customer at most, under a few limits over all of them, is a knapsack problem with multiple choices. Small
ones are solved as mixed-integer programs; of large ones the Lagrangian dual is solved by cutting planes, which prices
each limit, and customers are served in the order of what they bring beyond those prices. Either way an upper bound of
what any allocation could bring comes with the answer (weak duality), so that what is left on the table is known.

References
----------
Kellerer, H., Pferschy, U. and Pisinger, D. (2004). Knapsack Problems, chapter 11; Kelley, J. E. (1960). The
Cutting-Plane Method for Solving Convex Programs. Journal of SIAM 8(4).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from models.base import Array

Choice = npt.NDArray[np.int64]
NOBODY = -1
SMALL = 2_000
"""Up to so many pairs of customer and action are solved as a mixed-integer program."""
NODES = 2_000
CUTS, CLOSE = 200, 1e-9
BLOCK = 4_096


@dataclass(frozen=True)
class Allocation:
    """Who gets which action.

    Parameters
    ----------
    choice : ndarray of shape (n,)
        Each customer's action, `NOBODY` for none.
    profit : float
        Expected, together.
    bound : float
        No allocation within the limits brings more.
    """

    choice: Choice
    profit: float
    bound: float

    @property
    def gap(self) -> float:
        """What at most is left on the table, as a share of the bound."""
        return max(self.bound - self.profit, 0.0) / self.bound if self.bound > 0 else 0.0


def allocate(profit: Array, use: Array, limits: Array) -> Allocation:
    """Give each customer at most one action.

    Parameters
    ----------
    profit : ndarray of shape (n, k)
        Expected of each action for each customer; -inf where it is not allowed.
    use : ndarray of shape (m, n, k)
        How much of each limited thing the action takes, at least 0.
    limits : ndarray of shape (m,)
        How much there is of each.

    Returns
    -------
    Allocation
        Within the limits; nothing that brings a loss is done.
    """
    worth = np.flatnonzero((profit > 0).any(axis=1))
    choice = np.full(len(profit), NOBODY, dtype=np.int64)
    if not len(worth):
        return Allocation(choice, 0.0, 0.0)
    inner, used = profit[worth], use[:, worth]
    prices, bound = _dual(inner, used, limits)
    chosen = _serve(inner, used, limits, prices)
    found = _total(inner, chosen)
    if np.count_nonzero(inner > 0) <= SMALL and found < bound * (1 - CLOSE):
        exact, best = _exact(inner, used, limits)
        bound = min(bound, best)
        if exact is not None and _total(inner, exact) > found:
            chosen, found = exact, _total(inner, exact)
    choice[worth] = chosen
    return Allocation(choice, found, max(bound, found))


def _total(profit: Array, chosen: Choice) -> float:
    served = chosen != NOBODY
    return float(profit[served, chosen[served]].sum())


def _net(profit: Array, use: Array, prices: Array) -> tuple[Choice, Array]:
    """Each customer's best action once what it uses is paid for, and what it then brings."""
    net = profit - np.tensordot(prices, use, axes=1)
    best = net.argmax(axis=1)
    return best.astype(np.int64), net[np.arange(len(net)), best]


def _dual(profit: Array, use: Array, limits: Array) -> tuple[Array, float]:
    """Prices of the limits at which the upper bound on the profit is lowest, and that bound."""
    prices = np.zeros(len(limits))
    best, lowest = prices, np.inf
    slopes, offsets = [], []
    top = np.where(np.isfinite(profit), profit, 0.0).max()
    ceilings = [_highest_price(profit, each, top) for each in use]
    for _ in range(CUTS):
        action, net = _net(profit, use, prices)
        served = net > 0
        bound = float(prices @ limits + net[served].sum())
        slope = limits - use[:, served, action[served]].sum(axis=1)
        if bound < lowest:
            best, lowest = prices, bound
        slopes.append(slope)
        offsets.append(bound - slope @ prices)
        if not len(limits):
            break
        cuts = np.column_stack([slopes, -np.ones(len(slopes))])
        aim = np.append(np.zeros(len(limits)), 1.0)
        found = linprog(aim, A_ub=cuts, b_ub=-np.array(offsets), bounds=[*((0, c) for c in ceilings), (0, None)])
        if found.x is None or lowest - float(found.x[-1]) <= CLOSE * max(lowest, 1.0):
            break
        prices = np.asarray(found.x[:-1])
    return best, lowest


def _highest_price(profit: Array, use: Array, top: float) -> float:
    """A price at which nobody would use any of it."""
    users = (use > 0) & (profit > 0)
    return float((profit[users] / use[users]).max()) if users.any() else top


def _serve(profit: Array, use: Array, limits: Array, prices: Array) -> Choice:
    """Serve customers in the order of what they bring beyond the prices, each with the best action that still fits."""
    net = np.where(profit > 0, profit - np.tensordot(prices, use, axes=1), -np.inf)
    order = np.argsort(-net.max(axis=1), kind="stable")
    best = net.argmax(axis=1)
    chosen = np.full(len(profit), NOBODY, dtype=np.int64)
    used = np.cumsum(use[:, order, best[order]], axis=1)
    fits = (used <= limits[:, None]).all(axis=0)
    first = int(np.argmin(fits)) if not fits.all() else len(order)
    chosen[order[:first]] = best[order[:first]]
    left = limits - (used[:, first - 1] if first else 0.0)
    for start in range(first, len(order), BLOCK):
        block = order[start : start + BLOCK]
        open_ = (use[:, block] <= left[:, None, None]).all(axis=0) & (profit[block] > 0)
        for customer in block[open_.any(axis=1)]:
            for action in np.argsort(-net[customer], kind="stable"):
                need = use[:, customer, action]
                if profit[customer, action] > 0 and (need <= left).all():
                    chosen[customer], left = action, left - need
                    break
    return chosen


def _exact(profit: Array, use: Array, limits: Array) -> tuple[Choice | None, float]:
    """The best allocation as far as the search for it went, and an upper bound."""
    rows, actions = np.nonzero(profit > 0)
    pairs = np.arange(len(rows))
    once = csr_array((np.ones(len(rows)), (rows, pairs)), shape=(len(profit), len(rows)))
    limited = csr_array(use[:, rows, actions])
    found = milp(
        -profit[rows, actions],
        integrality=np.ones(len(rows), dtype=np.int64),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(vstack([once, limited]), ub=np.append(np.ones(len(profit)), limits)),
        options={"node_limit": NODES, "mip_rel_gap": CLOSE},
    )
    bound = np.inf if found.mip_dual_bound is None else -float(found.mip_dual_bound)
    if found.x is None:
        return None, bound
    taken = np.asarray(found.x) > 0.5
    chosen = np.full(len(profit), NOBODY, dtype=np.int64)
    chosen[rows[taken]] = actions[taken]
    within = (use[:, rows[taken], actions[taken]].sum(axis=1) <= limits).all()  # the solver's tolerance is not ours
    return (chosen if within else None), bound
