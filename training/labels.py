"""What customers did after a prediction time: the only place that looks ahead."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from features.instants import DAY_US, to_us
from features.profile import Profile
from features.snapshot import KEYS, MICROSECONDS, day_of, times_table


def future_orders(
    profile: Profile,
    prediction_times: Sequence[datetime],
    horizon_days: int,
    gap_days: int,
    known_until: datetime,
) -> pd.DataFrame:
    """Orders in the label window ``[prediction_time + gap, prediction_time + gap + horizon)``, as far as known.

    Parameters
    ----------
    profile : Profile
        With `orders`.
    prediction_times : sequence of datetime
        Aware instants.
    horizon_days, gap_days : int
        Length of the label window and days before it begins.
    known_until : datetime
        Only orders before it, and known by then, count: a window may be cut short by it.

    Returns
    -------
    pandas.DataFrame
        One row a customer and prediction time with an order in the window: `customer_id`, `prediction_time` (UTC),
        `order_days` (days with an order), `order_value` (currency) and `days_to_order` (from the window's start to the
        first order).
    """
    orders = profile.table("orders", "labels")
    micros = MICROSECONDS[profile.backend.name]
    instants = {name: micros(orders[name]) for name, dtype in orders.schema().items() if dtype.is_timestamp()}
    rows = orders.mutate(**instants).cross_join(times_table(prediction_times))
    start = rows.prediction_time + gap_days * DAY_US
    limit = to_us(known_until)
    counts = [
        rows.event_time >= start,
        rows.event_time < start + horizon_days * DAY_US,
        rows.event_time < limit,
    ]
    if "ingested_at" in rows.columns:  # an empty one means: known at once
        counts.append(rows.ingested_at.fill_null(limit) <= limit)
    if "is_return" in rows.columns:
        counts.append(~rows.is_return.fill_null(False))
    ahead = rows.mutate(wait=rows.event_time - start).filter(*counts)
    reduced = ahead.group_by(KEYS).aggregate(
        order_days=day_of(ahead.event_time).nunique().cast("float64"),
        order_value=ahead.value.sum().cast("float64"),
        days_to_order=ahead.wait.min().cast("float64") / DAY_US,
    )
    frame: pd.DataFrame = profile.backend.to_pyarrow(reduced.order_by(["prediction_time", "customer_id"])).to_pandas()
    frame["prediction_time"] = pd.to_datetime(frame["prediction_time"], unit="us", utc=True)
    return frame
