"""Apache Spark as an engine: for profiles that outgrow one machine.

Addresses of a profile that Spark reads:

- ``spark:///data/profile`` (or ``spark://./profile``, ``spark://s3a://bucket/profile``): a folder of
  ``<table>.parquet``, each one file or a folder of files, as Spark writes them;
- ``spark://crm`` or ``spark://catalog.crm``: the tables of a database in Spark's own catalog.

Columns must have their types: CSV is refused, because Spark and DuckDB do not read every text as the same number.
A source of a ``profile.yaml`` may lie there as well (`open_source`); its columns are what a mapping makes of them.
From there on both engines give the same columns, bit for bit: `features.reading.dialect` sees to it.

The session is the active one, or that of `SPARK_REMOTE`, `spark-submit` or `PYSPARK_SUBMIT_ARGS`; otherwise a local
one is started on every core, which listens on 127.0.0.1 only, without a web page. In each the time zone becomes UTC,
errors are errors (ANSI mode) and Parquet gets whole microseconds. Only this module and `serving.spark` import pyspark.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.dataset as ds
from ibis.backends.pyspark import Backend
from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import StringType, TimestampType

from features.contract import KIND_WORDS, TABLES, contract_of
from features.errors import (
    OutputUnwritable,
    ProfileNotFound,
    SourceUnreadable,
    SparkFailed,
    SparkMissing,
    TableUnreadable,
)
from features.folders import require_replaceable, swap_folder
from features.reading.conform import UTC_TYPE
from features.reading.dialect import SparkDialect
from features.reading.source import SPARK_SCHEME

PARTS = ("part-*.parquet",)
LOGGING = Path(__file__).with_suffix(".log4j2.properties")
ENGINE_ERRORS = (PySparkException, Py4JError)
ELSEWHERE = ("SPARK_REMOTE", "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT", "MASTER")
"""Variables by which Spark's own launchers say where the session runs."""
LOCAL = {
    "spark.master": "local[*]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "16",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
}
ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


class SparkEngine(Backend):  # type: ignore[misc]  # ibis ships no types
    """Ibis on Spark, with DuckDB's meaning of every operation and Arrow in both directions."""

    compiler: ClassVar[SparkDialect] = SparkDialect()

    def frame(self, expression: ir.Table) -> Any:
        """The Spark data frame of an expression; nothing runs yet."""
        self._run_pre_execute_hooks(expression)
        return self._session.sql(self.compile(expression, limit=None))

    def to_pyarrow(self, expr: ir.Expr, /, **_: Any) -> Any:
        """Run an expression and bring its rows here: for answers that are small, such as a check's."""
        table = expr.as_table()
        with spark_errors():
            rows = self.frame(table).toArrow()
        return expr.__pyarrow_result__(rows.cast(table.schema().to_pyarrow()))

    def to_pyarrow_batches(self, expr: ir.Expr, /, **_: Any) -> pa.RecordBatchReader:
        """Run an expression and bring its rows here as Arrow, one partition after the other: never all at once."""
        table = expr.as_table()
        schema = table.schema().to_pyarrow()
        return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in _arriving(self.frame(table))))

    def _register_in_memory_table(self, op: Any) -> None:
        """As a local relation, whose size Spark knows: joins to it are broadcast."""
        self._session.createDataFrame(op.data.to_pyarrow(op.schema)).createOrReplaceTempView(op.name)


