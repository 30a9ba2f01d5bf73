import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from features.catalogue import ALL, CHURN
from features.engine.builder import build_features
from features.errors import ContractBroken, MissingTable, PatronError, ProfileNotFound, TableUnreadable
from features.instants import read_instant
from features.profile import Profile, examine_profile, open_profile, profile_from_tables

Write = Callable[..., Path]

CUSTOMERS = "customer_id\nc1\nc2\n"
ORDERS = "customer_id,order_id,event_time,value\nc1,o1,2023-01-01T00:00:00Z,5\nc2,o2,2023-01-03T12:00:00Z,7.5\n"
AT = read_instant("2024-01-01")
CSV_PROFILE = {"customers.csv": CUSTOMERS, "orders.csv": ORDERS}


@pytest.fixture(scope="module")
def as_built(small_profile: Profile) -> pa.Table:
    return build_features(small_profile, ALL, [AT])


def as_csv(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(table, sink, pa_csv.WriteOptions(quoting_style="needed"))
    return bytes(sink.getvalue().to_pybytes())


def column_of(profile: Profile, table: str, column: str) -> list[Any]:
    return list(profile.tables[table].order_by(column).to_pyarrow()[column].to_pylist())


def refusal(source: Path | str) -> str:
    with pytest.raises(PatronError) as refused:
        open_profile(source)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "suffixes",
    [("parquet",) * 6, ("csv",) * 6, ("csv.gz", "parquet", "csv.gz", "csv", "csv.gz", "parquet")],
    ids=["parquet", "csv", "mixed"],
)
def test_a_folder_gives_the_same_features_in_every_format(
    suffixes: tuple[str, ...],
    small_rows: dict[str, Any],
    as_built: pa.Table,
    as_tables: Callable[..., dict[str, pa.Table]],
    write_folder: Write,
) -> None:
    files: dict[str, Any] = {}
    for suffix, (name, table) in zip(suffixes, as_tables(small_rows).items(), strict=True):
        csv = as_csv(table)
        files[f"{name}.{suffix}"] = {"parquet": table, "csv": csv, "csv.gz": gzip.compress(csv)}[suffix]
    profile = open_profile(write_folder(files))
    assert build_features(profile, ALL, [AT]).equals(as_built)


def test_a_duckdb_file_gives_the_same_features_as_a_folder(
    small_rows: dict[str, Any],
    as_built: pa.Table,
    as_tables: Callable[..., dict[str, pa.Table]],
    tmp_path: Path,
) -> None:
    from duckdb import connect

    file = tmp_path / "profile.duckdb"
    with connect(file) as engine:
        for name, table in as_tables(small_rows).items():
            engine.register("arriving", table)
            engine.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
        engine.execute("CREATE TABLE notes (x INTEGER)")
    assert build_features(open_profile(file), ALL, [AT]).equals(as_built)


def test_a_duckdb_url_is_opened_like_a_folder(tmp_path: Path) -> None:
    from duckdb import connect

    file = tmp_path / "profile.duckdb"
    with connect(file) as engine:
        engine.execute("CREATE TABLE customers AS SELECT 'c1' AS customer_id")
        engine.execute(
            "CREATE TABLE orders AS SELECT 'c1' AS customer_id, 'o1' AS order_id, 5 AS value, "
            "TIMESTAMPTZ '2023-01-01 00:00:00Z' AS event_time"
        )
    assert open_profile(f"duckdb://{file}").known_until == datetime(2023, 1, 2, tzinfo=UTC)


def test_an_address_that_no_engine_understands_is_refused() -> None:
    assert refusal("nosuchengine://somewhere").startswith("cannot read a profile from 'nosuchengine://somewhere': ")


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileNotFound, match="no such folder"):
        open_profile(tmp_path / "nowhere")


def test_a_file_that_is_no_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(ORDERS)
    with pytest.raises(ProfileNotFound, match=r"neither a folder nor a \.duckdb file"):
        open_profile(tmp_path / "orders.csv")


def test_a_duckdb_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "profile.duckdb").write_text("not a database " * 1000)
    assert "profile.duckdb" in refusal(tmp_path / "profile.duckdb")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileNotFound, match="an empty folder"):
        open_profile(tmp_path)


