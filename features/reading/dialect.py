"""Spark SQL that answers as DuckDB does, to the last bit: where the two dialects differ is written here and only here.

Features and the contract's checks are declared once, in Ibis. What an operation means is what DuckDB makes of it; this
compiler spells that meaning out for Spark, so that no feature has to know which engine runs it.
"""

from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import NULL
from ibis.backends.sql.compilers.pyspark import PySparkCompiler

WHOLE_DIGITS = 18
"""A decimal of at most so many digits is a whole number of 64 bits with a shifted point."""


class SparkDialect(PySparkCompiler):  # type: ignore[misc]  # ibis ships no types
    """Compiles Ibis expressions to Spark SQL with DuckDB's meaning.

    Both engines convert decimals to floats with correct rounding and compute floats by IEEE 754; what differs is how
    floats become decimals and whole numbers, what a division by zero gives, and how nulls and NaN count.
    """

    __slots__ = ()

    def visit_Cast(self, op: Any, *, arg: Any, to: Any) -> Any:
        """Cast; a value that does not fit is an error."""
        return self._convert(op.arg.dtype, arg, to, self.cast) or super().visit_Cast(op, arg=arg, to=to)

    def visit_TryCast(self, op: Any, *, arg: Any, to: Any) -> Any:
        """Cast; a value that does not fit becomes null."""
        return self._convert(op.arg.dtype, arg, to, self._try_cast) or super().visit_TryCast(op, arg=arg, to=to)

    def _try_cast(self, arg: Any, to: Any) -> Any:
        return sge.TryCast(this=arg, to=self.type_mapper.from_ibis(to), safe=True)

    def _convert(self, found: Any, arg: Any, to: Any, cast: Any) -> Any:
        """Round as DuckDB does; None where the engines agree."""
        if found.is_floating() and to.is_decimal() and to.precision <= WHOLE_DIGITS:
            # Spark rounds the decimal text of a float, DuckDB the float times 10^scale, halves away from zero
            scaled = cast(self.f.round(arg * sge.convert(10.0**to.scale)), dt.int64)
            unit = self.cast(sge.convert(f"1e-{to.scale}"), dt.Decimal(to.scale + 1, to.scale))
            return cast(self.cast(scaled, dt.Decimal(WHOLE_DIGITS + 1, 0)) * unit, to)
        if found.is_floating() and to.is_integer():  # Spark cuts off; DuckDB rounds, halves to even
            return cast(self.f.rint(arg), to)
        if found.is_decimal() and to.is_integer():  # Spark cuts off; DuckDB rounds, halves away from zero
            return cast(self.f.round(arg), to)
        return None

    def visit_Divide(self, op: Any, *, left: Any, right: Any) -> Any:
        """Divide as floats; by zero gives infinity, or NaN for zero itself, where Spark would stop the job."""
        left, right = (
            side if operand.dtype.is_floating() else self.cast(side, dt.float64)
            for side, operand in ((left, op.left), (right, op.right))
        )
        quotient = self.binop(sge.Div, left, right)
        if isinstance(op.right, ops.NullIf) or (isinstance(op.right, ops.Literal) and op.right.value):
            return quotient
        return self.if_(right.eq(sge.convert(0)), self.binop(sge.Mul, left, self.POS_INF), quotient)

    def visit_CountStar(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Count rows; 0, not null, where no row is chosen."""
        return super().visit_CountStar(op, arg=arg, where=None) if where is None else self.f.count_if(where)

    def visit_Strip(self, op: Any, *, arg: Any) -> Any:
        """Take blanks off; Spark reads the escapes that stand for two of them as the letters v and f."""
        blanks = self.f.concat(sge.convert(" \t\n\r"), self.f.char(11), self.f.char(12))
        return sge.Trim(this=arg, expression=blanks)

    def visit_IsNull(self, op: Any, *, arg: Any) -> Any:
        """Tell null; NaN is a value."""
        return arg.is_(NULL)

    def visit_NotNull(self, op: Any, *, arg: Any) -> Any:
        """Tell a value, NaN among them."""
        return arg.is_(sg.not_(NULL))
