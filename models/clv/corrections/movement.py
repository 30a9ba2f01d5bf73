"""How far the total departs from what purchase histories expect: by a persistent bias, the season, or as a year ago.

A model of purchase histories may not be true of a company's customers. Then it errs alike whenever it is fitted, and
what it erred by all through the last year is taken off. And it knows no calendar: before a busy season it expects too
little of everybody, and after it too much. How far the same days of a year ago departed from what was expected of them
is known, and is followed where months departed as the same months had a year earlier. Where that cannot be told, models
fitted a year ago erred on those days by season and bias together; half of that is followed, since one year may be no
rule.

The value of an order departs for reasons of its own: who orders often spends otherwise, or prices rose. It changes
little from window to window, so that half of what it departed by in those seen is followed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.base import Array
from models.clv.corrections.consensus import Consensus, silence_of
from models.clv.histories import Histories
from models.clv.past import YEAR_DAYS, Past

LEAST_PAIRS, LEAST_ORDERS = 4, 30
"""Months that must have been foretold, and order days that each must have."""
HALF_TRUST = 2.0
"""Months foretold at which half of what they teach is followed."""
LEAST_SLOPE, LEAST_EXPLAINED = 0.5, 0.5
"""How much of the earlier departures must have come again, and of the later ones have been foretold by them."""
LEAST_WINDOWS = 6
"""Windows of the last year that must have been forecast: fewer cannot tell a bias from a season."""
MOST = float(np.log(4.0))
"""Log ratio by which the total may be moved."""
WORTH_TELLING = 0.05
"""Log ratio from which a reader is told of the value of an order, or that a year ago is followed."""
Expected = Callable[[Histories, float], Array]


@dataclass(frozen=True)
class Movement:
    """How far the orders to come are moved.

    Parameters
    ----------
    log_ratio : float
        Of their total to what purchase histories expect; 0 where nothing is known of it.
    words : tuple of str
        What a reader of the forecast should know of it.
    """

    log_ratio: float = 0.0
    words: tuple[str, ...] = ()


def _fitted_to_these(histories: Histories, days: float) -> Array:
    return Consensus.fit(histories)[0].expected_orders(histories, days)


def movement(past: Past, expected: Expected, expected_then: Expected = _fitted_to_these) -> Movement:
    """How far the total of a horizon is moved: by a persistent bias, or else the season, or else as a year ago.

    Bias: at each of some times spread over the last year the models are fitted to what was known then, and the log
    ratio of what came to what they expected is taken. With the mean m and the standard deviation s of these,
    m (1 - (s / m)^2) is taken off: nothing where that is below 0 or they differ in sign, and no more than the latest.
    A season is not mistaken for it, since its departures of a year have both signs.

    Season: the later departures of pairs of months a year apart are regressed on the earlier ones, through the origin.
    The departure of the horizon's days a year ago counts by that slope, at most 1, times n / (n + 2) for n pairs.

    As a year ago: half of the log ratio of what came in the horizon's days a year ago to what models expected of them
    that are fitted to what was known then.

    Parameters
    ----------
    past : Past
        With its months, its year and what is known of a year ago, where the history is long enough.
    expected, expected_then : callable
        From histories and a number of days to the orders expected of each: by models fitted at the cutoff, and by
        models fitted to these histories themselves.
    """
    errors = _errors(past.year, expected_then)
    bias = _persistent(errors)
    if bias:
        why = (
            f"fitted to what was known at each of {len(errors)} times of the last year, they expected too "
            f"{'little' if bias > 0 else 'much'} of the days after it"
        )
        return Movement(bias, (f"a persistent bias is taken off the forecast: {_words(bias)}, because {why}",))
    season = _season(past.months, past.year_ago, expected)
    if season:
        why = "months of the last two years departed from that alike, and the horizon's days a year ago are known"
        return Movement(season, (f"the season is in the forecast: {_words(season)}, because {why}",))
    departed = _departure(past.year_ago, expected_then)
    moved = float(np.clip(departed / 2, -MOST, MOST))
    why = f"its days a year ago brought {np.expm1(departed):+.0%} on what was expected then, and half is followed"
    return Movement(moved, (f"the horizon is taken as a year ago: {_words(moved)}, because {why}",) * _is_told(moved))


def worth_movement(past: Past, orders: Array, order_values: Array) -> Movement:
    """How far the value of an order is moved: half as far as it departed in the windows seen.

    Parameters
    ----------
    past : Past
        What came.
    orders, order_values : ndarray of shape (n_rows,)
        Order days that had been expected in each row's window, and the value of one.
    """
    came, told = past.order_value.sum(), (orders * order_values).sum()
    if min(came, told, past.order_days.sum()) <= 0:
        return Movement()
    departed = float(np.log(came / past.order_days.sum()) - np.log(told / orders.sum()))
    moved = float(np.clip(departed / 2, -MOST, MOST))
    why = f"in the windows before the cutoff an order was worth {np.expm1(departed):+.0%} on it, and half is followed"
    return Movement(moved, (f"the value of an order: {_words(moved)}, because {why}",) * _is_told(moved))


def _words(moved: float) -> str:
    return f"{np.expm1(moved):+.0%} on what purchase histories expect"


def _is_told(moved: float) -> bool:
    return abs(moved) >= WORTH_TELLING


def _season(months: Past | None, year_ago: Past | None, expected: Expected) -> float:
    """What the departures of a year ago foretell of the horizon's, from how far each told that of a year later."""
    if months is None:
        return 0.0
    known, ahead = _departures(months, expected), _departure(year_ago, expected)
    pairs = np.array([(known[age], known[age + YEAR_DAYS]) for age in known if age + YEAR_DAYS in known])
    if len(pairs) < LEAST_PAIRS:
        return 0.0
    later, earlier = pairs.T
    slope = min(float(later @ earlier) / max(float(earlier @ earlier), np.finfo(float).tiny), 1.0)
    left = later - slope * earlier
    if slope < LEAST_SLOPE or left @ left > (1 - LEAST_EXPLAINED) * (later @ later):
        return 0.0
    trust = len(pairs) / (len(pairs) + HALF_TRUST)
    return float(np.clip(trust * slope * ahead, -MOST, MOST))


