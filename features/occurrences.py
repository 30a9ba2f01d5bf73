"""An event of a person's own choosing: a condition on the facts of one table, when it was met, and how often before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
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

CLOCKS = {
    "orders": "event_time",
    "events": "event_time",
    "surveys": "responded_at",
    "subscriptions": "started_at",
}
"""Tables that an event can be of, and when it happens: a survey when it is answered."""
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

_BINARY: Mapping[type[Any], Callable[[Any, Any], Any]] = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
    exp.And: and_,
    exp.Or: or_,
    exp.Add: lambda a, b: a + b,
    exp.Sub: lambda a, b: a - b,
    exp.Mul: lambda a, b: a * b,
    exp.Like: lambda a, b: a.like(b),
    exp.ILike: lambda a, b: a.ilike(b),
}


@dataclass(frozen=True)
class Occurrence:
    """A condition that some facts of a table meet.

    Parameters
    ----------
    table : str
        One of `CLOCKS`.
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
        return CLOCKS[self.table]

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
    if said in CLOCKS:
        return Occurrence(said, "")
    named, colon, rest = said.partition(":")
    tables, condition = ([named.strip()], rest.strip()) if colon and named.strip() in CLOCKS else (list(CLOCKS), said)
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
    known = (exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Lower, *_BINARY)
    for node in tree.walk():
        if not isinstance(node, (*known, exp.Not, exp.In, exp.Is, exp.Between)):
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
    if isinstance(node, exp.Column):
        return column(node.name.lower())
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else float(node.this) if "." in node.this else int(node.this)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Paren):
        return _expression(node.this, column)
    if isinstance(node, exp.Neg):
        return -_expression(node.this, column)
    if isinstance(node, exp.Not):
        return ~_expression(node.this, column)
    if isinstance(node, exp.Lower):
        return _expression(node.this, column).lower()
    value = _expression(node.this, column)
    if isinstance(node, exp.Is):
        is_null = isinstance(node.expression, exp.Null)
        return value.isnull() if is_null else value == _expression(node.expression, column)
    if isinstance(node, exp.In):
        return reduce(or_, (value == _expression(item, column) for item in node.expressions))
    if isinstance(node, exp.Between):
        return value.between(_expression(node.args["low"], column), _expression(node.args["high"], column))
    return _BINARY[type(node)](value, _expression(node.expression, column))
