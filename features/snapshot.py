"""The profile as known at one or more prediction times: the only thing a feature may see.

A fact counts when ``event_time < prediction_time`` and ``ingested_at <= prediction_time``. Every relation of a
snapshot has one row per fact *and* prediction time it counts for, with instants in whole microseconds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from features.contract import dates_of
from features.errors import MissingColumn, MissingTable
from features.instants import DAY_US, to_us

KEYS = ("customer_id", "prediction_time")
YEAR_DAYS = 365
RENEWED_WITHIN_DAYS = 30
"""A subscription that ends and begins again within these days has been renewed."""
SUPPORT_KINDS = ("support_ticket", "complaint", "call")


_FROM_INSTANT = ((dt.Timestamp(timezone="UTC"),), dt.int64)


@ibis.udf.scalar.builtin(signature=_FROM_INSTANT)
def epoch_us(instant):  # type: ignore[no-untyped-def]
    """Microseconds since the epoch, on DuckDB."""


@ibis.udf.scalar.builtin(signature=_FROM_INSTANT)
def unix_micros(instant):  # type: ignore[no-untyped-def]
    """Microseconds since the epoch, on Spark."""


MICROSECONDS: dict[str, Callable[[ir.Value], ir.Value]] = {"duckdb": epoch_us, "pyspark": unix_micros}


@dataclass(frozen=True)
class Snapshot:
    """What was known at the prediction times.

    Parameters
    ----------
    tables : mapping of str to ibis table
        A profile's conformed tables.
    times : ibis table, ibis value or int
        One int64 column `prediction_time`, in microseconds; or the only one, which the engine then plans with.
    engine : str
        Name of the Ibis backend that will run it.
    """

    tables: Mapping[str, ir.Table]
    times: ir.Table | ir.Value | int
    engine: str = "duckdb"
    _relations: dict[str, ir.Table] = field(default_factory=dict, init=False, repr=False, compare=False)

    def spine(self) -> ir.Table:
        """The rows to predict for: every customer already known at each prediction time."""
        customers = self._known("customers", None)
        return customers.select(*KEYS)

    def relation(self, name: str) -> ir.Table:
        """A relation that features are declared over.

        Raises
        ------
        MissingTable, MissingColumn
            If the profile lacks what the relation is made of.
        """
        if name not in self._relations:
            self._relations[name] = RELATIONS[name](self)
        return self._relations[name]

    def _known(self, name: str, clock: str | None) -> ir.Table:
        """The rows of a table that count at each prediction time, instants in microseconds."""
        if name not in self.tables:
            raise MissingTable(name, f"relation {name!r}", self.tables)
        rows = instants_as_whole(self.tables[name], self.engine)
        if isinstance(self.times, ir.Table):
            rows = rows.cross_join(self.times)
        else:
            time = ibis.literal(self.times, "int64") if isinstance(self.times, int) else self.times
            rows = rows.mutate(prediction_time=time)
        counts = [] if clock is None else [rows[clock] < rows.prediction_time]
        if "ingested_at" in rows.columns:  # an empty one means: known at once
            counts.append(rows.ingested_at.isnull() | (rows.ingested_at <= rows.prediction_time))
        known = rows.filter(*counts) if counts else rows
        return _as_known(known) if name == "customers" else known


def _as_known(customers: ir.Table) -> ir.Table:
    """Attributes as they were known: null before their time, which itself is not to be seen."""
    times, at = times_of(customers), customers.prediction_time
    if not times:
        return customers
    is_known = {name: customers[time].isnull() | (customers[time] <= at) for name, time in times.items()}
    known = {name: here.ifelse(customers[name], None) for name, here in is_known.items()}
    return customers.mutate(**known).drop(*times.values())


def times_of(customers: ir.Table) -> dict[str, str]:
    """Attributes of which it is known since when they are so, with the column that says it.

    In a table without instants, such as a flat one, a column of such a name is one like any other.
    """
    types = customers.schema()
    dates = dates_of(customers.columns).items()
    return {name: date for name, date in dates if types[date].is_timestamp() or types[date].is_int64()}


def make_snapshot(
    tables: Mapping[str, ir.Table], prediction_times: Sequence[datetime], engine: str = "duckdb"
) -> Snapshot:
    """See a profile's tables as they were known at some instants.

    Parameters
    ----------
    tables : mapping of str to ibis table
        Conformed tables.
    prediction_times : sequence of datetime
        Aware instants, each taken once.
    engine : str
        Name of the Ibis backend.
    """
    times = sorted({to_us(instant) for instant in prediction_times})
    return Snapshot(tables, times[0] if len(times) == 1 else times_table(prediction_times), engine)


def instants_as_whole(table: ir.Table, engine: str) -> ir.Table:
    """Give a table its instants in whole microseconds since the epoch."""
    micros = MICROSECONDS[engine]
    return table.mutate(**{c: micros(table[c]) for c, dtype in table.schema().items() if dtype.is_timestamp()})


def times_table(prediction_times: Iterable[datetime]) -> ir.Table:
    """Prediction times as a table of microseconds, each once."""
    times = sorted({to_us(instant) for instant in prediction_times})
    return ibis.memtable(pa.table({"prediction_time": pa.array(times, pa.int64())}))


def _orders(snapshot: Snapshot) -> ir.Table:
    """Orders placed; rows that give money back are in `returns`."""
    known = snapshot._known("orders", "event_time")
    return known.filter(~known.is_return.fill_null(False)) if "is_return" in known.columns else known


def _returns(snapshot: Snapshot) -> ir.Table:
    """Rows that give money back; `value` is the amount given back, whatever its sign in the source."""
    known = snapshot._known("orders", "event_time")
    if "is_return" not in known.columns:
        raise MissingColumn("orders", "is_return")
    return known.filter(known.is_return.fill_null(False)).mutate(value=lambda t: t.value.abs())


def _order_rows(snapshot: Snapshot) -> ir.Table:
    """Orders placed and rows that give money back, these with a negative value and the margin taken back."""
    known = snapshot._known("orders", "event_time")
    if "is_return" not in known.columns:
        return known
    gives_back = known.is_return.fill_null(False)
    signed = {"value": gives_back.ifelse(-known.value.abs(), known.value)}
    if "margin_value" in known.columns:  # of the same sign as in the source where the value is
        signed["margin_value"] = (gives_back & (known.value > 0)).ifelse(-known.margin_value, known.margin_value)
    return known.mutate(**signed)


def _order_days(snapshot: Snapshot) -> ir.Table:
    """Days with an order, one row a customer and day: what the BTYD models count.

    `day` is the number of the UTC day since the epoch, `gap_days` the days since the previous order day (null on
    the first), `last_day` the last observed day: the one that holds the instant just before the prediction time.
    """
    orders = _orders(snapshot)
    dated = orders.mutate(day=day_of(orders.event_time))
    days = dated.group_by([*KEYS, "day"]).aggregate(value=dated.value.sum(), event_time=dated.event_time.max())
    ordered = ibis.window(group_by=KEYS, order_by="day")
    return days.mutate(gap_days=days.day - days.day.lag().over(ordered), last_day=day_of(days.prediction_time - 1))


def _order_steps(snapshot: Snapshot) -> ir.Table:
    """Orders with a channel, each with the channel of the one before (null on the first)."""
    orders = _orders(snapshot)
    if "channel" not in orders.columns:
        raise MissingColumn("orders", "channel")
    known = orders.filter(orders.channel.notnull())
    ordered = ibis.window(group_by=KEYS, order_by=["event_time", "order_id"])
    return known.select(*KEYS, "event_time", "channel", previous_channel=known.channel.lag().over(ordered))


def _order_shares(snapshot: Snapshot, column: str) -> ir.Table:
    """How a customer's orders of the last year spread over the levels of a column, one row a customer and level."""
    orders = _orders(snapshot)
    if column not in orders.columns:
        raise MissingColumn("orders", column)
    lately = orders.filter(orders[column].notnull(), orders.prediction_time - orders.event_time <= YEAR_DAYS * DAY_US)
    return lately.group_by([*KEYS, column]).aggregate(order_count=lately.count(), value=lately.value.sum())


