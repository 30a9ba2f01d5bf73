"""Conditions and amounts that a person writes over the columns of customers: no code, only what stands here.

``churn_band == 'high' and clv > 50``, ``segment in ('regulars', 'new')``, ``clv / probability_active``: names of
columns, numbers, texts, ``+ - * /``, comparisons, ``in``, ``and``, ``or``, ``not`` and brackets. A comparison with an
empty cell is false.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array
from serving.errors import ExpressionInvalid

Flags = npt.NDArray[np.bool_]

ALLOWED = "names of columns, numbers, texts in quotes, + - * /, < <= == != > >=, in (...), and, or, not, brackets"
LONGEST = 2_000
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Expression:
    """A condition or an amount over columns.

    Parameters
    ----------
    text : str
        As a person wrote it.

    Raises
    ------
    ExpressionInvalid
        If it is more than names, values and operators.

    Examples
    --------
    >>> high = Expression("band == 'high' and clv > 50")
    >>> high.where(pd.DataFrame({"band": ["high", "low", "high"], "clv": [60.0, 70.0, None]})).tolist()
    [True, False, False]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise ExpressionInvalid(text[:40], f"{len(text):,} characters", f"at most {LONGEST:,}")
        try:
            self._root = ast.parse(text.strip(), mode="eval").body
            self._check(self._root)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ExpressionInvalid(text, getattr(error, "msg", None) or "no expression", ALLOWED) from None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it asks for, each once."""
        return tuple(dict.fromkeys(node.id for node in ast.walk(self._root) if isinstance(node, ast.Name)))

    def where(self, rows: pd.DataFrame) -> Flags:
        """Of which rows it is true.

        Raises
        ------
        ExpressionInvalid
            If there is no such column, or it is no condition.
        """
        found = self._value(self._root, rows)
        if np.asarray(found).dtype != np.bool_:
            raise ExpressionInvalid(self.text, "an amount", "a condition such as clv > 50")
        return np.asarray(np.broadcast_to(found, len(rows)))

    def amount(self, rows: pd.DataFrame) -> Array:
        """What it comes to in each row; NaN where a cell is empty or nothing can be divided.

        Raises
        ------
        ExpressionInvalid
            If there is no such column, or it is no number.
        """
        found = np.asarray(self._value(self._root, rows))
        if found.dtype.kind not in "fiu":
            raise ExpressionInvalid(self.text, "a condition or a text", "an amount such as clv")
        values = np.broadcast_to(found, len(rows)).astype(np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    def _check(self, node: ast.AST) -> None:
        """Refuse, before any row is seen, whatever is not in the language."""
        match node:
            case ast.Name():
                return
            case ast.Constant(value=value) if isinstance(value, (int, float, str)):  # and bool, which is an int
                return
            case ast.BoolOp(values=values):
                inner = values
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                inner = [operand]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                inner = [left, right]
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.Tuple(elts=elements)]) | (
                ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.List(elts=elements)])
            ) if all(isinstance(element, ast.Constant) for element in elements):
                inner = [left, *elements]
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
                inner = [left, *others]
            case _:
                raise ExpressionInvalid(self.text, ast.unparse(node)[:80], ALLOWED)
        for each in inner:
            self._check(each)

    def _value(self, node: ast.AST, rows: pd.DataFrame) -> Any:
        """What a part that `_check` has passed comes to."""
        match node:
            case ast.Name(id=name):
                found: Any = self._column(name, rows)
            case ast.Constant(value=value):
                found = value
            case ast.BoolOp(op=op, values=values):
                both = np.logical_and if isinstance(op, ast.And) else np.logical_or
                found = both.reduce([self._flags(each, rows) for each in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = ~self._flags(operand, rows)
            case ast.UnaryOp(operand=operand):
                found = self._calculated(operator.sub, 0, self._value(operand, rows))
            case ast.BinOp(left=left, op=op, right=right):
                found = self._calculated(ARITHMETIC[type(op)], self._value(left, rows), self._value(right, rows))
            case ast.Compare():
                found = self._comparison(node, rows)
        return found

    def _comparison(self, node: ast.Compare, rows: pd.DataFrame) -> Flags:
        left = self._value(node.left, rows)
        if isinstance(node.ops[0], (ast.In, ast.NotIn)):
            levels = [element.value for element in node.comparators[0].elts]  # type: ignore[attr-defined]
            among = np.zeros(len(rows), dtype=bool)
            for level in levels:
                among |= self._compared(operator.eq, left, level, rows)
            return among if isinstance(node.ops[0], ast.In) else ~among & ~_empty(left, len(rows))
        values = [left, *(self._value(each, rows) for each in node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        flags = [self._compared(COMPARISONS[type(op)], a, b, rows) for op, a, b in pairs]
        return np.asarray(np.logical_and.reduce(flags))

    def _column(self, name: str, rows: pd.DataFrame) -> npt.NDArray[Any]:
        if name not in rows:
            raise ExpressionInvalid(self.text, f"no column {name!r}", f"one of {', '.join(map(str, rows.columns))}")
        column = rows[name]
        return column.to_numpy(dtype=object) if column.dtype.kind not in "fiub" else column.to_numpy()

    def _flags(self, node: ast.AST, rows: pd.DataFrame) -> Flags:
        found = np.asarray(self._value(node, rows))
        if found.dtype == object and {type(value) for value in found.ravel()} <= {bool, type(None)}:
            found = found == True  # noqa: E712 - a flag column with empty cells
        if found.dtype != np.bool_:
            raise ExpressionInvalid(self.text, f"{ast.unparse(node)[:80]!r} as a condition", "a comparison")
        return np.broadcast_to(found, len(rows))

    def _calculated(self, what: Callable[[Any, Any], Any], left: Any, right: Any) -> Array:
        sides = [np.asarray(side) for side in (left, right)]
        if any(side.dtype.kind not in "fiu" for side in sides):
            raise ExpressionInvalid(self.text, "a text or a condition to calculate with", "numbers")
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(what(*(side.astype(np.float64) for side in sides)))

    def _compared(self, how: Callable[[Any, Any], Any], left: Any, right: Any, rows: pd.DataFrame) -> Flags:
        sides = [np.asarray(side) for side in (left, right)]
        known = ~_empty(left, len(rows)) & ~_empty(right, len(rows))
        are_texts = [side.dtype.kind in "OUT" for side in sides]
        if are_texts[0] != are_texts[1]:
            raise ExpressionInvalid(self.text, "a text compared with a number", "both of one kind")
        found = np.zeros(len(rows), dtype=bool)
        a, b = (np.broadcast_to(side.astype(object) if are_texts[0] else side, len(rows)) for side in sides)
        found[known] = how(a[known], b[known])
        return found


def _empty(values: Any, rows: int) -> Flags:
    return np.broadcast_to(np.asarray(pd.isna(values)), rows)
