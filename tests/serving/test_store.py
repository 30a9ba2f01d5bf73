import threading
from pathlib import Path

import pyarrow as pa
import pytest

from features.catalogue import ALL, CATALOGUE
from features.engine.builder import available, build_features
from features.instants import read_instant
from features.profile import Profile
from features.spec import FeatureSet
from serving.errors import StoreMissing, StoreOutdated, UnknownCustomers
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
