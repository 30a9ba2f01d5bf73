"""How far trees are followed away from the purchase histories: as far as they were right about a later time.

Trees grown on the earlier prediction times alone forecast the latest one; the weight that did best there is theirs.
Where nothing but the calendar moved customers, or where there is little to learn from, that is none at all. What the
trees say of the *level* of all customers is a matter of the calendar, which a few windows do not settle: it is kept as
far as the windows agree with each other.
"""

import numpy as np
import numpy.typing as npt

from models.base import Array

WEIGHTS = np.linspace(0, 1, 11)
LEAST_ORDER_DAYS = 30
"""With fewer order days in the earlier windows, or in the latest, nothing can be said of weights."""


def latest(ages: Array, window_days: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Rows at the latest prediction time, and those whose windows were over by then.

    Parameters
    ----------
    ages : ndarray of shape (n,)
        Days from each row's prediction time to the cutoff.
    window_days : float
        Length of the windows.
    """
    return ages == ages.min(), ages >= ages.min() + window_days


def weight_out_of_time(order_days: Array, log_expected: Array, correction: Array) -> float:
    """The weight at which a correction forecast best, by Poisson deviance, without what it says of the total.

    Parameters
    ----------
    order_days : ndarray of shape (n,)
        What came.
    log_expected, correction : ndarray of shape (n,)
        What was expected without it, on the log scale, and what it adds at full weight.
    """

    def loss(weight: float) -> float:
        logs = log_expected + weight * correction
        logs = logs - level(logs, log_expected)
        return float(np.exp(logs).sum() - order_days @ logs)

    return float(min(WEIGHTS, key=lambda weight: (loss(float(weight)), weight)))


def weight_of_all(weight: float) -> float:
    """The weight of trees that saw twice as much as those tested: n / (n + k) with the k that the test gives."""
    return 2 * weight / (1 + weight)


def level(logs: Array, others: Array) -> float:
    """Log ratio of two totals, of values on the log scale."""
    return float(np.log(np.exp(logs).sum() / np.exp(others).sum()))


def level_kept(seen: Array, expected: Array, ages: Array) -> float:
    """How much of a common departure from what was expected is kept: all if every window departed alike.

    The share of the squared mean in the mean square of the windows' log ratios: the James-Stein weight of the mean
    for a next window that departs from it as these did.

    Parameters
    ----------
    seen, expected : ndarray of shape (n,)
        What came in each row's window, and what had been expected.
    ages : ndarray of shape (n,)
        See `latest`.
    """
    window = np.unique(ages, return_inverse=True)[1]
    came, told = (np.bincount(window, of) for of in (seen, expected))
    known = (came > 0) & (told > 0)
    if not known.any():
        return 0.0
    ratios = np.log(came[known] / told[known])
    square = float(np.mean(ratios**2))
    return float(ratios.mean() ** 2 / square) if square > 0 else 1.0