def test_a_folder_of_other_files_is_refused_and_names_some(write_folder: Write) -> None:
    with pytest.raises(ProfileNotFound, match=r"none of its files is a table of the contract .*'sales\.csv'"):
        open_profile(write_folder({"sales.csv": ORDERS, "readme.txt": "hello"}))


def test_files_beside_the_tables_are_left_alone(write_folder: Write) -> None:
    folder = write_folder(CSV_PROFILE | {"notes.csv": "a,b\n1\n", "readme.txt": "hello"})
    assert set(open_profile(folder).tables) == {"customers", "orders"}


def test_a_table_that_stands_there_twice_is_refused(write_folder: Write) -> None:
    with pytest.raises(TableUnreadable, match=r"table 'orders'.*2 times: 'orders.csv', 'orders.csv.gz'"):
        open_profile(write_folder(CSV_PROFILE | {"orders.csv.gz": gzip.compress(ORDERS.encode())}))


def parquet_bytes(rows: int) -> bytearray:
    table = pa.table({
        "customer_id": ["c1"] * rows,
        "order_id": [f"o{i}" for i in range(rows)],
        "event_time": pa.array([i * 1_000_003 for i in range(rows)], pa.timestamp("us", "UTC")),
        "value": [float(i) for i in range(rows)],
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink)
    return bytearray(sink.getvalue().to_pybytes())


def cut(content: bytearray) -> bytes:
    return bytes(content[: len(content) // 2])


def scratched(content: bytearray) -> bytes:
    for i in range(1000, len(content) // 2):
        content[i] ^= 0x5A
    return bytes(content)


@pytest.mark.parametrize(
    ("damage"),
    [cut, scratched, lambda _: b"", lambda _: ORDERS.encode()],
    ids=["cut short", "scratched inside", "empty", "not parquet"],
)
def test_a_damaged_parquet_file_is_refused_with_its_table(
    damage: Callable[[bytearray], bytes], write_folder: Write
) -> None:
    folder = write_folder({"customers.csv": CUSTOMERS, "orders.parquet": damage(parquet_bytes(20_000))})
    with pytest.raises(TableUnreadable, match=r"table 'orders': .* cannot be read \(") as refused:
        open_profile(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        (ORDERS + "c1,o3,2023-01-04T00:00:00Z,5,6,7\n", "CSV Error on Line: 4"),
        (ORDERS + "c1,o3\n", "CSV Error on Line: 4"),
        ("Our orders\n" + ORDERS, "CSV Error on Line: 2"),
        (ORDERS + 'c1,"o3,2023-01-04T00:00:00Z,5\n', "unterminated quote"),
        ("customer_id,order_id,event_time,value,value\n", "a column name stands twice in the header"),
    ],
    ids=["a longer row", "a shorter row", "a line before the header", "an open quote", "a column twice"],
)
def test_a_csv_file_that_is_not_rectangular_is_refused_with_the_place(
    orders: str, reason: str, write_folder: Write
) -> None:
    message = refusal(write_folder({"customers.csv": CUSTOMERS, "orders.csv": orders}))
    assert message.startswith("table 'orders': 'orders.csv' cannot be read (")
    assert reason in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("orders.csv.gz", ORDERS.encode()),
        ("orders.csv.gz", gzip.compress(ORDERS.encode())[:-12]),
        ("orders.csv.gz", b"\x1f\x8b\x08\x00junk"),
        ("orders.csv", (ORDERS + "é,o3,2023-01-04T00:00:00Z,5\n").encode("latin-1")),
        ("orders.csv", (ORDERS + "c\x00" + "x" * 3_000_000 + ",o3,2023-01-04T00:00:00Z,5\n").encode()),
    ],
    ids=["gz that is none", "gz cut short", "gz of junk", "latin-1", "a line of 3 MB"],
)
def test_a_csv_file_that_cannot_be_decoded_is_refused_in_one_short_line(
    name: str, content: bytes, write_folder: Write
) -> None:
    message = refusal(write_folder({"customers.csv": CUSTOMERS, name: content}))
    assert message.startswith(f"table 'orders': '{name}' cannot be read (")
    assert len(message) < 500


def test_ids_in_csv_stay_the_text_they_are(write_folder: Write) -> None:
    ids = ["00123", "123", "1e3", "c;1", "c|2", "c 1", "c\t2", 'say "hi"', "a,b\nc", " c", "é", "日本"]
    orders = pa.table({
        "customer_id": ids,
        "order_id": [f"00{i}" for i in range(len(ids))],
        "event_time": pa.array([read_instant("2023-01-01")] * len(ids), pa.timestamp("us", "UTC")),
        "value": ["5"] * len(ids),
    })  # fmt: skip
    files = {"customers.csv": as_csv(orders.select(["customer_id"])), "orders.csv": as_csv(orders)}
    profile = open_profile(write_folder(files))
    assert column_of(profile, "customers", "customer_id") == sorted(ids)
    assert column_of(profile, "orders", "order_id") == sorted(orders["order_id"].to_pylist())


@pytest.mark.parametrize("change", [("\n", "\r\n"), ("customer_id", "\ufeffcustomer_id"), ("\n", "\n\n")])
def test_line_ends_byte_order_mark_and_blank_lines_of_csv_do_not_matter(
    change: tuple[str, str], write_folder: Write
) -> None:
    profile = open_profile(write_folder({"customers.csv": CUSTOMERS, "orders.csv": ORDERS.replace(*change)}))
    assert column_of(profile, "orders", "order_id") == ["o1", "o2"]


def test_the_index_column_that_pandas_writes_does_not_matter(write_folder: Write) -> None:
    orders = pd.read_csv(write_folder({"raw.csv": ORDERS}) / "raw.csv").to_csv()
    profile = open_profile(write_folder({"customers.csv": CUSTOMERS, "orders.csv": orders}))
    assert set(profile.tables["orders"].columns) == {"customer_id", "order_id", "event_time", "value"}


def test_whole_number_ids_of_parquet_meet_text_ids_of_csv(write_folder: Write) -> None:
    folder = write_folder({
        "customers.parquet": pa.table({"customer_id": [1, 2]}),
        "orders.csv": ORDERS.replace("c1", "1").replace("c2", "2"),
    })  # fmt: skip
    assert column_of(open_profile(folder), "customers", "customer_id") == ["1", "2"]


@pytest.mark.parametrize(
    ("unit", "zone"), [("s", "UTC"), ("ms", "+05:30"), ("us", "America/New_York"), ("ns", "UTC"), ("ns", "+05:30")]
)
def test_parquet_times_of_any_unit_and_zone_are_the_same_instant(unit: str, zone: str, write_folder: Write) -> None:
    times = pa.array([read_instant("2023-01-01T00:00:01Z")], pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, zone))
    orders = pa.table({"customer_id": ["c1"], "order_id": ["o1"], "event_time": times, "value": [1]})
    folder = write_folder({"customers.csv": CUSTOMERS, "orders.parquet": orders})
    assert column_of(open_profile(folder), "orders", "event_time") == [read_instant("2023-01-01T00:00:01Z")]


