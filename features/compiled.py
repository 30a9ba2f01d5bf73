"""The same feature declarations, compiled once, for facts that arrive with a request."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from features.attributes import own_columns
from features.builder import ARROW_TYPES, arrow_features, feature_expression
from features.contract import MONEY_PRECISION, MONEY_SCALE, TABLES, Kind
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
            As `features.builder.build_features` returns it for a profile of the same facts, bit for bit.
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
            engine = _prepare(self.features)
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
        for name, contract in TABLES.items():
            rows = list(facts.get(name, ()))
            if rows:
                columns = [(column.name, ARRIVING_TYPES[column.kind]) for column in contract.columns]
                own = own_columns(self.features.features) if name == "customers" else {}
                columns = [column for column in columns if column[0] not in _taken(own)]
                schema = pa.schema([*columns, *((column, ARROW_TYPES[dtype]) for column, dtype in own.items())])
                engine.register("arriving", pa.Table.from_pylist(rows, schema=schema))
                engine.execute(f"INSERT INTO {name} SELECT * FROM arriving")  # noqa: S608 - a name of the contract
                engine.unregister("arriving")


def _taken(own: Iterable[str]) -> set[str]:
    """Names that a table has no second column of: the engine tells them apart whatever their case."""
    return {name.lower() for name in own}


def _prepare(features: FeatureSet) -> duckdb.DuckDBPyConnection:
    """Make an engine with the contract's empty tables and the feature table's plan."""
    backend = ibis.duckdb.connect()
    engine: duckdb.DuckDBPyConnection = backend.con
    engine.execute("SET TimeZone = 'UTC'; SET threads = 1; PRAGMA disable_optimizer")  # a plan of its own costs more
    for name, contract in TABLES.items():
        own = own_columns(features.features) if name == "customers" else {}
        known = [column for column in contract.columns if column.name not in _taken(own)]
        columns = [f"{quoted(column.name)} {SQL_TYPES[column.kind]}" for column in known]
        columns += [f"{quoted(column)} {OWN_TYPES[kind]}" for column, kind in own.items()]
        engine.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    engine.execute("CREATE TABLE times (prediction_time BIGINT)")
    snapshot = Snapshot({name: backend.table(name) for name in TABLES}, backend.table("times"))
    rows = feature_expression(snapshot, features.features).order_by(["prediction_time", "customer_id"])
    engine.execute(f"PREPARE feature_table AS {ibis.to_sql(rows, dialect='duckdb')}")
    return engine
