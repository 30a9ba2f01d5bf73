"""Spark gives the columns that DuckDB gives, bit for bit, and reads what DuckDB reads or says why not."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.attributes import own_features
from features.catalogue import ALL
from features.engine.builder import available, build_features, write_features
from features.errors import OutputUnwritable, ProfileNotFound, SparkMissing, TableUnreadable
from features.instants import read_instant
from features.profile import Profile, examine_profile, open_profile, profile_from_tables
from features.spec import FeatureSet, log_units

pytestmark = pytest.mark.exhaustive

AT, EARLIER = read_instant("2024-01-01"), read_instant("2023-10-05T12:34:56.789012Z")
Tables = dict[str, pa.Table]
Compare = Callable[[pa.Table, pa.Table], None]
HALVES = (0.00005, 1.00005, 0.00015, 2.5e-5, 1.00025, 123456789.12345, 0.1 + 0.2, 99999999999.12345, 7.0)


@pytest.fixture(scope="module")
def hard_tables(as_rows: Callable[..., Any], as_tables: Callable[..., Tables], small_rows: Any) -> Tables:
    """What engines disagree about: ties, edges of windows, rounding, signs, letters, nulls, and late rows."""
    orders = [{"customer_id": "half", "event_time": 1 + i, "value": value} for i, value in enumerate(HALVES)]
    orders += [
        {"customer_id": "half", "event_time": 30 + i, "value": -value, "is_return": True}
        for i, value in enumerate(HALVES)
    ]
    orders += [
        {"customer_id": "tied", "event_time": 90, "value": value, "channel": channel, "category": channel}
        for value, channel in ((1.1, "Web"), (2.2, "web"), (3.3, "Ärzte"), (4.4, "🛒"), (5.5, None), (6.6, "x" * 30))
    ]
    orders += [
        {"customer_id": "edge", "event_time": day, "value": 0.1 * day, "discount_value": 0.0}
        for day in (30, 90, 180, 365, 30.000000001, 89.99999999, 0.000001, 365.5)
    ]
    orders += [
        {"customer_id": "old", "event_time": "1900-01-01", "value": 1e13},
        {"customer_id": "old", "event_time": "1969-12-31T23:59:59.999999Z", "value": 99_999_999_999_999.0},
        {"customer_id": "old", "event_time": "1970-01-01T00:00:00.000001Z", "value": 0.3},
        {"customer_id": "back", "event_time": 10, "value": -50.0, "is_return": True},
        {"customer_id": "zero", "event_time": 5, "value": 0.0, "discount_value": 0.0, "ingested_at": 4},
        {"customer_id": "late", "event_time": 100, "value": 9.99, "ingested_at": 0},
        {"customer_id": "later", "event_time": 100, "value": 9.99, "ingested_at": -0.000001},
        {"customer_id": "ahead", "event_time": -3, "value": 5.0},
    ]
    orders += [{"customer_id": "daily", "event_time": 0.5 + day, "value": 0.1 + day / 7} for day in range(60)]
    events = [
        {"customer_id": "tied", "event_time": 7, "kind": kind, "channel": None}
        for kind in ("session", "email_open", "email_open", "ärger", "support_ticket")
    ]
    surveys = [
        {"customer_id": "tied", "metric": "nps", "sent_at": 20, "responded_at": 19, "score": score}
        for score in (0, 10, 7)
    ] + [
        {"customer_id": "old", "metric": "csat", "sent_at": "1960-01-01", "responded_at": "1960-01-02", "score": 3},
        {"customer_id": "late", "metric": "ces", "sent_at": 9, "responded_at": -1, "score": 4},
        {"customer_id": "zero", "metric": "ces", "sent_at": 9},
        {"customer_id": "tied", "metric": "csat", "sent_at": 90, "responded_at": 89, "score": 1, "touchpoint": "shop"},
        {"customer_id": "tied", "metric": "csat", "sent_at": 90, "responded_at": 89, "score": 1, "touchpoint": "Shop"},
    ]
    subscriptions = [
        {"customer_id": "tied", "subscription_id": "t1", "started_at": 200, "ended_at": 110, "monthly_value": 5.0},
        {"customer_id": "tied", "subscription_id": "t1", "started_at": 110, "ended_at": -5, "monthly_value": 7.5},
        {"customer_id": "old", "subscription_id": "t2", "started_at": "1950-01-01", "term_ends_at": -40},
    ]
    campaigns = [
        {"customer_id": "tied", "campaign_id": "c1", "event_time": 9, "cost": 0.35, "is_control": control}
        for control in (True, False, None)
    ]
    new = {"events": events, "surveys": surveys, "subscriptions": subscriptions, "campaigns": campaigns}
    hard = as_rows({"orders": orders, **new})
    rows = {name: [*small_rows.get(name, []), *hard.get(name, [])] for name in {**small_rows, **hard}}
    for number, order in enumerate(rows["orders"]):
        order["order_id"] = f"o{number}"
    rows["customers"] += [{"customer_id": name} for name in sorted({order["customer_id"] for order in hard["orders"]})]
    return as_tables(rows)


@pytest.fixture(scope="module")
def hard(hard_tables: Tables, on_spark: Callable[..., str]) -> tuple[Profile, Profile]:
    """The same hard profile on DuckDB and on Spark."""
    return profile_from_tables(hard_tables), open_profile(on_spark(hard_tables))


def typed(profile: Profile) -> Tables:
    return {name: table.to_pyarrow() for name, table in profile.tables.items()}


def test_hard_cases_give_the_same_columns_at_two_times(
    hard: tuple[Profile, Profile], spark: Any, tmp_path: Path, assert_same_columns: Compare
) -> None:
    expected, found = (build_features(profile, ALL, [AT, EARLIER]) for profile in hard)
    assert_same_columns(expected, found)
    spark.conf.set("spark.sql.codegen.wholeStage", "true")  # as it runs outside of the tests
    assert write_features(hard[1], ALL, [AT, EARLIER], tmp_path / "made" / "features.parquet") == expected.num_rows
    written = pq.read_table(tmp_path / "made" / "features.parquet")
    assert_same_columns(expected, written.sort_by([("prediction_time", "ascending"), ("customer_id", "ascending")]))
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["features.parquet"]
    spark.conf.set("spark.sql.codegen.wholeStage", "false")


def test_a_simulated_full_profile_gives_the_same_columns(
    small_simulated: Profile, on_spark: Callable[..., str], assert_same_columns: Compare
) -> None:
    found = open_profile(on_spark(typed(small_simulated)))
    at = [read_instant("2024-12-31"), read_instant("2023-06-15")]
    assert_same_columns(build_features(small_simulated, ALL, at), build_features(found, ALL, at))
    assert found.summaries == small_simulated.summaries


def test_the_cdnow_sample_gives_the_same_columns(
    cdnow_sample: Profile, on_spark: Callable[..., str], assert_same_columns: Compare
) -> None:
    found = open_profile(on_spark(typed(cdnow_sample)))
    given = available(cdnow_sample, ALL)
    assert available(found, ALL) == given
    at = [read_instant("1997-10-01")]
    assert_same_columns(build_features(cdnow_sample, given.features, at), build_features(found, given.features, at))


def test_one_customer_and_empty_tables_give_the_same_columns(
    as_rows: Callable[..., Any],
    as_tables: Callable[..., Tables],
    on_spark: Callable[..., str],
    assert_same_columns: Compare,
) -> None:
    rows = as_rows({"orders": [{"customer_id": "only", "event_time": 3, "value": 1.0}]})
    tables = as_tables(
        {
            "customers": [{"customer_id": "only"}],
            "events": [],
            "surveys": [],
            "subscriptions": [],
            "campaigns": [],
            **rows,
        }
    )
    expected, found = (
        build_features(p, ALL, [AT]) for p in (profile_from_tables(tables), open_profile(on_spark(tables)))
    )
    assert found.num_rows == 1
    assert_same_columns(expected, found)


def test_conversions_and_divisions_agree_on_any_number(spark: Any, assert_same_columns: Compare) -> None:
    from features.reading.spark import SparkEngine

    rng = random.Random(11)
    numbers = [*HALVES, 0.0, -0.0, 1e14, 1e300, -1e-300, float("inf"), float("nan"), 2.5, 3.5, -2.5, 0.5, None]
    numbers += [sign * value for value in HALVES for sign in (1, -1)]
    numbers += [rng.randint(-(10**16), 10**16) / 10 ** rng.randint(0, 12) for _ in range(5_000)]
    numbers += [round(rng.uniform(-1000, 1000), 4) + 0.00005 for _ in range(5_000)]
    others = [rng.choice([0.0, 1.0, -3.0, 7e-5, None]) for _ in numbers]
    table = pa.table({"at": range(len(numbers)), "x": numbers, "y": others})
    duckdb, engine = ibis.duckdb.connect(), SparkEngine()
    engine.do_connect(spark)
    SparkEngine.register_options()
    answers = []
    for backend in (duckdb, engine):
        facts = ibis.memtable(table)
        money = facts.x.try_cast("decimal(18, 4)")
        small = (facts.x.abs() < 1e15).ifelse(facts.x, None)
        rows = facts.select(
            "at",
            money=money.cast("string"),
            float=money.cast("float64"),
            whole=small.cast("int64"),
            whole_money=money.cast("int64"),
            quotient=facts.x / facts.y,
            ratio=money / facts.at,
            part=facts.at / facts.y.cast("int64"),
            is_null=facts.x.isnull(),
            large=facts.x.try_cast("int64"),
        )
        answers.append(backend.to_pyarrow(rows.order_by("at")))
    assert_same_columns(answers[0], answers[1])


def test_blanks_and_nothing_else_are_taken_off_own_columns(
    on_spark: Callable[..., str], assert_same_columns: Compare
) -> None:
    texts = ["false", " v\t", "\x0bf\x0c", "\n", "five v", None]
    customers = pa.table({"customer_id": list("abcdef"), "size, or n": texts, "is_on": [True, False] * 3})
    orders = pa.table({"customer_id": ["a"], "order_id": ["1"], "event_time": [EARLIER], "value": [1.0]})
    tables = {"customers": customers, "orders": orders}
    profile = profile_from_tables(tables)
    wanted = FeatureSet("own", 1, own_features(profile.tables, profile.backend))
    expected = build_features(profile, wanted, [AT])
    assert expected["size, or n"].to_pylist() == ["false", "v", "f", None, "five v", None]
    assert_same_columns(expected, build_features(open_profile(on_spark(tables)), wanted, [AT]))


def test_logarithms_of_whole_numbers_agree(spark: Any) -> None:
    found = spark.sql("SELECT id, round(ln(CAST(id AS DOUBLE)) * 1073741824D) AS units FROM range(1, 200001)").toArrow()
    whole = ibis.memtable(found)
    differing = whole.filter(log_units(whole.id).cast("float64") != whole.units)
    assert ibis.duckdb.connect().to_pyarrow(differing.count()).as_py() == 0


def test_broken_rows_are_found_as_on_one_machine(
    as_rows: Callable[..., Any], as_tables: Callable[..., Tables], on_spark: Callable[..., str]
) -> None:
    rows = as_rows({
        "orders": [
            {"customer_id": "a", "event_time": 3, "value": -1.0, "currency": "EUR"},
            {"customer_id": "a", "event_time": "2222-01-01", "value": float("nan"), "currency": "USD"},
            {"customer_id": "nobody", "event_time": None, "value": 1e15, "discount_value": -1.0},
            {"customer_id": "a", "event_time": 1, "value": 1.0, "order_id": "twice"},
            {"customer_id": "a", "event_time": 2, "value": 2.0, "order_id": "twice"},
            {"customer_id": "", "event_time": 2, "value": 2.0},
        ],
        "surveys": [
            {"customer_id": "a", "metric": "nps", "sent_at": 5, "responded_at": 6, "score": 11},
            {"customer_id": "a", "metric": "joy", "sent_at": 5, "score": 1},
        ],
    })  # fmt: skip
    tables = as_tables({"customers": [{"customer_id": "a"}], "events": [], **rows})

    def known(profile: Profile) -> list[Any]:
        return [(f.severity, f.table, f.column, f.rule, f.rows, f.of) for f in profile.findings]

    address = on_spark(tables)
    duckdb, spark = examine_profile(address.removeprefix("spark://")), examine_profile(address)
    assert len(duckdb.findings) > 10
    assert known(spark) == known(duckdb)


def test_tables_of_a_catalog_are_a_profile(spark: Any, hard: tuple[Profile, Profile], hard_tables: Tables) -> None:
    spark.sql("CREATE DATABASE IF NOT EXISTS crm")
    try:
        for name in ("customers", "orders"):
            spark.createDataFrame(hard_tables[name]).createOrReplaceTempView(name)
            spark.sql(f"CREATE TABLE crm.{name} USING parquet AS SELECT * FROM {name}")
        found = open_profile("spark://crm")
        assert set(found.tables) == {"customers", "orders"}
        assert [s for s in hard[0].summaries if s.table in found.tables] == list(found.summaries)
    finally:
        spark.sql("DROP DATABASE crm CASCADE")


def test_the_digest_follows_content_not_files(
    hard: tuple[Profile, Profile], hard_tables: Tables, on_spark: Callable[..., str]
) -> None:
    from features.reading.spark import read_tables

    turned = {name: table.take(list(range(table.num_rows))[::-1]) for name, table in hard_tables.items()}
    assert read_tables(on_spark(turned))[2] == hard[1].digest
    shorter = hard_tables | {"events": hard_tables["events"].slice(1)}
    assert read_tables(on_spark(shorter))[2] != hard[1].digest


@pytest.mark.parametrize(
    ("files", "problem", "said"),
    [
        ({}, ProfileNotFound, "no table of the contract"),
        ({"customers.csv": b"customer_id\na\n"}, TableUnreadable, "Parquet, not CSV"),
        ({"customers.parquet": b"PAR1 not"}, TableUnreadable, "customers"),
        ({"orders.parquet": pa.table({"value": ["1"]})}, TableUnreadable, "column 'value' is text"),
    ],
)
def test_what_spark_cannot_read_exactly_is_refused_in_one_line(
    spark: Any, write_folder: Callable[..., Path], files: dict[str, Any], problem: type[Exception], said: str
) -> None:
    with pytest.raises(problem, match=said) as raised:
        open_profile(f"spark://{write_folder(files)}")
    assert "\n" not in str(raised.value)


def test_csv_output_is_refused(hard: tuple[Profile, Profile], tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="folder of Parquet"):
        write_features(hard[1], ALL, [AT], tmp_path / "features.csv")


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "features.reading.spark", None)
    with pytest.raises(SparkMissing, match=r"pip install 'patron\[spark\]'"):
        open_profile("spark:///anywhere")
