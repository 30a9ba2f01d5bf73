import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from features.catalogue import ALL, CATALOGUE
from features.engine.builder import available, build_features
from features.errors import OutputUnwritable
from features.instants import read_instant
from features.profile import Profile
from features.spec import FeatureSet
from serving.errors import StoreMissing, StoreOutdated, StoreUnreadable, UnknownCustomers
from serving.store import OnlineStore, new_store

AT = read_instant("2024-06-01")


@pytest.fixture(scope="module")
def table(simulated: Profile) -> pa.Table:
    return build_features(simulated, available(simulated, ALL).features, [AT])


def fill(path: Path, table: pa.Table, features: FeatureSet = ALL) -> OnlineStore:
    with new_store(path, table, features) as use:
        use()
    return OnlineStore(path)


def test_rows_come_back_bit_for_bit_in_the_order_asked_for(tmp_path: Path, table: pa.Table) -> None:
    store = fill(tmp_path / "online.sqlite", table)
    positions = [700, 3, 512]
    ids = [table.column("customer_id")[i].as_py() for i in positions]
    assert store.rows(ids, ALL).equals(table.take(positions))


def test_more_customers_than_one_query_takes(tmp_path: Path, table: pa.Table) -> None:
    store = fill(tmp_path / "online.sqlite", table)
    assert store.rows(table.column("customer_id").to_pylist(), ALL).equals(table)


def test_unknown_customers_are_named(tmp_path: Path, table: pa.Table) -> None:
    store = fill(tmp_path / "online.sqlite", table)
    known = table.column("customer_id")[0].as_py()
    with pytest.raises(UnknownCustomers, match=r"'nobody', 'no one'.*2024-06-01"):
        store.rows(["nobody", known, "no one"], ALL)


def test_a_missing_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="patron score"):
        OnlineStore(tmp_path / "none.sqlite").rows(["a"], ALL)


def test_features_of_another_version_are_refused(tmp_path: Path, table: pa.Table) -> None:
    from dataclasses import replace

    store = fill(tmp_path / "online.sqlite", table)
    newer = FeatureSet("newer", 1, (replace(CATALOGUE["frequency"], version=2),))
    with pytest.raises(StoreOutdated, match="'frequency'"):
        store.rows(["a"], newer)


@pytest.mark.parametrize("folder", ["a#b", "what?", "100%41", "two words"])
def test_the_path_of_a_store_may_hold_whatever_a_path_may(folder: str, tmp_path: Path, table: pa.Table) -> None:
    store = fill(tmp_path / folder / "online.sqlite", table.slice(0, 5))
    assert store.rows(table.column("customer_id").to_pylist()[:5], ALL).equals(table.slice(0, 5))


def test_who_may_read_the_store_is_for_the_umask_to_say(tmp_path: Path, table: pa.Table) -> None:
    earlier = os.umask(0o027)
    try:
        fill(tmp_path / "online.sqlite", table.slice(0, 5))
    finally:
        os.umask(earlier)
    assert stat.S_IMODE((tmp_path / "online.sqlite").stat().st_mode) == 0o640


def test_a_store_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "online.sqlite").write_text("this is no database")
    store = OnlineStore(tmp_path / "online.sqlite")
    for ask in (lambda: store.rows(["a"], ALL), lambda: store.currency):
        with pytest.raises(
            StoreUnreadable, match=r"cannot be read: found file is not a database.*patron score"
        ) as refused:
            ask()
        assert "\n" not in str(refused.value)


def test_a_store_that_cannot_be_filled_is_one_line(tmp_path: Path, table: pa.Table) -> None:
    twice = pa.concat_tables([table.slice(0, 1)] * 2)
    with pytest.raises(OutputUnwritable, match="UNIQUE constraint failed"):
        fill(tmp_path / "online.sqlite", twice)
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_before_says_no_currency(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "online.sqlite"
    store = fill(path, table.slice(0, 5))
    assert store.currency is None
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("DROP TABLE currency")
    assert store.currency is None


def test_a_failed_fill_leaves_the_store_and_the_folder_as_they_were(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "online.sqlite"
    fill(path, table)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="interrupted"), new_store(path, table.slice(0, 5), ALL):
        raise RuntimeError("interrupted")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["online.sqlite"]


def test_readers_see_the_old_rows_or_the_new_ones_while_the_store_is_replaced(
    tmp_path: Path, simulated: Profile, table: pa.Table
) -> None:
    store = fill(tmp_path / "online.sqlite", table)
    later = build_features(simulated, ALL, [read_instant("2024-09-01")])
    ids = sorted(set(table.column("customer_id").to_pylist()) & set(later.column("customer_id").to_pylist()))[:20]
    seen, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append({time.as_py() for time in store.rows(ids, ALL).column("prediction_time")})

    reader = threading.Thread(target=read)
    reader.start()
    for rows in (later, table, later):
        fill(tmp_path / "online.sqlite", rows)
    stop.set()
    reader.join()
    assert seen
    assert all(len(times) == 1 for times in seen)
