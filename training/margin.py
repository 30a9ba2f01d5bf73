"""The margin rate that a profile's orders had."""

from datetime import datetime
from typing import Any

from features.instants import to_us
from features.profile import Profile
from features.snapshot import MICROSECONDS
from training.errors import ConfigInvalid

ALLOWED = "false, with margin_rate set to a share of order value, more than 0, at most 1"


def observed_margin(profile: Profile, until: datetime) -> float:
    """Margin over value of all orders known before an instant, returns taken off both.

    Parameters
    ----------
    profile : Profile
        With `orders`.
    until : datetime
        Orders count that happened before it and were known by then, where their `margin_value` is known.

    Returns
    -------
    float
        More than 0, at most 1.

    Raises
    ------
    ConfigInvalid
        If the orders have no `margin_value`, or one that makes no such rate.
    """
    if not profile.has("orders", "margin_value"):
        raise ConfigInvalid("observed_margin", True, f"{ALLOWED}: orders have no margin_value")
    orders, limit = profile.tables["orders"], to_us(until)
    micros = MICROSECONDS[profile.backend.name]
    known = [micros(orders.event_time) < limit, orders.margin_value.notnull()]
    if "ingested_at" in orders.columns:  # an empty one means: known at once
        known.append((micros(orders.ingested_at) <= limit).fill_null(True))
    kept = orders.filter(*known)
    sums = kept.aggregate(margin=kept.margin_value.sum().cast("float64"), value=kept.value.sum().cast("float64"))
    found: dict[str, Any] = profile.backend.to_pyarrow(sums).to_pylist()[0]
    margin, value = (found[name] or 0.0 for name in ("margin", "value"))
    if not 0 < margin <= value:
        problem = f"the orders before the cutoff have {margin:,.2f} of margin on {value:,.2f} of value"
        raise ConfigInvalid("observed_margin", True, f"{ALLOWED}: {problem}")
    return float(margin / value)
