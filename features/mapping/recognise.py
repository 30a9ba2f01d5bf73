"""Recognising tables nobody has described: by the names of their columns and by what stands in them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from features.contract import TABLES
from features.errors import NothingToPropose, SourceUnreadable, listed
from features.expressions import literal, quoted
from features.mapping.declared import strptime_format
from features.mapping.names import ANY_TIME, CUSTOMER, IDENTITY, RATES, SAID, UNIT_PRICE
from features.reading.sources import Sources, reason_of

NEEDED = {
    "surveys": ("sent_at", "score"),
    "subscriptions": ("started_at", "monthly_value"),
    "orders": ("event_time", "value"),
    "events": ("event_time", "kind"),
    "campaigns": ("campaign_id", "event_time"),
}
"""What makes a table of facts one of its kind, in the order of asking."""
IDENTITY_NAMES = ("id", "key", "number", "no")
FORMATS = (
    "YYYY-MM-DD", "YYYY-MM-DD HH:mm:ss", "YYYY-MM-DDTHH:mm:ss", "YYYY-MM-DD HH:mm", "YYYY-MM-DDTHH:mm",
    "YYYY-MM-DD HH:mm:ss.SSS", "YYYY-MM-DDTHH:mm:ss.SSS", "M/D/YYYY", "D/M/YYYY", "M/D/YYYY HH:mm", "D/M/YYYY HH:mm",
    "M/D/YYYY HH:mm:ss", "D/M/YYYY HH:mm:ss", "DD.MM.YYYY", "DD.MM.YYYY HH:mm", "DD.MM.YYYY HH:mm:ss", "D-M-YYYY",
    "YYYY/MM/DD", "YYYY/MM/DD HH:mm:ss", "YYYYMMDD", "D MMM YYYY",
)  # fmt: skip
EPOCHS = {10: 1, 13: 1_000, 16: 1_000_000}
"""Digits of a time counted from 1970 on, by how many of its units make a second."""
SINCE = ("knownfrom", "since", "from", "updatedat", "changedat", "at", "date")
"""How the name of a column ends, after that of an attribute, which says since when the attribute is so."""
ZONED = "[0-9](Z|[+-][0-9]{2}:?[0-9]{2})$"


@dataclass(frozen=True)
class Found:
    """A table as it lies there.

    Parameters
    ----------
    name : str
        What the proposal calls its source.
    source : str
        How a mapping writes it, as YAML.
    relation : str
        What the engine calls it.
    types : mapping of str to str
        Columns with their types.
    rows, distinct_rows : int
        Rows, and different ones.
    """

    name: str
    source: str
    relation: str
    types: Mapping[str, str]
    rows: int
    distinct_rows: int

    def column(self, names: Iterable[str]) -> str | None:
        """The first column that has one of the names, whatever its case and punctuation."""
        known = {plain(column): column for column in self.types}
        return next((known[name] for name in names if name in known), None)


def look(name: str, source: str, sources: Sources) -> Found:
    """See what a source holds.

    Raises
    ------
    SourceUnreadable
        If it cannot be read.
    """
    opened = sources.open(name)
    run = sources.backend.raw_sql
    try:
        types = {row[0]: str(row[1]) for row in run(f"DESCRIBE {opened.relation}").fetchall()}
        counts = (
            f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM {opened.relation})) FROM {opened.relation}"  # noqa: S608
        )
        rows, distinct = run(counts).fetchall()[0]
    except duckdb.Error as error:
        raise SourceUnreadable(name, source, reason_of(error)) from None
    return Found(name, source, opened.relation, types, int(rows), int(distinct))


def plain(name: str) -> str:
    """A name in small letters, of any alphabet, and digits only."""
    return re.sub(r"[\W_]", "", name.casefold())


@dataclass(frozen=True)
class Written:
    """How the times of a column are written.

    Parameters
    ----------
    formats : tuple of str
        Of `FORMATS`, those that fit every value.
    per_second : int
        For numbers counted from 1970 on: how many make a second; 0 for anything else.
    is_zoned : bool
        Whether every value names its zone.
    """

    formats: tuple[str, ...] = ()
    per_second: int = 0
    is_zoned: bool = False

    @property
    def is_time(self) -> bool:
        """Whether it is known to be times at all."""
        return bool(self.formats or self.per_second or self.is_zoned)


def _customer_columns(found: list[Found]) -> dict[str, str]:
    """By table, the column that names the customer: the known name that most tables have."""
    named = Counter(name for name in CUSTOMER for table in found if table.column((name,)))
    order = sorted(named, key=lambda name: (-named[name], CUSTOMER.index(name)))
    return {table.name: column for table in found if (column := table.column(order))}


class Recognised:
    """What can be told of the tables found.

    Parameters
    ----------
    backend : ibis backend
        The engine that reads them.
    found : list of Found
        The tables.

    Raises
    ------
    NothingToPropose
        If no column names the customer.
    """

    def __init__(self, backend: Any, found: list[Found]) -> None:
        self.backend = backend
        named = _customer_columns(found)
        self.customer = named or self._shared_column(found)
        self.guess = "" if named else "   # decide: no known name; the column that tells the tables' rows apart"
        if not self.customer:
            columns = listed(sorted({column for table in found for column in table.types}), 20)
            raise NothingToPropose(columns, listed(CUSTOMER, 20))
        self.joined: dict[str, tuple[str, str]] = {}
        """By table of lines, the table that says whose and when they are, and the join as YAML."""
        self.found = [self._with_header(table, found) for table in found]
        headers = {header for header, _ in self.joined.values()}
        tables = [table for table in self.found if table.name not in headers]
        self.rates = next((table for table in tables if self._are_rates(table)), None)
        self.people = self._people(tables)
        facts = [table for table in tables if table not in (self.people, self.rates)]
        self.roles = {table.name: role for table in facts if (role := self._role(table))}
        self.aliases = self._alias_table()
        alias = self.aliases[0].name if self.aliases else ""
        self.roles.pop(alias, None)
        others = [t for t in facts if t.name in self.customer and t.name not in (alias, *self.roles)]
        self.roles |= {t.name: "events" for t in others if self.clock(t, "events")}  # what else happened to a customer

    def one(self, query: str) -> Any:
        """The single value that a query gives."""
        return self.backend.raw_sql(query).fetchall()[0][0]

    def is_unique(self, table: Found, column: str) -> bool:
        """Whether a column has a value in every row, each once."""
        name = quoted(column)
        query = f"SELECT count({name}) = count(*) AND count(DISTINCT {name}) = count(*) FROM {table.relation}"  # noqa: S608
        return bool(self.one(query))

    def _shared_column(self, found: list[Found]) -> dict[str, str]:
        """Where no name is known: the column that is unique in one table and stands in the most others."""
        shared = Counter(plain(column) for table in found for column in table.types)
        for name, tables in shared.most_common():
            having = {table.name: column for table in found if (column := table.column((name,)))}
            unique = [t for t in found if t.name in having and self.is_unique(t, having[t.name])]
            if tables > 1 and len(unique) == 1:
                return having
        return {}

    def _people(self, tables: list[Found]) -> Found | None:
        """The table of customers, one a row: one that is called so, or is of nothing else; the widest of several."""
        unique = [t for t in tables if t.name in self.customer and self.is_unique(t, self.customer[t.name])]
        called = [t for t in unique if "customer" in t.name or "contact" in t.name]
        plain_people = [t for t in unique if self._role(t) is None]
        main = max(called or plain_people or unique, key=lambda table: len(table.types), default=None)
        return None if main and self._role(main) in ("orders", "events") and not called else main

    def _with_header(self, lines: Found, found: list[Found]) -> Found:
        """Lines with an amount, without customer and time, get the columns of the table with one row an order."""
        is_dated = self.column(lines, "orders", "event_time") is not None
        if lines.name in self.customer or is_dated or not self._needed(lines, "orders", "value"):
            return lines
        for header in (table for table in found if table.name in self.customer):
            if self._needed(header, "orders", "value") or not self.clock(header, "orders"):
                continue
            for ours in (column for column in lines.types if plain(column).endswith(IDENTITY_NAMES)):
                theirs = header.column((plain(ours),))
                if theirs and theirs != self.customer[header.name] and self.is_unique(header, theirs):
                    return self._join(lines, ours, header, theirs)
        return lines

    def _join(self, lines: Found, ours: str, header: Found, theirs: str) -> Found:
        added = {name: dtype for name, dtype in header.types.items() if plain(name) not in map(plain, lines.types)}
        relation, columns = quoted(f"lines_{lines.name}"), "".join(f", h.{quoted(name)}" for name in added)
        self.backend.raw_sql(
            f"CREATE TEMP VIEW {relation} AS SELECT l.*{columns} FROM {lines.relation} AS l "  # noqa: S608 - our own names
            f"LEFT JOIN {header.relation} AS h ON l.{quoted(ours)}::VARCHAR = h.{quoted(theirs)}::VARCHAR"
        )
        by = json.dumps(ours if ours == theirs else {ours: theirs}, ensure_ascii=False)
        self.joined[lines.name] = (header.name, f"{{{header.name}: {by}}}")
        self.customer[lines.name] = self.customer[header.name]
        return replace(lines, relation=relation, types={**lines.types, **added})

    def _are_rates(self, table: Found) -> bool:
        return table.name not in self.customer and all(table.column(names) for names in RATES.values())

    def _role(self, table: Found) -> str | None:
        """Which table of facts it is; one of the contract's own names is believed."""
        if table.name in NEEDED and self.clock(table, table.name):
            return table.name
        for role, needed in NEEDED.items():
            if all(self._needed(table, role, name) for name in needed):
                return role
        return None

    def _needed(self, table: Found, role: str, name: str) -> bool:
        if (role, name) == ("orders", "value"):
            return bool(self.column(table, role, name) or self.unit_price(table))
        is_clock = name == TABLES[role].clock
        return bool(self.clock(table, role) if is_clock else self.column(table, role, name))

    def unit_price(self, table: Found) -> tuple[str, str] | None:
        """How many and at what price each, where that stands in a table of order lines."""
        count, price = self.column(table, "orders", "item_count"), table.column(UNIT_PRICE)
        total = self.column(table, "orders", "value")
        return (count, price) if count and price and total in (None, price) else None

    def column(self, table: Found, role: str, name: str) -> str | None:
        """The column of a table that is the contract's, by its names."""
        names = (plain(name), *SAID[role].get(name, ()))
        is_clock = name == TABLES[role].clock and role != "subscriptions"
        return table.column((*names, *ANY_TIME) if is_clock else names)

    def since(self, table: Found, column: str, name: str = "") -> str | None:
        """The column of times that by its name says since when an attribute, or what the contract calls it, is so."""
        named = (table.column((f"{plain(x)}{end}",)) for x in (column, name) if x for end in SINCE)
        dated = (found for found in named if found and self._holds_times(table, found))
        found = next(dated, None)
        return None if found is None or self._holds_times(table, column) else found

    def clock(self, table: Found, role: str) -> str | None:
        """The column that says when a fact happened: by its name, or the only one that holds times."""
        named = self.column(table, role, str(TABLES[role].clock))
        if named or role not in ("orders", "events"):
            return named
        times = [column for column in table.types if self._holds_times(table, column)]
        return times[0] if len(times) == 1 else None

    def _holds_times(self, table: Found, column: str) -> bool:
        dtype = table.types[column]
        if dtype.startswith(("TIMESTAMP", "DATE")):
            return True
        return dtype == "VARCHAR" and column != self.customer.get(table.name) and self.written(table, column).is_time

    def written(self, table: Found, column: str) -> Written:
        """How the times of a column are written, as far as its values tell."""
        name = quoted(column)
        values = f"(SELECT DISTINCT {name}::VARCHAR AS v FROM {table.relation} WHERE {name} IS NOT NULL LIMIT 10000)"  # noqa: S608
        every = f"SELECT coalesce(bool_and({{}}), false) FROM {values}"  # noqa: S608
        if self.one(every.format(f"regexp_matches(v, '{ZONED}')")):
            return Written(is_zoned=True)
        for digits, per_second in EPOCHS.items():
            if self.one(every.format(f"regexp_full_match(v, '[0-9]{{{digits}}}([.]0*)?')")):
                return Written(per_second=per_second)
        reads = "try_strptime(v, {}) IS NOT NULL"
        return Written(tuple(t for t in FORMATS if self.one(every.format(reads.format(literal(strptime_format(t)))))))

    def _alias_table(self) -> tuple[Found, str] | None:
        """A table that holds the customer's id beside another one, which facts without the customer's id go by."""
        strangers = [table for table in self.found if table.name in self.roles and table.name not in self.customer]
        for table in self.found:
            for column in table.types if table.name in self.customer else ():
                owned = (self.customer[table.name], self.column(table, "orders", "order_id"))
                is_key = plain(column).endswith(IDENTITY_NAMES) and column not in owned
                changes_hands = table.column(IDENTITY["valid_from"]) is not None
                is_used = is_key and any(column in stranger.types for stranger in strangers)
                if is_used and (changes_hands or self.is_unique(table, column)):
                    return table, column
        return None
