"""A `profile.yaml` takes tables from Spark: of its catalog, and of a folder that it reads."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalogue import ALL
from features.engine.builder import available, build_features
from features.errors import SourceUnreadable, SparkMissing
from features.instants import read_instant
from features.profile import Profile, open_profile
from features.spec import FeatureSet

pytestmark = pytest.mark.exhaustive

Write = Callable[..., Path]
RowsOf = Callable[..., list[dict[str, Any]]]
SALES = pa.table({
    "id": ["a", "b", "a", "a", "Ä"],
    "nr": pa.array([1, 2, 3, 4, 5], pa.int64()),
    "at": [datetime(2024, 7, day, 12, 0, 0, 123456, tzinfo=UTC) for day in (1, 2, 3, 4, 5)],
    "paid": pa.array([Decimal(v) for v in ("10.10", "99999999999.1234", "5", "7", "0.3")], pa.decimal128(38, 4)),
    "status": ["paid", "paid", "open", "paid", None],
    "day": [date(2024, 7, 1)] * 5,
    "lines": [["x", "y"]] * 5,
    "secret": ["s"] * 5,
})  # fmt: skip
MAPPING = """
sources:
  sales: {url: "URL", table: sales}
tables:
  customers: {from: sales, columns: {customer_id: id}, deduplicate: {by: customer_id}}
  orders:
    from: sales
    where: paid > 6
    columns: {customer_id: id, order_id: nr, event_time: at, value: paid, category: status}
