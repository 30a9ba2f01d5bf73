"""Where rows lie, files or databases, and how they come into the embedded engine.

Files are read where they lie, CSV as text. Of a database behind a URL only the columns that a mapping uses, and of
the rows those that its `where` does not exclude, are streamed in Arrow batches into the embedded engine, where the
features run: so every source gives the same features to the last bit, and the database does one plain scan.
"""

import csv
import hashlib
import importlib
import io
import operator
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import gettempdir
from textwrap import shorten
from typing import Any
from urllib.parse import quote

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.errors import (
    SourceMisencoded,
    SourceUnreadable,
    SparkMissing,
    TableMisencoded,
    TableUnreadable,
    listed,
)
from features.expressions import literal, quoted
from features.reading.arrow import stream
from features.reading.encoding import UTF_8, Misfit, head, in_utf8, is_gzip, likely_encoding, require_fit
from features.reading.masking import masked, without_secrets
from features.reading.source import SPARK_SCHEME, Source

CSV_DIALECT = {"auto_detect": False, "delim": ",", "quote": '"', "escape": '"', "strict_mode": True}
ENGINE_MEMORY = "1500MB"  # what is larger goes to disk: a nightly job shares its machine
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def embedded_engine() -> Any:
    """An embedded engine whose answers do not depend on the machine's time zone, and that spills what is large."""
    spill = f"{gettempdir()}/patron-{os.getpid()}-{next(_engines)}"  # made when needed, removed by the engine
    backend = ibis.duckdb.connect(memory_limit=ENGINE_MEMORY, temp_directory=spill, preserve_insertion_order=False)
    backend.raw_sql("SET TimeZone = 'UTC'")
    return backend


_engines = count()


def spark_module() -> Any:
    """The module `features.reading.spark`, whose library is an extra.

    Raises
    ------
    SparkMissing
        If the extra is not installed.
    """
    try:
        return importlib.import_module("features.reading.spark")
    except ImportError as error:
        raise SparkMissing(f"{error.name} is not installed") from None


def view(backend: Any, name: str, query: str) -> ir.Table:
    """A query of the embedded engine, under a name of its own, as a table."""
    backend.raw_sql(f"CREATE TEMP VIEW {quoted(name)} AS {query}")
    return backend.table(name, database=("temp", "main"))


def is_parquet(path: Path) -> bool:
    """Whether a file's name says that it is Parquet; any other is CSV."""
    return path.suffix.lower() == ".parquet"


def read_table_file(backend: Any, name: str, path: Path, delimiter: str = ",", encoding: str = UTF_8) -> ir.Table:
    """Read one file; CSV as text and once, so that nothing is guessed, skipped or parsed twice.

    Raises
    ------
    TableUnreadable
        If it is not what its name says.
    TableMisencoded
        If it is not text in that encoding.
    """
    try:
        if is_parquet(path):
            return backend.read_parquet(path, table_name=f"raw_{name}")
        return _read_text(backend, name, path, delimiter, encoding)
    except (duckdb.Error, csv.Error, OSError, EOFError, UnicodeError, zlib.error) as error:
        raise TableUnreadable(name, path.name, reason_of(error)) from None


def _read_text(backend: Any, name: str, path: Path, delimiter: str, encoding: str) -> ir.Table:
    try:
        with in_utf8(path, encoding) as text:
            try:
                return _read_csv(backend, name, text, delimiter)
            except duckdb.Error:
                require_fit(text, UTF_8)  # says where it is not
                raise
    except Misfit as misfit:
        raise TableMisencoded(name, path.name, str(misfit), likely_encoding(path)) from None


def _read_csv(backend: Any, name: str, path: Path, delimiter: str) -> ir.Table:
    dialect = CSV_DIALECT | {"delim": delimiter, "compression": "gzip" if is_gzip(path) else "none"}
    columns = dict.fromkeys(_header(path, delimiter), "string")
    rows = backend.read_csv(path, table_name=f"csv_{name}", columns=columns, header=True, nullstr="", **dialect)
    return backend.create_table(f"raw_{name}", rows, temp=True)