def _event_days(snapshot: Snapshot) -> ir.Table:
    """Days with an event, one row a customer and day."""
    events = snapshot._known("events", "event_time")
    dated = events.mutate(day=day_of(events.event_time))
    return dated.group_by([*KEYS, "day"]).aggregate(event_time=dated.event_time.max())


def _support_days(snapshot: Snapshot) -> ir.Table:
    """Days on which a customer contacted support, with the days since the contact day before (null on the first)."""
    events = snapshot._known("events", "event_time")
    contacts = events.filter(events.kind.isin(SUPPORT_KINDS))
    dated = contacts.mutate(day=day_of(contacts.event_time))
    days = dated.group_by([*KEYS, "day"]).aggregate(event_time=dated.event_time.max())
    ordered = ibis.window(group_by=KEYS, order_by="day")
    return days.mutate(gap_days=days.day - days.day.lag().over(ordered))


def day_of(microseconds: Any) -> ir.IntegerValue:
    """Number of the UTC day that holds an instant."""
    return microseconds // DAY_US


def _surveys(snapshot: Snapshot) -> ir.Table:
    """Questions asked; `score` only where it was answered before the prediction time."""
    known = snapshot._known("surveys", "sent_at")
    for column in ("responded_at", "score"):
        if column not in known.columns:
            raise MissingColumn("surveys", column)
    answered = (known.responded_at < known.prediction_time).fill_null(False) & known.score.notnull()
    return known.mutate(
        score=answered.ifelse(known.score, None),
        responded_at=answered.ifelse(known.responded_at, None),
        is_answered=answered,
    )


