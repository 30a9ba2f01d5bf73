"""What a customer gave back."""

from typing import Any

from features.orders import order_value
from features.spec import Facts, Window, feature, windowed


@windowed(90, 365, source="returns", dtype="int64", unit="returns", minimum=0)
def return_count(returns: Facts, window: Window) -> Any:
    """Returns made."""
    return returns.count(where=returns.within(window))


@windowed(365, source="returns", dtype="float64", unit="currency", minimum=0)
def return_value(returns: Facts, window: Window) -> Any:
    """Value given back."""
    return returns.total(returns.value, where=returns.within(window))


@feature(source=(return_value[0], order_value[-1]), dtype="float64", unit="ratio", nullable=True, minimum=0)
def return_rate_365d(returned: Any, ordered: Any) -> Any:
    """Value given back over value ordered, in the 365 days before the prediction time; null without orders."""
    return returned / ordered.nullif(0)


@feature(source="order_rows", dtype="float64", unit="currency", nullable=True)
def net_order_value(rows: Facts) -> Any:
    """Value of all orders less what was given back; null without either."""
    return rows.value.sum().cast("float64")


@feature(source="returns", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_return(returns: Facts) -> Any:
    """Days from the last return to the prediction time; null without one."""
    return returns.days_to_prediction(returns.event_time.max())
