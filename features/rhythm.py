"""How long ago a customer ordered, and whether that is long for this customer."""

from typing import Any

from features.spec import Facts, feature


@feature(source="orders", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_order(orders: Facts) -> Any:
    """Days from the last order to the prediction time (what RFM calls recency); null without an order."""
    return orders.days_to_prediction(orders.event_time.max())


@feature(source="order_days", dtype="float64", unit="days", nullable=True, minimum=1)
def order_gap_mean_days(days: Facts) -> Any:
    """Mean days between consecutive order days; null with fewer than two order days."""
    return days.mean(days.gap_days)


@feature(source="order_days", dtype="float64", unit="days", nullable=True, minimum=0)
def order_gap_std_days(days: Facts) -> Any:
    """Standard deviation of the days between order days; null with fewer than three order days."""
    count, total, squares = days.gap_days.count(), days.gap_days.sum(), (days.gap_days * days.gap_days).sum()
    spread = (count * squares - total * total).cast("float64")  # whole numbers until here: exact and never below 0
    return (spread / (count * (count - 1)).nullif(0)).sqrt()


@feature(source="orders", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_first_order(orders: Facts) -> Any:
    """Days from the first order to the prediction time; null without an order."""
    return orders.days_to_prediction(orders.event_time.min())


@feature(source="order_days", dtype="float64", unit="days", nullable=True, minimum=1)
def order_gap_maximum_days(days: Facts) -> Any:
    """Longest time between consecutive order days; null with fewer than two order days."""
    return days.gap_days.max()


@feature(source="order_days", dtype="float64", unit="days", nullable=True, minimum=1)
def last_order_gap_days(days: Facts) -> Any:
    """Days between the last two order days; null with fewer than two order days."""
    return days.gap_days.argmax(days.day)


@feature(source=(last_order_gap_days, order_gap_mean_days), dtype="float64", unit="ratio", nullable=True, minimum=0)
def last_order_gap_to_mean(last: Any, mean: Any) -> Any:
    """The last gap over the customer's mean gap, above 1 is slowing down; null with fewer than two order days."""
    return last / mean.nullif(0)


@feature(source=(days_since_last_order, order_gap_mean_days), dtype="float64", unit="ratio", nullable=True, minimum=0)
def days_since_last_order_to_gap(since: Any, gap: Any) -> Any:
    """Days since the last order over the customer's mean gap, above 1 is late; null with fewer than two order days."""
    return since / gap.nullif(0)


@feature(source=(days_since_last_order, order_gap_mean_days, order_gap_std_days), dtype="bool", unit="flag")
def is_late(since: Any, mean: Any, spread: Any) -> Any:
    """Silent for longer than the customer's mean gap and two standard deviations; false with under three order days."""
    return since > mean + 2 * spread


@feature(
    source=(days_since_last_order, order_gap_maximum_days), dtype="float64", unit="ratio", nullable=True, minimum=0
)
def days_since_last_order_to_longest_gap(since: Any, longest: Any) -> Any:
    """Days since the last order over the longest gap so far, above 1 is silent as never before; null under two days."""
    return since / longest.nullif(0)
