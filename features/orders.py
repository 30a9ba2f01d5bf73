"""How much and how often a customer orders, lately and before."""

from typing import Any

from features.instants import DAY_US
from features.spec import Facts, Window, feature, windowed


@windowed(30, 90, 365, source="orders", dtype="int64", unit="orders", minimum=0)
def order_count(orders: Facts, window: Window) -> Any:
    """Orders placed."""
    return orders.count(where=orders.within(window))


@windowed(30, 90, 365, source="orders", dtype="float64", unit="currency", minimum=0)
def order_value(orders: Facts, window: Window) -> Any:
    """Value of the orders placed."""
    return orders.total(orders.value, where=orders.within(window))


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
    return days.mean(days.value, where=days.gap_days.isnull())


@windowed(90, source="orders", dtype="float64", unit="ratio", nullable=True, minimum=-1, maximum=1)
def order_count_trend(orders: Facts, window: Window) -> Any:
    """Orders against the span before, (now - before) / (now + before); null without orders or too young for both."""
    now = orders.count(where=orders.within(window)).cast("float64")
    before = orders.count(where=orders.within(_before(window))).cast("float64")
    return _if_old_enough(orders, window, (now - before) / (now + before).nullif(0))


@windowed(90, source="orders", dtype="float64", unit="ratio", nullable=True, minimum=-1, maximum=1)
def order_value_trend(orders: Facts, window: Window) -> Any:
    """Value against the span before, (now - before) / (now + before); null without value or too young for both."""
    now = orders.total(orders.value, where=orders.within(window))
    before = orders.total(orders.value, where=orders.within(_before(window)))
    return _if_old_enough(orders, window, (now - before) / (now + before).nullif(0))


def _before(window: Window) -> Window:
    """The span of the same length before a window."""
    return Window(2 * window.days, window.days)


def _if_old_enough(orders: Facts, window: Window, trend: Any) -> Any:
    """Null for customers whose first order lies inside the spans compared: for them every trend points up."""
    return (orders.age.max() > 2 * window.days * DAY_US).ifelse(trend, None)


@windowed(365, source="orders", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def discount_share(orders: Facts, window: Window) -> Any:
    """Discount as a share of the value before discount; null without value."""
    discount = orders.total(orders.discount_value, where=orders.within(window))
    return discount / (orders.total(orders.value, where=orders.within(window)) + discount).nullif(0)


@windowed(365, source="orders", dtype="int64", unit="channels", minimum=0)
def order_channel_count(orders: Facts, window: Window) -> Any:
    """Different channels ordered through."""
    return orders.channel.nunique(where=orders.within(window))


@feature(source="orders", dtype="string", unit="name", nullable=True)
def last_order_channel(orders: Facts) -> Any:
    """Channel of the last order; null when unknown."""
    return orders.last_text(orders.channel, orders.event_time)


@windowed(365, source="orders", dtype="int64", unit="categories", minimum=0)
def order_category_count(orders: Facts, window: Window) -> Any:
    """Different categories ordered from."""
    return orders.category.nunique(where=orders.within(window))
