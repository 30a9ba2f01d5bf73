"""One source of a mapped table: its columns bound to the mapping's expressions, and the SQL that selects them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from features.contract import KNOWN_FROM, SURVEY_SCALES, TABLES, Kind
from features.errors import listed
from features.expressions import Bound, ExpressionRefused, bind, comparisons, literal, quoted
from features.mapping.declared import ColumnMapping, Part, Scale, Times, strptime_format
from features.mapping.file import MappingFile, Place
from features.reading.conform import OFFSET
from features.reading.sources import Sources, reason_of

ALIAS = "__alias"
"""Beside `customer_id`, the alias that a row came with; gone once it is resolved."""
OTHER = "other"
NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL")
_ISO = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class BoundPart:
    """A part whose every expression is known to fit its sources.

    Parameters
    ----------
    file : MappingFile
        Where it is written.
    place : tuple
        Where in the file.
    table : str
        The contract's table; empty for labels.
    part : Part
        What is written.
    items : mapping of str to (place, ColumnMapping, Bound)
        The columns it gives.
    where : Bound or None
        Its condition.
    used : mapping of str to frozenset of str
        Columns read, by source.
    """

    file: MappingFile
    place: Place
    table: str
    part: Part
    items: Mapping[str, tuple[Place, ColumnMapping, Bound]]
    where: Bound | None
    used: Mapping[str, frozenset[str]]


def bind_part(file: MappingFile, place: Place, table: str, part: Part, sources: Sources) -> BoundPart:
    """Hold the expressions of a part against the columns of its sources.

    Raises
    ------
    MappingInvalid
        If one does not fit.
    """
    spelled, owners = _scope(file, place, part, sources)

    def bound(at: Place, text: str) -> Bound:
        try:
            return bind(text, spelled)
        except ExpressionRefused as refused:
            raise file.problem(at, refused.found, refused.allowed) from None

    items: dict[str, tuple[Place, ColumnMapping, Bound]] = {}
    for at, name, column in _columns(place, part):
        text = column.alias or column.from_
        items[name] = (at, column, bound(at, text) if text else Bound(literal(column.constant), frozenset()))
    where = bound((*place, "where"), part.where) if part.where else None
    names = {name for _, _, expression in items.values() for name in expression.columns}
    names |= where.columns if where else set()
    used = {source: _keys(part, source) for source in (part.from_, *part.join)}
    for source, owned in (owners[name] for name in names):
        used[source] |= {owned}
    if part.exact_duplicates == "drop":  # only whole rows can be told to be equal
        used[part.from_] = frozenset(sources.open(part.from_).columns)
    return BoundPart(file, place, table, part, items, where, used)


def _columns(place: Place, part: Part) -> Iterator[tuple[Place, str, ColumnMapping]]:
    """The columns that a part gives, with those that say since when others are known, and where each is written."""
    for name, column in part.columns.items():
        yield (*place, "columns", name), name, column
        if column.known_from is not None:
            yield (*place, "columns", name, "known_from"), f"{name}{KNOWN_FROM}", column.known_from
    if part.known_from is not None:
        yield (*place, "known_from"), "ingested_at", part.known_from


def _by(part: Part, source: str) -> dict[str, str]:
    by = part.join[source]
    return {by: by} if isinstance(by, str) else by


def _keys(part: Part, source: str) -> frozenset[str]:
    """Columns of a source that joins need."""
    theirs = _by(part, source).values() if source in part.join else ()
    ours = [key for other in part.join for key in _by(part, other)] if source == part.from_ else []
    return frozenset([*theirs, *ours])


def _scope(
    file: MappingFile, place: Place, part: Part, sources: Sources
) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Columns that expressions may use, by name, with what the engine calls them and the source that owns them.

    A column that a join adds under a name already taken is written ``source.column``.
    """
    base = sources.open(part.from_)
    spelled = {name: f"t0.{quoted(name)}" for name in base.columns}
    owners = {name: (part.from_, name) for name in base.columns}
    for i, source in enumerate(part.join, start=1):
        joined, by = sources.open(source), _by(part, source)
        for ours, theirs in by.items():
            if ours not in base.columns or theirs not in joined.columns:
                missing, where = (ours, base) if ours not in base.columns else (theirs, joined)
                raise file.problem((*place, "join", source), f"column {missing!r}", listed(where.columns, 25))
        for name in joined.columns:
            called = name if name not in spelled else f"{source}.{name}"
            spelled[called], owners[called] = f"t{i}.{quoted(name)}", (source, name)
    return spelled, owners


