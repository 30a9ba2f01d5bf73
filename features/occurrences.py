"""An event of a person's own choosing: a condition on the facts of one table, when it was met, and how often before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import sqlglot
from ibis.common.exceptions import IbisError
from sqlglot import exp

from features.contract import TABLES, Kind
from features.errors import EventUnreadable, listed
from features.expressions import ExpressionRefused, bind
from features.instants import DAY_US
from features.spec import Facts, Feature

HAPPENED_AT = {
    "orders": "event_time",
    "events": "event_time",
    "surveys": "responded_at",
    "subscriptions": "started_at",
}
"""Tables that an event can be of, and when it happened: a survey when it was answered, not when it was sent."""
WINDOWS = (30, 90, 365)
_TYPES: Mapping[Kind, str] = {
    "id": "string",
    "text": "string",
    "instant": "int64",  # as a snapshot has them
    "money": "float64",
    "number": "float64",
    "score": "int64",
    "flag": "boolean",
}


@dataclass(frozen=True)
class Occurrence:
    """A condition that some facts of a table meet.

    Parameters
    ----------
    table : str
        One of `HAPPENED_AT`.
    condition : str
        Over the table's columns; empty: every fact of it.
    """

    table: str
    condition: str

    @property
    def text(self) -> str:
        """It as a person may write it again."""
        return f"{self.table}: {self.condition}" if self.condition else self.table

    @property
    def clock(self) -> str:
        """The column that says when it happened."""
        return HAPPENED_AT[self.table]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it asks for, in their order; the clock where it has no condition."""
        if not self.condition:
            return (self.clock,)
        found = sqlglot.parse_one(self.condition, dialect="duckdb").find_all(exp.Column, bfs=False)
        return tuple(dict.fromkeys(column.name.lower() for column in found))

    def met(self, column: Callable[[str], Any]) -> Any:
        """The condition as an Ibis expression; a fact without its clock has not happened.

        Parameters
        ----------
        column : callable
            From a column's name to the column.
        """
        happened = column(self.clock).notnull()
        if not self.condition:
            return happened
        return happened & _expression(sqlglot.parse_one(self.condition, dialect="duckdb"), column).fill_null(False)

    def features(self) -> tuple[Feature, ...]:
        """How often and how lately a customer did it before."""
        return (*(self._count(days) for days in WINDOWS), self._since())

    def _count(self, days: int) -> Feature:
        def build(facts: Facts) -> Any:
            age = facts.prediction_time - facts.column(self.clock)
            return facts.count(where=self.met(facts.column) & (age <= days * DAY_US).fill_null(False))

        said = f"Times that {self.text!r} was met in the {days} days before the prediction time."
        name = f"target_count_{days}d"
        return Feature(name, self.table, "int64", "events", said, build, minimum=0, detail=self.text)

    def _since(self) -> Feature:
        def build(facts: Facts) -> Any:
            return facts.days_to_prediction(facts.column(self.clock).max(where=self.met(facts.column)))

        said = f"Days since {self.text!r} was last met; null when it never was."
        return Feature(
            "days_since_last_target",
            self.table,
            "float64",
            "days",
            said,
            build,
            nullable=True,
            minimum=0,
            detail=self.text,
        )


def read_occurrence(text: str) -> Occurrence:
    """Read what a person means by an event.

    Parameters
    ----------
    text : str
        The name of a table for any of its facts, or a condition over the columns of one, such as
        ``kind = 'loyalty_redeem'``. Where several tables have the columns, the one meant comes first:
        ``orders: channel = 'web'``.

    Raises
    ------
    EventUnreadable
        If it is no condition, fits no table or fits several.

    Examples
    --------
    >>> read_occurrence("kind = 'loyalty_redeem'").table
    'events'
    >>> read_occurrence("orders: category = 'Toys' AND value > 20").text
    "orders: category = 'Toys' AND value > 20"
    """
    said = text.strip()
    if said in HAPPENED_AT:
        return Occurrence(said, "")
    first, colon, rest = said.partition(":")
    is_named = bool(colon) and first.strip() in HAPPENED_AT
    tables, condition = ([first.strip()], rest.strip()) if is_named else (list(HAPPENED_AT), said)
    fitting, problems = [], []
    for table in tables:
        columns = {column.name: column.name for column in TABLES[table].columns}
        try:
            bound = bind(condition, columns)
            tree = sqlglot.parse_one(bound.sql, dialect="duckdb")
            _require_condition(tree, condition, table)
            if bound.columns:
                fitting.append(Occurrence(table, condition if len(tables) > 1 else bound.sql))
        except ExpressionRefused as refused:
            problems.append(refused)
    if len(fitting) == 1:
        return Occurrence(fitting[0].table, condition)
    if fitting:
        names = listed(occurrence.table for occurrence in fitting)
        raise EventUnreadable(text, f"it fits the tables {names}", f"one table, such as '{fitting[0].text}'")
    known = "; ".join(f"{table}: {', '.join(c.name for c in TABLES[table].columns)}" for table in tables)
    found = problems[0].found if len(problems) == 1 else "it fits no table"
    raise EventUnreadable(text, found, f"a condition over the columns of one table ({known})")


