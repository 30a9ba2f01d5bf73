"""The one expression language of a mapping: SQL over the columns of a source, and nothing that reaches beyond a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from features.errors import listed

_PLAIN: tuple[type[Any], ...] = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Case, exp.If, exp.Cast, exp.TryCast,
    exp.DataType, exp.DataTypeParam, exp.Interval, exp.Var, exp.Between, exp.In, exp.Is, exp.Not, exp.And, exp.Or,
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.Neg, exp.Add, exp.Sub, exp.Mul,
    exp.Div, exp.IntDiv, exp.Mod, exp.DPipe,
)  # fmt: skip
_FUNCTIONS: Mapping[type[Any], str] = {
    exp.Abs: "abs", exp.Ceil: "ceil", exp.Coalesce: "coalesce", exp.Concat: "concat", exp.ConcatWs: "concat_ws",
    exp.Contains: "contains", exp.DateDiff: "date_diff", exp.Extract: "extract", exp.Floor: "floor",
    exp.Greatest: "greatest", exp.Least: "least", exp.Left: "left", exp.Length: "length", exp.Lower: "lower",
    exp.MD5: "md5", exp.Nullif: "nullif", exp.Pad: "lpad", exp.RegexpExtract: "regexp_extract",
    exp.RegexpLike: "regexp_matches", exp.RegexpReplace: "regexp_replace", exp.Replace: "replace", exp.Right: "right",
    exp.Round: "round", exp.SplitPart: "split_part", exp.StartsWith: "starts_with", exp.StrToTime: "strptime",
    exp.Substring: "substring", exp.TimestampTrunc: "date_trunc", exp.TimeToStr: "strftime", exp.ToDays: "to_days",
    exp.Trim: "trim", exp.UnixToTime: "to_timestamp", exp.Upper: "upper", exp.Year: "year",
}  # fmt: skip
_BY_NAME = ("to_hours", "to_months", "to_years", "try_strptime")
"""Functions that sqlglot has no class for."""
FUNCTION_NAMES = tuple(sorted((*_FUNCTIONS.values(), *_BY_NAME)))


class ExpressionRefused(Exception):
    """An expression of a mapping cannot be used; says what was found and what is allowed."""

    def __init__(self, found: str, allowed: str) -> None:
        self.found, self.allowed = found, allowed
        super().__init__(f"{found}; allowed: {allowed}")


@dataclass(frozen=True)
class Bound:
    """An expression over the columns of a source.

    Parameters
    ----------
    sql : str
        In the engine's dialect, every column under its full name.
    columns : frozenset of str
        The source's columns it reads.
    """

    sql: str
    columns: frozenset[str]


def quoted(name: str) -> str:
    """A name as the engine takes it.

    Examples
    --------
    >>> quoted("Loyalty Tier")
    '"Loyalty Tier"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bool | None) -> str:
    """A value as the engine takes it.

    Examples
    --------
    >>> literal("it's"), literal(True), literal(2), literal(None)
    ("'it''s'", 'TRUE', '2', 'CAST(NULL AS VARCHAR)')
    """
    if value is None:
        return "CAST(NULL AS VARCHAR)"
    if isinstance(value, bool):
        return str(value).upper()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def bind(text: str, columns: Mapping[str, str]) -> Bound:
    """Read an expression against the columns it may use.

    Parameters
    ----------
    text : str
        A column's name as it stands in the source, spaces and all, or an SQL expression of columns, literals,
        operators and `FUNCTION_NAMES`.
    columns : mapping of str to str
        Columns by name, with what the engine calls them.

    Returns
    -------
    Bound
        Safe to run: it reads nothing but those columns of its own row.

    Raises
    ------
    ExpressionRefused
        If it is not an expression, names a column that is not there or calls what is not allowed.

    Examples
    --------
    >>> bind("upper(State)", {"State": 't."State"'}).sql
    'UPPER(t."State")'
    """
    if text in columns:
        return Bound(columns[text], frozenset({text}))
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except (SqlglotError, RecursionError):
        raise ExpressionRefused(f"{text!r}, which is neither a column nor an expression", _columns(columns)) from None
    if isinstance(tree, exp.Alias):
        raise ExpressionRefused(f"column {text!r}, which is not there", _columns(columns))
    used: set[str] = set()
    for node in list(tree.walk()):
        if isinstance(node, exp.Column):
            used.add(_resolve(node, columns))
        elif not _is_allowed(node):
            what = f"{node.sql('duckdb')!r} in {text!r}" if node is not tree else repr(text)
            raise ExpressionRefused(
                what, f"columns, literals, operators, CASE, CAST and the functions {', '.join(FUNCTION_NAMES)}"
            )
    spelled = {node: columns[_resolve(node, columns)] for node in tree.find_all(exp.Column)}

    def spell(node: Any) -> Any:
        return sqlglot.parse_one(spelled[node], dialect="duckdb") if isinstance(node, exp.Column) else node

    return Bound(tree.transform(spell).sql("duckdb", comments=False), frozenset(used))


_COMPARISONS: Mapping[type[Any], str] = {
    exp.EQ: "==", exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip


def comparisons(text: str) -> list[tuple[str, str, str | float]]:
    """Find what a condition demands of single columns: a database can leave the other rows where they are.

    Returns
    -------
    list of tuple
        (column, comparison, value) for each part of a chain of ANDs that has this form; the condition may ask more.

    Examples
    --------
    >>> comparisons("status = 'paid' AND total > 0 AND lower(note) <> 'test'")
    [('status', '==', 'paid'), ('total', '>', 0.0)]
    """
    tree: Any = sqlglot.parse_one(text, dialect="duckdb")
    found: list[tuple[str, str, str | float]] = []
    nodes: list[Any] = list(tree.flatten()) if isinstance(tree, exp.And) else [tree]
    for node in nodes:
        if type(node) in _COMPARISONS and isinstance(node.left, exp.Column) and isinstance(node.right, exp.Literal):
            value = node.right.this
            found.append((node.left.name, _COMPARISONS[type(node)], value if node.right.is_string else float(value)))
    return found


def _is_allowed(node: Any) -> bool:
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in _BY_NAME
    if isinstance(node, exp.In) and (node.args.get("query") or node.args.get("unnest")):
        return False
    return type(node) in _PLAIN or type(node) in _FUNCTIONS


def _resolve(node: exp.Column, columns: Mapping[str, str]) -> str:
    """Find the column meant: as written, or the only one that differs in case alone."""
    name = f"{node.table}.{node.name}" if node.table else node.name
    if name in columns:
        return name
    alike = [column for column in columns if column.lower() == name.lower()]
    if len(alike) != 1 or node.this.quoted:
        raise ExpressionRefused(f"column {name!r}, which is not there", _columns(columns))
    return alike[0]


def _columns(columns: Mapping[str, str]) -> str:
    return f"the columns {listed(columns, 25)}" if columns else "a constant: there is no source"
