"""A flat table as a profile: one row a customer, columns of the company's own, an outcome, and no dates."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.attributes import attribute, own_columns
from features.errors import FlatTableUnusable, ProfileNotFound, listed
from features.profile import Profile
from features.reading.check import TableSummary
from features.reading.sources import embedded_engine, read_table_file
from features.spec import Dtype, Feature, FeatureSet

RESERVED = ("customer_id", "prediction_time", "ingested_at")
SUFFIXES = (".csv", ".csv.gz", ".parquet")
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the prediction time where nothing depends on one."""


@dataclass(frozen=True)
class FlatTable(Profile):
    """A profile of one table: customers and what is said of each, but not since when.

    Parameters
    ----------
    columns : mapping of str to str
        Its columns besides the id and the label, with what they hold.
    label : str
        The column in `labels`, where it was asked for.
    """

    columns: Mapping[str, Dtype] = field(default_factory=dict)
    label: str = ""

    @property
    def known_from(self) -> datetime:
        """No date: see `UNDATED`."""
        return UNDATED

    @property
    def known_until(self) -> datetime:
        """No date: see `UNDATED`."""
        return UNDATED

    @property
    def features(self) -> FeatureSet:
        """Its columns as features."""
        return FeatureSet("flat", 1, tuple(attribute(name, dtype) for name, dtype in self.columns.items()))


def is_flat(source: str) -> bool:
    """Whether an address is that of one table rather than of a profile."""
    return source.lower().endswith(SUFFIXES) and Path(source).is_file()


def open_flat(source: str, id_column: str, label: str = "", wanted: Collection[Feature] | None = None) -> FlatTable:
    """Open a table of one row a customer.

    Parameters
    ----------
    source : str
        A CSV or Parquet file.
    id_column : str
        The column that names the customer.
    label : str
        The column that holds the outcome; it never becomes a feature.
    wanted : collection of Feature, optional
        The columns that a model takes, which the table is held to; by default every other column becomes one: of
        numbers where each value is one, otherwise of text.

    Returns
    -------
    FlatTable
        `customers` with the columns and `labels` with the outcome as text.

    Raises
    ------
    ProfileNotFound, TableUnreadable
        If there is no such table.
    FlatTableUnusable
        If a column is missing, an id is missing or stands twice, or a value is not what the model takes.
    """
    path = Path(source)
    if not path.is_file():
        raise ProfileNotFound(source, "no such file")
    backend: Any = embedded_engine()
    raw = backend.to_pyarrow(read_table_file(backend, path.name.partition(".")[0], path))
    texts = pa.table({name: _text(raw.column(name)) for name in raw.column_names})
    for name, role in ((id_column, "--id"), (label, "--label")):
        if name and name not in texts.column_names:
            raise FlatTableUnusable(
                source, f"there is no column {name!r}", listed(texts.column_names, 30), f"Name one with {role}."
            )
    if clash := [name for name in RESERVED if name in texts.column_names and name not in (id_column, label)]:
        raise FlatTableUnusable(source, f"a column is called {clash[0]!r}", "other names", "Rename it or leave it out.")
    _require_ids(source, id_column, texts.column(id_column))
    others = [name for name in texts.column_names if name not in (id_column, label)]
    kinds = own_columns(wanted) if wanted is not None else {name: _kind(texts.column(name)) for name in others}
    columns = {"customer_id": texts.column(id_column)}
    columns |= {name: _typed(source, texts, name, kind) for name, kind in kinds.items()}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    customers = backend.create_table("flat_customers", pa.table(columns), temp=True)
    labels = None
    if label:
        found = pa.table({"customer_id": texts.column(id_column), label: texts.column(label)})
        labels = backend.create_table("flat_labels", found, temp=True)
    summary = TableSummary("customers", texts.num_rows, texts.num_rows, None, None)
    tables = {"customers": customers}
    return FlatTable(source, tables, digest, (), (summary,), backend, labels=labels, columns=kinds, label=label)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text without the blanks around it; null where nothing is left."""
    trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _require_ids(source: str, name: str, ids: pa.ChunkedArray) -> None:
    if ids.null_count:
        found = f"column {name!r} is empty in {ids.null_count:,} of {len(ids):,} rows"
        raise FlatTableUnusable(source, found, "an id in every row", "Name another column with --id, or fill it.")
    counted = pc.value_counts(ids.combine_chunks())
    twice = [str(entry["values"]) for entry in counted.to_pylist() if entry["counts"] > 1]
    if twice:
        found = f"column {name!r} holds {listed(twice)} more than once"
        raise FlatTableUnusable(source, found, "one row a customer", "Keep one row each, or name another with --id.")


def _number(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column as finite numbers; None where a value is not one."""
    try:
        numbers = pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        return None
    return numbers if pc.all(pc.is_finite(numbers)).as_py() is not False else None


def _kind(texts: pa.ChunkedArray) -> Dtype:
    return "string" if _number(texts) is None else "float64"


def _typed(source: str, texts: pa.Table, name: str, kind: Dtype) -> pa.ChunkedArray:
    if name not in texts.column_names:
        found = f"there is no column {name!r}, which the model takes"
        raise FlatTableUnusable(
            source, found, listed(texts.column_names, 30), "Give the table the columns of training."
        )
    if kind == "string":
        return texts.column(name)
    numbers = _number(texts.column(name))
    if numbers is None:
        found = f"column {name!r}, a number to the model, holds something else"
        raise FlatTableUnusable(source, found, "numbers and empty cells", "Correct it, or train again.")
    return numbers
