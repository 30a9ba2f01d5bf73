from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import ALL
from features.contract import TABLES
from features.engine.builder import build_features
from features.errors import ContractBroken, QuarantineUnsupported, QuarantineUnwritable
from features.instants import read_instant
from features.profile import Profile, examine_profile, open_profile, profile_from_tables
from features.reading.quarantine import Counts, set_aside
from features.spec import Feature, FeatureSet

pytestmark = pytest.mark.exhaustive

Rows = dict[str, list[dict[str, Any]]]
Tables = dict[str, pa.Table]
AsTables = Callable[..., Tables]
Write = Callable[..., Path]
AT = [read_instant("2024-01-01")]

ORDERS = """customer_id,order_id,event_time,value
a,o1,2023-01-01T00:00:00Z,5
a,o2,2023-01-02T00:00:00Z,five
b,o3,2023-01-03T00:00:00Z,7
b,o3,2023-01-03T00:00:00Z,7
b,o3,2023-01-03T00:00:00Z,7
b,o4,2023-01-04T00:00:00Z,7
b,o4,2023-01-04T00:00:00Z,8
z,o5,2023-01-05T00:00:00Z,9
z,o6,yesterday,-1
c,o7,2023-01-06T00:00:00Z,1
"""
CUSTOMERS = "customer_id,created_at,region\na,,north\nb,,south\nc,2020,west\n"
SURVEYS = """customer_id,metric,sent_at,responded_at,score
a,nps,2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,9
a,nps,2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,9
a,nps,2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,8
a,nps,2023-01-01T00:00:00Z,2023-01-02T00:00:00Z,11
"""
FILES = {"customers.csv": CUSTOMERS, "orders.csv": ORDERS, "surveys.csv": SURVEYS}