@pytest.mark.parametrize("column", ["ingested_at", "channel", "is_return", "margin_value"])
def test_a_column_without_any_value_is_an_empty_column_of_the_contract(column: str, write_folder: Write) -> None:
    orders = pa.table({
        "customer_id": ["c1"],
        "order_id": ["o1"],
        "event_time": pa.array([read_instant("2023-01-01")], pa.timestamp("us", "UTC")),
        "value": [1],
        column: pa.nulls(1),
    })  # fmt: skip
    customers = pa.table({"customer_id": ["c1"]})
    from_folder = open_profile(write_folder({"customers.parquet": customers, "orders.parquet": orders}))
    from_memory = profile_from_tables({"customers": customers, "orders": orders.to_pandas()})
    assert column_of(from_folder, "orders", column) == [None]
    assert from_folder.tables["orders"].schema() == from_memory.tables["orders"].schema()


def test_a_table_in_memory_that_no_engine_holds_is_refused() -> None:
    mixed = pd.DataFrame({"customer_id": ["c1", 2]}, dtype=object)
    with pytest.raises(TableUnreadable, match=r"table 'customers': 'a notebook' cannot be read \("):
        profile_from_tables({"customers": mixed, "orders": mixed}, "a notebook")


def test_a_profile_without_customers_is_refused(write_folder: Write) -> None:
    with pytest.raises(MissingTable, match=r"table 'customers' is missing: every profile needs it\. Found: 'orders'\."):
        open_profile(write_folder({"orders.csv": ORDERS}))


