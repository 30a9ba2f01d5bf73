"""What a mapping does with the rows of a whole table: aliases, returns, repeated rows, lines into orders.

Rows that cannot be read are never dropped or averaged away here: they keep what was found, for the check to name.
"""

from typing import Any

import ibis
import ibis.expr.types as ir

from features.contract import TABLES, TableContract
from features.finding import Finding
from features.identities import holdings, shared
from features.mapping.declared import Deduplicate, TableMapping
from features.mapping.parts import ALIAS
from features.reading.conform import READERS

TEXTS = ("channel", "category")
_REMEDY = "profile.yaml says so; nothing to do."


def read_instant_column(column: Any) -> Any:
    """A column as an instant, null where it is none."""
    return READERS["instant"](column)


def note(table: str, column: str, rule: str, rows: int, of: int, found: str, allowed: str) -> Finding:
    """Something the mapping asked for, with its count."""
    return Finding("advice", table, column, rule, rows, of, found, allowed, _REMEDY)


def count(rows: ir.Table) -> int:
    """Number of rows."""
    return int(rows.count().to_pyarrow().as_py())


def known_at(rows: ir.Table, contract: TableContract) -> Any:
    """When each row was first known, as far as it can be read."""
    clocks = [name for name in ("ingested_at", contract.clock, "created_at") if name and name in rows.columns]
    return ibis.coalesce(*(read_instant_column(rows[name]) for name in clocks)) if clocks else ibis.null("timestamp")


def resolve_aliases(facts: ir.Table, identities: ir.Table, clock: str) -> ir.Table:
    """Put the customer in place of an alias, as of the fact's time; an alias that is nobody's then stays.

    Parameters
    ----------
    facts : ibis table
        With the alias of each row under `ALIAS`, null where the row named its customer.
    identities : ibis table
        As mapped.
    clock : str
        The facts' time.
    """
    held = holdings(identities).rename(held_alias="alias_id", holder="customer_id")
    dated = facts.mutate(__at=read_instant_column(facts[clock]))
    joined = dated.asof_join(held, on=dated["__at"] >= held.held_from, predicates=[dated[ALIAS] == held.held_alias])
    resolved = (joined["__at"] < joined.held_to).ifelse(joined.holder, None).fill_null(joined.customer_id)
    chosen = {name: joined[name] for name in facts.columns if name not in (ALIAS, "customer_id")}
    return joined.select(customer_id=resolved, **chosen)


def shared_aliases(identities: ir.Table) -> Finding | None:
    """Name an alias that belongs to two customers at one time: nobody could say whose a fact is."""
    taken = shared(holdings(identities)).filter(lambda span: span.is_taken)
    found = taken.aggregate(spans=taken.count(), example=taken.alias_id.min()).to_pyarrow().to_pylist()[0]
    if not found["spans"]:
        return None
    return Finding(
        "error", "identities", "alias_id", "an alias of two customers at one time", found["spans"], count(identities),
        f"alias_id {found['example']!r}", "one customer an alias at any time", "Correct valid_from and valid_to.",
    )  # fmt: skip


def mark_returns(orders: ir.Table) -> ir.Table:
    """Say of every negative amount that it gives money back."""
    return orders.mutate(is_return=(READERS["money"](orders.value) < 0).fill_null(False))


def deduplicate(rows: ir.Table, contract: TableContract, rule: Deduplicate) -> ir.Table:
    """Keep one of the rows that are equal in the rule's columns; rows that lack one of them all stay."""
    numbered = rows.mutate(__known=known_at(rows, contract))
    first = numbered["__known"].asc() if rule.keep == "first" else numbered["__known"].desc()
    rest = [numbered[name].cast("string") for name in rows.columns]
    order = ibis.window(group_by=list(rule.by), order_by=[numbered["__known"].isnull(), first, *rest])
    numbered = numbered.mutate(__place=ibis.row_number().over(order))
    lacking = ibis.or_(*(numbered[name].isnull() for name in rule.by))
    return numbered.filter((numbered["__place"] == 0) | lacking).select(*rows.columns)


