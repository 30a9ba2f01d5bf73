"""What the columns of a profile hold: filled cells, constants, identifiers, and what was written down afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from features.attributes import holds_words, own_names
from features.contract import KNOWN_FROM, dates_of
from features.finding import Finding
from features.instants import days
from features.profile import Profile
from features.reading.conform import Conformed

EMPTY_SAYS_SOMETHING = {"ingested_at", "responded_at", "score", "ended_at", "term_ends_at", "valid_to", "is_return"}
"""Columns that are rightly empty: known at once, not answered, still running, not a return."""
FREE = {"comment", "currency", "metric"}
"""Text that may be all different or all alike."""
LEAST_FILLED, NEAR_CONSTANT, IDENTIFIER = 100, 0.995, 0.9
FEW_LEVELS = 1_000
SILENT_DAYS, LEAST_GROUP, APART, MOST_BESIDE = 90, 30, 0.5, 0.01
STOPPED = f"customers without an order in the last {SILENT_DAYS} days"


@dataclass(frozen=True)
class ColumnFacts:
    """What a column of the contract holds, or one of the company's own of its customers.

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
        One for each column of the contract that is there, and for each of the company's own of its customers.
    """
    findings: list[Finding] = []
    columns: list[ColumnFacts] = []
    for name, table in profile.conformed.items():
        facts = _describe(name, table)
        columns += facts
        findings += [*_empty(facts), *_constant(table, facts), *_identifiers(facts)]
    if profile.has("customers") and profile.has("orders") and any(s.first for s in profile.summaries):
        findings += _after_the_outcome(profile, columns)
    return findings, columns


def _columns(table: Conformed) -> list[Any]:
    return [column for column in table.contract.columns if column.name in table.staged.columns]


def _own(table: Conformed) -> list[str]:
    """The company's own columns, which only its customers have."""
    return own_names(table.typed) if table.contract.name == "customers" else []


def _filled(table: Conformed, name: str) -> Any:
    """Whether a cell holds anything, readable or not."""
    cell = table.as_read(name).nullif("") if name in table.contract.by_name else table.staged[name]
    return cell.notnull()


def _describe(name: str, table: Conformed) -> list[ColumnFacts]:
    measures: dict[str, ir.Value] = {"rows": table.staged.count()}
    own = _own(table)
    names = [*(column.name for column in _columns(table)), *own]
    texts = [column.name for column in _columns(table) if column.kind == "text"]
    texts += [column for column in own if table.staged[column].type().is_string()]
    measures |= {f"filled_{column}": _filled(table, column).sum() for column in names}
    measures |= {f"distinct_{column}": table.staged[column].approx_nunique() for column in texts}
    measures |= {f"words_{column}": holds_words(table.staged[column]) for column in own if column in texts}
    row = table.staged.aggregate(**measures).to_pyarrow().to_pylist()[0]
    numbers = {column for column in own if column in texts and not row[f"words_{column}"]}
    levels = {column: row[f"distinct_{column}"] for column in texts if column not in numbers}
    return [ColumnFacts(name, c, row["rows"], int(row[f"filled_{c}"] or 0), levels.get(c)) for c in names]


def _empty(facts: list[ColumnFacts]) -> Iterator[Finding]:
    for f in facts:
        says_something = f.column in EMPTY_SAYS_SOMETHING or f.column.endswith(KNOWN_FROM)
        if f.rows and not f.filled and not says_something:
            remedy = "Fill it, or leave the column out: it says nothing of anyone."
            yield _of_column(f, "advice", "no value in any row", f"{f.rows:,} empty cells", "a value in some", remedy)


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


def _after_the_outcome(profile: Profile, facts: list[ColumnFacts]) -> Iterator[Finding]:
    """Attributes that are there for customers who stopped and not for the others, or a value of which says who did."""
    table = profile.conformed["customers"]
    nullable = [column.name for column in _columns(table) if column.nullable and column.name != "ingested_at"]
    filled_cells = {f.column: f.filled for f in facts if f.table == "customers"}
    dates = dates_of(filled_cells)
    dated = [name for name, date in dates.items() if filled_cells[date] >= filled_cells[name]]  # known from then on
    names = [name for name in (*nullable, *_own(table)) if name not in (*dated, *dates.values())]
    if not names:
        return
    leveled = [f.column for f in facts if f.table == "customers" and f.distinct and f.distinct <= FEW_LEVELS]
    orders = profile.tables["orders"]
    last = orders.group_by("customer_id").aggregate(__last=orders.event_time.max())
    filled = {f"__has_{name}": _filled(table, name) for name in names}
    people = table.staged.select("customer_id", *leveled, **filled).join(last, "customer_id")
    people = people.mutate(__stopped=people["__last"] < profile.known_until - days(SILENT_DAYS))
    stopped = people["__stopped"]
    measures: dict[str, ir.Value] = {"stopped": stopped.sum(), "others": (~stopped).sum()}
    for name in names:
        measures |= {f"stopped_{name}": (stopped & people[f"__has_{name}"]).sum()}
        measures |= {f"others_{name}": (~stopped & people[f"__has_{name}"]).sum()}
    row: Mapping[str, Any] = people.aggregate(**measures).to_pyarrow().to_pylist()[0]
    sizes = int(row["stopped"] or 0), int(row["others"] or 0)
    if min(sizes) < LEAST_GROUP:
        return
    for name in names:
        stopped_share, others_share = row[f"stopped_{name}"] / sizes[0], row[f"others_{name}"] / sizes[1]
        if abs(stopped_share - others_share) >= APART:
            found = f"filled for {stopped_share:.0%} of {STOPPED} and for {others_share:.0%} of the others"
            allowed = f"shares that differ by less than {APART:.0%}"
            yield _afterwards(name, "filled as if it was recorded after the outcome", found, allowed)
        elif name in leveled:
            yield from _telling_level(people, name, sizes)


def _telling_level(people: ir.Table, name: str, sizes: tuple[int, int]) -> Iterator[Finding]:
    """The value of an attribute that most of one group have and nearly nobody of the other."""
    levels = people.filter(people[name].notnull()).group_by(value=people[name])
    counted = levels.aggregate(stopped=lambda t: t["__stopped"].sum(), others=lambda t: (~t["__stopped"]).sum())
    shares = counted.mutate(a=counted.stopped / sizes[0], b=counted.others / sizes[1])
    telling = shares.filter(ibis.greatest(shares.a, shares.b) >= APART, ibis.least(shares.a, shares.b) <= MOST_BESIDE)
    for level in telling.order_by("value").limit(1).to_pyarrow().to_pylist():
        found = f"{level['value']!r} of {level['a']:.0%} of {STOPPED} and of {level['b']:.0%} of the others"
        allowed = f"no value of {APART:.0%} of one group and at most {MOST_BESIDE:.0%} of the other"
        yield _afterwards(name, "a value as if it was recorded after the outcome", found, allowed)


def _afterwards(name: str, rule: str, found: str, allowed: str) -> Finding:
    remedy = f"Leave customers.{name} out, unless it was known before."
    return Finding("warning", "customers", name, rule, 0, 0, found, allowed, remedy, "content")