def aside(folder: Path, table: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = pq.read_table(folder / f"{table}.parquet").to_pylist()
    return rows


def test_broken_rows_are_left_out_and_kept_as_read_with_every_reason(write_folder: Write, tmp_path: Path) -> None:
    profile = open_profile(write_folder(FILES), tmp_path / "aside")
    assert [(row["order_id"], row["value"], row["reason"]) for row in aside(tmp_path / "aside", "orders")] == [
        ("o2", "five", "value: a value that is not a finite amount below 10^14"),
        ("o3", "7", "an exact copy of another row"),
        ("o3", "7", "an exact copy of another row"),
        ("o4", "7", "order_id: a duplicate order_id with different content"),
        ("o4", "8", "order_id: a duplicate order_id with different content"),
        ("o5", "9", "customer_id: a customer_id that is not in customers"),
        ("o6", "-1", "event_time: a value that is not a time of the years 1 to 9999; value: a negative value without "
         "is_return; customer_id: a customer_id that is not in customers"),
        ("o7", "1", "customer_id: a customer_id whose customer is quarantined"),
    ]  # fmt: skip
    assert aside(tmp_path / "aside", "customers") == [
        {"customer_id": "c", "created_at": "2020", "region": "west",
         "reason": "created_at: a value that is not a time of the years 1 to 9999"}
    ]  # fmt: skip
    assert sorted(profile.tables["orders"].to_pyarrow()["order_id"].to_pylist()) == ["o1", "o3"]
    assert [row["score"] for row in aside(tmp_path / "aside", "surveys")] == ["9", "11"]


def test_counts_add_up_table_by_table(write_folder: Write, tmp_path: Path) -> None:
    profile = open_profile(write_folder(FILES), tmp_path / "aside")
    assert profile.counts == {
        "customers": Counts(read=3, used=2, quarantined=1, out_of_scope=0),
        "orders": Counts(read=10, used=2, quarantined=6, out_of_scope=2),
        "surveys": Counts(read=4, used=2, quarantined=2, out_of_scope=0),
    }
    for table, count in profile.counts.items():
        assert count.read == count.used + count.quarantined + count.out_of_scope
        assert profile.tables[table].count().to_pyarrow().as_py() == count.used
        assert len(aside(tmp_path / "aside", table)) == count.quarantined + count.out_of_scope


def test_what_was_left_out_stays_in_the_findings_as_warnings(write_folder: Write, tmp_path: Path) -> None:
    folder = write_folder(FILES)
    errors = [finding for finding in examine_profile(folder).findings if finding.severity == "error"]
    profile = examine_profile(folder, tmp_path / "aside")
    kept = {(f.table, f.column, f.rule): f for f in profile.findings}
    assert errors
    for error in errors:
        now = kept[error.table, error.column, error.rule]
        assert (now.severity, now.rows, now.of, now.found) == ("warning", error.rows, error.of, error.found)
        assert now.remedy == f"Left out, see {tmp_path / 'aside' / error.table}.parquet. {error.remedy}"


def test_without_quarantine_the_profile_is_refused_and_nothing_is_written(write_folder: Write, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    folder = write_folder(FILES)
    with pytest.raises(ContractBroken):
        open_profile(folder)
    assert set(tmp_path.rglob("*")) - before == {folder, *(folder / name for name in FILES)}


def test_a_valid_profile_loses_nothing(small_profile: Profile, small_rows: Rows, as_tables: AsTables,
                                       tmp_path: Path) -> None:  # fmt: skip
    profile = profile_from_tables(as_tables(small_rows), quarantine=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert profile.counts == small_profile.counts
    assert profile.digest == small_profile.digest
    assert build_features(profile, ALL, AT).equals(build_features(small_profile, ALL, AT))


def test_another_content_has_another_digest(write_folder: Write, tmp_path: Path) -> None:
    folder = write_folder(FILES)
    assert open_profile(folder, tmp_path / "aside").digest != examine_profile(folder).digest


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("a missing column", {"orders.csv": "customer_id,order_id,value\na,o1,x\n"}),
        ("a wrong type", {"orders.parquet": pa.table({"customer_id": [1.5], "order_id": ["o"], "value": [1.0],
                                                      "event_time": ["x"]})}),
        ("mixed currencies", {"orders.csv": "customer_id,order_id,event_time,value,currency\n"
                              "a,o1,2023-01-01T00:00:00Z,5,EUR\na,o2,2023-01-01T00:00:00Z,5,USD\n"}),
        ("no row left", {"orders.csv": "customer_id,order_id,event_time,value\na,o1,2023-01-01T00:00:00Z,x\n"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_no_single_row_is_to_blame_for_stays_refused(
    name: str, files: Mapping[str, Any], write_folder: Write, tmp_path: Path
) -> None:
    del name
    folder = write_folder({"customers.csv": "customer_id\na\n"} | dict(files))
    with pytest.raises(ContractBroken):
        open_profile(folder, tmp_path / "aside")


def test_a_second_quarantine_replaces_the_first(write_folder: Write, tmp_path: Path) -> None:
    open_profile(write_folder(FILES), tmp_path / "aside")
    cured = FILES | {"surveys.csv": "".join(SURVEYS.splitlines(keepends=True)[:2])}
    open_profile(write_folder(cured, "cured"), tmp_path / "aside")
    assert sorted(path.name for path in (tmp_path / "aside").iterdir()) == ["customers.parquet", "orders.parquet"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_folder_with_tables_of_a_profile_is_never_written(
    kind: str, small_rows: Rows, as_tables: AsTables, write_folder: Write
) -> None:
    files = FILES if kind == "csv" else {f"{name}.parquet": t for name, t in as_tables(small_rows).items()}
    folder = write_folder(files)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(QuarantineUnwritable, match="was not written by a quarantine"):
        open_profile(folder, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(write_folder: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(QuarantineUnwritable) as error:
        open_profile(write_folder(FILES), tmp_path / "file" / "aside")
    assert len(str(error.value).splitlines()) == 1


def test_a_failed_write_leaves_the_earlier_files(
    write_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ibis.backends.duckdb import Backend

    where = tmp_path / "aside"
    open_profile(write_folder(FILES), where)
    before = {path.name: path.read_bytes() for path in where.iterdir()}
    whole = Backend.to_parquet

    def full(self: Backend, expr: Any, path: Path) -> None:
        if path.name.startswith(".surveys.parquet."):
            raise OSError(28, "No space left on device")
        whole(self, expr, path)

    monkeypatch.setattr(Backend, "to_parquet", full)
    with pytest.raises(QuarantineUnwritable, match="No space left"):
        open_profile(write_folder(FILES | {"orders.csv": ORDERS + "b,o9,x,1\n"}, "again"), where)
    assert {path.name: path.read_bytes() for path in where.iterdir()} == before


def test_another_engine_is_refused_in_one_line(tmp_path: Path) -> None:
    class Spark:
        name = "pyspark"

    with pytest.raises(QuarantineUnsupported, match="'pyspark' cannot be quarantined"):
        set_aside({}, [], Spark(), tmp_path)


def test_events_without_an_id_may_repeat(small_rows: Rows, as_tables: AsTables, tmp_path: Path) -> None:
    repeated = small_rows | {"events": [*small_rows["events"], *small_rows["events"][2:4]]}
    profile = profile_from_tables(as_tables(repeated), quarantine=tmp_path)
    events = len(small_rows["events"]) + 2
    assert profile.counts["events"] == Counts(events, events)


# ------------------------------------------------------------------ features of customers that nothing happened to
BREAKS: dict[str, tuple[str, dict[str, Any]]] = {
    "an order of a negative value": ("orders", {"order_id": "x1", "event_time": AT[0], "value": -1.0}),
    "an order in the year 3000": ("orders", {"order_id": "x2", "event_time": read_instant("3000-01-01"), "value": 1.0}),
    "a score off its scale": ("surveys", {"metric": "nps", "sent_at": AT[0], "responded_at": AT[0], "score": 11}),
    "an unknown metric": ("surveys", {"metric": "stars", "sent_at": read_instant("2023-12-01")}),
    "an event without a kind": ("events", {"event_id": "x", "event_time": read_instant("2023-12-01")}),
    "an order of nobody": ("orders", {"customer_id": "ghost", "order_id": "x3", "value": 1.0,
                                      "event_time": read_instant("2023-12-01")}),
}  # fmt: skip


def one_of_each_source() -> FeatureSet:
    by_source: dict[str, list[Feature]] = {}
    for feature in ALL.features:
        by_source.setdefault(str(feature.source), []).append(feature)
    return FeatureSet("one_of_each_source", 1, tuple(features[0] for features in by_source.values()))


FEW = one_of_each_source()


def built(profile: Profile, features: FeatureSet = ALL) -> dict[str, dict[str, Any]]:
    return {row["customer_id"]: row for row in build_features(profile, features, AT).to_pylist()}


@pytest.fixture(scope="module")
def clean(small_profile: Profile) -> dict[str, dict[str, Any]]:
    return built(small_profile, FEW)


@pytest.mark.exhaustive
@given(st.lists(st.tuples(st.sampled_from(sorted(BREAKS)), st.sampled_from(["busy", "once"])), max_size=4), st.data())
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_broken_rows_and_rows_delivered_twice_change_no_feature(
    small_rows: Rows,
    as_tables: AsTables,
    clean: dict[str, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
    breaks: list[tuple[str, str]],
    data: st.DataObject,
) -> None:
    rows = {name: list(facts) for name, facts in small_rows.items()}
    twice = 0
    for table in sorted(rows):
        again = data.draw(st.lists(st.sampled_from(range(len(rows[table]))), max_size=3), label=table)
        again = [i for i in again if table != "events" or rows[table][i].get("event_id")]
        rows[table] += [small_rows[table][i] for i in again]
        twice += len(again)
    for name, customer in dict(breaks).items():  # an id that breaks a rule twice would be a duplicate as well
        table, row = BREAKS[name]
        rows[table].append({"customer_id": customer} | row)
    tables = {name: table.take(data.draw(st.permutations(range(table.num_rows)), label=f"order of {name}"))
              for name, table in as_tables(rows).items()}  # fmt: skip
    profile = profile_from_tables(tables, quarantine=tmp_path_factory.mktemp("aside"))
    assert built(profile, FEW) == clean
    left_out = sum(count.read - count.used for count in profile.counts.values())
    assert left_out == twice + len(dict(breaks))


def test_an_untouched_customer_keeps_every_feature_when_another_falls(
    small_profile: Profile, small_rows: Rows, as_tables: AsTables, tmp_path: Path
) -> None:
    fallen = small_rows | {"customers": [*small_rows["customers"], {"customer_id": "busy", "region": "elsewhere"}]}
    profile = profile_from_tables(as_tables(fallen), quarantine=tmp_path)
    assert built(profile) == {name: row for name, row in built(small_profile).items() if name != "busy"}
    assert profile.counts["customers"].quarantined == 2
    busy = sum(row["customer_id"] == "busy" for table in TABLES if table != "customers"
               for row in small_rows.get(table, []))  # fmt: skip
    assert sum(count.out_of_scope for count in profile.counts.values()) == busy