def _asked_after_orders(snapshot: Snapshot) -> ir.Table:
    """Questions asked after an order, with the time since; an order at the instant of a question comes before it."""
    orders, surveys = _orders(snapshot), _surveys(snapshot)
    asked = surveys.select(*KEYS, at="sent_at", turn=ibis.literal(1), ordered_at=ibis.null("int64"), sent_at="sent_at")
    ordered = orders.select(
        *KEYS, at="event_time", turn=ibis.literal(0), ordered_at="event_time", sent_at=ibis.null("int64")
    )
    both = asked.union(ordered)
    so_far = ibis.cumulative_window(group_by=KEYS, order_by=["at", "turn"])  # an order comes before its question
    timed = both.mutate(last_order=both.ordered_at.max().over(so_far)).filter(lambda t: t.sent_at.notnull())
    after = timed.filter(timed.last_order.notnull())
    return after.select(*KEYS, "sent_at", waited=after.sent_at - after.last_order)


def _subscriptions(snapshot: Snapshot) -> ir.Table:
    """Subscriptions begun; an end that still lies ahead is not known yet."""
    known = snapshot._known("subscriptions", "started_at")
    if "ended_at" not in known.columns:
        raise MissingColumn("subscriptions", "ended_at")
    return known.mutate(ended_at=(known.ended_at < known.prediction_time).ifelse(known.ended_at, None))


def _subscription_terms(snapshot: Snapshot) -> ir.Table:
    """Subscriptions begun, each with the end and the price of the term before under the same id (null on the first)."""
    known = _subscriptions(snapshot)
    terms = ibis.window(group_by=[*KEYS, "subscription_id"], order_by="started_at")
    previous = {"previous_ended_at": known.ended_at.lag().over(terms)}
    if "monthly_value" in known.columns:
        previous["previous_monthly_value"] = known.monthly_value.lag().over(terms)
    return known.mutate(term=ibis.row_number().over(terms), **previous)


def _subscription_spells(snapshot: Snapshot) -> ir.Table:
    """Subscriptions begun, each with the last instant until which one was running before it (null for the first).

    `until` is the end of the subscription, or the prediction time while it runs; `begins_spell` says that none was
    running in the 30 days before it began.
    """
    begun = _subscriptions(snapshot)
    rows = begun.select(*KEYS, "started_at", "subscription_id", until=begun.ended_at.fill_null(begun.prediction_time))
    order = {"group_by": KEYS, "order_by": ["started_at", "subscription_id"]}
    reached = rows.mutate(reached=rows.until.max().over(ibis.cumulative_window(**order)))
    known = reached.mutate(ran_until=reached.reached.lag().over(ibis.window(**order)))
    pause = known.started_at - known.ran_until
    return known.mutate(begins_spell=(pause > RENEWED_WITHIN_DAYS * DAY_US).fill_null(True))


RELATIONS: dict[str, Callable[[Snapshot], ir.Table]] = {
    "customers": lambda snapshot: snapshot._known("customers", None),
    "orders": _orders,
    "returns": _returns,
    "order_rows": _order_rows,
    "order_days": _order_days,
    "order_steps": _order_steps,
    "order_channels": lambda snapshot: _order_shares(snapshot, "channel"),
    "order_categories": lambda snapshot: _order_shares(snapshot, "category"),
    "events": lambda snapshot: snapshot._known("events", "event_time"),
    "event_days": _event_days,
    "support_days": _support_days,
    "surveys": _surveys,
    "asked_after_orders": _asked_after_orders,
    "subscriptions": _subscriptions,
    "subscription_terms": _subscription_terms,
    "subscription_spells": _subscription_spells,
    "campaigns": lambda snapshot: snapshot._known("campaigns", "event_time"),
}
TABLE_OF = {
    "returns": "orders",
    "order_rows": "orders",
    "order_days": "orders",
    "order_steps": "orders",
    "order_channels": "orders",
    "order_categories": "orders",
    "event_days": "events",
    "support_days": "events",
    "asked_after_orders": "surveys",
    "subscription_terms": "subscriptions",
    "subscription_spells": "subscriptions",
}
"""The profile table behind each relation that has another name."""