"""


@pytest.fixture
def crm(spark: Any) -> Iterator[Any]:
    """A database of the catalog with a table of sales."""
    spark.sql("CREATE DATABASE crm_source")
    spark.createDataFrame(SALES).repartition(3).write.saveAsTable("crm_source.sales")
    yield spark
    spark.sql("DROP DATABASE crm_source CASCADE")


def orders_of(profile: Profile, rows_of: RowsOf) -> list[tuple[Any, ...]]:
    rows = rows_of(profile, "orders", "order_id", "customer_id", "event_time", "value", "category")
    return sorted(tuple(row.values()) for row in rows)


EXPECTED = [
    ("1", "a", datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=UTC), Decimal("10.1000"), "paid"),
    ("2", "b", datetime(2024, 7, 2, 12, 0, 0, 123456, tzinfo=UTC), Decimal("99999999999.1234"), "paid"),
    ("4", "a", datetime(2024, 7, 4, 12, 0, 0, 123456, tzinfo=UTC), Decimal("7.0000"), "paid"),
]


def test_a_catalog_table_arrives_whole(crm: Any, write_mapping: Write, rows_of: RowsOf) -> None:
    profile = open_profile(write_mapping(MAPPING.replace("URL", "spark://crm_source")))
    assert profile.backend.name == "duckdb"
    assert orders_of(profile, rows_of) == EXPECTED
    assert [row["customer_id"] for row in rows_of(profile, "customers", "customer_id")] == ["a", "b", "Ä"]
    assert crm.sql("SELECT 1").first()[0] == 1  # the session is left as it was


@pytest.mark.parametrize("name", ["sales.parquet", "sales"])
@pytest.mark.parametrize("in_parts", [False, True])
def test_a_folder_is_read_relative_to_the_mapping(
    spark: Any, write_mapping: Write, rows_of: RowsOf, name: str, in_parts: bool
) -> None:
    path = write_mapping(MAPPING.replace("URL", "spark://./lake"))
    (path.parent / "lake").mkdir()
    if in_parts:
        spark.createDataFrame(SALES).repartition(2).write.parquet(f"{path.parent}/lake/{name}")
    else:
        pq.write_table(SALES, path.parent / "lake" / name)
    assert orders_of(open_profile(path), rows_of) == EXPECTED


def test_only_the_columns_and_rows_needed_come_here(
    crm: Any, write_mapping: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.reading.spark import SparkEngine

    asked: list[str] = []
    frame = SparkEngine.frame

    def noting(engine: SparkEngine, expression: Any) -> Any:
        asked.append(str(engine.compile(expression)))
        return frame(engine, expression)

    monkeypatch.setattr(SparkEngine, "frame", noting)
    only_orders = MAPPING.replace("deduplicate: {by: customer_id}}", "deduplicate: {by: customer_id}, where: paid > 6}")
    two = only_orders.replace("sales: {url", "people: {url: \"URL\", table: sales}\n  sales: {url").replace(
        "customers: {from: sales", "customers: {from: people"
    )  # fmt: skip
    open_profile(write_mapping(two.replace("URL", "spark://crm_source")))
    assert len(asked) == 2
    assert all("secret" not in query and "lines" not in query for query in asked)
    assert all("> " in query for query in asked)


def test_the_digest_follows_the_rows_and_not_their_order(crm: Any, write_mapping: Write) -> None:
    path = write_mapping(MAPPING.replace("URL", "spark://crm_source"))
    first = open_profile(path).digest
    crm.createDataFrame(SALES.take([4, 2, 0, 1, 3])).write.saveAsTable("crm_source.turned")
    crm.sql("INSERT OVERWRITE crm_source.sales SELECT * FROM crm_source.turned")
    assert open_profile(path).digest == first
    crm.createDataFrame(SALES.set_column(2, "at", SALES["at"].take([0, 1, 2, 4, 3]))).createOrReplaceTempView("moved")
    crm.sql("INSERT OVERWRITE crm_source.sales SELECT * FROM moved")
    assert open_profile(path).digest != first


def test_a_simulated_profile_in_a_catalog_gives_the_features_of_its_folder(
    spark: Any,
    small_simulated: Profile,
    write_mapping: Write,
    assert_same_columns: Callable[[pa.Table, pa.Table], None],
) -> None:
    tables = ("customers", "orders", "events", "surveys")
    spark.sql("CREATE DATABASE crm_full")
    try:
        lines = ["sources:"]
        lines += [f"  {table}: {{url: spark://crm_full, table: {table}}}" for table in tables]
        lines += ["tables:"]
        for table in tables:
            rows = small_simulated.tables[table].to_pyarrow()
            spark.createDataFrame(rows).write.saveAsTable(f"crm_full.{table}")
            known = "known_from: ingested_at, " if "ingested_at" in rows.column_names else ""
            same = ", ".join(f"{name}: {name}" for name in rows.column_names if name != "ingested_at")
            lines.append(f"  {table}: {{from: {table}, {known}columns: {{{same}}}}}")
        profile = open_profile(write_mapping("\n".join(lines)))
        wanted = available(profile, ALL).features
        named = set(wanted.names) & set(available(small_simulated, ALL).features.names)
        assert named == set(wanted.names)
        assert len(named) > 100
        at = [read_instant("2024-06-01")]
        expected = build_features(small_simulated, FeatureSet("given", 1, wanted.features), at)
        assert_same_columns(expected, build_features(profile, FeatureSet("given", 1, wanted.features), at))
    finally:
        spark.sql("DROP DATABASE crm_full CASCADE")


@pytest.mark.parametrize("place", ["spark://nowhere_db", "spark:///nowhere/at/all"])
def test_a_table_that_is_not_there_is_refused_in_one_line(spark: Any, write_mapping: Write, place: str) -> None:
    with pytest.raises(SourceUnreadable, match="Spark finds no table 'sales' there") as refused:
        open_profile(write_mapping(MAPPING.replace("URL", place)))
    assert "\n" not in str(refused.value)


def test_a_damaged_file_is_refused_in_one_line(spark: Any, write_mapping: Write) -> None:
    path = write_mapping(MAPPING.replace("URL", "spark://./lake"))
    (path.parent / "lake").mkdir()
    (path.parent / "lake" / "sales.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceUnreadable, match="'sales'") as refused:
        open_profile(path)
    assert "\n" not in str(refused.value)


def test_a_query_that_fails_on_an_executor_is_refused_in_one_line(crm: Any, write_mapping: Write) -> None:
    crm.sql(
        "CREATE VIEW crm_source.bad AS SELECT id, nr, at, raise_error('no more') AS paid, status FROM crm_source.sales"
    )
    with pytest.raises(SourceUnreadable, match="no more") as refused:
        open_profile(write_mapping(MAPPING.replace("URL", "spark://crm_source").replace("table: sales", "table: bad")))
    assert "\n" not in str(refused.value)


def test_without_pyspark_the_extra_is_named(write_mapping: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "features.reading.spark", None)
    with pytest.raises(SparkMissing, match=r"pip install 'patron\[spark\]'"):
        open_profile(write_mapping(MAPPING.replace("URL", "spark://crm")))
