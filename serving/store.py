"""The online store: the feature rows of the last batch run, looked up by customer id in one SQLite file.

Filled whole into a new file that then takes the old one's name: a reader sees the old run or the new one.
"""

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.engine.builder import ARROW_TYPES
from features.errors import OutputUnwritable
from features.expressions import quoted
from features.instants import from_us, to_us, write_instant
from features.spec import Feature, FeatureSet
from serving.errors import StoreMissing, StoreOutdated, StoreUnreadable, UnknownCustomers

ROWS_AT_ONCE = 20_000
IDS_AT_ONCE = 500
SQL_TYPES = {"float64": "REAL", "int64": "INTEGER", "bool": "INTEGER", "string": "TEXT"}


@contextmanager
def new_store(
    path: Path, table: pa.Table, features: FeatureSet, currency: str | None = None
) -> Iterator[Callable[[], None]]:
    """Write a store beside the one in use.

    Parameters
    ----------
    path : Path
        The SQLite file in use; stays as it is until the yielded function is called.
    table : pyarrow.Table
        Feature rows as `features.engine.builder.build_features` returns them, one a customer.
    features : FeatureSet
        Its feature columns.
    currency : str, optional
        Of amounts.

    Yields
    ------
    callable
        Puts the new store in the old one's place.

    Raises
    ------
    OutputUnwritable
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as temporary:
        made = Path(temporary) / path.name  # SQLite makes it, readable by whom the umask lets
        try:
            _write(made, table, features, currency)
        except sqlite3.Error as error:
            raise OutputUnwritable(str(path), str(error)) from error
        yield partial(os.replace, made, path)


def _write(path: Path, table: pa.Table, features: FeatureSet, currency: str | None) -> None:
    names = ["customer_id", "prediction_time", *features.names]
    columns = ", ".join(f"{quoted(feature.name)} {SQL_TYPES[feature.dtype]}" for feature in features.features)
    store = sqlite3.connect(path)
    try:
        store.execute("PRAGMA journal_mode = OFF")  # the file has no reader before it is complete
        store.execute(
            f"CREATE TABLE rows (customer_id TEXT PRIMARY KEY, prediction_time INTEGER, {columns}) WITHOUT ROWID"
        )
        store.execute("CREATE TABLE currency (code TEXT)")
        store.execute("INSERT INTO currency VALUES (?)", [currency])
        store.execute("CREATE TABLE features (name TEXT PRIMARY KEY, identity TEXT)")
        identities = [(feature.name, _identity(feature)) for feature in features.features]
        store.executemany("INSERT INTO features VALUES (?, ?)", identities)
        insert = f"INSERT INTO rows VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - question marks only
        for batch in table.select(names).to_batches(max_chunksize=ROWS_AT_ONCE):
            values = [column.to_pylist() for column in batch.columns]
            values[1] = [to_us(instant) for instant in values[1]]
            store.executemany(insert, zip(*values, strict=True))
        store.commit()
    finally:
        store.close()


def _identity(feature: Feature) -> str:
    return json.dumps(feature.identity(), separators=(",", ":"))


class OnlineStore:
    """Reads feature rows by customer id.

    Parameters
    ----------
    path : Path
        As `new_store` wrote it; may be replaced at any time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def currency(self) -> str | None:
        """In which currency amounts are; None where the batch run did not say.

        Raises
        ------
        StoreMissing, StoreUnreadable
            If there is no store, or it cannot be read.
        """
        with self._opened() as store:
            if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'currency'").fetchall():
                return None  # filled before it was said
            code: str | None = store.execute("SELECT code FROM currency").fetchone()[0]
            return code

    def rows(self, customer_ids: Sequence[str], features: FeatureSet) -> pa.Table:
        """Look customers up.

        Parameters
        ----------
        customer_ids : sequence of str
            Each once.
        features : FeatureSet
            The columns needed.

        Returns
        -------
        pyarrow.Table
            The rows as the batch job built them, in the order asked for.

        Raises
        ------
        StoreMissing, StoreOutdated, StoreUnreadable
            If there is no store, it was filled for other features, or it cannot be read.
        UnknownCustomers
            If it does not hold all of them.
        """
        with self._opened() as store:
            kept = dict(store.execute("SELECT name, identity FROM features").fetchall())
            lacking = [f.name for f in features.features if kept.get(f.name) != _identity(f)]
            if lacking:
                raise StoreOutdated(lacking)
            found = self._fetch(store, customer_ids, features)
            unknown = [customer_id for customer_id in customer_ids if customer_id not in found]
            if unknown:
                last = store.execute("SELECT max(prediction_time) FROM rows").fetchone()[0]
                raise UnknownCustomers(unknown, write_instant(from_us(last)) if last is not None else "none scored")
        return _table([found[customer_id] for customer_id in customer_ids], features)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            raise StoreMissing(str(self.path))
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as store:
                yield store
        except sqlite3.Error as error:
            raise StoreUnreadable(str(self.path), str(error)) from error

    @staticmethod
    def _fetch(
        store: sqlite3.Connection, customer_ids: Sequence[str], features: FeatureSet
    ) -> dict[str, tuple[Any, ...]]:
        columns = ", ".join(map(quoted, features.names))
        found: dict[str, tuple[Any, ...]] = {}
        for start in range(0, len(customer_ids), IDS_AT_ONCE):
            some = customer_ids[start : start + IDS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT customer_id, prediction_time, {columns} FROM rows WHERE customer_id IN ({marks})"  # noqa: S608
            found |= {row[0]: row for row in store.execute(query, list(some))}
        return found


def _table(rows: Sequence[tuple[Any, ...]], features: FeatureSet) -> pa.Table:
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * (2 + len(features.names))
    columns = {
        "customer_id": pa.array(values[0], pa.string()),
        "prediction_time": pa.array(values[1], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
    }
    for feature, column in zip(features.features, values[2:], strict=True):
        plain = pa.array(column, pa.int64() if feature.dtype == "bool" else ARROW_TYPES[feature.dtype])
        columns[feature.name] = plain.cast(ARROW_TYPES[feature.dtype])
    return pa.table(columns)
