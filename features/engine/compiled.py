"""The same feature declarations, compiled once, for facts that arrive with a request."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from features.attributes import own_columns
from features.contract import MONEY_PRECISION, MONEY_SCALE, TABLES, Kind
from features.engine.builder import ARROW_TYPES, arrow_features, feature_expression
from features.engine.columns_read import columns_read
from features.expressions import quoted
from features.instants import to_us
from features.snapshot import Snapshot
from features.spec import Dtype, FeatureSet

SQL_TYPES: dict[Kind, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "instant": "TIMESTAMPTZ",
    "money": f"DECIMAL({MONEY_PRECISION}, {MONEY_SCALE})",
    "number": "DOUBLE",
    "score": "BIGINT",
    "flag": "BOOLEAN",
}
OWN_TYPES: dict[Dtype, str] = {"float64": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN", "string": "VARCHAR"}
ARRIVING_TYPES: dict[Kind, pa.DataType] = {
    "id": pa.string(),
    "text": pa.string(),
    "instant": pa.timestamp("us", tz="UTC"),
    "money": pa.float64(),  # made exact by the same cast as in a profile
    "number": pa.float64(),
    "score": pa.int64(),
    "flag": pa.bool_(),
}
NULL_SKIPPING = (ops.Count, ops.CountDistinct, ops.CountStar, ops.Max, ops.Min, ops.Sum)
ROWS_AT_ONCE = 1_000
"""Rows that arrive as Python objects and fit into a processor's cache together."""


class CompiledFeatures:
    """A feature set, planned once, over small tables in memory.

    Planning takes longer than running for a handful of customers, so the plan is prepared once and kept. An engine
    answers one question at a time; as many are made as questions are asked at once, and used again.

    Parameters
    ----------
    features : FeatureSet
        The columns.

    Examples
    --------
    >>> from features.catalogue import CLV
    >>> from features.instants import read_instant
    >>> order = {"customer_id": "c1", "order_id": "o1", "event_time": read_instant("1997-01-01"), "value": 9.5}
    >>> facts = {"customers": [{"customer_id": "c1"}], "orders": [order]}
    >>> table = CompiledFeatures(CLV).build(facts, read_instant("1997-10-01"))
    >>> table.select(["frequency", "T_days"]).to_pylist()
    [{'frequency': 0, 'T_days': 272}]
    """

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self._plan = _plan(features)
        self._engines: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()

    def build(self, facts: Mapping[str, Iterable[Mapping[str, Any]]], prediction_time: datetime) -> pa.Table:
        """Compute the features of some customers.

        Parameters
        ----------
        facts : mapping of str to iterable of mapping
            Rows of the contract's tables, by table and column; a table or column left out holds nothing.
        prediction_time : datetime
            Aware instant.

        Returns
        -------
        pyarrow.Table
            As `features.engine.builder.build_features` returns it for a profile of the same facts, bit for bit.
        """
        with self._engine() as engine:
            engine.execute("BEGIN")
            try:
                self._load(engine, facts, prediction_time)
                answer = engine.sql("EXECUTE feature_table").to_arrow_table()
            finally:
                engine.execute("ROLLBACK")
        return arrow_features(answer, self.features)

    @contextmanager
    def _engine(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            engine = self._engines.get_nowait()
        except Empty:
            engine = _prepare(self._plan)
        try:
            yield engine
        finally:
            self._engines.put(engine)

    def _load(
        self,
        engine: duckdb.DuckDBPyConnection,
        facts: Mapping[str, Iterable[Mapping[str, Any]]],
        prediction_time: datetime,
    ) -> None:
        engine.execute("INSERT INTO times VALUES (?)", [to_us(prediction_time)])
        for name, schema in self._plan.arriving.items():
            rows = list(facts.get(name, ()))
            if rows:
                engine.register("arriving", _in_columns(rows, schema))
                engine.execute(f"INSERT INTO {name} BY NAME SELECT * FROM arriving")  # noqa: S608 - a name of the contract
                engine.unregister("arriving")


@dataclass(frozen=True)
class _Plan:
    """What an engine is told once: its tables, the question, and the columns of each table that the answer reads."""

    tables: str
    question: str
    arriving: Mapping[str, pa.Schema]


@lru_cache(maxsize=32)
def _plan(features: FeatureSet) -> _Plan:
    """Declare the feature table over the contract's tables, all of them empty."""
    columns = {name: _columns(name, features) for name in TABLES}
    created = "CREATE TABLE times (prediction_time BIGINT);"
    for name, types in columns.items():
        declared = ", ".join(f"{quoted(column)} {sql_type}" for column, (sql_type, _) in types.items())
        created += f"CREATE TABLE {name} ({declared});"
    backend = ibis.duckdb.connect()
    backend.raw_sql(created)
    tables = {name: backend.table(name) for name in TABLES}
    declared_rows = feature_expression(Snapshot(tables, backend.table("times")), features.features)
    rows = _without_filters(declared_rows.order_by(["prediction_time", "customer_id"]))
    read = columns_read(rows, tables)
    arriving = {
        name: pa.schema([(column, columns[name][column][1]) for column in found]) for name, found in read.items()
    }
    return _Plan(created, str(ibis.to_sql(rows, dialect="duckdb")), arriving)


def _columns(name: str, features: FeatureSet) -> dict[str, tuple[str, pa.DataType]]:
    """A table's columns with their types in the engine and as they arrive."""
    own = own_columns(features.features) if name == "customers" else {}
    taken = {column.lower() for column in own}  # the engine tells columns apart whatever their case
    known = [column for column in TABLES[name].columns if column.name not in taken]
    columns = {column.name: (SQL_TYPES[column.kind], ARRIVING_TYPES[column.kind]) for column in known}
    return columns | {column: (OWN_TYPES[dtype], ARROW_TYPES[dtype]) for column, dtype in own.items()}


def _without_filters(rows: ir.Table) -> ir.Table:
    """Let reductions skip nulls instead: for each filter the engine makes room anew for all columns it reduces."""

    def replaced(node: Any, made_of: Mapping[str, Any] | None) -> Any:
        node = node.__recreate__(made_of) if made_of else node
        if not isinstance(node, NULL_SKIPPING) or node.where is None:
            return node
        where = node.where.to_expr()
        if isinstance(node, ops.CountStar):
            return ops.Count(where.nullif(False))
        return node.copy(arg=where.ifelse(node.arg.to_expr(), None).op(), where=None)

    return rows.op().replace(replaced).to_expr()


def _in_columns(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Turn rows into columns, a few rows at a time: each row is looked at once a column, and memory is slow."""
    starts = range(0, len(rows), ROWS_AT_ONCE)
    batches = [pa.RecordBatch.from_pylist(rows[start : start + ROWS_AT_ONCE], schema=schema) for start in starts]
    return pa.Table.from_batches(batches)


def _prepare(plan: _Plan) -> duckdb.DuckDBPyConnection:
    """Make an engine with empty tables and the question prepared."""
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'; SET threads = 1; PRAGMA disable_optimizer")  # a plan of its own costs more
    engine.execute(plan.tables)
    engine.execute(f"PREPARE feature_table AS {plan.question}")
    return engine
