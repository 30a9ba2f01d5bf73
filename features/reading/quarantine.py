"""Rows that break the contract, set aside: left out of the profile, kept in files as they were read with the reason.

What is set aside: rows that break a rule of their own; of rows that repeat a key all if their contents differ, since
nobody knows which is right, and all but one if they are equal; rows of customers that are not there (out of scope).
Nothing is repaired. Whole tables and columns that break the contract, mixed currencies and mixed time zones stay
refused: no single row is at fault there.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.contract import TABLES, TableContract
from features.errors import QuarantineUnsupported, QuarantineUnwritable
from features.files import replacing
from features.finding import Finding
from features.reading.check import COPIES_BREAK, ORPHAN
from features.reading.conform import Conformed, rest
from features.reading.tables import table_of

ENGINE = "duckdb"
ROW, REASON, OUT_OF_SCOPE, PLACE = "__row", "reason", "out_of_scope", "place"
COPY = "an exact copy of another row"
LEFT_OUT = "a customer_id whose customer is quarantined"


@dataclass(frozen=True)
class Counts:
    """Where the rows of a table went: ``read = used + quarantined + out_of_scope``.

    Parameters
    ----------
    read : int
        Rows of the source.
    used : int
        Rows of the profile.
    quarantined : int
        Rows left out because they break a rule.
    out_of_scope : int
        Rows left out only because their customer is not in the profile.
    """

    read: int
    used: int
    quarantined: int = 0
    out_of_scope: int = 0


def set_aside(
    tables: Mapping[str, Conformed], findings: Iterable[Finding], backend: Any, folder: Path
) -> tuple[dict[str, Conformed], dict[str, Counts]]:
    """Leave out rows that break the contract and write them to ``<folder>/<table>.parquet``.

    Parameters
    ----------
    tables : mapping of str to Conformed
        The profile's tables by name, `customers` among them.
    findings : iterable of Finding
        What the check found in their rows; tables without a finding are left alone.
    backend : ibis backend
        DuckDB, holding the tables.
    folder : Path
        Gets one file for each table with rows left out: the contract's columns as text, as read, and `reason`. Files
        of an earlier quarantine are replaced.

    Returns
    -------
    kept : dict of str to Conformed
        The tables without those rows.
    counts : dict of str to Counts
        Where the rows of the tables with findings went.

    Raises
    ------
    QuarantineUnsupported
        If another engine than DuckDB holds the tables.
    QuarantineUnwritable
        If the folder cannot be written or holds tables that no quarantine wrote.
    """
    if backend.name != ENGINE:
        raise QuarantineUnsupported(backend.name)
    _require_own(folder)
    suspect = {finding.table for finding in findings if finding.severity != "advice"}
    kept = dict(tables)
    counts: dict[str, Counts] = {}
    aside: dict[str, ir.Table] = {}
    for name in sorted(tables, key=lambda table: table != "customers"):
        if name not in suspect and not (counts.get("customers") and name != "customers"):
            continue  # when customers fall, so do the facts of theirs
        numbered = backend.create_table(
            f"numbered_{name}", tables[name].staged.mutate(**{ROW: ibis.row_number()}), temp=True
        )
        left = kept["customers"].staged if name != "customers" else None
        found = _verdicts(rest(tables[name], numbered), tables["customers"].staged, left)
        verdicts = backend.create_table(f"verdicts_{name}", found, temp=True)
        kept[name] = rest(tables[name], numbered.anti_join(verdicts, ROW).drop(ROW))
        counts[name] = _count(numbered, verdicts)
        if counts[name].read > counts[name].used:
            aside[name] = _as_read(numbered.inner_join(verdicts, ROW))
    _write(aside, backend, folder)
    return kept, counts


def _verdicts(table: Conformed, everyone: ir.Table, left: ir.Table | None) -> ir.Table:
    """One line for each row to leave out: its number, all its reasons, and whether it is merely out of scope."""
    found = [*_broken(table), *_repeated(table.contract, table.staged, table.typed)]
    if left is not None:
        found += _orphaned(table.staged, everyone, left)
    lines = reduce(lambda one, other: one.union(other), found)
    return lines.group_by(ROW).aggregate(
        **{
            REASON: lines[REASON].group_concat("; ", order_by=lines[PLACE]),
            OUT_OF_SCOPE: lines[OUT_OF_SCOPE].all(),
        }
    )


def _lines(rows: ir.Table, reason: Any, place: int, *, out_of_scope: bool = False) -> ir.Table:
    lines = rows.select(
        **{ROW: rows[ROW], REASON: reason, OUT_OF_SCOPE: ibis.literal(out_of_scope), PLACE: ibis.literal(place)}
    )
    return lines.filter(lines[REASON].notnull())


def _broken(table: Conformed) -> Iterator[ir.Table]:
    reasons = [rule.broken.ifelse(f"{rule.column}: {rule.name}", None) for rule in table.rules]
    yield _lines(table.staged, ibis.literal("; ").join(reasons).nullif(""), 0)


def _repeated(contract: TableContract, staged: ir.Table, typed: ir.Table) -> Iterator[ir.Table]:
    content = [column for column in typed.columns if column != ROW]
    same = ibis.window(group_by=content)
    nth = ibis.row_number().over(ibis.window(group_by=content, order_by=ROW))
    if contract.name in COPIES_BREAK:
        copied = typed.mutate(is_copy=nth > 0)
        yield _lines(copied, copied.is_copy.ifelse(COPY, None), 1)
    keys = list(contract.unique)
    if keys and set(keys) <= set(staged.columns):
        filled = typed.filter(*(typed[key].notnull() for key in keys))
        twice = filled.group_by(keys).aggregate(rows=filled.count()).filter(lambda t: t.rows > 1)
        rows = filled.semi_join(twice, keys)
        counted = rows.mutate(
            alike=rows.count().over(same), all=rows.count().over(ibis.window(group_by=keys)), is_copy=nth > 0
        )
        conflict = f"{keys[0]}: a duplicate {' and '.join(keys)} with different content"
        reason = ibis.cases((counted.alike < counted.all, conflict), (counted.is_copy, COPY), else_=None)
        yield _lines(counted, reason, 1)


def _orphaned(staged: ir.Table, everyone: ir.Table, left: ir.Table) -> Iterator[ir.Table]:
    named = staged.filter(staged.customer_id.notnull())
    strange = named.anti_join(everyone, named.customer_id == everyone.customer_id)
    yield _lines(strange, ibis.literal(f"customer_id: {ORPHAN}"), 2, out_of_scope=True)
    if left is everyone:
        return
    known = named.semi_join(everyone, named.customer_id == everyone.customer_id)
    fallen = known.anti_join(left, known.customer_id == left.customer_id)
    yield _lines(fallen, ibis.literal(f"customer_id: {LEFT_OUT}"), 2, out_of_scope=True)


def _count(numbered: ir.Table, verdicts: ir.Table) -> Counts:
    read = numbered.count().to_pyarrow().as_py()
    row = verdicts.aggregate(n=verdicts.count(), outside=verdicts[OUT_OF_SCOPE].sum()).to_pyarrow().to_pylist()[0]
    outside = int(row["outside"] or 0)
    return Counts(read, read - row["n"], row["n"] - outside, outside)


def _as_read(rows: ir.Table) -> ir.Table:
    read = {column.removesuffix("__raw"): column for column in rows.columns if column.endswith("__raw")}
    return rows.order_by(ROW).select(**{name: rows[column] for name, column in read.items()}, **{REASON: rows[REASON]})


def _require_own(folder: Path) -> None:
    """Refuse a folder with tables that are not quarantined rows: it may be the profile itself."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if table_of(path) and not _is_quarantine(path):
            raise QuarantineUnwritable(str(folder), f"{path.name} in it was not written by a quarantine")


def _is_quarantine(path: Path) -> bool:
    try:
        return REASON in pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False


def _write(aside: Mapping[str, ir.Table], backend: Any, folder: Path) -> None:
    """Write every file under another name first; only when all are whole they get their own."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            for name, rows in aside.items():
                backend.to_parquet(rows, files.enter_context(replacing(folder / f"{name}.parquet")))
        for name in TABLES:
            if name not in aside:
                (folder / f"{name}.parquet").unlink(missing_ok=True)
    except (OSError, duckdb.IOException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise QuarantineUnwritable(str(folder), reason) from None
