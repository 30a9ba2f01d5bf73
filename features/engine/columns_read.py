"""Which columns of its tables a declared query is made of."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Graph


def columns_read(rows: ir.Table, tables: Mapping[str, ir.Table]) -> dict[str, list[str]]:
    """Find the columns that a query needs of the tables it reads.

    From the answer down, each relation asks those below it for what its own needed columns are computed from, and for
    what it filters, joins, groups or sorts by. Of a relation of another kind everything is taken to be needed.

    Parameters
    ----------
    rows : ibis table
        The query.
    tables : mapping of str to ibis table
        The tables it may read.

    Returns
    -------
    dict of str to list of str
        Columns by table, in the table's order; tables that are not read are left out.
    """
    root: Any = rows.op()
    needed: dict[Any, set[str]] = defaultdict(set)
    needed[root] = set(root.schema)
    below_first = TopologicalSorter(dict(Graph.from_bfs(root))).static_order()
    for node in reversed(tuple(below_first)):
        if isinstance(node, ops.Relation):
            for relation, column in _asked(node, needed[node]):
                needed[relation].add(column)
    of_table = {name: needed[table.op()] for name, table in tables.items() if table.op() in needed}
    return {name: [column for column in tables[name].columns if column in found] for name, found in of_table.items()}


def _asked(node: Any, columns: set[str]) -> Iterator[tuple[Any, str]]:
    """What a relation asks of the relations below it, to give some of its columns."""
    match node:
        case ops.Project():
            yield from _fields(node.values[column] for column in columns)
        case ops.JoinChain():
            yield from _fields(node.values[column] for column in columns)
            yield from _fields(predicate for link in node.rest for predicate in link.predicates)
        case ops.Aggregate():
            yield from _fields(node.groups.values())
            yield from _fields(node.metrics[column] for column in columns if column in node.metrics)
        case ops.Filter() | ops.Sort():
            yield from ((node.parent, column) for column in columns)
            yield from _fields(node.predicates if isinstance(node, ops.Filter) else node.keys)
        case ops.Reference():
            yield from ((node.parent, column) for column in columns)
        case _:
            for below in node.__children__:
                if isinstance(below, ops.Relation):
                    yield from ((below, column) for column in below.schema)
            yield from _fields(below for below in node.__children__ if isinstance(below, ops.Value))


def _fields(values: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """The columns that values name."""
    for value in values:
        yield from ((field.rel, field.name) for field in value.find(ops.Field, filter=ops.Value))