def _header(path: Path, delimiter: str) -> list[str]:
    """Column names of a CSV file; those left blank, as pandas writes its index, get a number."""
    names = next(csv.reader(io.StringIO(head(path, UTF_8), newline=""), delimiter=delimiter), [])
    if any("\0" in name for name in names):
        raise Misfit("byte 0x00 in line 1, which no text has")
    if len({name.lower() for name in names}) < len(names):  # the engine tells none apart by their case
        raise csv.Error(f"a column name stands twice in the header {listed(names, 20)}")
    return [name or f"column{i}" for i, name in enumerate(names)] or ["column0"]


def reason_of(error: Exception) -> str:
    """What an engine said, in one short line, without its own query and advice on its options."""
    said = str(error).split("Possible")[0].split("LINE 1:")[0]
    return shorten("; ".join(line.strip() for line in said.splitlines() if line.strip()), 200, placeholder="...")


@dataclass
class OpenSource:
    """A source of a mapping, open.

    Parameters
    ----------
    relation : str
        What the embedded engine calls it, quoted.
    columns : tuple of str
        Its columns.
    digest : str
        SHA-256 of its content.
    remote : ibis table or None
        For a database, the table there; `load` brings what is needed of it.
    """

    relation: str
    columns: tuple[str, ...]
    digest: str = ""
    remote: ir.Table | None = None


