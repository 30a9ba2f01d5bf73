"""Recognising tables nobody has described: by the names of their columns and by what stands in them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from features.contract import TABLES
from features.errors import NothingToPropose, SourceUnreadable, listed
from features.expressions import quoted
from features.sources import Sources, reason_of

CUSTOMER = ("customerid", "customer", "contactid", "userid", "clientid", "memberid", "householdid", "accountid")
SAID: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "customers": {
        "created_at": ("createdat", "createdon", "signupdate", "registeredat", "joined", "customersince"),
        "acquisition_channel": ("acquisitionchannel", "source"),
        "region": ("region", "state", "country"),
        "gender": ("gender", "sex"),
        "age_band": ("ageband", "agegroup"),
        "income_band": ("incomeband",),
        "industry": ("industry", "sector"),
        "company_size": ("companysize",),
        "tier": ("tier", "loyaltytier"),
    },
    "orders": {
        "order_id": ("orderid", "purchaseid", "transactionid", "invoiceid", "invoiceno", "basketid", "receiptid"),
        "event_time": ("orderdate", "orderedat", "purchasedon", "purchasedate", "invoicedate", "transactiontimestamp"),
        "value": ("totalprice", "amount", "total", "netvalue", "salesvalue", "revenue", "spend", "price", "paid"),
        "currency": ("currencycode",),
        "channel": ("saleschannel", "platform"),
        "category": ("productcategory", "department"),
        "discount_value": ("discount",),
        "item_count": ("quantity", "qty", "items", "cds"),
        "is_return": ("returned", "isrefund"),
    },
    "surveys": {
        "metric": (),
        "sent_at": ("sentat", "senton", "askedat", "surveydate", "reviewdate"),
        "responded_at": ("answeredat", "respondedon", "reviewdate"),
        "score": ("rating", "reviewrating", "answer", "nps", "csat", "ces"),
        "touchpoint": (),
        "comment": ("reviewtext", "text", "feedback"),
    },
    "subscriptions": {
        "subscription_id": ("contractid",),
        "started_at": ("startdate", "startedon", "validfrom"),
        "ended_at": ("enddate", "endedon", "cancelledat", "canceledat"),
        "plan": ("product", "tariff", "contract"),
        "monthly_value": ("monthlyfee", "monthlyprice", "mrr", "monthlycharges"),
    },
    "events": {
        "kind": ("event", "eventtype", "action", "activity", "type"),
        "event_time": ("timestamp", "eventtime", "occurredat"),
        "event_id": (),
        "channel": ("platform", "device"),
        "touchpoint": ("page",),
        "value": (),
    },
}
"""Other names of the contract's columns, in small letters and without anything else."""
ANY_TIME = ("eventtime", "timestamp", "date", "datetime", "time", "createdat", "createdon")
NEEDED = {
    "surveys": ("sent_at", "score"),
    "subscriptions": ("started_at", "monthly_value"),
    "orders": ("event_time", "value"),
    "events": ("event_time", "kind"),
}
"""What makes a table of facts one of its kind, in the order of asking."""
IDENTITY_NAMES = ("id", "key", "number", "no")


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
    """A name in small letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


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
        self.backend, self.found = backend, found
        self.customer = self._customer_columns()
        if not self.customer:
            columns = listed(sorted({column for table in found for column in table.types}), 20)
            raise NothingToPropose(columns, listed(CUSTOMER, 20))
        unique = [t for t in found if t.name in self.customer and self.is_unique(t, self.customer[t.name])]
        named = [t for t in unique if "customer" in t.name or "contact" in t.name]
        main = max(named or unique, key=lambda table: len(table.types), default=None)
        self.people = None if main and self._role(main) in ("orders", "events") and not named else main
        self.roles = {t.name: role for t in found if t is not self.people and (role := self._role(t))}
        self.aliases = self._alias_table()
        if self.aliases:
            self.roles.pop(self.aliases[0].name, None)

    def one(self, query: str) -> Any:
        """The single value that a query gives."""
        return self.backend.raw_sql(query).fetchall()[0][0]

    def is_unique(self, table: Found, column: str) -> bool:
        """Whether a column has a value in every row, each once."""
        name = quoted(column)
        query = f"SELECT count({name}) = count(*) AND count(DISTINCT {name}) = count(*) FROM {table.relation}"  # noqa: S608
        return bool(self.one(query))

    def _customer_columns(self) -> dict[str, str]:
        """By table, the column that names the customer: the known name that most tables have."""
        named = Counter(name for name in CUSTOMER for table in self.found if table.column((name,)))
        order = sorted(named, key=lambda name: (-named[name], CUSTOMER.index(name)))
        return {table.name: column for table in self.found if (column := table.column(order))}

    def _role(self, table: Found) -> str | None:
        """Which table of facts it is; one of the contract's own names is believed."""
        if table.name in NEEDED:
            return table.name
        for role, needed in NEEDED.items():
            if all(self.column(table, role, name) for name in needed):
                return role
        return None

    def column(self, table: Found, role: str, name: str) -> str | None:
        """The column of a table that is the contract's, by its names."""
        names = (plain(name), *SAID[role].get(name, ()))
        is_clock = name == TABLES[role].clock and role != "subscriptions"
        return table.column((*names, *ANY_TIME) if is_clock else names)

    def _alias_table(self) -> tuple[Found, str] | None:
        """A table that holds the customer's id beside another one, which facts without the customer's id go by."""
        strangers = [table for table in self.found if table.name in self.roles and table.name not in self.customer]
        for table in self.found:
            for column in table.types if table.name in self.customer else ():
                is_key = plain(column).endswith(IDENTITY_NAMES) and column != self.customer[table.name]
                if is_key and any(column in s.types for s in strangers) and self.is_unique(table, column):
                    return table, column
        return None