def collapse(orders: ir.Table, by: str) -> ir.Table:
    """Add lines up into orders, or a customer's orders of one UTC day into one.

    Amounts are summed, the earliest time counts, and channel and category are those of the largest sum. What gives
    money back is added up apart, as order ``<order_id>-return``; an order of a day is ``<customer_id>-<day>``, because
    the lines of one `order_id` may lie on several days. An order is known once all its lines are.
    """
    contract = TABLES["orders"]
    returned = READERS["flag"](orders.is_return) if "is_return" in orders.columns else ibis.literal(False)
    instant = read_instant_column(orders.event_time)
    lines = orders.mutate(__returned=returned.fill_null(False), __at=instant, __known=known_at(orders, contract))
    if by == "day":
        lines = lines.mutate(__day=instant.date())
    split = ["currency"] if "currency" in orders.columns else []
    keys = ["customer_id", "__returned", *split, "order_id" if by == "order_id" else "__day"]
    columns: dict[str, Any] = {"event_time": _earliest(lines, "event_time", "__at"), "__n": lines.count()}
    if by == "day":
        named = lines.customer_id.cast("string") + "-" + lines["__day"].cast("string")
        columns["order_id"] = named.max().fill_null(lines.order_id.cast("string").min())
    if "ingested_at" in orders.columns:
        unread = lines.ingested_at.notnull() & read_instant_column(lines.ingested_at).isnull()
        late = lines["__known"].max().cast("string")
        text = lines.ingested_at.cast("string")
        columns["ingested_at"] = unread.any().ifelse(text.max(where=unread), late)
    for name in (name for name in (*contract.money, "item_count") if name in orders.columns):
        columns[name] = _total(lines, name, contract)
    if by == "order_id" and "item_count" not in orders.columns:
        columns["item_count"] = lines.count()
    summed = lines.group_by(keys).aggregate(**columns)
    for name in (name for name in TEXTS if name in orders.columns):
        summed = _with_main(summed, lines, keys, name)
    if "is_return" in orders.columns:
        gives_back = summed["__returned"].ifelse("-return", "")
        summed = summed.mutate(is_return=summed["__returned"], order_id=summed.order_id + gives_back)
    return summed.select([name for name in contract.by_name if name in summed.columns])


def _earliest(lines: ir.Table, name: str, read: str) -> Any:
    broken = lines[read].isnull()
    text = lines[name].cast("string")
    return broken.any().ifelse(text.min(where=broken), lines[read].min().cast("string"))


def _total(lines: ir.Table, name: str, contract: TableContract) -> Any:
    """The sum, unless an amount cannot be read: then that one, as it was found."""
    column, text = contract.by_name[name], lines[name].cast("string")
    read = READERS[column.kind](lines[name])
    empty = text.isnull() | (text == "")
    broken = read.isnull() & (ibis.literal(True) if column.required else ~empty)
    return broken.any().ifelse(text.min(where=broken), read.sum().cast("string"))


def _with_main(summed: ir.Table, lines: ir.Table, keys: list[str], name: str) -> ir.Table:
    """Add the text with the largest value; of equal ones the first in the alphabet."""
    named = lines.filter(lines[name].notnull())
    shares = named.group_by([*keys, name]).aggregate(__share=READERS["money"](named.value).sum())
    order = ibis.window(group_by=keys, order_by=[shares["__share"].desc(), shares[name]])
    ranked = shares.mutate(__rank=ibis.row_number().over(order))
    best = ranked.filter(ranked["__rank"] == 0).select(*keys, name)
    joined = summed.left_join(best, [summed[key].identical_to(best[key]) for key in keys])
    return joined.select(*(summed[column] for column in summed.columns), best[name])


def combine(name: str, rows: ir.Table, mapping: TableMapping, identities: ir.Table | None) -> ir.Table:
    """Resolve aliases and say what gives money back, as the mapping of a table asks."""
    if ALIAS in rows.columns and identities is not None:
        rows = resolve_aliases(rows, identities, str(TABLES[name].clock))
    return mark_returns(rows) if mapping.returns == "negative" else rows
