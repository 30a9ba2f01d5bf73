"""What customers did after a prediction time: the only place that looks ahead."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pandas as pd

from features.instants import DAY_US, to_us
from features.occurrences import Occurrence
from features.profile import Profile
from features.snapshot import KEYS, day_of, instants_as_whole, times_table
from features.spec import Facts
from features.subscriptions import MONTH_DAYS
from models.clv.renewals.subscribers import Subscribers

NEVER = 2**62
"""Stands for the end of what has none, in microseconds."""


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
    rows, counts = _ahead(profile, "orders", "event_time", prediction_times, horizon_days, gap_days, known_until)
    if "is_return" in orders.columns:
        counts.append(~rows.is_return.fill_null(False))
    ahead = rows.filter(*counts)
    reduced = ahead.group_by(KEYS).aggregate(
        order_days=day_of(ahead.event_time).nunique().cast("float64"),
        order_value=ahead.value.sum().cast("float64"),
        days_to_order=ahead.wait.min().cast("float64") / DAY_US,
    )
    return _frame(profile, reduced)


def future_occurrences(
    profile: Profile,
    occurrence: Occurrence,
    prediction_times: Sequence[datetime],
    horizon_days: int,
    gap_days: int,
    known_until: datetime,
) -> pd.DataFrame:
    """When an event happens first in the label window, as far as known.

    Parameters
    ----------
    profile, prediction_times, horizon_days, gap_days, known_until
        As for `future_orders`.
    occurrence : Occurrence
        The event.

    Returns
    -------
    pandas.DataFrame
        One row a customer and prediction time with the event in the window: `customer_id`, `prediction_time` (UTC) and
        `wait_days`, from the window's start to the first of it.
    """
    rows, counts = _ahead(
        profile, occurrence.table, occurrence.clock, prediction_times, horizon_days, gap_days, known_until
    )
    if "is_return" in rows.columns:
        counts.append(~rows.is_return.fill_null(False))
    ahead = rows.filter(*counts, occurrence.met(Facts(rows, occurrence.table).column))
    return _frame(profile, ahead.group_by(KEYS).aggregate(wait_days=ahead.wait.min().cast("float64") / DAY_US))


def future_ends(
    profile: Profile,
    prediction_times: Sequence[datetime],
    horizon_days: int,
    gap_days: int,
    grace_days: int,
    known_until: datetime,
) -> pd.DataFrame:
    """When a customer's subscriptions end in the label window and are not renewed within the grace, as far as known.

    Subscriptions that run at once or follow each other within the grace are one: only its end counts. An end less than
    the grace before `known_until` is not known to be one yet.

    Parameters
    ----------
    profile, prediction_times, horizon_days, gap_days, known_until
        As for `future_orders`; of a profile with `subscriptions`.
    grace_days : int
        Days after an end within which a new subscription is a renewal.

    Returns
    -------
    pandas.DataFrame
        As of `future_occurrences`.
    """
    limit, grace = to_us(known_until), grace_days * DAY_US
    terms = instants_as_whole(profile.table("subscriptions", "labels"), profile.backend.name)
    terms = terms.filter(terms.started_at < limit, *_known_by(terms, limit))
    ended = (terms.ended_at < limit).ifelse(terms.ended_at, None).fill_null(NEVER)
    in_order: Any = {"group_by": "customer_id", "order_by": ["started_at", "subscription_id"]}
    so_far = terms.mutate(until=ended.max().over(ibis.cumulative_window(**in_order)), ended=ended)
    before = so_far.until.lag().over(ibis.window(**in_order))
    is_new = (so_far.started_at > before + grace).fill_null(True)
    begun = so_far.mutate(is_new=is_new.cast("int64"))
    spells = begun.mutate(spell=begun.is_new.sum().over(ibis.cumulative_window(**in_order)))
    ends = spells.group_by(["customer_id", "spell"]).aggregate(end=spells.ended.max(), begin=spells.started_at.min())
    rows = ends.cross_join(times_table(prediction_times))
    start = rows.prediction_time + gap_days * DAY_US
    ahead = rows.mutate(wait=rows.end - start).filter(
        rows.begin < rows.prediction_time,
        rows.end >= start,
        rows.end < start + horizon_days * DAY_US,
        rows.end <= limit - grace,
    )
    return _frame(profile, ahead.group_by(KEYS).aggregate(wait_days=ahead.wait.min().cast("float64") / DAY_US))


def future_lapses(
    profile: Profile, prediction_times: Sequence[datetime], threshold_days: int, known_until: datetime
) -> pd.DataFrame:
    """When a customer has first been silent for a number of days, as far as known.

    Parameters
    ----------
    profile, prediction_times, known_until
        As for `future_orders`.
    threshold_days : int
        Days without an order after which a customer has left.

    Returns
    -------
    pandas.DataFrame
        As of `future_occurrences`, the wait counted from the prediction time; of every later lapse the first.
    """
    limit, silence = to_us(known_until), threshold_days * DAY_US
    orders = instants_as_whole(profile.table("orders", "labels"), profile.backend.name)
    placed = orders.filter(orders.event_time < limit, *_known_by(orders, limit))
    if "is_return" in placed.columns:
        placed = placed.filter(~placed.is_return.fill_null(False))
    instants = placed.select("customer_id", "event_time").distinct()
    later = instants.event_time.lead().over(ibis.window(group_by="customer_id", order_by="event_time"))
    waited = instants.mutate(lapse=instants.event_time + silence, later=later.fill_null(NEVER))
    lapses = waited.filter(waited.lapse < waited.later, waited.lapse <= limit).cross_join(times_table(prediction_times))
    ahead = lapses.mutate(wait=lapses.lapse - lapses.prediction_time).filter(lapses.lapse > lapses.prediction_time)
    return _frame(profile, ahead.group_by(KEYS).aggregate(wait_days=ahead.wait.min().cast("float64") / DAY_US))


def _ahead(
    profile: Profile,
    table: str,
    clock: str,
    prediction_times: Sequence[datetime],
    horizon_days: int,
    gap_days: int,
    known_until: datetime,
) -> tuple[Any, list[Any]]:
    """A table's rows at every prediction time, with how long into the label window each lies, and which count."""
    facts = instants_as_whole(profile.table(table, "labels"), profile.backend.name)
    rows = facts.cross_join(times_table(prediction_times))
    start = rows.prediction_time + gap_days * DAY_US
    limit = to_us(known_until)
    rows = rows.mutate(wait=rows[clock] - start)
    inside = [rows.wait >= 0, rows.wait < horizon_days * DAY_US, rows[clock] < limit]
    return rows, [*inside, *_known_by(rows, limit)]


