"""How far the season moves the orders to come, learned from the same days a year ago.

Purchase histories know no calendar: before a busy season they expect too little of everybody, and after it too much. A
year ago the same days came, and how far orders then departed from what histories had expected is known. It is followed
only where the year has been seen to repeat itself: where months lately departed as the same months had a year earlier.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from models.base import Array
from models.clv.consensus import silence_of
from models.clv.past import YEAR_DAYS, Past, Year

LEAST_PAIRS, LEAST_ORDERS = 4, 30
"""Months that must have come twice, each with so many order days."""
HALF_TRUST = 2.0
"""Months come twice at which half of what they tell is followed."""
LEAST_SLOPE, LEAST_EXPLAINED = 0.5, 0.5
"""How much of the earlier year's departure must have come again, and of the later year's have been foretold by it."""
MOST = float(np.log(4.0))
"""Log ratio by which a season may move the total."""
Expected = Callable[[pd.DataFrame, float], Array]


def season(year: Year | None, expected: Expected) -> float:
    """Log ratio by which the season moves the orders to come; 0 where the year has not been seen to repeat itself.

    The departures of the later year are regressed on those of the earlier one, through the origin; what came of the
    horizon's days a year ago counts by that slope, at most 1, times n / (n + 2) for n months that came twice.

    Parameters
    ----------
    year : Year or None
        None where the history is too short for two years of months, or the horizon holds nearly every season.
    expected : callable
        From rows and a number of days to what histories expect of each row.
    """
    if year is None:
        return 0.0
    months, ahead = _departures(year.months, expected), _departures(year.ahead, expected)
    pairs = np.array([(months[age], months[age + YEAR_DAYS]) for age in months if age + YEAR_DAYS in months])
    if len(pairs) < LEAST_PAIRS or not ahead:
        return 0.0
    later, earlier = pairs.T
    slope = min(float(later @ earlier) / max(float(earlier @ earlier), np.finfo(float).tiny), 1.0)
    left = later - slope * earlier
    if slope < LEAST_SLOPE or left @ left > (1 - LEAST_EXPLAINED) * (later @ later):
        return 0.0
    (of_horizon,) = ahead.values()
    trust = len(pairs) / (len(pairs) + HALF_TRUST)
    return float(np.clip(trust * slope * of_horizon, -MOST, MOST))


def season_words(moved: float) -> tuple[str, ...]:
    """What a reader of the forecast should know of its season; nothing where there is none."""
    if not moved:
        return ()
    return (
        f"the season is in the forecast: {np.expm1(moved):+.0%} on what purchase histories expect, because months of "
        "the last two years departed from that alike, and the horizon's days a year ago are known",
    )


def in_season(silence: Array, moved: float) -> Array:
    """Log-odds of no order where `exp(moved)` times as many orders come, as of a Poisson number of them."""
    if not moved:
        return silence
    return silence_of(np.logaddexp(0.0, -silence) * np.exp(moved))


def _departures(past: Past, expected: Expected) -> dict[float, float]:
    """Log ratio of what came in each window to what had been expected, by age; without windows of too few orders."""
    if past.ages is None:
        return {}
    ages, window = np.unique(past.ages, return_inverse=True)
    came, told = (np.bincount(window, of) for of in (past.order_days, expected(past.rows, past.window_days)))
    known = (came >= LEAST_ORDERS) & (told > 0)
    return dict(zip(ages[known].tolist(), np.log(came[known] / told[known]).tolist(), strict=True))
