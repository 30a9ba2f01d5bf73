"""How a profile's tables come in from where they lie: a folder, a DuckDB file, a database or Spark."""

import hashlib
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends import BaseBackend

from features.attributes import own_names
from features.contract import KNOWN_FROM, TABLES
from features.errors import LayoutUnwritable, ProfileNotFound, TableUnreadable, listed
from features.reading.arrow import stream
from features.reading.masking import masked, without_secrets
from features.reading.sources import embedded_engine, read_table_file, reason_of, spark_module
from features.snapshot import MICROSECONDS

Raw = tuple[BaseBackend, dict[str, ir.Table], str]
SUFFIXES = (".parquet", ".csv", ".csv.gz")
SOURCE_TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'source' AND table_schema = 'main'"
)


def read_folder(folder: Path) -> Raw:
    """Read a folder of one file a table.

    Returns
    -------
    backend, dict of str to ibis table, str
        The engine, the tables as they lie there, and a digest of their content; likewise of the other readers.

    Raises
    ------
    ProfileNotFound, TableUnreadable
        If there is no table, two of one name, or one that is not what its name says.
    """
    backend = embedded_engine()
    raw: dict[str, ir.Table] = {}
    digest = hashlib.sha256()
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise ProfileNotFound(str(folder), reason_of(error)) from None
    for name in TABLES:
        paths = [path for path in files if table_of(path) == name and path.is_file()]
        if len(paths) > 1:
            raise TableUnreadable(
                name, str(folder), f"it stands there {len(paths)} times: {listed(p.name for p in paths)}"
            )
        for path in paths:
            raw[name] = read_table_file(backend, name, path)
            with path.open("rb") as file:
                digest.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    if not raw:
        found = listed(path.name for path in files) or "an empty folder"
        raise ProfileNotFound(str(folder), f"none of its files is a table of the contract ({found})")
    return backend, raw, digest.hexdigest()


def table_of(path: Path) -> str | None:
    """The table of the contract that a file holds by its name, in whatever case that is written."""
    name = path.name.lower()
    return next((table for table in TABLES for suffix in SUFFIXES if name == table + suffix), None)


def read_duckdb(path: Path) -> Raw:
    """Read a DuckDB file where it lies.

    Raises
    ------
    ProfileNotFound
        If it cannot be opened.
    """
    backend = embedded_engine()
    try:
        backend.attach(path, name="source", read_only=True)
    except duckdb.Error as error:
        raise ProfileNotFound(str(path), reason_of(error)) from None
    names = {name for (name,) in backend.raw_sql(SOURCE_TABLES).fetchall()}
    raw = {name: backend.table(name, database=("source", "main")) for name in TABLES if name in names}
    with path.open("rb") as file:
        return backend, raw, hashlib.file_digest(file, "sha256").hexdigest()


def read_url(url: str) -> Raw:
    """Read what an Ibis URL leads to; where features do not run there, tables are streamed into the embedded engine.

    Raises
    ------
    ProfileNotFound, TableUnreadable
        If it cannot be reached, or a table not be read.
    """
    try:
        backend = ibis.connect(url)
        names = set(backend.list_tables())
    except Exception as error:  # every driver has its own tree of errors
        raise ProfileNotFound(masked(url), without_secrets(reason_of(error), url)) from None
    raw = {name: backend.table(name) for name in TABLES if name in names}
    if backend.name not in MICROSECONDS:  # features do not run there
        try:
            return _stream(url, raw)
        finally:
            backend.disconnect()
    counts = {name: int(table.count().to_pyarrow().as_py()) for name, table in sorted(raw.items())}
    return backend, raw, hashlib.sha256(f"{masked(url)}{counts}".encode()).hexdigest()


def read_spark(address: str) -> Raw:
    """Read tables by Spark.

    Raises
    ------
    SparkMissing
        If the extra is not installed.
    """
    raw: Raw = spark_module().read_tables(address)
    return raw


def move_to_spark(backend: Any, tables: Mapping[str, ir.Table]) -> tuple[BaseBackend, dict[str, ir.Table]]:
    """Lay tables of the embedded engine out as Parquet for Spark to read; the files go when its engine goes.

    Parameters
    ----------
    backend : ibis backend
        The embedded engine.
    tables : mapping of str to ibis table
        Typed tables of the contract.

    Returns
    -------
    backend, dict of str to ibis table
        Spark, and the same tables there.

    Raises
    ------
    LayoutUnwritable
        If the folder for temporary files does not take them.
    SparkMissing
        If Spark cannot be started.
    """
    spark_module().start_session()  # refused before anything is written
    folder = mkdtemp(prefix="patron-spark-")
    with ExitStack() as files:
        files.callback(rmtree, folder, ignore_errors=True)
        try:
            for name, table in tables.items():
                backend.to_parquet(table, f"{folder}/{name}.parquet")
        except duckdb.Error as error:
            raise LayoutUnwritable(folder, reason_of(error)) from None
        spark, moved, _ = read_spark(f"spark://{folder}")
        weakref.finalize(spark, files.pop_all().close)
    return spark, moved


def _stream(url: str, remote: Mapping[str, ir.Table]) -> Raw:
    """Bring the contract's columns of another engine's tables into the embedded one, of customers the company's own."""
    backend = embedded_engine()
    raw: dict[str, ir.Table] = {}
    digest = hashlib.sha256()
    for name, table in remote.items():
        attributes = [*TABLES[name].by_name, *(own_names(table) if name == "customers" else ())]
        known = [*attributes, *(f"{column}{KNOWN_FROM}" for column in attributes)]
        columns = [column for column in known if column in table.columns] or list(table.columns)
        try:
            digest.update(name.encode() + stream(backend, table, columns, f'"raw_{name}"').encode())
        except Exception as error:  # every driver has its own tree of errors
            raise TableUnreadable(name, masked(url), without_secrets(reason_of(error), url)) from None
        raw[name] = backend.table(f"raw_{name}", database=("temp", "main"))
    return backend, raw, digest.hexdigest()
