"""What a profile holds against the contract: every finding with its table, column, rule, rows and remedy."""

import functools
import operator
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from features.contract import FACT_TABLES, KNOWN_FROM, KNOWN_WITH_ROW, contract_of, dates_of
from features.errors import listed
from features.finding import Finding, Severity, by_severity
from features.reading.conform import Conformed, Rule, wrong_type

ORPHAN = "a customer_id that is not in customers"
LACKING = "a required column is missing"
COPIES_BREAK = ("surveys", "campaigns", "identities")
"""Tables without a key in which a row equal to another in every column is one delivered twice; events without an
`event_id` may repeat."""


@dataclass(frozen=True)
class TableSummary:
    """How much a table holds and over what time.

    Parameters
    ----------
    table : str
        The table.
    rows, customers : int
        Rows, and customers named in them.
    first, last : str or None
        First and last instant of its clock at which facts can have happened, ISO 8601; None for tables without one.
    """

    table: str
    rows: int
    customers: int
    first: str | None
    last: str | None


def inspect_schema(name: str, raw: ir.Table) -> list[Finding]:
    """What is wrong with a table's columns before any row is read.

    Parameters
    ----------
    name : str
        The table of the contract.
    raw : ibis Table
        As found.

    Returns
    -------
    list of Finding
        A required column that is missing, or one of a type that cannot hold what it should.
    """
    contract = contract_of(name, raw.columns)
    findings = [
        Finding("error", name, column, LACKING, 0, 0, listed(raw.columns), column, f"Add it to {name}.", "read")
        for column in contract.required
        if column not in raw.columns
    ]
    schema = raw.schema()
    for column in contract.columns:
        if column.name in schema and (wrong := wrong_type(contract, column, schema[column.name])):
            found, allowed, fix = wrong
            findings.append(Finding("error", name, column.name, "wrong type", 0, 0, found, allowed, fix, "types"))
    return findings


def inspect(tables: Mapping[str, Conformed]) -> tuple[list[Finding], list[TableSummary]]:
    """Hold every row of every table against the contract.

    Parameters
    ----------
    tables : mapping of str to Conformed
        The profile's tables by name.

    Returns
    -------
    findings : list of Finding
        Errors first, in the order of the contract.
    summaries : list of TableSummary
        One a table.
    """
    findings: list[Finding] = []
    summaries: list[TableSummary] = []
    for name, table in tables.items():
        summary, broken = _inspect_rows(table)
        summaries.append(summary)
        findings += broken
        findings += _inspect_sets(table, summary.rows)
        if name in COPIES_BREAK:
            findings += _inspect_copies(table, summary.rows)
        if name != "customers" and "customers" in tables:
            findings += _inspect_orphans(table, tables["customers"], summary.rows)
    findings += _inspect_currencies(tables.values())
    return by_severity([*_empty(summaries), *findings, *_advise(tables)]), summaries


def _inspect_rows(table: Conformed) -> tuple[TableSummary, list[Finding]]:
    """Count the rows that break each rule, in one pass over the table."""
    staged, name = table.staged, table.contract.name
    key = "order_id" if name == "orders" else "customer_id"
    measures: dict[str, ir.Value] = {"rows": staged.count(), "customers": staged.customer_id.nunique()}
    clock = table.contract.clock
    if clock:
        sane = table.happened()
        measures |= {"first": staged[clock].min(where=sane), "last": staged[clock].max(where=sane)}
    for i, rule in enumerate(table.rules):
        at_key = staged[key].fill_null("")
        measures[f"n{i}"] = rule.broken.sum()
        measures[f"key{i}"] = at_key.min(where=rule.broken)
        measures[f"found{i}"] = rule.found.fill_null("").argmin(at_key, where=rule.broken)
    measures |= {f"offsets_{column}": offset.nunique() for column, offset in table.offsets.items()}
    measures |= {f"offset_low_{column}": offset.min() for column, offset in table.offsets.items()}
    measures |= {f"offset_high_{column}": offset.max() for column, offset in table.offsets.items()}
    row = staged.aggregate(**measures).to_pyarrow().to_pylist()[0]
    findings = [
        _row_finding(name, rule, int(row[f"n{i}"]), row["rows"], key, row[f"key{i}"], row[f"found{i}"])
        for i, rule in enumerate(table.rules)
        if row[f"n{i}"]
    ]
    for column in table.offsets:
        low, high = row[f"offset_low_{column}"], row[f"offset_high_{column}"]
        if row[f"offsets_{column}"] > 1:
            findings.append(_mixed_zones(name, column, low, high))
    first, last = (row["first"], row["last"]) if clock else (None, None)
    summary = TableSummary(
        name,
        row["rows"],
        row["customers"],
        first.isoformat() if first else None,
        last.isoformat() if last else None,
    )
    return summary, findings


