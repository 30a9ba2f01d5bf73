"""What is in an order, through which channel and at what time it is placed."""

from typing import Any

import ibis

from features.spec import Facts, Window, feature, windowed

EVENING_HOUR, SATURDAY = 18, 5


@windowed(90, 365, source="orders", dtype="float64", unit="currency", nullable=True, minimum=0)
def order_value_mean(orders: Facts, window: Window) -> Any:
    """Mean value of an order; null without one."""
    return orders.mean(orders.value, where=orders.within(window))


@windowed(90, 365, source="orders", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def discount_share(orders: Facts, window: Window) -> Any:
    """Discount as a share of the value before discount; null without value."""
    discount = orders.total(orders.discount_value, where=orders.within(window))
    return discount / (orders.total(orders.value, where=orders.within(window)) + discount).nullif(0)


@windowed(365, source="orders", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def discounted_order_share(orders: Facts, window: Window) -> Any:
    """Orders with a discount over orders; null without an order."""
    return orders.share((orders.discount_value > 0).fill_null(False), of=orders.within(window))


@windowed(365, source="orders", dtype="float64", unit="currency")
def order_margin_value(orders: Facts, window: Window) -> Any:
    """Margin of the orders placed."""
    return orders.total(orders.margin_value, where=orders.within(window))


@windowed(365, source="orders", dtype="float64", unit="items", nullable=True, minimum=0)
def order_item_count_mean(orders: Facts, window: Window) -> Any:
    """Mean number of items in an order; null when unknown."""
    return orders.mean(orders.exact(orders.item_count), where=orders.within(window))


@feature(source="order_channels", dtype="int64", unit="channels", minimum=0)
def order_channel_count_365d(channels: Facts) -> Any:
    """Different channels ordered through, in the 365 days before the prediction time."""
    return channels.count()


@feature(source="orders", dtype="string", unit="name", nullable=True)
def first_order_channel(orders: Facts) -> Any:
    """Channel of the first order; null when unknown."""
    return orders.first_text(orders.channel, orders.event_time)


@feature(source="orders", dtype="string", unit="name", nullable=True)
def last_order_channel(orders: Facts) -> Any:
    """Channel of the last order; null when unknown."""
    return orders.last_text(orders.channel, orders.event_time)


@feature(source="order_channels", dtype="string", unit="name", nullable=True)
def preferred_order_channel_365d(channels: Facts) -> Any:
    """Channel of most orders in the 365 days before the prediction time; null when unknown."""
    return channels.top_text(channels.channel, channels.order_count)


@feature(source="order_channels", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def preferred_order_channel_share_365d(channels: Facts) -> Any:
    """Share of the preferred channel in the orders of the 365 days before the prediction time; null when unknown."""
    return channels.order_count.max().cast("float64") / channels.order_count.sum().nullif(0)


@feature(source="order_channels", dtype="float64", unit="nats", nullable=True, minimum=0)
def order_channel_entropy_365d(channels: Facts) -> Any:
    """How evenly orders spread over channels, 365 days before the prediction time, 0 for one; null when unknown."""
    return channels.entropy(channels.order_count)


@windowed(365, source="order_steps", dtype="int64", unit="orders", minimum=0)
def order_channel_switch_count(steps: Facts, window: Window) -> Any:
    """Orders through another channel than the order before."""
    return steps.count(where=steps.within(window) & (steps.channel != steps.previous_channel).fill_null(False))


@feature(source="order_categories", dtype="int64", unit="categories", minimum=0)
def order_category_count_365d(categories: Facts) -> Any:
    """Different categories ordered from, in the 365 days before the prediction time."""
    return categories.count()


@feature(source="orders", dtype="string", unit="name", nullable=True)
def first_order_category(orders: Facts) -> Any:
    """Category of the first order; null when unknown."""
    return orders.first_text(orders.category, orders.event_time)


@feature(source="order_categories", dtype="string", unit="name", nullable=True)
def preferred_order_category_365d(categories: Facts) -> Any:
    """Category of most orders in the 365 days before the prediction time; null when unknown."""
    return categories.top_text(categories.category, categories.order_count)


@feature(source="order_categories", dtype="float64", unit="nats", nullable=True, minimum=0)
def order_category_entropy_365d(categories: Facts) -> Any:
    """How evenly orders spread over categories in the 365 days before the prediction time; null when unknown."""
    return categories.entropy(categories.order_count)


@feature(source="order_categories", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def largest_category_share_365d(categories: Facts) -> Any:
    """Share of the category with most value, in the 365 days before the prediction time; null without value."""
    return categories.value.max().cast("float64") / categories.total(categories.value).nullif(0)


@windowed(365, source="orders", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def weekend_order_share(orders: Facts, window: Window) -> Any:
    """Orders placed on Saturday or Sunday (UTC) over orders; null without an order."""
    return orders.share(orders.weekday >= SATURDAY, of=orders.within(window))


@windowed(365, source="orders", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def evening_order_share(orders: Facts, window: Window) -> Any:
    """Orders placed from 18 to 24 o'clock (UTC) over orders; null without an order."""
    return orders.share(orders.hour >= EVENING_HOUR, of=orders.within(window))


@windowed(365, source="orders", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def top_weekday_order_share(orders: Facts, window: Window) -> Any:
    """Share of the weekday (UTC) with most orders: 1 is a fixed day; null without an order."""
    inside = orders.within(window)
    most = ibis.greatest(*(orders.count(where=inside & (orders.weekday == day)) for day in range(7)))
    return most.cast("float64") / orders.count(where=inside).nullif(0)