def _errors(year: Past | None, expected_then: Expected) -> Array:
    """Log ratios of what came to what had been expected, the latest first."""
    if year is None or year.ages is None:
        return np.empty(0)
    each = (_departures(year.where(year.ages == age), expected_then) for age in np.unique(year.ages))
    return np.array([error for errors in each for error in errors.values()])


def _persistent(errors: Array) -> float:
    """What the errors have in common, as far as it stands out from how they differ, and no more than the latest."""
    if len(errors) < LEAST_WINDOWS or np.ptp(np.sign(errors)):
        return 0.0
    mean, spread = float(errors.mean()), float(errors.std(ddof=1))
    common = max(abs(mean) - spread**2 / abs(mean), 0.0)
    return float(np.sign(mean) * min(common, abs(errors[0]), MOST))


def moved_silence(silence: Array, log_ratio: float) -> Array:
    """Log-odds of no order where so many times the orders come, as of a Poisson number of them."""
    return silence_of(np.logaddexp(0.0, -silence) * np.exp(log_ratio)) if log_ratio else silence


def _departures(past: Past, expected: Expected) -> dict[float, float]:
    """Log ratio of what came in each window to what had been expected, by age; without windows of too few orders."""
    if past.ages is None:
        return {}
    ages, window = np.unique(past.ages, return_inverse=True)
    came, told = (
        np.bincount(window, of) for of in (past.order_days, expected(Histories.of(past.rows), past.window_days))
    )
    known = (came >= LEAST_ORDERS) & (told > 0)
    return dict(zip(ages[known].tolist(), np.log(came[known] / told[known]).tolist(), strict=True))


def _departure(past: Past | None, expected: Expected) -> float:
    """Of a single window; 0 where too little came or nothing is known."""
    (found,) = (_departures(past, expected) if past else {}).values() or (0.0,)
    return found