def _row_finding(table: str, rule: Rule, rows: int, of: int, key: str, at: str, found: str) -> Finding:
    example = f"{key} {at!r} has {found!r}"
    return Finding("error", table, rule.column, rule.name, rows, of, example, rule.allowed, rule.remedy, rule.step)


def _mixed_zones(table: str, column: str, low: str, high: str) -> Finding:
    return Finding(
        "error",
        table,
        column,
        "mixed time zones",
        0,
        0,
        f"offsets {low!r} and {high!r}",
        "one offset in a column, best Z",
        f"Convert {table}.{column} to UTC.",
        "types",
    )


def _empty(summaries: Sequence[TableSummary]) -> Iterator[Finding]:
    """Tables without rows: a profile needs customers and one fact."""
    no_fact = not any(summary.rows for summary in summaries if summary.table in FACT_TABLES)
    for table in (summary.table for summary in summaries if not summary.rows):
        needed = table == "customers" or (no_fact and table in FACT_TABLES)
        severity: Severity = "error" if needed else "warning"
        remedy = f"Fill {table}."
        yield Finding(severity, table, "", "no rows", 0, 0, "an empty table", "at least one row", remedy, "read")


def _inspect_sets(table: Conformed, rows: int) -> Iterator[Finding]:
    """Rules about the rows of a table taken together: each once."""
    contract, staged = table.contract, table.staged
    if contract.unique and set(contract.unique) <= set(staged.columns):
        keys = list(contract.unique)
        filled = staged.filter(*(staged[key].notnull() for key in keys))
        repeated = filled.group_by(keys).aggregate(copies=filled.count()).filter(lambda t: t.copies > 1)
        copies = repeated.copies.sum().to_pyarrow().as_py()
        if copies:
            first = repeated.order_by(keys).limit(1).to_pyarrow().to_pylist()[0]
            example = ", ".join(f"{key} {str(first[key])!r}" for key in keys)
            rule = f"a duplicate {' and '.join(keys)}"
            yield Finding(
                "error",
                contract.name,
                keys[0],
                rule,
                int(copies),
                rows,
                f"{example} stands there more than once",
                "each one once",
                f"Remove the duplicates from {contract.name}.",
                "sets",
            )


def _inspect_currencies(tables: Iterable[Conformed]) -> Iterator[Finding]:
    """One currency in all tables with amounts."""
    first: tuple[str, str] | None = None
    for table in tables:
        name, staged = table.contract.name, table.staged
        money = [staged[column] for column in table.contract.money if column in staged.columns]
        if "currency" not in staged.columns or not money:
            continue
        amounts = functools.reduce(operator.or_, (column.notnull() for column in money))
        row = (
            staged.aggregate(
                n=staged.currency.nunique(),
                low=staged.currency.min(),
                high=staged.currency.max(),
                rows=staged.count(),
                without=(staged.currency.isnull() & amounts).sum(),
            )
            .to_pyarrow()
            .to_pylist()[0]
        )
        found = ""
        if row["n"] > 1:
            found = f"{row['n']} of them, {row['low']!r} and {row['high']!r} among them"
        elif row["n"] and first and row["low"] != first[1]:
            found = f"{row['low']!r}, beside {first[1]!r} in {first[0]}"
        elif row["n"]:
            first = first or (name, row["low"])
        if found:
            allowed = "one currency in a profile"
            remedy = "Convert every amount to one currency before writing the profile."
            yield Finding("error", name, "currency", "mixed currencies", 0, 0, found, allowed, remedy, "sets")
        elif row["n"]:
            yield from _doubt_currency(name, row)