def occurrence_feature(name: str, text: str) -> Feature | None:
    """The feature of that name made for an event, as `Occurrence.features` makes it."""
    return next((feature for feature in read_occurrence(text).features() if feature.name == name), None)


def _require_condition(tree: Any, text: str, table: str) -> None:
    """Refuse what is not true or false of a fact, and what cannot be computed on every engine."""
    allowed = "comparisons of one kind, IN, BETWEEN, LIKE, IS NULL, AND, OR, NOT, +, -, * and lower(...)"
    for node in tree.walk():
        if not isinstance(node, (*_READERS, exp.Identifier, exp.Null)):
            raise ExpressionRefused(f"{node.sql('duckdb')!r} in {text!r}", allowed)
    facts = ibis.table({column.name: _TYPES[column.kind] for column in TABLES[table].columns}, name=table)
    try:
        is_condition = isinstance(_expression(tree, facts.__getitem__), ir.BooleanValue)
    except (TypeError, ValueError, AttributeError, IbisError):
        is_condition = False
    if not is_condition:
        raise ExpressionRefused(f"{text!r}, which is not true or false", allowed)


def _expression(node: Any, column: Callable[[str], Any]) -> Any:
    """A condition as an Ibis expression, so that every engine computes the same."""
    return _READERS[type(node)](node, lambda part: _expression(part, column), column)


def _literal(node: Any) -> str | int | float:
    if node.is_string:
        return str(node.this)
    return float(node.this) if "." in node.this else int(node.this)


def _is(node: Any, read: Callable[[Any], Any]) -> Any:
    value = read(node.this)
    return value.isnull() if isinstance(node.expression, exp.Null) else value == read(node.expression)


_READERS: dict[type[Any], Callable[..., Any]] = {
    exp.Column: lambda node, _, column: column(node.name.lower()),
    exp.Literal: lambda node, *_: _literal(node),
    exp.Boolean: lambda node, *_: bool(node.this),
    exp.Paren: lambda node, read, _: read(node.this),
    exp.Neg: lambda node, read, _: -read(node.this),
    exp.Not: lambda node, read, _: ~read(node.this),
    exp.Lower: lambda node, read, _: read(node.this).lower(),
    exp.Is: lambda node, read, _: _is(node, read),
    exp.In: lambda node, read, _: read(node.this).isin([read(item) for item in node.expressions]),
    exp.Between: lambda node, read, _: read(node.this).between(read(node.args["low"]), read(node.args["high"])),
    exp.EQ: lambda node, read, _: read(node.left) == read(node.right),
    exp.NEQ: lambda node, read, _: read(node.left) != read(node.right),
    exp.LT: lambda node, read, _: read(node.left) < read(node.right),
    exp.LTE: lambda node, read, _: read(node.left) <= read(node.right),
    exp.GT: lambda node, read, _: read(node.left) > read(node.right),
    exp.GTE: lambda node, read, _: read(node.left) >= read(node.right),
    exp.And: lambda node, read, _: read(node.left) & read(node.right),
    exp.Or: lambda node, read, _: read(node.left) | read(node.right),
    exp.Add: lambda node, read, _: read(node.left) + read(node.right),
    exp.Sub: lambda node, read, _: read(node.left) - read(node.right),
    exp.Mul: lambda node, read, _: read(node.left) * read(node.right),
    exp.Like: lambda node, read, _: read(node.this).like(node.expression.this),
    exp.ILike: lambda node, read, _: read(node.this).ilike(node.expression.this),
}
"""How each part of a condition is read; what is not here is refused."""
