"""How much and how often a customer orders, lately and before, and whether it rises or falls."""

from typing import Any

from features.instants import DAY_US
from features.snapshot import YEAR_DAYS
from features.spec import Facts, Window, feature, windowed
from features.trend import trend

WINDOWS = (7, 30, 90, 180, 365)
PERIOD_DAYS, PERIODS = 30, 6


@windowed(*WINDOWS, source="orders", dtype="int64", unit="orders", minimum=0)
def order_count(orders: Facts, window: Window) -> Any:
    """Orders placed."""
    return orders.count(where=orders.within(window))


@windowed(*WINDOWS, source="orders", dtype="float64", unit="currency", minimum=0)
def order_value(orders: Facts, window: Window) -> Any:
    """Value of the orders placed."""
    return orders.total(orders.value, where=orders.within(window))


@windowed(7, 30, 90, 180, 365, source="order_days", dtype="int64", unit="order_days", minimum=0)
def order_day_count(days: Facts, window: Window) -> Any:
    """Days with an order."""
    return days.count(where=days.within(window))


@feature(source="orders", dtype="float64", unit="currency", nullable=True, minimum=0)
def order_value_mean(orders: Facts) -> Any:
    """Mean value of an order over the whole history; null without an order."""
    return orders.mean(orders.value)


@feature(source="orders", dtype="float64", unit="currency", nullable=True, minimum=0)
def order_value_maximum(orders: Facts) -> Any:
    """Value of the largest order; null without an order."""
    return orders.value.max().cast("float64")


@feature(source="order_days", dtype="float64", unit="currency", nullable=True, minimum=0)
def first_day_value(days: Facts) -> Any:
    """Value ordered on the first order day; null without an order."""
    return days.first_value.cast("float64")


@feature(source="orders", dtype="float64", unit="currency", nullable=True, minimum=0)
def order_value_minimum(orders: Facts) -> Any:
    """Value of the smallest order; null without an order."""
    return orders.value.min().cast("float64")


@feature(source="order_days", dtype="float64", unit="currency", nullable=True, minimum=0)
def last_day_value(days: Facts) -> Any:
    """Value ordered on the last order day; null without an order."""
    return days.last_value.cast("float64")


@feature(source=(last_day_value, order_value_mean), dtype="float64", unit="ratio", nullable=True, minimum=0)
def last_day_value_to_mean(last: Any, mean: Any) -> Any:
    """Value of the last order day over the mean value of an order; null without orders of value."""
    return last / mean.nullif(0)


@feature(source="order_days", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def largest_day_share(days: Facts) -> Any:
    """Share of everything spent that fell on the one largest day: 1 is spend in one go; null without value."""
    return days.value.max().cast("float64") / days.total(days.value).nullif(0)


@windowed(30, 90, 180, source="orders", dtype="float64", unit="ratio", nullable=True, minimum=-1, maximum=1)
def order_count_trend(orders: Facts, window: Window) -> Any:
    """Orders against the span before, (now - before) / (now + before); null without orders or too young for both."""
    return trend(orders, window, lambda span: orders.count(where=span).cast("float64"))


@windowed(30, 90, 180, source="orders", dtype="float64", unit="ratio", nullable=True, minimum=-1, maximum=1)
def order_value_trend(orders: Facts, window: Window) -> Any:
    """Value against the span before, (now - before) / (now + before); null without value or too young for both."""
    return trend(orders, window, lambda span: orders.total(orders.value, where=span))


@feature(source="orders", dtype="float64", unit="orders", nullable=True)
def order_count_slope_180d(orders: Facts) -> Any:
    """Least-squares slope of orders a 30 days over the last 180 days; null when the first order lies within them."""
    slope = _weighted(orders).cast("int64").sum().cast("float64") / SLOPE_DIVISOR
    return (orders.age.max() > PERIODS * PERIOD_DAYS * DAY_US).ifelse(slope, None)


@feature(source="orders", dtype="float64", unit="currency", nullable=True)
def order_value_slope_180d(orders: Facts) -> Any:
    """Least-squares slope of the value a 30 days over the last 180 days; null when the first order lies within them."""
    slope = (orders.value * _weighted(orders).cast("int8")).sum().cast("float64") / SLOPE_DIVISOR
    return (orders.age.max() > PERIODS * PERIOD_DAYS * DAY_US).ifelse(slope, None)


SLOPE_DIVISOR = sum((2 * i - (PERIODS - 1)) ** 2 for i in range(PERIODS)) / 2
"""Twice the periods' centred numbers are whole, so that their weighted sums are exact."""


def _weighted(orders: Facts) -> Any:
    """Twice the centred number of each order's period, from -5 (oldest) to 5 (latest); 0 outside of all."""
    period = (orders.age - 1) // (PERIOD_DAYS * DAY_US)
    return (period < PERIODS).ifelse((PERIODS - 1) - 2 * period, 0)


@feature(source="orders", dtype="bool", unit="flag")
def has_order_same_time_last_year(orders: Facts) -> Any:
    """Ordered a year ago in the 90 days that now lie ahead: the sign of a seasonal habit."""
    a_year_ago = orders.within(Window(YEAR_DAYS, YEAR_DAYS - 90))
    return orders.count(where=a_year_ago) > 0
