"""Only what an answer is made of is read, whatever lies between it and the tables."""

import ibis
import pytest

from features.engine.columns_read import columns_read

ORDERS = ibis.table(
    {"id": "string", "at": "int64", "value": "int64", "note": "string", "kind": "string"}, name="orders"
)
OTHERS = ibis.table({"id": "string", "name": "string", "age": "int64"}, name="others")
TABLES = {"orders": ORDERS, "others": OTHERS}
LAST = ORDERS.mutate(before=ORDERS.at.lag().over(ibis.window(group_by="id", order_by="value")))


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        (ORDERS.select("id"), {"orders": ["id"]}),
        (ORDERS.mutate(twice=ORDERS.value * 2).select("twice"), {"orders": ["value"]}),
        (ORDERS.filter(ORDERS.kind == "web").select("id"), {"orders": ["id", "kind"]}),
        (ORDERS.order_by("at").select("id"), {"orders": ["id", "at"]}),
        (ORDERS.group_by("id").aggregate(last=ORDERS.at.max(), all=ORDERS.note.max())[["last"]],
         {"orders": ["id", "at"]}),
        (LAST.select("before"), {"orders": ["id", "at", "value"]}),
        (LAST.select("note"), {"orders": ["note"]}),
        (ORDERS.join(OTHERS, "id").select(OTHERS.name), {"orders": ["id"], "others": ["id", "name"]}),
        (ORDERS.select("id", "at").union(OTHERS.select("id", at="age")).select("id"),
         {"orders": ["id", "at"], "others": ["id", "age"]}),
        (ORDERS.distinct().select("id"), {"orders": ["id", "at", "value", "note", "kind"]}),
    ],
)  # fmt: skip
def test_columns_that_an_answer_is_made_of(rows: ibis.Table, read: dict[str, list[str]]) -> None:
    assert columns_read(rows, TABLES) == read