def test_a_profile_without_any_fact_table_is_refused(write_folder: Write) -> None:
    with pytest.raises(MissingTable, match=r"table 'orders' is missing: .* Found: 'customers'. Add orders.parquet"):
        open_profile(write_folder({"customers.csv": CUSTOMERS}))


@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("events", "customer_id,event_time,kind\nc1,2023-01-01T00:00:00Z,session\n"),
        ("surveys", "customer_id,metric,sent_at\nc1,nps,2023-01-01T00:00:00Z\n"),
        ("subscriptions", "customer_id,subscription_id,started_at\nc1,s1,2023-01-01T00:00:00Z\n"),
        ("campaigns", "customer_id,campaign_id,event_time\nc1,k1,2023-01-01T00:00:00Z\n"),
    ],
)
def test_any_one_fact_table_is_enough(table: str, content: str, write_folder: Write) -> None:
    profile = open_profile(write_folder({"customers.csv": CUSTOMERS, f"{table}.csv": content}))
    assert profile.known_from == datetime(2023, 1, 1, tzinfo=UTC)


def test_a_profile_without_a_single_fact_is_refused(write_folder: Write) -> None:
    message = refusal(write_folder({"customers.csv": CUSTOMERS, "orders.csv": ORDERS.splitlines()[0]}))
    assert message.startswith("orders: no rows, found an empty table; allowed: at least one row.")


def test_an_empty_table_beside_others_is_only_worth_a_warning(write_folder: Write) -> None:
    profile = open_profile(write_folder(CSV_PROFILE | {"events.csv": "customer_id,event_time,kind\n"}))
    warnings = [finding for finding in profile.findings if finding.severity == "warning"]
    assert [(finding.table, finding.rule) for finding in warnings] == [("events", "no rows")]


@pytest.mark.parametrize("content", ["", "customer_id\n"], ids=["no byte", "header only"])
def test_a_customers_file_without_rows_is_refused(content: str, write_folder: Write) -> None:
    assert refusal(write_folder(CSV_PROFILE | {"customers.csv": content})).startswith("customers")


@pytest.mark.parametrize("column", ["customer_id", "order_id", "event_time", "value"])
def test_a_missing_required_column_is_named_with_what_was_found(column: str, write_folder: Write) -> None:
    orders = ORDERS.replace(column, "other")
    message = refusal(write_folder({"customers.csv": CUSTOMERS, "orders.csv": orders}))
    assert message.startswith(f"orders.{column}: a required column is missing, found ")
    assert "'other'" in message


def test_examining_opens_what_opening_refuses(write_folder: Write) -> None:
    folder = write_folder(CSV_PROFILE | {"orders.csv": ORDERS.replace("7.5", "-7.5")})
    profile = examine_profile(folder)
    assert [finding.column for finding in profile.findings if finding.severity == "error"] == ["value"]
    with pytest.raises(ContractBroken):
        profile.require_valid()


def test_the_digest_follows_the_content_and_not_the_path(write_folder: Write) -> None:
    here, there = write_folder(CSV_PROFILE, "here"), write_folder(CSV_PROFILE, "there")
    changed = write_folder(CSV_PROFILE | {"orders.csv": ORDERS.replace("7.5", "7.6")}, "changed")
    moved = write_folder({"customers.csv": CUSTOMERS, "orders.csv": ORDERS, "notes.txt": "x"}, "moved")
    digest = open_profile(here).digest
    assert open_profile(there).digest == digest
    assert open_profile(moved).digest == digest
    assert open_profile(changed).digest != digest


