"""The unified customer profile: opening one, wherever it lies, as the contract's typed tables."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends import BaseBackend
from ibis.common.exceptions import IbisError

from features.contract import FACT_TABLES, TABLES, contract_of
from features.errors import (
    ContractBroken,
    EngineUnfit,
    MissingTable,
    ProfileNotFound,
    SparkFailed,
    TableUnreadable,
    UnknownName,
)
from features.finding import Finding, by_severity
from features.instants import EPOCH, last_observed_day, read_instant
from features.mapping.file import MAPPING_FILE, read_mapping
from features.mapping.mapped import map_profile
from features.reading.arrow import arrow_table
from features.reading.check import TableSummary, inspect, inspect_schema, undatable
from features.reading.conform import PLANNED, Conformed, conform, settle
from features.reading.masking import masked
from features.reading.quarantine import Counts, set_aside
from features.reading.source import SPARK_SCHEME
from features.reading.sources import embedded_engine, reason_of
from features.reading.strays import part_strays, rows_by_day
from features.reading.tables import move_to_spark, read_duckdb, read_folder, read_spark, read_url

SIMULATED_MARK = "truth.json"
MOST_PLANNED = 0.1
"""Share of subscriptions whose start may lie after all other facts and be a plan."""
DUCKDB_SUFFIXES = (".duckdb", ".ddb", ".db")
MAPPING_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Profile:
    """A customer profile whose tables have the contract's columns and types.

    Parameters
    ----------
    source : str
        Where it was read from, for messages: of a URL without user, password and options.
    tables : mapping of str to ibis table
        Conformed tables; optional columns that the source lacks are absent.
    digest : str
        SHA-256 over the profile's content, hexadecimal.
    findings : tuple of Finding
        What the check noted; never an error when `require_valid` passed.
    summaries : tuple of TableSummary
        Size and period of each table.
    backend : ibis backend
        The engine that holds the tables.
    is_simulated : bool
        Whether `patron simulate` made it; said wherever anything made from it is shown.
    counts : mapping of str to Counts
        Where the rows of each table went: read, used, quarantined, out of scope.
    conformed : mapping of str to Conformed
        The tables with the source text and the rules, for whoever examines them further.
    broken_rows : {"refuse", "quarantine"}
        What is to happen to rows that break the contract.
    labels : ibis table or None
        Outcomes that a `profile.yaml` takes from elsewhere, beside `customer_id`; no feature can see them.
    """

    source: str
    tables: Mapping[str, ir.Table]
    digest: str
    findings: tuple[Finding, ...]
    summaries: tuple[TableSummary, ...]
    backend: BaseBackend = field(repr=False)
    is_simulated: bool = False
    counts: Mapping[str, Counts] = field(default_factory=dict)
    conformed: Mapping[str, Conformed] = field(default_factory=dict, repr=False)
    broken_rows: str = "refuse"
    labels: ir.Table | None = field(default=None, repr=False)

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether the profile has a table, or a column of it."""
        return table in self.tables and (column is None or column in self.tables[table].columns)

    def table(self, name: str, needed_for: str) -> ir.Table:
        """A table that must be there.

        Raises
        ------
        MissingTable
            If the profile does not have it.
        """
        if name not in self.tables:
            raise MissingTable(name, needed_for, self.tables)
        return self.tables[name]

    def require_valid(self) -> "Profile":
        """Return the profile itself.

        Raises
        ------
        ContractBroken
            If any finding is an error.
        """
        errors = [finding for finding in self.findings if finding.severity == "error"]
        if errors:
            raise ContractBroken(errors, self.source)
        return self

    @cached_property
    def known_from(self) -> datetime:
        """Midnight UTC of the first day on which any fact happened; one far before all others of its table is none."""
        daily = (rows_by_day(self.conformed[s.table], self.backend.name) for s in self._dated())
        return EPOCH + timedelta(days=min(part_strays(days)[0][0] for days in daily))

    @cached_property
    def known_until(self) -> datetime:
        """Midnight UTC after the last day on which any fact happened: everything before it has been observed.

        A subscription's start may be agreed on beforehand. Few starts after the last fact of all other tables are such;
        where there are many, those tables have ended and subscriptions have gone on.
        """
        dated = self._dated()
        planned = [summary for summary in dated if TABLES[summary.table].clock in PLANNED]
        last = max(read_instant(summary.last) for summary in dated if summary not in planned or planned == dated)
        for summary in planned:
            clock = self.tables[summary.table][TABLES[summary.table].clock]
            later = self.tables[summary.table].aggregate(rows=(clock > last).sum())
            if (self.backend.to_pyarrow(later).to_pylist()[0]["rows"] or 0) > MOST_PLANNED * summary.rows:
                last = read_instant(summary.last)
        day = last_observed_day(last + timedelta(microseconds=1))
        return read_instant(day.isoformat()) + timedelta(days=1)

    def _dated(self) -> list[Any]:
        dated = [summary for summary in self.summaries if summary.first and summary.table in FACT_TABLES]
        if not dated:
            raise MissingTable("orders", "every prediction", self.tables)
        return dated