def _known_by(rows: Any, limit: int) -> list[Any]:
    """Of rows that say when they could first be known, those that were; an empty one means: known at once."""
    return [rows.ingested_at.fill_null(limit) <= limit] if "ingested_at" in rows.columns else []


def _frame(profile: Profile, reduced: Any) -> pd.DataFrame:
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
    period = subscribers.period_days
    price = terms["monthly_value"].to_numpy() * period[who] / MONTH_DAYS
    first, due = subscribers.days_to_renewal, subscribers.due_within(horizon_days)
    stays = np.bincount(who[(begun < horizon_days) & (ended >= horizon_days)], minlength=len(keys)) > 0
    periods, value = np.zeros(len(keys)), np.zeros(len(keys))
    for coming in range(int(due.max(initial=0.0))):
        day = (first + coming * period)[who]
        runs = (begun < day) & (ended >= day) & (coming < due[who])
        paid = np.bincount(who[runs], minlength=len(keys)) > 0
        stays = np.where(due > coming, paid, stays)
        periods += paid
        value += np.bincount(who[runs], weights=price[runs], minlength=len(keys))
    return pd.DataFrame({"paid_periods": periods, "paid_value": value, "is_subscribed": stays.astype(np.float64)})


def _terms_running(profile: Profile, start: int, end: int, limit: int) -> pd.DataFrame:
    """Subscriptions that ran in a window, instants in microseconds; one that is running ends after everything."""
    table = instants_as_whole(profile.table("subscriptions", "labels"), profile.backend.name)
    ended = table.ended_at.fill_null(np.iinfo(np.int64).max)
    known = [table.started_at < end, ended >= start]
    if "ingested_at" in table.columns:  # an empty one means: known at once
        known.append(table.ingested_at.fill_null(limit) <= limit)
    rows = table.filter(*known).select(
        "customer_id",
        "started_at",
        ended_at=ended,
        monthly_value=table.monthly_value.cast("float64").fill_null(0.0),
    )
    frame: pd.DataFrame = profile.backend.to_pyarrow(rows).to_pandas()
    return frame
