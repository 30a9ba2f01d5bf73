"""What each customer's order days come to, by sorting whole numbers: for when nothing else of a large log is asked.

Nearly every order of a log is a group of its own by customer and day, and an engine's hash table of millions of groups
costs more than all the rest. Customer and day are one whole number here; sorted, equal ones lie side by side. The
features' declarations stay the ones they are: they find their reductions already made.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.btyd import T_days, frequency, monetary_value, recency_days
from features.contract import MONEY_SCALE
from features.profile import Profile
from features.snapshot import Snapshot, day_of
from features.spec import FeatureSet

SUMMED = {feature.name for feature in (frequency, recency_days, T_days, monetary_value)}
"""Features that see only an order day's count, first and last, and what it is worth in all and on the first."""
WORTH_SORTING, MOST_SORTED = 1_000_000, 15_000_000
"""Orders from which it is faster, and up to which they are held in memory; the engine goes to disk with more."""
LARGEST_AMOUNT, LARGEST = 2**51, 2**63
"""An amount's way through a double is exact below the former; keys and sums are whole numbers of 64 bits."""
Whole = npt.NDArray[np.int64]


def is_worth_sorting(profile: Profile, features: FeatureSet) -> bool:
    """Whether only the BTYD four of a large log are wanted, and its orders fit into memory.

    Parameters
    ----------
    profile : Profile
        The profile.
    features : FeatureSet
        What is wanted.
    """
    rows = next((summary.rows for summary in profile.summaries if summary.table == "orders"), 0)
    in_reach = profile.backend.name == "duckdb" and WORTH_SORTING <= rows <= MOST_SORTED
    return in_reach and set(features.names) <= SUMMED


def build_totals(profile: Profile, features: FeatureSet, times: Sequence[int]) -> pa.Table | None:
    """Build features that see only what order days come to.

    Parameters
    ----------
    profile : Profile
        A profile in the embedded engine.
    features : FeatureSet
        Some of the BTYD four.
    times : sequence of int
        The prediction times, in microseconds since the epoch, in order.

    Returns
    -------
    pyarrow.Table or None
        As the engine would answer, ordered by time and customer; None if amounts are too large to be added exactly.
    """
    backend: Any = profile.backend
    latest = Snapshot(profile.tables, times[-1])
    spine, orders = latest.spine(), latest.relation("orders")
    known = spine.mutate(number=ibis.row_number().over(order_by=spine.customer_id)).cache()
    units = (orders.value.cast("float64") * 10**MONEY_SCALE).round().cast("int64")
    told = {"day": day_of(orders.event_time).cast("int32"), "units": units}
    if len(times) > 1:
        told["since"] = _counts_from(orders)
    placed = orders.select("customer_id", **told).join(known, "customer_id").select("number", *told)
    rows = backend.to_pyarrow(placed)
    if not _is_exact(rows.column("units")):
        return None
    everyone = backend.to_pyarrow(known.order_by("number").customer_id).combine_chunks()
    parts = []
    for time in times:
        here = rows.filter(pc.less_equal(rows.column("since"), time)) if len(times) > 1 else rows
        built = _declared(ibis.memtable(totals_of(here, len(everyone))), features, time)
        answer = backend.to_pyarrow(built.order_by("number"))
        keys = {"customer_id": everyone, "prediction_time": pa.repeat(pa.scalar(time), len(everyone))}
        part = pa.table(keys | {name: answer.column(name) for name in features.names})
        if time < times[-1]:  # when not everyone was known yet
            people = Snapshot(profile.tables, time).spine().join(known.select("customer_id", "number"), "customer_id")
            part = part.take(backend.to_pyarrow(people.order_by("number").number))
        parts.append(part)
    return pa.concat_tables(parts)


def _counts_from(orders: ir.Table) -> Any:
    """The first prediction time that sees an order, in microseconds: after it happened, and once it is known."""
    happened = orders.event_time + 1
    return (
        ibis.greatest(happened, orders.ingested_at.fill_null(happened)) if "ingested_at" in orders.columns else happened
    )


def _is_exact(units: pa.ChunkedArray) -> bool:
    """Whether amounts can be read and added up without loss."""
    amounts = pc.abs(units)
    return not amounts.null_count and (
        not len(amounts)
        or (pc.max(amounts).as_py() < LARGEST_AMOUNT and pc.sum(amounts.cast(pa.float64())).as_py() < LARGEST)
    )


def totals_of(orders: pa.Table, customers: int) -> pa.Table:
    """Add up the order days of each customer.

    Parameters
    ----------
    orders : pyarrow.Table
        `number` of the customer from 0, UTC `day` since the epoch, and `units` (int64), the amount as a whole number.
    customers : int
        How many customers there are, with orders or without.

    Returns
    -------
    pyarrow.Table
        `number` and `days`; `first_day`, `last_day`, `units` and `first_units` (those of the first day), null without
        an order.
    """
    days = pc.min_max(orders.column("day")).as_py()
    earliest = days["min"] or 0
    span = (days["max"] or 0) - earliest + 1
    key_type = np.int32 if customers * span < 2**31 else np.int64
    keys, units, first_units = (
        np.empty(len(orders), key_type),
        np.zeros(customers, np.int64),
        np.zeros(customers, np.int64),
    )
    filled = 0
    for number, day, amount in _batches(orders):
        keys[filled : filled + len(number)] = number * span + (day - earliest)
        np.add.at(units, number, amount)
        filled += len(number)
    keys.sort()
    keys = keys[np.diff(keys, prepend=key_type(-1)) != 0]
    end = np.searchsorted(keys, (np.arange(1, customers + 1) * span).astype(key_type))
    count = np.diff(end, prepend=0)
    ordered = count > 0
    first, last = np.zeros(customers, np.int64), np.zeros(customers, np.int64)
    first[ordered] = keys[(end - count)[ordered]] % span + earliest
    last[ordered] = keys[end[ordered] - 1] % span + earliest
    for number, day, amount in _batches(orders):
        on_first = day == first[number]
        np.add.at(first_units, number[on_first], amount[on_first])
    found = {"first_day": first, "last_day": last, "units": units, "first_units": first_units}
    known = {name: pa.array(values, mask=~ordered) for name, values in found.items()}
    return pa.table({"number": np.arange(customers), "days": count, **known})


def _batches(orders: pa.Table) -> Iterator[list[Whole]]:
    """Columns of a part at a time: what need not be held at once is not."""
    for batch in orders.select(["number", "day", "units"]).to_batches():
        yield [column.to_numpy() for column in batch.columns]


def _declared(totals: ir.Table, features: FeatureSet, time: int) -> ir.Table:
    """Features as declared, over order days whose reductions stand in a table of totals."""
    last_decimal = ibis.literal(Decimal(1).scaleb(-MONEY_SCALE), f"decimal(38, {MONEY_SCALE})")
    amounts = {
        name: totals[name].cast(f"decimal(38, {MONEY_SCALE})") * last_decimal for name in ("units", "first_units")
    }
    days = SimpleNamespace(
        count=lambda: totals.days,
        day=SimpleNamespace(min=lambda: totals.first_day, max=lambda: totals.last_day),
        last_day=SimpleNamespace(max=lambda: day_of(ibis.literal(time - 1, "int64"))),
        value=SimpleNamespace(sum=lambda: amounts["units"]),
        first_value=amounts["first_units"],
    )
    return totals.select("number", **{each.name: each.build(days).cast(each.dtype) for each in features.features})