def open_profile(source: str | Path, quarantine: Path | None = None, now: datetime | None = None) -> Profile:
    """Open a profile and hold it against the contract.

    Parameters
    ----------
    source : str or path
        A folder of ``<table>.parquet|csv|csv.gz``, a DuckDB file, an Ibis connection URL, or a ``profile.yaml`` (or
        its folder) that maps a company's own tables; behind ``spark://`` it is mapped here and handed to Spark.
    quarantine : Path, optional
        Leave out rows that break the contract and write them into this folder, instead of refusing the profile; see
        `features.reading.quarantine`. A ``profile.yaml`` may ask for it itself (``broken_rows: quarantine``), into the
        folder `quarantine` beside it.
    now : datetime, optional
        When it is read: facts that lie later break the contract.

    Returns
    -------
    Profile
        Valid: every row keeps the contract.

    Raises
    ------
    ProfileNotFound, TableUnreadable
        If it cannot be read.
    MissingTable
        If `customers` or every fact table is missing.
    ContractBroken
        If a column or a row breaks the contract.
    QuarantineUnsupported, QuarantineUnwritable
        If rows cannot be set aside.
    """
    return examine_profile(source, quarantine, now).require_valid()


def address_for(source: str, engine: str) -> str:
    """Where a profile lies for the engine that shall read it.

    Parameters
    ----------
    source : str
        As `open_profile` takes it.
    engine : {"", "duckdb", "spark"}
        Without one, what the source says.

    Raises
    ------
    UnknownName
        If there is no such engine, or the source asks for the other.
    EngineUnfit
        If Spark cannot read the source.
    """
    on_spark = source.startswith(SPARK_SCHEME)
    if engine not in ("", "duckdb", "spark") or (engine == "duckdb" and on_spark):
        raise UnknownName("engine", engine, ("spark",) if on_spark else ("duckdb", "spark"))
    if engine != "spark" or on_spark:
        return source
    if "://" in source:
        raise EngineUnfit(engine, f"a {source.partition('://')[0]} URL")
    if Path(source).suffix in DUCKDB_SUFFIXES:
        raise EngineUnfit(engine, "a DuckDB file")
    return f"{SPARK_SCHEME}{Path(source).absolute()}"


def examine_profile(source: str | Path, quarantine: Path | None = None, now: datetime | None = None) -> Profile:
    """Open a profile without refusing broken rows; its findings name them. See `open_profile`.

    Raises
    ------
    ProfileNotFound, TableUnreadable, SourceUnreadable, MappingInvalid
        If it cannot be read.
    MissingTable
        If `customers` or every fact table is missing.
    QuarantineUnsupported, QuarantineUnwritable
        If rows cannot be set aside.
    """
    text = str(source)
    address = text.removeprefix("duckdb://")  # a file, read like any other
    if mapping := _mapping_at(address):
        mapped = _open_mapped(text, mapping, quarantine, now)
        return _on_spark(mapped) if address.startswith(SPARK_SCHEME) else mapped
    path = Path(address)
    if address.startswith(SPARK_SCHEME):
        backend, raw, digest = read_spark(text)
        path = Path(address.removeprefix(SPARK_SCHEME))
    elif "://" in address:
        backend, raw, digest = read_url(text)
    elif path.is_dir():
        backend, raw, digest = read_folder(path)
    elif path.is_file() and path.suffix in DUCKDB_SUFFIXES:
        backend, raw, digest = read_duckdb(path)
    else:
        raise ProfileNotFound(text, "no such folder" if not path.exists() else "neither a folder nor a .duckdb file")
    profile = _examine(masked(text), backend, raw, digest, quarantine, now)
    return replace(profile, is_simulated=(path / SIMULATED_MARK).is_file())


def _mapping_at(address: str) -> Path | None:
    place = address.removeprefix(SPARK_SCHEME)
    path = Path(place)
    is_database = place != address and "/" not in place  # of Spark's catalog, whatever folder has its name
    if path.is_dir() and (path / MAPPING_FILE).is_file() and not is_database:
        path = path / MAPPING_FILE
    return path if path.is_file() and path.suffix in MAPPING_SUFFIXES else None