def row_demands(bound: BoundPart) -> list[tuple[str, str, str | float]]:
    """What a part demands of single columns of its source's rows."""
    return comparisons(bound.part.where) if bound.where and bound.part.where and not bound.part.join else []


def part_sql(bound: BoundPart, sources: Sources) -> str:
    """Write the query that selects a part's columns from its loaded sources.

    Raises
    ------
    MappingInvalid
        If an expression does not fit its columns' types, or a join would multiply rows.
    """
    origin = _origin(bound, sources)
    chosen: list[str] = []
    for name, (place, column, expression) in bound.items.items():
        dtype = _type(bound, sources, place, expression.sql, origin)
        sql = _column_sql(bound, name, column, expression.sql, dtype)
        if column.alias:
            chosen.append(f"{sql} AS {quoted(ALIAS)}")
        if name not in expression.columns and name.lower() in map(str.lower, expression.columns):
            sql = f"CASE WHEN TRUE THEN {sql} END"  # the engine describes `"Gender" AS gender` as Gender
        chosen.append(f"{sql} AS {quoted(name)}")
    if bound.where:
        _type(bound, sources, (*bound.place, "where"), bound.where.sql, origin)
    where = f" WHERE {bound.where.sql}" if bound.where else ""
    return f"SELECT {', '.join(chosen)} FROM {origin}{where}"  # noqa: S608 - of checked expressions


def _origin(bound: BoundPart, sources: Sources) -> str:
    part = bound.part
    distinct = "DISTINCT " if part.exact_duplicates == "drop" else ""
    sql = f"(SELECT {distinct}* FROM {sources.open(part.from_).relation}) AS t0"  # noqa: S608 - our own names
    for i, source in enumerate(part.join, start=1):
        relation, by = sources.open(source).relation, _by(part, source)
        keys = ", ".join(quoted(key) for key in by.values())
        twice = f"SELECT {keys} FROM {relation} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"  # noqa: S608
        if repeated := sources.backend.raw_sql(twice).fetchall():
            found = (
                f"{', '.join(by.values())} {', '.join(map(repr, map(str, repeated[0])))} more than once in {source!r}"
            )
            raise bound.file.problem((*bound.place, "join", source), found, "a source with one row a key")
        on = " AND ".join(f"t0.{quoted(a)}::VARCHAR = t{i}.{quoted(b)}::VARCHAR" for a, b in by.items())
        sql += f" LEFT JOIN {relation} AS t{i} ON {on}"
    return sql


def _type(bound: BoundPart, sources: Sources, place: Place, sql: str, origin: str) -> str:
    try:
        described = sources.backend.raw_sql(f"DESCRIBE SELECT {sql} AS x FROM {origin}").fetchall()[0]  # noqa: S608
    except duckdb.Error as error:
        raise bound.file.problem(place, reason_of(error), "an expression that fits the types of its columns") from None
    return str(described[1])