def _arriving(frame: Any) -> Iterator[pa.RecordBatch]:
    """A data frame's rows: the executors pack each batch into one binary value, which Spark can hand over singly."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.record_batch({"packed": pa.array([sink.getvalue().to_pybytes()], pa.binary())})

    try:
        for row in frame.mapInArrow(pack, "packed binary").toLocalIterator():
            yield from pa.ipc.open_stream(row.packed)
    except ENGINE_ERRORS as error:
        raise OSError(reason(error)) from None  # as Arrow passes on what a stream says


@contextmanager
def spark_errors() -> Iterator[None]:
    """Say in one line what Spark said in a hundred.

    Raises
    ------
    SparkFailed
        If Spark raises anything.
    """
    try:
        yield
    except ENGINE_ERRORS as error:
        raise SparkFailed(reason(error)) from None


def reason(error: BaseException) -> str:
    """What Spark said, in one short line."""
    java = getattr(error, "java_exception", None)
    while java is not None and str(java.getMessage()).rstrip().endswith(":") and java.getCause() is not None:
        java = java.getCause()  # "Exception thrown in awaitResult:" tells nothing
    said = str(java.getMessage() if java is not None else error).strip() or type(error).__name__
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = lines[:2] if lines[0].endswith(":") else lines[:1]
    return " ".join(told)[:300].rstrip(". ")


def start_session(settings: Mapping[str, str] | None = None) -> SparkSession:
    """Find the session to work in, or start one.

    Parameters
    ----------
    settings : mapping of str to str, optional
        Spark's own settings, for a session that is started here.

    Returns
    -------
    pyspark.sql.SparkSession
        In UTC and ANSI mode.

    Raises
    ------
    SparkMissing
        If there is no Java to start it with.
    """
    session = SparkSession.getActiveSession()
    if session is None:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers run what we run
        builder: Any = SparkSession.builder
        if not any(os.environ.get(name) for name in ELSEWHERE):
            _require_java()
            builder = builder.config(map={**LOCAL, **(settings or {})})
        try:
            session = builder.getOrCreate()
        except ENGINE_ERRORS as error:
            raise SparkMissing(reason(error)) from None
    for name, value in ALWAYS.items():
        session.conf.set(name, value)
    return session


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        raise SparkMissing(f"there is no Java in {home}" if home else "there is no Java on the PATH")


def read_tables(address: str) -> tuple[SparkEngine, dict[str, ir.Table], str]:
    """Open the tables of a profile on Spark.

    Parameters
    ----------
    address : str
        See the module.

    Returns
    -------
    engine : SparkEngine
        Holds the tables.
    tables : dict of str to ibis table
        As found.
    digest : str
        SHA-256 over the tables' columns, rows and the hashes of the rows.

    Raises
    ------
    SparkMissing
        If Spark cannot be started.
    ProfileNotFound, TableUnreadable
        If there is no table of the contract, or one cannot be read.
    """
    session, engine = _connect()
    place = address.removeprefix(SPARK_SCHEME)
    find = _in_folder if "/" in place else _in_catalog
    tables: dict[str, ir.Table] = {}
    digest = hashlib.sha256()
    for name in TABLES:
        try:
            frame = find(session, place, name)
            if frame is not None:
                _require_types(frame, name, address)
                digest.update(f"{name}{_digest(frame, name)}".encode())
                tables[name] = _table(engine, frame)
        except ENGINE_ERRORS as error:
            raise TableUnreadable(name, address, reason(error)) from None
    if not tables:
        raise ProfileNotFound(address, "Spark finds no <table>.parquet and no table of the contract there")
    return engine, tables, digest.hexdigest()


def open_source(name: str, place: str, table: str) -> ir.Table:
    """Open a company's own table, whatever its columns, for a mapping to take rows from; nothing runs yet.

    Parameters
    ----------
    name : str
        What the mapping calls the source.
    place : str
        A folder or a database of the catalog; see the module.
    table : str
        In a folder, a file or folder of Parquet files, with or without ``.parquet``.

    Raises
    ------
    SparkMissing
        If Spark cannot be started.
    SourceUnreadable
        If there is no such table or Spark cannot read it.
    """
    session, engine = _connect()
    try:
        if "/" not in place:
            frame = _in_catalog(session, place, table)
        else:
            path = f"{place}/{table}"
            frame = _load(session, "parquet", f"{path}.parquet") or _load(session, "parquet", path)
    except ENGINE_ERRORS as error:
        raise SourceUnreadable(name, f"{SPARK_SCHEME}{place}", reason(error)) from None
    if frame is None:
        raise SourceUnreadable(name, f"{SPARK_SCHEME}{place}", f"Spark finds no table {table!r} there")
    return _table(engine, frame)


def _connect() -> tuple[SparkSession, SparkEngine]:
    session = start_session()
    SparkEngine.register_options()
    engine = SparkEngine()
    engine.do_connect(session)
    return session, engine


def _in_folder(session: SparkSession, folder: str, name: str) -> Any:
    found = _load(session, "parquet", f"{folder}/{name}.parquet")
    for suffix in (".csv", ".csv.gz") if found is None else ():
        if _load(session, "text", f"{folder}/{name}{suffix}") is not None:
            raise TableUnreadable(name, f"{folder}/{name}{suffix}", "Spark reads typed tables: Parquet, not CSV")
    return found


def _load(session: SparkSession, kind: str, path: str) -> Any:
    """A data frame of a file or folder; None if there is none."""
    local = path if "://" in path else Path(path).absolute().as_uri()
    try:
        return session.read.format(kind).load(local)
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return None
        raise


def _in_catalog(session: SparkSession, database: str, name: str) -> Any:
    table = f"{database}.{name}"
    return session.table(table) if session.catalog.tableExists(table) else None


def _require_types(frame: Any, name: str, address: str) -> None:
    """Refuse numbers, times and flags kept as text, which the engines do not all read alike."""
    for column in contract_of(name, frame.columns).columns:
        textual = column.name in frame.columns and isinstance(frame.schema[column.name].dataType, StringType)
        if textual and column.kind not in ("id", "text"):
            found = f"column {column.name!r} is text, where on Spark it must be {KIND_WORDS[column.kind]} by its type"
            raise TableUnreadable(name, address, found)


def _digest(frame: Any, name: str) -> str:
    """Hash of a table's content, whatever the order and the files of its rows."""
    known = [column for column in contract_of(name, frame.columns).by_name if column in frame.columns]
    hashes = sf.xxhash64(*known).cast("decimal(38, 0)") if known else sf.lit(0)
    row = frame.agg(sf.count(sf.lit(1)), sf.sum(hashes)).first()
    return f"{frame.select(known).schema.simpleString()}{row[0]}:{row[1]}"