def test_the_digest_of_tables_in_memory_follows_their_content(
    small_rows: dict[str, Any], small_profile: Profile, as_tables: Callable[..., dict[str, pa.Table]]
) -> None:
    tables = as_tables(small_rows)
    assert profile_from_tables(tables, "elsewhere").digest == small_profile.digest
    fewer = tables | {"events": tables["events"].slice(1)}
    assert profile_from_tables(fewer).digest != small_profile.digest


@pytest.mark.parametrize(
    ("times", "known_from", "known_until"),
    [
        (["2023-01-01T00:00:00Z", "2023-01-03T12:00:00Z"], "2023-01-01", "2023-01-04"),
        (["2023-01-01T23:59:59Z", "2023-01-03T00:00:00Z"], "2023-01-01", "2023-01-04"),
        (["2023-01-01T01:00:00+02:00", "2023-01-03T01:00:00+02:00"], "2022-12-31", "2023-01-03"),
    ],
)
def test_the_period_covers_whole_utc_days_from_the_first_to_the_last_fact(
    times: list[str], known_from: str, known_until: str, write_folder: Write
) -> None:
    orders = ORDERS.replace("2023-01-01T00:00:00Z", times[0]).replace("2023-01-03T12:00:00Z", times[1])
    profile = open_profile(write_folder({"customers.csv": CUSTOMERS, "orders.csv": orders}))
    assert profile.known_from == read_instant(known_from)
    assert profile.known_until == read_instant(known_until)


def test_the_period_covers_every_fact_table(write_folder: Write) -> None:
    events = "customer_id,event_time,kind\nc1,2022-05-05T10:00:00Z,session\nc2,2024-02-02T10:00:00Z,session\n"
    surveys = "customer_id,metric,sent_at,responded_at,score\nc1,nps,2023-05-05T10:00:00Z,2030-01-01T00:00:00Z,5\n"
    profile = open_profile(write_folder(CSV_PROFILE | {"events.csv": events, "surveys.csv": surveys}))
    assert profile.known_from == datetime(2022, 5, 5, tzinfo=UTC)
    assert profile.known_until == datetime(2024, 2, 3, tzinfo=UTC)


def test_tables_are_summed_up_with_rows_customers_and_period(write_folder: Write) -> None:
    customers, orders = open_profile(write_folder(CSV_PROFILE)).summaries
    assert (customers.table, customers.rows, customers.customers, customers.first) == ("customers", 2, 2, None)
    assert (orders.table, orders.rows, orders.customers) == ("orders", 2, 2)
    assert (orders.first, orders.last) == ("2023-01-01T00:00:00+00:00", "2023-01-03T12:00:00+00:00")


def test_a_profile_tells_which_tables_and_columns_it_has(write_folder: Write) -> None:
    profile = open_profile(write_folder(CSV_PROFILE))
    assert profile.has("orders")
    assert profile.has("orders", "value")
    assert not profile.has("orders", "channel")
    assert not profile.has("surveys")


def test_asking_for_a_table_that_is_not_there_says_what_for(write_folder: Write) -> None:
    with pytest.raises(MissingTable, match="table 'surveys' is missing: the report needs it"):
        open_profile(write_folder(CSV_PROFILE)).table("surveys", "the report")


def test_only_what_the_simulator_wrote_is_called_simulated(simulated: Profile, write_folder: Write) -> None:
    assert simulated.is_simulated
    assert not open_profile(write_folder(CSV_PROFILE)).is_simulated


def test_the_bundled_log_has_the_published_size_of_the_cdnow_master(cdnow: Profile) -> None:
    customers, orders = cdnow.summaries
    assert customers.rows == 23_570
    assert orders.rows == 69_659
    assert (cdnow.known_from, cdnow.known_until) == (read_instant("1997-01-01"), read_instant("1998-07-01"))


def test_a_profile_of_orders_alone_lacks_features_of_other_tables(write_folder: Write) -> None:
    profile = open_profile(write_folder(CSV_PROFILE))
    with pytest.raises(PatronError, match="feature set 'churn' needs"):
        build_features(profile, CHURN, [profile.known_until])