@dataclass
class Sources:
    """The sources of a mapping, each opened when it is first asked for.

    Parameters
    ----------
    declared : mapping of str to Source
        As the mapping names them.
    folder : Path
        What their paths are relative to.
    backend : ibis backend
        The embedded engine.
    environment : mapping of str to str
        What ``${NAME}`` stands for; ``${NAME:-default}`` where it may be unset.
    """

    declared: Mapping[str, Source]
    folder: Path
    backend: Any
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _open: dict[str, OpenSource] = field(default_factory=dict)
    _connections: dict[str, Any] = field(default_factory=dict)
    _parsed: list[str] = field(default_factory=list)

    def __enter__(self) -> "Sources":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.disconnect()
        for table in self._parsed:  # everything has been made of them
            self.backend.raw_sql(f"DROP TABLE IF EXISTS {quoted(table)}")

    def open(self, name: str) -> OpenSource:
        """Open a source, or find it open.

        Raises
        ------
        SourceUnreadable
            If it is not there or not what it is said to be.
        """
        if name not in self._open:
            source = self.declared[name]
            opener = self._open_files if source.files else self._open_duckdb if source.duckdb else self._open_url
            self._open[name] = opener(name, source)
        return self._open[name]

    def digests(self) -> dict[str, str]:
        """Digest of every source opened, by name."""
        return {name: source.digest for name, source in sorted(self._open.items())}

    def _path(self, name: str, text: str) -> Path:
        return self.folder / self._expand(name, text, in_url=False)

    def _expand(self, name: str, text: str, in_url: bool) -> str:
        """Put environment variables in; inside a URL as URLs want them, a whole URL as it is."""

        def value(match: re.Match[str]) -> str:
            found = self.environment.get(match[1], match[2])
            if found is None:
                raise SourceUnreadable(name, masked(text), f"environment variable {match[1]!r} is not set")
            return quote(found, safe="") if in_url and match[0] != text else found

        return _VARIABLE.sub(value, text)

    def _open_files(self, name: str, source: Source) -> OpenSource:
        paths: list[Path] = []
        for text in source.files:
            pattern = self._path(name, text)
            parts = pattern.parts
            fixed = next((i for i, part in enumerate(parts) if any(c in part for c in "*?[")), len(parts) - 1)
            found = sorted(p for p in Path(*parts[:fixed]).glob("/".join(parts[fixed:])) if p.is_file())
            if not found:
                raise SourceUnreadable(name, text, f"no such file under {str(self.folder)!r}")
            paths += found
        try:
            tables = [
                read_table_file(self.backend, f"{name}_{i}", path, source.delimiter, source.encoding)
                for i, path in enumerate(paths)
            ]
        except TableMisencoded as error:
            raise SourceMisencoded(name, error.path, error.found, error.likely) from None
        except TableUnreadable as error:
            raise SourceUnreadable(name, source.files[0], str(error).split(". Allowed")[0]) from None
        columns = tables[0].columns
        for path, table in zip(paths, tables, strict=True):
            if set(table.columns) != set(columns):
                odd = listed(sorted(set(table.columns) ^ set(columns)))
                raise SourceUnreadable(name, path.name, f"its columns differ from {paths[0].name!r} in {odd}")
        self._parsed += [table.op().name for table, path in zip(tables, paths, strict=True) if not is_parquet(path)]
        relation = quoted(f"source_{name}")
        union = " UNION ALL BY NAME ".join(f"FROM {quoted(table.op().name)}" for table in tables)
        self.backend.raw_sql(f"CREATE TEMP VIEW {relation} AS {union}")
        return OpenSource(relation, tuple(columns), _digest_files(paths))

    def _open_duckdb(self, name: str, source: Source) -> OpenSource:
        path = self._path(name, source.duckdb)
        catalog = quoted(f"file_{name}")
        relation = quoted(f"source_{name}")
        table = ".".join(quoted(part) for part in source.table.split("."))
        schema = "" if "." in source.table else "main."
        try:
            if not path.is_file():
                raise SourceUnreadable(name, source.duckdb, "no such file")
            self.backend.raw_sql(f"ATTACH {literal(str(path))} AS {catalog} (READ_ONLY)")
            self.backend.raw_sql(f"CREATE TEMP VIEW {relation} AS SELECT * FROM {catalog}.{schema}{table}")  # noqa: S608
            columns = [row[0] for row in self.backend.raw_sql(f"DESCRIBE {relation}").fetchall()]
        except duckdb.Error as error:
            raise SourceUnreadable(name, source.duckdb, reason_of(error)) from None
        return OpenSource(relation, tuple(columns), _digest_files([path]))

    def _open_spark(self, name: str, address: str, table: str) -> OpenSource:
        place = address.removeprefix(SPARK_SCHEME)
        is_path = "/" in place and "://" not in place
        remote = spark_module().open_source(name, str(self.folder / place) if is_path else place, table)
        return OpenSource(quoted(f"source_{name}"), tuple(remote.columns), remote=remote)

    def _open_url(self, name: str, source: Source) -> OpenSource:
        address = self._expand(name, source.url, in_url=False)
        if address.startswith(SPARK_SCHEME):
            return self._open_spark(name, address, source.table)
        *schema, table = source.table.split(".")
        try:
            if source.url not in self._connections:
                self._connections[source.url] = ibis.connect(self._expand(name, source.url, in_url=True))
            remote = self._connections[source.url].table(table, **({"database": schema[0]} if schema else {}))
        except SourceUnreadable:
            raise
        except Exception as error:  # every driver has its own tree of errors
            raise SourceUnreadable(name, masked(source.url), self._without_secrets(name, reason_of(error))) from None
        return OpenSource(quoted(f"source_{name}"), tuple(remote.columns), remote=remote)

    def _without_secrets(self, name: str, said: str) -> str:
        url = self.declared[name].url
        for match in _VARIABLE.finditer(url):
            secret = self.environment.get(match[1])
            said = said.replace(secret, match[0]) if secret else said
        return without_secrets(said, self._expand(name, url, in_url=True))

    def load(self, name: str, used: Iterable[str], wanted: Sequence[tuple[str, str, str | float]]) -> None:
        """Stream what is needed of a database's table into the embedded engine; files stay where they are.

        Parameters
        ----------
        name : str
            The source.
        used : iterable of str
            The columns needed.
        wanted : sequence of (column, comparison, value)
            What every needed row fulfils.

        Raises
        ------
        SourceUnreadable
            If the database fails.
        """
        source = self._open[name]
        if source.remote is None:
            return
        rows = source.remote
        for column, comparison, value in wanted:
            if column in rows.columns and _comparable(rows[column].type(), comparison, value):
                rows = rows.filter(_COMPARE[comparison](rows[column], value))
        try:
            source.digest = stream(self.backend, rows, sorted(used) or [source.columns[0]], source.relation)
        except Exception as error:  # the driver's own
            said = self._without_secrets(name, reason_of(error))
            raise SourceUnreadable(name, self.declared[name].table, said) from None


def _digest_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _comparable(dtype: dt.DataType, comparison: str, value: str | float) -> bool:
    """Whether every engine answers the comparison alike: order of text and zones of times are engines' own."""
    if isinstance(value, str):
        return bool(dtype.is_string()) and comparison in ("==", "!=")
    return bool(dtype.is_numeric())
