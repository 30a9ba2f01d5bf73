"""What customers did after a prediction time: the only place that looks ahead."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import pandas as pd

from features.instants import DAY_US, to_us
from features.occurrences import Occurrence
from features.profile import Profile
from features.snapshot import KEYS, day_of, instants_as_whole, times_table
from features.spec import Facts

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
