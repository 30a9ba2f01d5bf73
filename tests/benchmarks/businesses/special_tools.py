"""What the simulated special shops share: a calendar, visits that follow it, and the frames of orders and customers.

Times are days since the first day of a log, with fractions; customers are numbers from 0 until the frames are made.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tests.benchmarks.businesses.street_tools import Array, Flags, Frames, Whole, Words, spread
from tests.benchmarks.businesses.street_tools import arrivals as arrivals_of

AFTERWARDS = 14
"""For how many days every log goes on after its horizon."""
MONTH = 30.44
DAY_IN_MICROSECONDS = 86_400_000_000


class Calendar:
    """The days of a log.

    Parameters
    ----------
    start, cutoff : str
        The first day, and that from which is forecast, ISO dates.
    horizon : int
        How many days are forecast.
    """

    def __init__(self, start: str, cutoff: str, horizon: int) -> None:
        self.start = pd.Timestamp(start)
        self.span = self.at(cutoff) + horizon + AFTERWARDS
        self.dates = pd.date_range(start, periods=self.span, freq="D")
        self.weekday = self.dates.day_of_week.to_numpy()
        self.month = self.dates.month.to_numpy()
        self.year = self.dates.year.to_numpy()

    def at(self, date: str) -> int:
        """The day of a date, which may lie outside the log."""
        return int((pd.Timestamp(date) - self.start).days)

    def yearly(self, month_and_day: str) -> list[int]:
        """The days of a date in every year that touches the log, and in those next to them."""
        years = range(self.start.year - 1, self.dates[-1].year + 2)
        return [self.at(f"{year}-{month_and_day}") for year in years]

    def weights(self, week: Sequence[float] | None = None, months: Sequence[float] | None = None) -> Array:
        """How busy each day is.

        Parameters
        ----------
        week : sequence of float, optional
            The factors of Monday to Sunday.
        months : sequence of float, optional
            The factors of the middle of January to December, between which they change gradually.

        Returns
        -------
        Array
            One weight a day.
        """
        weight = np.ones(self.span)
        if week is not None:
            weight *= np.asarray(week)[self.weekday] / np.mean(week)
        if months is not None:
            middles = np.arange(12) * MONTH + 15
            weight *= np.interp(self.dates.day_of_year.to_numpy(), middles, months, period=365.25)
        return weight


def lift(weight: Array, first: int, last: int, factor: float) -> None:
    """Multiply the weights of the days from the first to the last, in place."""
    weight[max(first, 0) : max(last + 1, 0)] *= factor


def arrivals(rng: np.random.Generator, count: int, weight: Array) -> Array:
    """Days on which customers arrive, the earliest first, drawn in proportion to the weight of each day."""
    return np.sort(arrivals_of(rng, count, weight)).astype(float)


def visits(rng: np.random.Generator, rate: Array, born: Array, died: Array, weight: Array) -> tuple[Whole, Array]:
    """Poisson visits between birth and death, more on days of more weight.

    Parameters
    ----------
    rng : Generator
        Where they are drawn from.
    rate : Array
        Visits of each customer on a day of weight 1.
    born, died : Array
        From when to when each customer comes.
    weight : Array
        How busy each day is.

    Returns
    -------
    tuple
        Customer and time of each visit.
    """
    total = np.concatenate([[0.0], np.cumsum(weight)])
    day = np.arange(len(total))
    begin = np.interp(born, day, total)
    end = np.maximum(np.interp(np.minimum(died, len(weight)), day, total), begin)
    who = np.repeat(np.arange(len(rate)), rng.poisson(rate * (end - begin)))
    position = begin[who] + rng.random(len(who)) * (end - begin)[who]
    return who, np.interp(position, total, day)


def numbered(who: Whole, day: Array) -> tuple[Whole, Array, Whole]:
    """Orders by customer and time, and the number of each among those of its customer, 0 for the first."""
    order = np.lexsort((day, who))
    who, day = who[order], day[order]
    position = np.arange(len(who))
    first = np.r_[True, who[1:] != who[:-1]]
    return who, day, position - np.maximum.accumulate(np.where(first, position, 0))


def lived(who: Whole, day: Array, life: Whole) -> tuple[Whole, Array]:
    """Of each customer so many first orders as the lifetime has, by customer and time."""
    who, day, number = numbered(who, day)
    kept = number < life[who]
    return who[kept], day[kept]


def about(rng: np.random.Generator, mean: Array, deviation: float) -> Array:
    """Log-normal draws with these means."""
    return mean * spread(rng, -(deviation**2) / 2, deviation, len(mean))


def worded(flags: Flags, yes: str = "yes", no: str = "no") -> Words:
    """One word where something holds, another where it does not."""
    return np.where(flags, yes, no).astype(object)


def frames(
    rng: np.random.Generator,
    calendar: Calendar,
    prefix: str,
    orders: tuple[Whole, Array, Array],
    hours: tuple[float, float],
    least: float,
    **covariates: Words | Array,
) -> Frames:
    """The orders and the customers of a log.

    Parameters
    ----------
    rng : Generator
        Where hours and names are drawn from.
    calendar : Calendar
        The days of the log; orders outside are left out.
    prefix : str
        What names begin with.
    orders : tuple
        Customer, time and value of each.
    hours : tuple of float
        Around which hour of the day orders come, and how far around it.
    least : float
        What an order is worth at least.
    **covariates : Array
        What else is known of each customer.

    Returns
    -------
    tuple of DataFrame
        Orders by time, and the customers who placed any.
    """
    who, day, value = orders[0], np.floor(orders[1]), orders[2]
    inside = (day >= 0) & (day < calendar.span)
    who, day, value = who[inside], day[inside], value[inside]
    hour = np.clip(rng.normal(*hours, len(day)), 0.05, 23.9)
    moment = ((day + hour / 24) * DAY_IN_MICROSECONDS).astype(np.int64)
    order = np.argsort(moment, kind="stable")
    people = len(next(iter(covariates.values())))
    names = np.array([f"{prefix}-C{code:05d}" for code in rng.permutation(people)], dtype=object)
    when = calendar.start.as_unit("us").to_datetime64() + moment[order].astype("timedelta64[us]")
    table = pd.DataFrame(
        {
            "customer_id": names[who[order]],
            "order_id": [f"{prefix}-{number:07d}" for number in range(len(order))],
            "event_time": pd.DatetimeIndex(when).tz_localize("UTC").as_unit("us"),
            "value": np.round(np.maximum(value[order], least), 2),
        }
    )
    seen = np.unique(who)
    customers = pd.DataFrame({"customer_id": names[seen]})
    for name, column in covariates.items():
        customers[name] = column[seen]
    return table, customers.sort_values("customer_id", ignore_index=True)
