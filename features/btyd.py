"""The four numbers that "buy till you die" models are fitted on, with the literature's definitions.

References
----------
Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005). "Counting Your Customers" the Easy Way: An Alternative to the
Pareto/NBD Model. Marketing Science 24(2), section 3: x, t_x and T. Here in days, and on order *days*.
"""

from typing import Any

from features.spec import Facts, feature


@feature(source="order_days", dtype="int64", unit="order_days", nullable=True, minimum=0)
def frequency(days: Facts) -> Any:
    """Repeat order days: days with an order after the first such day; null without an order."""
    return (days.count() - 1).nullif(-1)


@feature(source="order_days", dtype="int64", unit="days", nullable=True, minimum=0)
def recency_days(days: Facts) -> Any:
    """Days from the first to the last order day (t_x in the literature); null without an order."""
    return days.day.max() - days.day.min()


@feature(source="order_days", dtype="int64", unit="days", nullable=True, minimum=0)
def T_days(days: Facts) -> Any:  # noqa: N802 - the literature's symbol
    """Days from the first order day to the last observed day (T in the literature); null without an order."""
    return days.last_day.max() - days.day.min()


@feature(source="order_days", dtype="float64", unit="currency", nullable=True, minimum=0)
def monetary_value(days: Facts) -> Any:
    """Mean value of a repeat order day; null without a repeat order day."""
    repeated = (days.value.sum() - days.first_value).cast("float64")
    return repeated / (days.count() - 1).nullif(0)
