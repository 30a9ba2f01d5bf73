"""Rows that arrive from elsewhere as Arrow: tables in memory, or another engine's, streamed batch by batch."""

import hashlib
from collections.abc import Sequence
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

BATCH_ROWS = 50_000
MAX_DECIMAL_DIGITS = 38
UNBOUNDED_DECIMAL = "decimal(38, 10)"
"""What a number without a stated size becomes; one that does not fit is an error, never rounded off at the front."""


def arrow_table(frame: pa.Table | pd.DataFrame) -> pa.Table:
    """A table in memory as Arrow; columns without any value have no type of their own: they are text."""
    table = _from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame
    typed = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in table.schema]
    return table.cast(pa.schema(typed))


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    """Column by column: of a whole frame with zoned times pyarrow 25 makes pandas 3.1 warn."""
    names = [str(name) for name in frame.columns]
    return pa.table([_arrow_column(frame.iloc[:, i]) for i in range(len(names))], names=names)


def _arrow_column(values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.array(values.dt.tz_convert(None).to_numpy()).cast(pa.timestamp(values.dtype.unit, "UTC"))
    return pa.array(values, from_pandas=True)


def stream(backend: Any, rows: ir.Table, columns: Sequence[str], relation: str) -> str:
    """Bring columns of another engine's table into the embedded one, batch by batch.

    Parameters
    ----------
    backend : ibis backend
        The embedded engine.
    rows : ibis table
        Of the other engine.
    columns : sequence of str
        Those needed.
    relation : str
        What the embedded engine is to call them, quoted.

    Returns
    -------
    str
        Digest of what arrived, whatever the order of its rows.
    """
    chosen = rows.select(**{column: _portable(rows[column]) for column in columns})
    schema = pa.schema([(column, _arrow_type(chosen[column].type())) for column in columns])
    batches = chosen.to_pyarrow_batches(chunk_size=BATCH_ROWS)
    arriving = pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in batches))
    backend.con.register("arriving", arriving)
    backend.raw_sql(f"CREATE TEMP TABLE {relation} AS SELECT * FROM arriving").fetchall()  # noqa: S608 - our own names
    backend.con.unregister("arriving")
    content = f"SELECT count(*), sum(md5_number_lower(r::VARCHAR)) FROM {relation} AS r"  # noqa: S608
    return hashlib.sha256(str(backend.raw_sql(content).fetchall()).encode()).hexdigest()


def _portable(column: Any) -> Any:
    """A column as Arrow and the embedded engine hold it; what they cannot hold exactly comes as text."""
    dtype = column.type()
    if dtype.is_decimal():
        fits = dtype.precision is not None and dtype.precision <= MAX_DECIMAL_DIGITS
        return column if fits else column.cast(UNBOUNDED_DECIMAL)
    held = dtype.is_boolean() or dtype.is_integer() or dtype.is_floating() or dtype.is_timestamp() or dtype.is_date()
    return column if held or dtype.is_string() else column.cast("string")


def _arrow_type(dtype: dt.DataType) -> pa.DataType:
    if dtype.is_timestamp():
        return pa.timestamp("us", tz=dtype.timezone)
    return dtype.to_pyarrow()
