"""What customers did after a prediction time: the only place that looks ahead."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from features.instants import DAY_US, to_us
from features.profile import Profile
from features.snapshot import KEYS, MICROSECONDS, day_of, times_table
from models.clv.subscribers import MONTH_DAYS, Subscribers


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


def future_payments(
    profile: Profile, keys: pd.DataFrame, subscribers: Subscribers, horizon_days: int, known_until: datetime
) -> pd.DataFrame:
    """What subscriptions paid at the renewals in ``[prediction_time, prediction_time + horizon)``.

    Parameters
    ----------
    profile : Profile
        With `subscriptions`.
    keys : pandas.DataFrame
        `customer_id` and one `prediction_time` for all.
    subscribers : Subscribers
        Those customers as known then, in the same order.
    horizon_days : int
        Length of the window.
    known_until : datetime
        Only subscriptions known by then count.

    Returns
    -------
    pandas.DataFrame
        A row a customer: `paid_periods` (renewals at which a subscription was running), `paid_value` (the price of
        those that were, for a period each) and `is_subscribed` (whether the last renewal that came up was paid; where
        none came up, whether a subscription was running when the window ended).
    """
    start = to_us(keys["prediction_time"].iloc[0].to_pydatetime())
    terms = _terms_running(profile, start, start + horizon_days * DAY_US, to_us(known_until))
    place = pd.Series(np.arange(len(keys)), index=keys["customer_id"])
    terms = terms[terms["customer_id"].isin(place.index)]
    who = place[terms["customer_id"]].to_numpy()
    begun, ended = ((terms[name].to_numpy() - start) / DAY_US for name in ("started_at", "ended_at"))
    price = terms["monthly_value"].to_numpy() * subscribers.period_days / MONTH_DAYS
    first, due = subscribers.days_to_renewal, subscribers.due_within(horizon_days)
    stays = np.bincount(who[(begun < horizon_days) & (ended >= horizon_days)], minlength=len(keys)) > 0
    periods, value = np.zeros(len(keys)), np.zeros(len(keys))
    for coming in range(int(due.max(initial=0.0))):
        day = first[who] + coming * subscribers.period_days
        runs = (begun < day) & (ended >= day) & (coming < due[who])
        paid = np.bincount(who[runs], minlength=len(keys)) > 0
        stays = np.where(due > coming, paid, stays)
        periods += paid
        value += np.bincount(who[runs], weights=price[runs], minlength=len(keys))
    return pd.DataFrame({"paid_periods": periods, "paid_value": value, "is_subscribed": stays.astype(np.float64)})


def _terms_running(profile: Profile, start: int, end: int, limit: int) -> pd.DataFrame:
    """Subscriptions that ran in a window, instants in microseconds; one that is running ends after everything."""
    table = profile.table("subscriptions", "labels")
    micros = MICROSECONDS[profile.backend.name]
    ended = micros(table.ended_at).fill_null(np.iinfo(np.int64).max)
    known = [micros(table.started_at) < end, ended >= start]
    if "ingested_at" in table.columns:  # an empty one means: known at once
        known.append(micros(table.ingested_at).fill_null(limit) <= limit)
    rows = table.filter(*known).select(
        "customer_id",
        started_at=micros(table.started_at),
        ended_at=ended,
        monthly_value=table.monthly_value.cast("float64").fill_null(0.0),
    )
    frame: pd.DataFrame = profile.backend.to_pyarrow(rows).to_pandas()
    return frame