def _column_sql(bound: BoundPart, name: str, column: ColumnMapping, sql: str, dtype: str) -> str:
    kind = _kind(bound.table, name)
    if kind == "instant":
        return instant_sql(sql, dtype, column.times or bound.file.mapping.times)
    if column.scale:
        return _score_sql(sql, column.scale, str(bound.part.columns["metric"].constant))
    if column.categories:
        known = ", ".join(literal(value) for value in column.categories)
        text = f"NULLIF(CAST({sql} AS VARCHAR), '')"
        return f"CASE WHEN {text} IS NULL OR {text} IN ({known}) THEN {text} ELSE {literal(OTHER)} END"
    if kind in ("money", "number", "score") and not dtype.startswith(NUMERIC):
        return f"CAST({sql} AS VARCHAR)"
    if (kind == "id" and dtype not in ("FLOAT", "DOUBLE")) or dtype.startswith(("ENUM", "UUID")):
        return f"CAST({sql} AS VARCHAR)"
    return sql


def _kind(table: str, name: str) -> Kind:
    """What a mapped column holds; attributes of one's own are text."""
    if name == "ingested_at" or (table == "customers" and name.endswith(KNOWN_FROM)):
        return "instant"
    column = TABLES[table].by_name.get(name) if table else None
    return column.kind if column else "id" if name == "customer_id" else "text"


def instant_sql(sql: str, dtype: str, times: Times) -> str:
    """Read a time as the mapping says; what cannot be read stays as it was found, for the check to name.

    Parameters
    ----------
    sql, dtype : str
        An expression and its type.
    times : Times
        How times are written.
    """
    if dtype.startswith(("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")):
        return f"CAST({sql} AS TIMESTAMPTZ)"
    zone = literal(times.zone)
    if dtype.startswith(("TIMESTAMP", "DATE")):
        return f"timezone({zone}, CAST({sql} AS TIMESTAMP))" if times.zone else f"CAST({sql} AS VARCHAR)"
    if dtype != "VARCHAR":
        return f"CAST({sql} AS VARCHAR)"  # a bare number is not a time: to_timestamp(x) says that it is one
    if not (times.formats or times.zone):
        return sql
    readings = [_reading(sql, text, zone) for text in times.formats] or [
        f"CASE WHEN NOT regexp_matches({sql}, {literal(OFFSET)}) "
        f"THEN {_written(f'timezone({zone}, TRY_CAST({sql} AS TIMESTAMP))')} END"
    ]
    return f"COALESCE({', '.join(readings)}, {sql})"


def _reading(sql: str, text: str, zone: str) -> str:
    parsed = f"try_strptime({sql}, {literal(strptime_format(text))})"
    return _written(parsed if "Z" in text else f"timezone({zone}, {parsed})")


def _written(instant: str) -> str:
    return f"strftime(timezone('UTC', {instant}), {literal(_ISO)})"


def _score_sql(sql: str, scale: Scale, metric: str) -> str:
    """Carry an answer over to the contract's scale; one off its own scale becomes words that say so."""
    low, high = SURVEY_SCALES[metric]
    number, text = f"TRY_CAST({sql} AS DOUBLE)", f"CAST({sql} AS VARCHAR)"
    share = f"({number} - {scale.low}) / {scale.high - scale.low}"
    carried = f"CAST(CAST(floor({low} + {share} * {high - low} + 0.5) AS BIGINT) AS VARCHAR)"
    if (scale.low, scale.high) == (low, high):  # the check knows this scale
        return text
    off = f"{text} || {literal(f' (off {scale.low}-{scale.high})')}"
    return f"CASE WHEN {number} BETWEEN {scale.low} AND {scale.high} THEN {carried} ELSE {off} END"


def exact_copies(bound: BoundPart, sources: Sources) -> tuple[int, int]:
    """Count the rows that are exact copies of another, and all rows, where the mapping drops copies."""
    relation = sources.open(bound.part.from_).relation
    where = f" WHERE {bound.where.sql}" if bound.where and not bound.part.join else ""
    rows = f"SELECT * FROM {relation} AS t0{where}"  # noqa: S608 - of checked expressions
    counts = f"SELECT (SELECT count(*) FROM ({rows})), (SELECT count(*) FROM (SELECT DISTINCT * FROM ({rows})))"  # noqa: S608
    row: Any = sources.backend.raw_sql(counts).fetchall()[0]
    return int(row[0] - row[1]), int(row[0])
