"""What the columns of a profile hold: filled cells, constants, identifiers, and what was written down afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from features.check import Finding
from features.conform import Conformed
from features.instants import days
from features.profile import Profile

EMPTY_SAYS_SOMETHING = {"ingested_at", "responded_at", "score", "ended_at", "term_ends_at", "valid_to", "is_return"}
"""Columns that are rightly empty: known at once, not answered, still running, not a return."""
FREE = {"comment", "currency", "metric"}
"""Text that may be all different or all alike."""
LEAST_FILLED, NEAR_CONSTANT, IDENTIFIER = 100, 0.995, 0.9
FEW_LEVELS = 1_000
SILENT_DAYS, LEAST_GROUP, APART = 90, 30, 0.5


@dataclass(frozen=True)
class ColumnFacts:
    """What a column of the contract holds.

    Parameters
    ----------
    table, column : str
        Which.
    rows, filled : int
        Rows, and those with a value.
    distinct : int or None
        About how many different values; None for columns that are not text.
    """

    table: str
    column: str
    rows: int
    filled: int
    distinct: int | None


def examine_content(profile: Profile) -> tuple[list[Finding], list[ColumnFacts]]:
    """Look into every column, in two passes a table and one over customers and their orders.

    Returns
    -------
    findings : list of Finding
        Step "content".
    columns : list of ColumnFacts
        One for each column of the contract that is there.
    """
    findings: list[Finding] = []
    columns: list[ColumnFacts] = []
    for name, table in profile.conformed.items():
        facts = _describe(name, table)
        columns += facts
        findings += [*_constant(table, facts), *_identifiers(facts)]
    if profile.has("customers") and profile.has("orders") and any(s.first for s in profile.summaries):
        findings += _after_the_outcome(profile)
    return findings, columns


def _columns(table: Conformed) -> list[Any]:
    return [column for column in table.contract.columns if column.name in table.staged.columns]


def _describe(name: str, table: Conformed) -> list[ColumnFacts]:
    measures: dict[str, ir.Value] = {"rows": table.staged.count()}
    texts = [column.name for column in _columns(table) if column.kind == "text"]
    for column in _columns(table):
        measures[f"filled_{column.name}"] = table.as_read(column.name).nullif("").count()
    measures |= {f"distinct_{column}": table.staged[column].approx_nunique() for column in texts}
    row = table.staged.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return [
        ColumnFacts(name, c.name, row["rows"], row[f"filled_{c.name}"], row.get(f"distinct_{c.name}"))
        for c in _columns(table)
    ]


def _constant(table: Conformed, facts: list[ColumnFacts]) -> Iterator[Finding]:
    """Text columns in which nearly every filled row says the same."""
    few = [f for f in facts if f.distinct is not None and f.distinct <= FEW_LEVELS and f.filled >= LEAST_FILLED]
    few = [f for f in few if f.column not in FREE]
    for facts_of, value, rows in _commonest(table, few):
        if rows >= NEAR_CONSTANT * facts_of.filled:
            yield _of_column(
                facts_of,
                "advice",
                "nearly the same value everywhere",
                f"{value!r} in {rows:,} of {facts_of.filled:,} filled rows",
                f"another value in more than {1 - NEAR_CONSTANT:.1%} of them",
                "It tells customers apart hardly ever; check whether it is filled by default.",
            )


def _commonest(table: Conformed, columns: list[ColumnFacts]) -> Iterator[tuple[ColumnFacts, str, int]]:
    """The most common value of each column and its rows, in one query."""
    if not columns:
        return
    counted = []
    for facts in columns:
        value = table.staged[facts.column]
        levels = table.staged.filter(value.notnull()).group_by(value=value).aggregate(rows=lambda t: t.count())
        counted.append(
            levels.order_by([levels.rows.desc(), levels.value]).limit(1).mutate(name=ibis.literal(facts.column))
        )
    rows = (
        {row["name"]: row for row in ibis.union(*counted).to_pyarrow().to_pylist()}
        if len(counted) > 1
        else {row["name"]: row for row in counted[0].to_pyarrow().to_pylist()}
    )
    for facts in columns:
        if facts.column in rows:
            yield facts, rows[facts.column]["value"], int(rows[facts.column]["rows"])


def _identifiers(facts: list[ColumnFacts]) -> Iterator[Finding]:
    for f in facts:
        if f.distinct is None or f.column in FREE or f.filled < LEAST_FILLED:
            continue
        if f.distinct >= IDENTIFIER * f.filled:
            yield _of_column(
                f,
                "warning",
                "like an identifier: nearly every row has a value of its own",
                f"about {min(f.distinct, f.filled):,} values in {f.filled:,} filled rows",
                "values that several rows share",
                "Leave it out, or write the group it belongs to instead.",
            )


def _of_column(facts: ColumnFacts, severity: Any, rule: str, found: str, allowed: str, remedy: str) -> Finding:
    return Finding(severity, facts.table, facts.column, rule, 0, 0, found, allowed, remedy, "content")


def _after_the_outcome(profile: Profile) -> Iterator[Finding]:
    """Attributes that are there for customers who stopped and not for the others, or the other way round."""
    table = profile.conformed["customers"]
    names = [column.name for column in _columns(table) if column.nullable and column.name != "ingested_at"]
    if not names:
        return
    orders = profile.tables["orders"]
    last = orders.group_by("customer_id").aggregate(last=orders.event_time.max())
    filled = {f"has_{name}": table.as_read(name).nullif("").notnull() for name in names}
    people = table.staged.select("customer_id", **filled).join(last, "customer_id")
    stopped = people["last"] < profile.known_until - days(SILENT_DAYS)
    measures: dict[str, ir.Value] = {"stopped": stopped.sum(), "others": (~stopped).sum()}
    for name in names:
        measures |= {f"stopped_{name}": (stopped & people[f"has_{name}"]).sum()}
        measures |= {f"others_{name}": (~stopped & people[f"has_{name}"]).sum()}
    row: Mapping[str, Any] = people.aggregate(**measures).to_pyarrow().to_pylist()[0]
    sizes = int(row["stopped"] or 0), int(row["others"] or 0)
    if min(sizes) < LEAST_GROUP:
        return
    for name in names:
        stopped_share, others_share = row[f"stopped_{name}"] / sizes[0], row[f"others_{name}"] / sizes[1]
        if abs(stopped_share - others_share) >= APART:
            yield Finding(
                "warning",
                "customers",
                name,
                "filled as if it was recorded after the outcome",
                0,
                0,
                f"filled for {stopped_share:.0%} of customers without an order in the last {SILENT_DAYS} days and "
                f"for {others_share:.0%} of the others",
                f"shares that differ by less than {APART:.0%}",
                f"Leave customers.{name} out, unless it was known before.",
                "content",
            )