def _on_spark(profile: Profile) -> Profile:
    """The same profile with its tables on Spark: what a mapping asks for is done by the embedded engine."""
    backend, raw = move_to_spark(profile.backend, profile.tables)
    conformed = {name: conform(settle(table), contract_of(name, table.columns)) for name, table in raw.items()}
    tables = {name: table.typed for name, table in conformed.items()}
    return replace(profile, tables=tables, conformed=conformed, backend=backend)


def _open_mapped(source: str, path: Path, quarantine: Path | None, now: datetime | None) -> Profile:
    file = read_mapping(path)
    mapped = map_profile(file)
    if file.mapping.broken_rows == "quarantine":
        quarantine = quarantine or path.parent / "quarantine"
    profile = _examine(source, mapped.backend, mapped.raw, mapped.digest, quarantine, now)
    return replace(
        profile,
        findings=(*mapped.findings, *profile.findings),  # the cause before what follows from it
        is_simulated=(path.parent / SIMULATED_MARK).is_file(),
        broken_rows=file.mapping.broken_rows,
        labels=mapped.labels,
    )


def profile_from_tables(
    tables: Mapping[str, pa.Table | pd.DataFrame], source: str = "memory", quarantine: Path | None = None
) -> Profile:
    """Make a profile of tables in memory, as a notebook or a test has them.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table or pandas.DataFrame
        The contract's tables by name.
    source : str
        What to call it in messages.
    quarantine : Path, optional
        Where to write rows that break the contract; see `open_profile`.

    Returns
    -------
    Profile
        Valid: every row keeps the contract.

    Raises
    ------
    MissingTable
        If `customers` or every fact table is missing.
    ContractBroken
        If a column or a row breaks the contract.
    """
    backend = embedded_engine()
    digest = hashlib.sha256()
    raw: dict[str, ir.Table] = {}
    for name, frame in sorted(tables.items()):
        try:
            table = arrow_table(frame)
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink)
            raw[name] = backend.create_table(f"raw_{name}", table, temp=True)
        except (pa.ArrowException, duckdb.Error, IbisError) as error:
            raise TableUnreadable(name, source, reason_of(error)) from None
        digest.update(name.encode() + sink.getvalue().to_pybytes())
    return _examine(source, backend, raw, digest.hexdigest(), quarantine).require_valid()


def _examine(
    source: str,
    backend: BaseBackend,
    raw: Mapping[str, ir.Table],
    digest: str,
    quarantine: Path | None,
    now: datetime | None = None,
) -> Profile:
    if "customers" not in raw:
        raise MissingTable("customers", "every profile", raw)
    if not any(name in raw for name in FACT_TABLES):
        raise MissingTable("orders", "a profile without any other table of facts", raw)
    conformed: dict[str, Conformed] = {}
    findings: list[Finding] = []
    for name in TABLES:
        if name in raw:
            table = settle(raw[name])
            wrong = inspect_schema(name, table)
            findings += wrong
            if not wrong:
                conformed[name] = conform(table, contract_of(name, table.columns), now)
    try:
        row_findings, summaries = inspect(conformed)
        counts = {summary.table: Counts(summary.rows, summary.rows) for summary in summaries}
        if quarantine and not findings:
            conformed, counted = set_aside(conformed, row_findings, backend, quarantine)
            counts |= counted
            left, summaries = inspect(conformed)
            row_findings = _after_quarantine(row_findings, left, quarantine)
    except (duckdb.Error, SparkFailed) as error:  # a file can have a sound header and be damaged inside
        damaged = next((name for name in conformed if f"{name}.parquet" in str(error)), "of the profile")
        raise TableUnreadable(damaged, source, reason_of(error)) from None
    if any(count.read > count.used for count in counts.values()):
        digest = hashlib.sha256(f"{digest} without quarantined rows".encode()).hexdigest()
    broken = {finding.table for finding in row_findings if finding.severity == "error"}
    tables = {name: table.typed if name in broken else table.kept for name, table in conformed.items()}
    return Profile(
        source,
        tables,
        digest,
        tuple(by_severity([*findings, *row_findings, *undatable(raw["customers"].columns)])),
        tuple(summaries),
        backend,
        counts=counts,
        conformed=conformed,
    )


def _after_quarantine(found: list[Finding], left: list[Finding], folder: Path) -> list[Finding]:
    """What still stands once broken rows are left out, and as warnings what they were."""
    still = {(finding.table, finding.column, finding.rule) for finding in left}
    gone = [
        replace(f, severity="warning", remedy=f"Left out, see {folder / f.table}.parquet. {f.remedy}")
        for f in found
        if (f.table, f.column, f.rule) not in still
    ]
    return by_severity(left + gone)
