"""What simulated shops share: a calendar, clocks that run faster in busy weeks, repeated buying, the frames of a log.

Times are days since the first day of a log, with fractions; customers are numbers from 0 until the frames are made.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[Any]
Frames = tuple[pd.DataFrame, pd.DataFrame]
Random = np.random.Generator
Gap = Callable[[Ints, int, Array], Array]
"""Of customers, the number of their last order and its times: the times of their next orders."""
Leaving = Callable[[Ints, int], Array]
"""Of customers and the number of their last order: the probability that it was the last of all."""

EARLY = [1.2, 0.6, 0.3, 0.2, 0.2, 0.3, 0.8, 1.7, 2.8, 3.8, 4.6, 5]
LATE = [5, 5, 4.8, 4.6, 4.6, 4.6, 4.8, 5.4, 6.2, 6, 4.4, 2.4]
WEB_HOURS = dict(enumerate([*EARLY, *LATE]))
"""How many orders a web shop gets in each hour of the day."""
OFFICE_HOURS = dict(enumerate([0.3, 2, 4, 7, 7, 9, 8, 7, 7, 4.5, 2.5, 1, 0.5, 0.2], start=7))
"""How many orders come from people at their desks."""
LEAST_CODE = 10_000
"""The least number in the name of a customer."""


class Calendar:
    """The days of a log.

    Parameters
    ----------
    start : str
        The first day, an ISO date.
    span : int
        How many days.
    """

    def __init__(self, start: str, span: int) -> None:
        self.start, self.span = start, span
        self.dates = pd.date_range(start, periods=span, freq="D")
        self.days = np.arange(span)
        self.day_of_year = self.dates.day_of_year.to_numpy()
        self.weekday = self.dates.day_of_week.to_numpy()

    def week(self, factors: Sequence[float]) -> Array:
        """The factor of each day, given those of Monday to Sunday."""
        daily: Array = np.array(factors)[self.weekday]
        return daily

    def season(self, centre: float, width: float) -> Array:
        """A bell of height 1 about the same day of every year."""
        distance = np.abs(self.day_of_year - centre)
        distance = np.minimum(distance, 365.25 - distance)
        bell: Array = np.exp(-0.5 * (distance / width) ** 2)
        return bell

    def between(self, first: str, last: str) -> Array:
        """1 from the first date to the last, 0 on all other days."""
        inside = (self.dates >= pd.Timestamp(first)) & (self.dates <= pd.Timestamp(last))
        return np.asarray(inside).astype(float)

    def day_at(self, times: Array) -> Ints:
        """The day of each time, the last day for later ones."""
        return np.asarray(np.minimum(times.astype(int), self.span - 1))


class Clock:
    """A clock that runs faster on busy days.

    Parameters
    ----------
    daily : Array
        How fast on each day, about 1 on average; afterwards as fast as in the last 60 days.
    """

    def __init__(self, daily: Array) -> None:
        speed = np.maximum(np.asarray(daily, float), 1e-4)
        speed = np.concatenate([speed, np.repeat(speed[-60:].mean(), 400)])
        self.hand = np.concatenate([[0.0], np.cumsum(speed)])
        self.day = np.arange(len(self.hand), dtype=float)

    def of(self, times: Array) -> Array:
        """What the clock shows at calendar times."""
        return np.asarray(np.interp(times, self.day, self.hand))

    def calendar(self, shown: Array) -> Array:
        """When the clock shows this; a time beyond every log where it never does."""
        times = np.interp(shown, self.hand, self.day)
        return np.where(shown >= self.hand[-1], 1e9, times)

    def later(self, times: Array, gaps: Array) -> Array:
        """Calendar times at which so much has gone by on the clock."""
        return self.calendar(self.of(times) + gaps)


def logistic(score: Array) -> Array:
    """A probability from a score of any sign."""
    return np.asarray(1 / (1 + np.exp(-score)))


def around(rng: Random, median: float, scale: float, size: int) -> Array:
    """Log-normal draws with this median."""
    return np.exp(rng.normal(np.log(median), scale, size))


def variation(rng: Random, scale: float = 0.1) -> float:
    """A factor that makes each seed a slightly different business."""
    return float(np.exp(rng.normal(0, scale)))


def arrivals(rng: Random, size: int, daily: Array) -> Array:
    """Times of first orders, as frequent on each day as its weight says."""
    weight = np.asarray(daily, float)
    return rng.choice(len(weight), size, p=weight / weight.sum()) + rng.random(size)


def joined(parts: Sequence[tuple[Words, ...]]) -> list[Words]:
    """Columns that were made in parts, each in one piece."""
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def repeated(
    rng: Random, begin: Array, end: Array, gap: Gap, leaving: Leaving | None = None
) -> tuple[Ints, Array, Ints]:
    """Order after order until everybody has left or come to the end.

    Parameters
    ----------
    rng : Generator
        Where leaving is drawn from.
    begin, end : Array
        Of each customer the time of the first order, and that from which there are none.
    gap : Gap
        When the next orders come.
    leaving : Leaving, optional
        With what probability none comes.

    Returns
    -------
    tuple
        Customers, times and numbers of orders, 0 for the first.
    """
    who, times = np.arange(len(begin)), np.asarray(begin, float).copy()
    parts: list[tuple[Words, ...]] = [(who, times.copy(), np.zeros(len(times), int))]
    number = 0
    while len(who):
        if leaving is not None:
            stays = rng.random(len(who)) >= leaving(who, number)
            who, times = who[stays], times[stays]
            if not len(who):
                break
        times = gap(who, number, times)
        inside = times < end[who]
        who, times = who[inside], times[inside]
        number += 1
        parts.append((who, times.copy(), np.full(len(times), number)))
    customers, when, numbers = joined(parts)
    return customers, when, numbers


def renewals(
    rng: Random,
    begin: Array,
    end: Array,
    rate: Array,
    shape: Array | float,
    clock: Clock,
    leaving: Leaving | None = None,
) -> tuple[Ints, Array, Ints]:
    """Orders with gamma gaps on a clock.

    Parameters
    ----------
    rng : Generator
        Where they are drawn from.
    begin, end : Array
        Of each customer the time of the first order, and that from which there are none.
    rate : Array
        Orders a day.
    shape : Array or float
        How regular: 1 is pure chance, less comes in clumps.
    clock : Clock
        What the gaps are measured by.
    leaving : Leaving, optional
        With what probability none comes after an order.

    Returns
    -------
    tuple
        Customers, times and numbers of orders, 0 for the first.
    """
    regular = np.broadcast_to(np.asarray(shape, float), begin.shape)

    def gap(who: Ints, _: int, times: Array) -> Array:
        return clock.later(times, rng.gamma(regular[who]) / (regular[who] * rate[who]))

    return repeated(rng, begin, end, gap, leaving)


def frames(
    rng: Random,
    calendar: Calendar,
    orders: tuple[Ints, Array, Array],
    prefix: str,
    hours: Mapping[int, float] | None = None,
    attributes: Mapping[str, Words] | None = None,
) -> Frames:
    """The orders and the customers of a log.

    Parameters
    ----------
    rng : Generator
        Where hours and names are drawn from.
    calendar : Calendar
        The days of the log; orders outside are left out.
    orders : tuple
        Customer, time and value of each.
    prefix : str
        What names begin with.
    hours : mapping, optional
        How frequent each hour of the day is. Without it a log knows only dates, and a customer has one order a day.
    attributes : mapping, optional
        What else is known of each customer.

    Returns
    -------
    tuple of DataFrame
        Orders by time, and the customers who placed any.
    """
    who, times, value = orders
    inside = (times >= 0) & (times < calendar.span)
    who, day, value = who[inside], np.floor(times[inside]).astype(np.int64), value[inside]
    if hours is None:
        baskets = pd.DataFrame({"who": who, "day": day, "value": value})
        once = baskets.groupby(["who", "day"])["value"].sum().reset_index()
        who, day, value = once["who"].to_numpy(), once["day"].to_numpy(), once["value"].to_numpy()
        second = np.zeros(len(who), np.int64)
    else:
        weight = np.array(list(hours.values()), float)
        hour = rng.choice(np.array(list(hours)), len(who), p=weight / weight.sum())
        second = hour * 3600 + rng.integers(0, 3600, len(who))
    when = np.datetime64(calendar.start, "s") + (day * 86_400 + second).astype("timedelta64[s]")
    by_time = np.lexsort((who, when))
    who, when, value = who[by_time], when[by_time], value[by_time]
    codes = rng.permutation(int(who.max()) + 1) + LEAST_CODE
    names = np.array([f"{prefix}{code}" for code in codes], dtype=object)
    table = pd.DataFrame(
        {
            "customer_id": names[who].tolist(),
            "order_id": [f"{prefix}-{number:07d}" for number in range(1, len(who) + 1)],
            "event_time": pd.Series(pd.to_datetime(when, utc=True)).astype("datetime64[us, UTC]"),
            "value": np.maximum(np.round(value, 2), 0.5),
        }
    )
    seen = np.unique(who)
    customers = pd.DataFrame({"customer_id": names[seen].tolist()})
    for attribute, of_each in (attributes or {}).items():
        customers[attribute] = np.asarray(of_each)[seen].astype(str)
    return table, customers.sort_values("customer_id").reset_index(drop=True)
