"""Whose an alias is, and when: what `identities` says, for whoever resolves aliases or judges them."""

from typing import Any

import ibis
import ibis.expr.types as ir

from features.reading.conform import READABLE, READERS

FOREVER = READABLE[1]
HOLDING = ["alias_id", "customer_id"]


def holdings(identities: ir.Table) -> ir.Table:
    """The spans in which an alias is a customer's; of one customer none touches another.

    Parameters
    ----------
    identities : ibis table
        As mapped or as conformed. Rows that hold at no time, or that nobody can read, hold nothing.

    Returns
    -------
    ibis table
        `alias_id`, `customer_id`, `held_from` and `held_to`, half-open; what has no end ends at `FOREVER`.
    """
    rows = identities.select(
        alias_id=identities.alias_id.cast("string"),
        customer_id=identities.customer_id.cast("string"),
        held_from=READERS["instant"](identities.valid_from),
        held_to=_ends(identities),
    )
    rows = rows.filter(rows.held_from < rows.held_to, *(rows[name].notnull() for name in HOLDING)).distinct()
    until = rows.held_to.max().over(_earlier(HOLDING, ["held_from", "held_to"]))
    rows = rows.mutate(begins=(rows.held_from > until).fill_null(True).cast("int64"))
    so_far = ibis.window(group_by=HOLDING, order_by=["held_from", "held_to"], preceding=None, following=0)
    rows = rows.mutate(span=rows.begins.sum().over(so_far))
    spans = rows.group_by([*HOLDING, "span"]).aggregate(held_from=rows.held_from.min(), held_to=rows.held_to.max())
    return spans.drop("span")


def _ends(identities: ir.Table) -> Any:
    forever = ibis.literal(FOREVER)
    if "valid_to" not in identities.columns:
        return forever
    return READERS["instant"](identities.valid_to).fill_null(forever)


def _earlier(group_by: list[str], order_by: list[str]) -> Any:
    return ibis.window(group_by=group_by, order_by=order_by, preceding=(None, 1))


def shared(held: ir.Table) -> ir.Table:
    """The spans in which an alias is also another customer's: nobody could say whose a fact is.

    Parameters
    ----------
    held : ibis table
        As `holdings` gives it.

    Returns
    -------
    ibis table
        With `is_taken`: whether the alias is another's when the span begins; otherwise it becomes so within the span.
    """
    order = ["held_from", "customer_id"]
    latest = held.held_to.max().over(_earlier(["alias_id"], order))  # the customer's own spans end before
    following = held.held_from.lead().over(ibis.window(group_by="alias_id", order_by=order))
    marked = held.mutate(
        is_taken=(latest > held.held_from).fill_null(False), is_lost=(following < held.held_to).fill_null(False)
    )
    return marked.filter(marked.is_taken | marked.is_lost)
