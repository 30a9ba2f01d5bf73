"""How far trees are followed away from the purchase histories: as far as they were right about a later time.

Trees grown on the earlier prediction times alone forecast the latest one; the weights that did best there are theirs.
Where nothing but the calendar moved customers, or where there is little to learn from, that is none at all. What the
trees say of the *level* of all customers is a matter of the calendar, which a few windows do not settle: it is taken
off. In its place comes what `models.clv.corrections.movement` has found, or else half of how far the latest window
departed from the histories, if it departed further than the others did, within bounds.

References
----------
Breiman, L. (1996). Stacked Regressions. Machine Learning 24(1), 49-64; here with a later time for customers left out.
"""

import numpy as np

from models.base import Array

TENTHS = 10
LEAST_TESTED = 30
"""With fewer order days in the earlier windows, or in the latest, nothing can be said of weights."""
LEAST_CUSTOMERS, LEAST_ORDER_DAYS = 300, 300
"""With fewer customers, or fewer order days after earlier prediction times, trees learn noise."""
MOST_DEPARTURE = 0.05
"""Log ratio by which the total may depart from what the histories expect for the latest window's sake."""


def too_thin(customers: int, order_days: float) -> str:
    """Why trees would learn noise from so much; empty when they would not."""
    if customers >= LEAST_CUSTOMERS and order_days >= LEAST_ORDER_DAYS:
        return ""
    return (
        f"low evidence: {customers:,} customers and {order_days:,.0f} order days after earlier prediction times, fewer "
        f"than {LEAST_CUSTOMERS} or {LEAST_ORDER_DAYS}; purchase histories alone were used, nothing else known of "
        "customers"
    )


def weights_out_of_time(order_days: Array, log_expected: Array, corrections: Array) -> Array:
    """The weights at which corrections forecast best, by Poisson deviance, without what they say of the total.

    Parameters
    ----------
    order_days : ndarray of shape (n,)
        What came.
    log_expected : ndarray of shape (n,)
        What was expected without them, on the log scale.
    corrections : ndarray of shape (n, 2)
        What each adds at full weight.

    Returns
    -------
    ndarray of shape (2,)
        In tenths, at least 0 and together at most 1; of equally good ones the smallest.
    """

    def loss(weights: Array) -> float:
        logs = log_expected + corrections @ weights
        logs = logs - level(logs, log_expected)
        return float(np.exp(logs).sum() - order_days @ logs)

    pairs = [np.array([one, other]) / TENTHS for one in range(TENTHS + 1) for other in range(TENTHS + 1 - one)]
    return min(pairs, key=lambda weights: (loss(weights), weights.sum()))


def weights_of_all(weights: Array, most: float) -> Array:
    """The weights of trees that saw twice as much as those tested.

    Together n / (n + k) with the k that the test gives, and no more than `most`.
    """
    tested = float(weights.sum())
    together = min(2 * tested / (1 + tested), most)
    return weights * (together / tested) if tested else weights


def level(logs: Array, others: Array) -> float:
    """Log ratio of two totals, of values on the log scale."""
    return float(np.log(np.exp(logs).sum() / np.exp(others).sum()))


def departure(seen: Array, expected: Array, ages: Array | None) -> float:
    """How far the next total is taken to lie from what is expected of it, as a log ratio of at most a twentieth.

    Half as far as the latest window's lay, if that was further than the windows' mean the same way, so that it is going
    on and not passing; else not at all. More than a twentieth is season as often as trend.

    Parameters
    ----------
    seen, expected : ndarray of shape (n,)
        What came in each row's window, and what had been expected.
    ages : ndarray of shape (n,) or None
        Days from each row's prediction time to the cutoff; without them nothing is said.
    """
    if ages is None:
        return 0.0
    window = np.unique(ages, return_inverse=True)[1]
    came, told = (np.bincount(window, of) for of in (seen, expected))
    known = (came > 0) & (told > 0)
    if not known[0]:
        return 0.0
    ratios = np.log(came[known] / told[known])
    last = float(ratios[0])
    goes_on = (last - float(ratios.mean())) * last > 0
    return float(np.clip(last / 2, -MOST_DEPARTURE, MOST_DEPARTURE)) if goes_on else 0.0
