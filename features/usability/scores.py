"""Three figures from 0 to 1 on how far a profile can be trusted: completeness, contact accuracy, sales accuracy."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from operator import or_
from typing import Any

import ibis
import ibis.expr.types as ir

from features.contract import TABLES
from features.identities import holdings, shared
from features.profile import Profile
from features.reading.conform import Conformed
from features.usability.content import EMPTY_SAYS_SOMETHING, ColumnFacts

COMPLETENESS = "filled cells among the contract's columns that are there, without those that are rightly empty"


@dataclass(frozen=True)
class Score:
    """A share of cells or rows that are as they should be.

    Parameters
    ----------
    name : {"completeness", "contact accuracy", "sales accuracy"}
        Which score.
    table : str
        Of which table.
    good, of : int
        Cells or rows that are as they should be, of how many; 0 of 0 scores nothing.
    meaning : str
        What is counted.
    """

    name: str
    table: str
    good: int
    of: int
    meaning: str

    @property
    def share(self) -> float | None:
        """From 0 to 1; None when there is nothing to judge."""
        return self.good / self.of if self.of else None

    def document(self) -> dict[str, Any]:
        """The score as plain data."""
        return {**asdict(self), "share": self.share}


def score_tables(profile: Profile, columns: list[ColumnFacts]) -> list[Score]:
    """Score a profile.

    Parameters
    ----------
    profile : Profile
        Valid or not; rows in quarantine count as not sound.
    columns : list of ColumnFacts
        What its columns hold.

    Returns
    -------
    list of Score
        Completeness
            of each table: filled cells over all cells of the contract's columns that are there. Columns in which an
            empty cell says something (not answered, still running, known at once) do not count.
        Contact accuracy
            of customers: rows that break no rule, whose `customer_id` stands once, with `created_at` and
            `acquisition_channel` filled where these columns are there, and without an alias that is another
            customer's at the same time.
        Sales accuracy
            of orders: rows without any error or warning: no rule broken, `order_id` once, the customer there, not
            before the customer's `created_at`, not more than a day after `ingested_at`.
    """
    scores = list(_completeness(columns))
    if "customers" in profile.conformed:
        scores.append(_contacts(profile))
    if "orders" in profile.conformed:
        scores.append(_sales(profile))
    return scores


def _completeness(columns: list[ColumnFacts]) -> Iterator[Score]:
    for table in dict.fromkeys(facts.table for facts in columns):
        judged = [f for f in columns if f.table == table and f.column in TABLES[table].by_name]
        judged = [f for f in judged if f.column not in EMPTY_SAYS_SOMETHING]
        filled, cells = sum(f.filled for f in judged), sum(f.rows for f in judged)
        yield Score("completeness", table, filled, cells, COMPLETENESS)


def _contacts(profile: Profile) -> Score:
    table = profile.conformed["customers"]
    staged = table.staged
    wrong = [_broken(table)]
    words = ["no rule broken", "customer_id once"]
    for column in ("created_at", "acquisition_channel"):
        if column in staged.columns:
            wrong.append(staged[column].isnull())
            words.append(f"{column} filled")
    flagged = staged.select("customer_id", wrong=reduce(or_, wrong))
    rows = flagged.left_join(_repeated(staged, "customer_id"), "customer_id")
    bad = rows.wrong | rows.is_repeated.fill_null(False)
    if profile.has("identities"):
        held = shared(holdings(profile.tables["identities"]))
        two = held.select("customer_id", is_shared=ibis.literal(True)).distinct()
        rows = rows.drop("customer_id_right").left_join(two, "customer_id")
        bad = rows.wrong | rows.is_repeated.fill_null(False) | rows.is_shared.fill_null(False)
        words.append("no alias of another customer at the same time")
    return Score("contact accuracy", "customers", _count(rows, ~bad), _read(profile, "customers"), ", ".join(words))


def _sales(profile: Profile) -> Score:
    table = profile.conformed["orders"]
    staged = table.staged
    late = ibis.literal(False)
    words = ["no rule broken", "order_id once"]
    if "ingested_at" in staged.columns:
        late = (staged.event_time > staged.ingested_at + ibis.interval(days=1)).fill_null(False)
        words.append("not known before it happened")
    flagged = staged.select("customer_id", "order_id", "event_time", wrong=_broken(table) | late)
    rows = flagged.left_join(_repeated(staged, "order_id"), "order_id").drop("order_id_right")
    bad = rows.wrong | rows.is_repeated.fill_null(False)
    if "customers" in profile.conformed:
        customers = profile.conformed["customers"].staged
        created = customers.created_at if "created_at" in customers.columns else ibis.null("timestamp('UTC')")
        known = customers.select("customer_id", created=created).group_by("customer_id")
        rows = rows.left_join(
            known.aggregate(created=lambda t: t.created.min(), is_known=lambda t: t.count() > 0), "customer_id"
        )
        early = (rows.event_time < rows.created).fill_null(False)
        bad = rows.wrong | rows.is_repeated.fill_null(False) | rows.is_known.isnull() | early
        words += ["the customer is there", "not before the customer's created_at"]
    return Score("sales accuracy", "orders", _count(rows, ~bad), _read(profile, "orders"), ", ".join(words))


def _broken(table: Conformed) -> ir.BooleanValue:
    return reduce(or_, (rule.broken.fill_null(False) for rule in table.rules))


def _repeated(staged: ir.Table, key: str) -> ir.Table:
    counted = staged.group_by(key).aggregate(copies=staged.count())
    return counted.filter(counted.copies > 1).select(key, is_repeated=ibis.literal(True))


def _count(rows: ir.Table, good: ir.BooleanValue) -> int:
    return int(rows.aggregate(n=good.sum()).to_pyarrow()["n"][0].as_py() or 0)


def _read(profile: Profile, table: str) -> int:
    return profile.counts[table].read