def _table(engine: SparkEngine, frame: Any) -> ir.Table:
    """An Ibis table of a data frame, which tells instants from times without a zone as Ibis itself does not."""
    view = f"patron_{uuid4().hex}"
    frame.createTempView(view)
    instants = [field.name for field in frame.schema if isinstance(field.dataType, TimestampType)]
    return engine.table(view).cast(dict.fromkeys(instants, UTC_TYPE))


def write_folder(frame: Any, folder: Path) -> int:
    """Let Spark write a data frame as a folder of Parquet files, whole or not at all.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        What to write; in no order of rows.
    folder : Path
        Where every executor can write; what an earlier run wrote there is replaced.

    Returns
    -------
    int
        Number of rows, read from the files' footers.

    Raises
    ------
    OutputUnwritable
        If the folder cannot be written.
    OutputTaken
        If something would be lost that no run wrote.
    SparkFailed
        If the job does not end.
    """
    require_replaceable(folder, PARTS)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            made = Path(temporary) / "new"
            rows = write_parts(frame, made)
            swap_folder(made, folder, Path(temporary) / "old", PARTS)
    except OSError as error:
        raise OutputUnwritable(str(folder), error.strerror or str(error)) from error
    return rows


def write_parts(frame: Any, folder: Path) -> int:
    """Let Spark write a new folder of Parquet files with plain names; return the number of rows."""
    with spark_errors():
        frame.write.parquet(folder.absolute().as_uri(), compression="zstd")
    for path in folder.iterdir():
        if path.suffix != ".parquet":  # success marks and checksums
            path.unlink()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"part-{number:05}.parquet")
    return int(ds.dataset(folder, format="parquet").count_rows())


def instants_of(frame: Any) -> Any:
    """A feature table's data frame with `prediction_time` as a timestamp."""
    return frame.withColumn("prediction_time", sf.timestamp_micros("prediction_time"))
