"""How far the calendar moves the orders to come: the season of a year ago, or what has been going on of late.

Purchase histories know no calendar. Before a busy season they expect too little of everybody, and after it too much;
and where all customers order more from month to month they lag behind. How far months departed from what histories
expected of them is known, and so is how far the same days of a year ago did. Either is followed only as far as it has
been seen to foretell: the year, where months departed as the same months had a year earlier; the latest month, where
months departed as those had that lay as long before them as it lies before the horizon.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.base import Array
from models.clv.consensus import silence_of
from models.clv.past import MONTH_DAYS, YEAR_DAYS, Months, Past

LEAST_PAIRS, LEAST_ORDERS = 4, 30
"""Months that must have been foretold, and order days that each must have."""
HALF_TRUST = 2.0
"""Months foretold at which half of what they teach is followed."""
LEAST_SLOPE, LEAST_EXPLAINED = 0.5, 0.5
"""How much of the earlier departures must have come again, and of the later ones have been foretold by them."""
MOST = float(np.log(4.0))
"""Log ratio by which the total may be moved."""
Expected = Callable[[pd.DataFrame, float], Array]


@dataclass(frozen=True)
class Movement:
    """How far the orders to come are moved.

    Parameters
    ----------
    log_ratio : float
        Of their total to what purchase histories expect; 0 where nothing has been seen to foretell.
    words : tuple of str
        What a reader of the forecast should know of it.
    """

    log_ratio: float = 0.0
    words: tuple[str, ...] = ()


def movement(months: Months | None, horizon_days: float, expected: Expected) -> Movement:
    """How far the calendar moves the orders of a horizon: by the season, or else by what has been going on.

    The later departures of pairs of months are regressed on the earlier ones, through the origin. The earlier departure
    of the horizon counts by that slope, at most 1, times n / (n + 2) for n pairs.

    Parameters
    ----------
    months : Months or None
        None where the history is too short.
    horizon_days : float
        How far ahead is forecast.
    expected : callable
        From rows and a number of days to what histories expect of each row.
    """
    if months is None:
        return Movement()
    known = _departures(months.lately, expected)
    if months.year_ago is not None:
        (ahead,) = _departures(months.year_ago, expected).values() or (0.0,)
        season = _foretold(known, YEAR_DAYS, ahead)
        if season:
            why = "months of the last two years departed from that alike, and the horizon's days a year ago are known"
            return Movement(season, (_words("season", season, why),))
    lag = MONTH_DAYS * max(1, round((horizon_days / 2 + MONTH_DAYS / 2) / MONTH_DAYS))
    trend = _foretold(known, lag, known.get(MONTH_DAYS, 0.0))
    why = f"months departed from that as those had {lag} days before, and the latest month is known"
    return Movement(trend, (_words("trend", trend, why),) if trend else ())


def _foretold(known: Mapping[float, float], lag: float, earlier_of_horizon: float) -> float:
    """What departures foretell of the horizon's, from how far each told that of the month `lag` days after it."""
    pairs = np.array([(known[age], known[age + lag]) for age in known if age + lag in known])
    if len(pairs) < LEAST_PAIRS:
        return 0.0
    later, earlier = pairs.T
    slope = min(float(later @ earlier) / max(float(earlier @ earlier), np.finfo(float).tiny), 1.0)
    left = later - slope * earlier
    if slope < LEAST_SLOPE or left @ left > (1 - LEAST_EXPLAINED) * (later @ later):
        return 0.0
    trust = len(pairs) / (len(pairs) + HALF_TRUST)
    return float(np.clip(trust * slope * earlier_of_horizon, -MOST, MOST))


def _words(what: str, moved: float, why: str) -> str:
    return f"the {what} is in the forecast: {np.expm1(moved):+.0%} on what purchase histories expect, because {why}"


def moved_silence(silence: Array, log_ratio: float) -> Array:
    """Log-odds of no order where so many times the orders come, as of a Poisson number of them."""
    return silence_of(np.logaddexp(0.0, -silence) * np.exp(log_ratio)) if log_ratio else silence


def _departures(past: Past, expected: Expected) -> dict[float, float]:
    """Log ratio of what came in each window to what had been expected, by age; without windows of too few orders."""
    if past.ages is None:
        return {}
    ages, window = np.unique(past.ages, return_inverse=True)
    came, told = (np.bincount(window, of) for of in (past.order_days, expected(past.rows, past.window_days)))
    known = (came >= LEAST_ORDERS) & (told > 0)
    return dict(zip(ages[known].tolist(), np.log(came[known] / told[known]).tolist(), strict=True))