def _doubt_currency(name: str, row: Mapping[str, Any]) -> Iterator[Finding]:
    """Amounts whose currency is taken for the one of the others, and a currency that is no code."""
    if row["without"]:
        found = f"none, beside {row['low']!r} in the others"
        remedy = f"They are taken to be in {row['low']}. Fill in their currency, and convert them if it is another."
        yield Finding(
            "warning", name, "currency", "no currency", row["without"], row["rows"], found, "one", remedy, "sets"
        )
    if not re.fullmatch("[A-Z]{3}", row["low"]):
        allowed = "a code of ISO 4217, such as EUR"
        remedy = "Amounts are called by that word everywhere. Write the code."
        yield Finding("advice", name, "currency", "no currency code", 0, 0, repr(row["low"]), allowed, remedy, "sets")


def _inspect_copies(table: Conformed, rows: int) -> Iterator[Finding]:
    name, typed = table.contract.name, table.typed
    repeated = typed.group_by(typed.columns).aggregate(copies=typed.count()).filter(lambda t: t.copies > 1)
    row = (
        repeated.aggregate(n=(repeated.copies - 1).sum(), example=repeated.customer_id.min())
        .to_pyarrow()
        .to_pylist()[0]
    )
    if row["n"]:
        yield Finding(
            "warning",
            name,
            "",
            "an exact copy beside them",
            int(row["n"]),
            rows,
            f"customer_id {row['example']!r}",
            "each row once",
            f"Remove the copies from {name}: each counts as a fact of its own.",
            "sets",
        )


def _inspect_orphans(table: Conformed, customers: Conformed, rows: int) -> Iterator[Finding]:
    staged, known = table.staged, customers.staged
    named = staged.filter(staged.customer_id.notnull())
    orphans = named.anti_join(known, named.customer_id == known.customer_id)
    row = orphans.aggregate(n=orphans.count(), example=orphans.customer_id.min()).to_pyarrow().to_pylist()[0]
    if row["n"]:
        name = table.contract.name
        yield Finding(
            "error",
            name,
            "customer_id",
            ORPHAN,
            row["n"],
            rows,
            f"customer_id {row['example']!r}",
            "ids of the customers table",
            f"Add the customers, or remove their rows from {name}.",
            "links",
        )


def _advise(tables: Mapping[str, Conformed]) -> Iterator[Finding]:
    """Things worth knowing that break nothing."""
    for name in FACT_TABLES:
        if name in tables and "ingested_at" not in tables[name].staged.columns:
            yield Finding(
                "advice",
                name,
                "ingested_at",
                "no ingested_at",
                0,
                0,
                f"only {tables[name].contract.clock}",
                "when each row could first be known",
                "Add it if rows arrive late; without it every row counts as known at once.",
                "read",
            )


def undatable(columns: Collection[str]) -> list[Finding]:
    """Columns of `customers` that by their name say since when an attribute is known, without such an attribute."""
    dates = dates_of(columns).values()
    strays = sorted(name for name in columns if name.endswith(KNOWN_FROM) and name not in dates)
    known = [name for name in columns if name not in (*strays, *dates, *KNOWN_WITH_ROW)]
    return [
        Finding(
            "warning",
            "customers",
            name,
            "the time of an attribute that is not there",
            0,
            0,
            f"no attribute {name.removesuffix(KNOWN_FROM)!r}",
            f"<attribute>{KNOWN_FROM} of {listed(known, 20) or 'an attribute'}",
            "Rename it after its attribute, or leave it out: it is not used.",
            "read",
        )
        for name in strays
    ]
