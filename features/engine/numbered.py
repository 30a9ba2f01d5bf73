"""A large profile read once for several passes: facts copied into the engine, with customers as whole numbers.

Grouping and joining by a small whole number is far cheaper than by text, and what was read and checked once is not
read again for the next relation or the next prediction time.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.engine.columns_read import columns_read
from features.engine.prepared import asked_of, kept
from features.expressions import literal, quoted
from features.profile import Profile
from features.reading.sources import view
from features.snapshot import TABLE_OF, instants_as_whole

WORTH_A_COPY = 100_000
"""Rows from which a table that is read more than once is copied; below, planning costs more than reading."""


@dataclass(frozen=True)
class Numbered:
    """A profile's tables, by number of customer.

    Parameters
    ----------
    tables : mapping of str to ibis table
        Conformed tables whose `customer_id` is an int32, instants in microseconds. To read a column that the declared
        rows do not read is an error.
    names : pyarrow.Array
        The customers' ids, each at its number; numbers follow the order of ids.
    """

    tables: Mapping[str, ir.Table]
    names: pa.Array


def is_worth_a_copy(profile: Profile, relations: Sequence[str], times: int) -> bool:
    """Whether any table is large and read more than once.

    Parameters
    ----------
    profile : Profile
        The profile.
    relations : sequence of str
        Relations to be reduced.
    times : int
        Number of prediction times.
    """
    if profile.backend.name != "duckdb":
        return False
    rows = {summary.table: summary.rows for summary in profile.summaries}
    tables = [TABLE_OF.get(relation, relation) for relation in relations]
    return any(rows.get(table, 0) >= WORTH_A_COPY and tables.count(table) * times > 1 for table in tables)


@contextmanager
def numbered(
    profile: Profile, question: tuple[Hashable, ...], declare: Callable[[Mapping[str, ir.Table]], ir.Table]
) -> Iterator[Numbered]:
    """Copy what some rows are made of into the engine; the copies go when the context is left.

    Parameters
    ----------
    profile : Profile
        A profile in the embedded engine, which spills to disk what does not fit in its memory.
    question : tuple
        What the rows are; where it is the same, what is declared is.
    declare : callable
        From tables to the rows that will be made of them.
    """
    backend: Any = profile.backend
    mark = _free_name(backend)
    asked = (*asked_of(profile.tables), question, "read")
    read = kept(asked, lambda: columns_read(declare(profile.tables), profile.tables))
    try:
        customers = profile.tables["customers"]
        in_order = ibis.row_number().over(order_by=customers.customer_id).cast("int32")
        spine = backend.create_table(mark, customers.select("customer_id", number=in_order), temp=True)
        tables = {
            name: _copy(backend, profile.tables[name], {"customer_id", *columns}, spine, f"{mark}_{name}")
            for name, columns in read.items()
        }
        names = backend.to_pyarrow(spine.order_by("number").customer_id).combine_chunks()
        yield Numbered(tables, names)
    finally:
        for name in read:
            backend.raw_sql(f"DROP VIEW IF EXISTS {mark}_{name}; DROP TABLE IF EXISTS {mark}_{name}_read")
        backend.raw_sql(f"DROP TABLE IF EXISTS {mark}")


def _free_name(backend: Any) -> str:
    """A name that no copy has, the same as of an earlier copy that is gone: what was asked of that is asked again."""
    taken = {name for (name,) in backend.raw_sql("SELECT table_name FROM duckdb_tables()").fetchall()}
    return next(name for number in count() if (name := f"numbered_{number}") not in taken)


def _copy(backend: Any, table: ir.Table, columns: set[str], spine: ir.Table, copied: str) -> ir.Table:
    """Copy the columns that are read, and stand in for the others with what is an error to read."""
    facts = instants_as_whole(table.select(*sorted(columns)), "duckdb").join(spine, "customer_id")
    read = facts.select(*(c for c in sorted(columns) if c != "customer_id"), customer_id=facts.number)
    backend.create_table(f"{copied}_read", read, temp=True)
    unread = ""
    for column, dtype in instants_as_whole(table, "duckdb").drop(*columns).schema().items():
        words = f"error({literal(f'column {column} was not expected to be read')})"
        unread += f", CAST({words} AS {backend.compiler.type_mapper.to_string(dtype)}) AS {quoted(column)}"
    return view(backend, copied, f"SELECT *{unread} FROM {copied}_read")  # noqa: S608 - quoted names
