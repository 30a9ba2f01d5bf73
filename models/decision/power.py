"""How many customers to hold back, so that an effect of the size hoped for can be seen."""

import math

from scipy.special import ndtr, ndtri


def power(control_rate: float, treated_rate: float, control: int, treated: int, significance: float = 0.05) -> float:
    """Probability that a two-sided test of two proportions finds the difference there is.

    Parameters
    ----------
    control_rate, treated_rate : float
        True rates, 0 to 1.
    control, treated : int
        Customers in each group, at least 1.
    significance : float
        Of the test.

    Returns
    -------
    float
        Of the z test with pooled variance and no continuity correction; the chance of a significant difference to the
        wrong side is left out.

    References
    ----------
    Fleiss, J. L., Levin, B. and Paik, M. C. (2003). Statistical Methods for Rates and Proportions, 3rd edition,
    sections 4.2 to 4.4. With groups of one size it is the ``power.prop.test`` of R.

    Examples
    --------
    >>> round(power(0.50, 0.75, 50, 50), 3)
    0.74
    """
    pooled = (control * control_rate + treated * treated_rate) / (control + treated)
    by_chance = math.sqrt(pooled * (1 - pooled) * (1 / control + 1 / treated))
    spread = math.sqrt(control_rate * (1 - control_rate) / control + treated_rate * (1 - treated_rate) / treated)
    away = abs(control_rate - treated_rate) - float(ndtri(1 - significance / 2)) * by_chance
    if spread == 0:
        return float(away > 0)
    return float(ndtr(away / spread))


def control_size(
    customers: int, control_rate: float, treated_rate: float, wanted: float = 0.8, significance: float = 0.05
) -> int | None:
    """The smallest control group with which the rest of the customers shows a difference.

    Parameters
    ----------
    customers : int
        In both groups together.
    control_rate, treated_rate, significance
        See `power`.
    wanted : float
        Power.

    Returns
    -------
    int or None
        At most half of the customers; None where that is not enough.
    """
    low, high = 0, customers // 2
    if high < 1 or power(control_rate, treated_rate, high, customers - high, significance) < wanted:
        return None
    while high - low > 1:  # power grows with the control group up to about half of the customers
        middle = (low + high) // 2
        enough = power(control_rate, treated_rate, middle, customers - middle, significance) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def detectable_effect(
    control_rate: float, control: int, treated: int, wanted: float = 0.8, significance: float = 0.05
) -> float | None:
    """The smallest fall of a rate that two groups show with the wanted power; None where not even a fall to 0 does."""
    if min(control, treated) < 1 or power(control_rate, 0.0, control, treated, significance) < wanted:
        return None
    low, high = 0.0, control_rate
    for _ in range(60):
        middle = (low + high) / 2
        seen = power(control_rate, control_rate - middle, control, treated, significance) >= wanted
        low, high = (low, middle) if seen else (middle, high)
    return high
