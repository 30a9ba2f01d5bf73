"""Named naive forecasts of orders and value: what anyone can do without a model, to be beaten by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, column
from training.rows.splits import Split

FREQUENCY_EDGES = (1.0, 2.0, 4.0, 10.0)
SILENCE_EDGES = (0.25, 0.5, 1.0)
"""Days since the last order day, as a share of the last period."""


@dataclass(frozen=True)
class Forecast:
    """What is expected of each customer in the horizon.

    Parameters
    ----------
    orders, value, probability_no_order : ndarray of shape (n,)
        Order days, their value, and the probability of none.
    """

    orders: Array
    value: Array
    probability_no_order: Array


@dataclass(frozen=True)
class LastPeriod:
    """The last period before a prediction time: who was there when it began, and what they did in it.

    Parameters
    ----------
    split : Split
        Histories at its beginning, with `order_days` and `order_value` of the period.
    days : float
        Its length.
    horizon_days : float
        What is forecast, which the period is scaled to.
    """

    split: Split
    days: float
    horizon_days: float

    @property
    def scale(self) -> float:
        """Horizon over period."""
        return self.horizon_days / self.days

    def outcome(self, name: str) -> Array:
        """A column of what came of it."""
        return self.split.outcome[name].to_numpy(dtype=np.float64)


def mean_rate(now: Split, period: LastPeriod) -> Forecast:
    """Orders since the first a day of age, times the horizon; the mean value of an order day, own or everyone's."""
    repeats, age = column(now.rows, "frequency"), column(now.rows, "T_days")
    everyone = repeats.sum() / max(age.sum(), 1.0)
    orders = np.where(age > 0, repeats / np.maximum(age, 1.0), everyone) * period.horizon_days
    own = np.nan_to_num(column(now.rows, "monetary_value"))
    mean = own[repeats > 0].mean() if (repeats > 0).any() else 0.0
    return Forecast(orders, orders * np.where(repeats > 0, own, mean), np.exp(-orders))


def last_period(now: Split, period: LastPeriod) -> Forecast:
    """As many orders, and as much value, as in the last period; customers who came in it, their mean rate."""
    known = pd.DataFrame(
        {
            "customer_id": period.split.keys["customer_id"],
            "orders": period.outcome("order_days") * period.scale,
            "value": period.outcome("order_value") * period.scale,
        }
    )
    found = now.keys[["customer_id"]].merge(known, on="customer_id", how="left")
    came, rate = found["orders"].isna().to_numpy(), mean_rate(now, period)
    orders = np.where(came, rate.orders, found["orders"].to_numpy())
    value = np.where(came, rate.value, found["value"].to_numpy())
    return Forecast(orders, value, np.exp(-orders))


def population_mean(now: Split, period: LastPeriod) -> Forecast:
    """Everyone as the average customer of the last period."""
    return _of_groups(np.zeros(len(now.rows), dtype=np.int64), np.zeros(len(period.split.rows), dtype=np.int64), period)


def segment_mean(now: Split, period: LastPeriod) -> Forecast:
    """Everyone as the average customer who stood as they do, by repeat orders and silence, in the last period."""
    return _of_groups(_segments(now.rows, period.days), _segments(period.split.rows, period.days), period)


NAIVE: Mapping[str, Callable[[Split, LastPeriod], Forecast]] = {
    "mean_rate": mean_rate,
    "last_period": last_period,
    "population_mean": population_mean,
    "segment_mean": segment_mean,
}


def _segments(rows: pd.DataFrame, days: float) -> npt.NDArray[np.int64]:
    silence = (column(rows, "T_days") - column(rows, "recency_days")) / days
    by_frequency = np.searchsorted(FREQUENCY_EDGES, column(rows, "frequency"), side="right")
    by_silence = np.searchsorted(SILENCE_EDGES, silence, side="right")
    return np.asarray(by_frequency * (len(SILENCE_EDGES) + 1) + by_silence, dtype=np.int64)


def _of_groups(now: npt.NDArray[np.int64], then: npt.NDArray[np.int64], period: LastPeriod) -> Forecast:
    """The mean of each group in the last period; everyone's for a group that was empty then."""
    orders, value = period.outcome("order_days"), period.outcome("order_value")
    size = np.bincount(then, minlength=int(now.max(initial=0)) + 1).astype(np.float64)

    def means(of: Array) -> Array:
        sums = np.bincount(then, weights=of, minlength=len(size))
        return np.asarray(np.where(size > 0, sums / np.maximum(size, 1.0), of.mean()), dtype=np.float64)[now]

    silent = means((orders == 0).astype(np.float64)) ** period.scale
    return Forecast(means(orders) * period.scale, means(value) * period.scale, silent)
