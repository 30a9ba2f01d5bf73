"""A question put to the engine at many prediction times: declared and compiled once.

To compile the whole catalogue takes longer than to answer it for some thousand customers, and a training asks for it
at dozens of times. The times stand in variables of the engine, which plans with their values as with constants.
`features.engine.compiled` does the same for the few facts of a request, where even planning takes longer than
answering.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar, cast

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from features.profile import Profile

T = TypeVar("T")
MOST_KEPT = 300
_kept: dict[Hashable, Any] = {}
_lock = Lock()
TIME, TIMES, ROWS = "prediction_time", "prediction_times", "rows_in_memory"


@ibis.udf.scalar.builtin(name="getvariable", signature=((dt.string,), dt.int64))
def variable(name):  # type: ignore[no-untyped-def]
    """A variable of the engine."""


def time_asked() -> ir.Value:
    """The prediction time that is asked about, in microseconds, for a question about one."""
    time: ir.Value = variable(TIME)
    return time


def times_asked(profile: Profile) -> ir.Table:
    """The prediction times that are asked about, for a question about several at once."""
    backend: Any = profile.backend
    query = f"SELECT UNNEST(CAST(GETVARIABLE('{TIMES}') AS BIGINT[])) AS prediction_time"
    table: ir.Table = backend.sql(query, schema={"prediction_time": "int64"})
    return table


def can_be_prepared(profile: Profile) -> bool:
    """Whether the engine is the embedded one and all tables are its own, so that a text can be run again."""
    if profile.backend.name != "duckdb":
        return False
    return not any(table.op().find(ops.InMemoryTable) for table in profile.tables.values())


def asked_of(tables: Mapping[str, ir.Table]) -> tuple[tuple[str, Any], ...]:
    """What tables are like, whichever profile's they are and whatever they hold: for the name of a question."""
    return tuple((name, table.op().replace(_without_content)) for name, table in tables.items())


def _without_content(node: Any, made_of: Mapping[str, Any] | None) -> Any:
    if isinstance(node, ops.DatabaseTable):
        return ops.UnboundTable(node.name, node.schema, node.namespace)
    if isinstance(node, ops.InMemoryTable):
        return ops.UnboundTable(node.name, node.schema)
    return node.__recreate__(made_of) if made_of else node


def kept(question: Hashable, work_out: Callable[[], T]) -> T:
    """What is worked out of a question when it is asked for the first time; the latest few hundred are kept.

    Parameters
    ----------
    question : hashable
        What is asked of what tables; where it is the same, what is worked out is. Nothing of a profile itself, which
        would be kept with it.
    work_out : callable
        What takes its time; not None.
    """
    found = _kept.get(question)
    if found is None:
        found = work_out()
    with _lock:  # profiles may be worked on in several threads, each its own
        _kept.pop(question, None)
        _kept[question] = found
        if len(_kept) > MOST_KEPT:
            del _kept[next(iter(_kept))]
    return cast("T", found)


def answer(
    profile: Profile, question: tuple[Hashable, ...], declare: Callable[[], ir.Table], times: Sequence[int]
) -> pa.Table:
    """Answer a question at some prediction times.

    Parameters
    ----------
    profile : Profile
        Whose engine answers.
    question : tuple
        What is asked of which tables: where it is the same, the declared rows are, but for the times.
    declare : callable
        To the rows, with the times by `time_asked` or `times_asked`.
    times : sequence of int
        In microseconds.

    Returns
    -------
    pyarrow.Table
        With the types of the engine.
    """
    text = kept(question, lambda: text_of(declare()))
    engine: Any = profile.backend.con
    if len(times) == 1:
        engine.execute(f"SET VARIABLE {TIME} = {times[0]}::BIGINT")
    else:
        engine.execute(f"SET VARIABLE {TIMES} = {list(times)}::BIGINT[]")
    found: pa.Table = engine.sql(text).to_arrow_table()
    return found


def answer_of(
    profile: Profile, question: tuple[Hashable, ...], rows: pa.Table, declare: Callable[[ir.Table], ir.Table]
) -> pa.Table:
    """Answer a question of rows that are in memory.

    Parameters
    ----------
    profile : Profile
        Whose engine answers.
    question : tuple
        What is asked of rows with such columns.
    rows : pyarrow.Table
        The rows.
    declare : callable
        From the rows to those that answer.
    """
    schema = ibis.Schema.from_pyarrow(rows.schema)
    text = kept((*question, schema), lambda: text_of(declare(ibis.table(schema, name=ROWS))))
    engine: Any = profile.backend.con
    engine.register(ROWS, rows)
    try:
        found: pa.Table = engine.sql(text).to_arrow_table()
    finally:
        engine.unregister(ROWS)
    return found


def text_of(rows: ir.Table) -> str:
    """A question in the words of the embedded engine."""
    return str(ibis.to_sql(rows, dialect="duckdb"))
