"""What the simulated shops of the street share: draws, seasons, and the frames of orders and customers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]
Frames = tuple[pd.DataFrame, pd.DataFrame]
Businesses = dict[str, tuple[Callable[[int], Frames], str, int]]

# how busy each hour of the day is
HOURS = {
    "shop": [0, 0, 0, 0, 0, 0, 0, 1, 4, 7, 9, 9, 8, 7, 7, 8, 9, 10, 9, 5, 2, 0, 0, 0],
    "web": [2, 1, 1, 0.5, 0.5, 0.5, 1, 2, 4, 5, 6, 6, 6, 6, 5, 5, 5, 6, 7, 9, 11, 10, 7, 4],
    "office": [0, 0, 0, 0, 0, 0, 0, 3, 9, 12, 12, 9, 5, 8, 10, 9, 6, 2, 0, 0, 0, 0, 0, 0],
    "coffee": [0, 0, 0, 0, 0, 1, 8, 16, 15, 9, 7, 6, 7, 7, 6, 5, 4, 3, 1, 0, 0, 0, 0, 0],
}


@dataclass
class Ledger:
    """Orders as they are written down: who, on which day of the log, for how much."""

    who: list[Whole] = field(default_factory=list)
    day: list[Array] = field(default_factory=list)
    value: list[Array] = field(default_factory=list)

    def add(self, who: Whole, day: Array | Whole, value: Array) -> None:
        """Write down orders, one per position of the three arrays."""
        self.who.append(np.array(who, np.int64))
        self.day.append(np.array(day, float))
        self.value.append(np.array(value, float))

    def columns(self) -> tuple[Whole, Array, Array]:
        """Everything written down so far, in the order of writing."""
        return np.concatenate(self.who), np.concatenate(self.day), np.concatenate(self.value)


def generator(seed: int, salt: int) -> np.random.Generator:
    """The source of chance of one business."""
    return np.random.default_rng([int(seed), 7919, salt])


def calendar(start: str, days: int) -> pd.DatetimeIndex:
    """The days of a log."""
    return pd.date_range(start, periods=days, freq="D")


def day_number(dates: pd.DatetimeIndex, date: str) -> int:
    """The position of a date, counted from the first day of a log."""
    return int((pd.Timestamp(date) - dates[0]).days)


def between(dates: pd.DatetimeIndex, first: str, last: str) -> Flags:
    """Which days lie between two dates, both included."""
    days = np.arange(len(dates))
    return (days >= day_number(dates, first)) & (days <= day_number(dates, last))


def year_days(dates: pd.DatetimeIndex) -> Array:
    """The day of the year of every day of a log."""
    return dates.day_of_year.to_numpy().astype(float)


def bump(year_day: Array, centre: float, width: float) -> Array:
    """A bell over the year that wraps at the new year."""
    distance = (np.asarray(year_day, float) - centre + 182.6) % 365.25 - 182.6
    bell: Array = np.exp(-0.5 * (distance / width) ** 2)
    return bell


def arrivals(rng: np.random.Generator, count: int, weight: Array) -> Whole:
    """Days on which customers arrive, drawn in proportion to the weight of each day."""
    weight = np.asarray(weight, float)
    return rng.choice(len(weight), size=count, p=weight / weight.sum())


def picked(rng: np.random.Generator, count: int, options: dict[str, float]) -> Words:
    """Words drawn by their shares."""
    shares = np.array(list(options.values()), float)
    words: Words = rng.choice(np.array(list(options), dtype=object), size=count, p=shares / shares.sum())
    return words


def looked_up(keys: Words, table: dict[str, float]) -> Array:
    """The number that belongs to each word."""
    return np.array([table[key] for key in keys], float)


def spread(rng: np.random.Generator, centre: float, deviation: float | Array, size: int | tuple[int, ...]) -> Array:
    """Log-normal factors."""
    factors: Array = np.exp(rng.normal(centre, deviation, size))
    return factors


def wandering(rng: np.random.Generator, count: int, steps: int, memory: float, deviation: float) -> Array:
    """Stationary autoregressive paths, one per customer."""
    paths = np.empty((count, steps))
    paths[:, 0] = rng.normal(0, deviation, count)
    shocks = rng.normal(0, deviation * np.sqrt(1 - memory * memory), (count, steps))
    for step in range(1, steps):
        paths[:, step] = memory * paths[:, step - 1] + shocks[:, step]
    return paths


def counted(rng: np.random.Generator, intensity: Array) -> tuple[Whole, Whole]:
    """Poisson events of a table of customers by days, as customer and day of each."""
    events = rng.poisson(intensity)
    who, day = np.nonzero(events)
    times = events[who, day]
    return np.repeat(who, times), np.repeat(day, times)


def frames(
    rng: np.random.Generator,
    dates: pd.DatetimeIndex,
    prefix: str,
    ledger: Ledger,
    hours: str,
    least: float = 0.0,
    **covariates: Words,
) -> Frames:
    """The orders of a ledger within the days of its log, none below the least value, and who gave them."""
    who, day, value = ledger.columns()
    day = np.floor(day)
    value = np.round(value.clip(least), 2)
    kept = (day >= 0) & (day < len(dates)) & (value > 0)
    who, day, value = who[kept], day[kept], value[kept]
    busy = np.array(HOURS[hours], float)
    in_day = rng.choice(24, size=len(who), p=busy / busy.sum()) * 3600 + rng.integers(0, 3600, len(who))
    second = day.astype(np.int64) * 86400 + in_day
    order = np.lexsort((who, second))
    who, second, value = who[order], second[order], value[order]
    people = int(who.max()) + 1
    codes = rng.permutation(people * 7)[:people] + 10000
    names = np.array([f"{prefix}{code}" for code in codes], dtype=object)
    when = dates[0].as_unit("us").to_datetime64() + second.astype("timedelta64[s]").astype("timedelta64[us]")
    orders = pd.DataFrame(
        {
            "customer_id": names[who],
            "order_id": [f"{prefix}-{number:07d}" for number in range(1, len(who) + 1)],
            "event_time": pd.DatetimeIndex(when).tz_localize("UTC").as_unit("us"),
            "value": value,
        }
    )
    seen = np.unique(who)
    customers = pd.DataFrame({"customer_id": names[seen]})
    for name, column in covariates.items():
        customers[name] = column[seen].astype(str)
    return orders, customers.sort_values("customer_id", ignore_index=True)
