import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import CLV
from features.contract import TABLES
from features.engine.builder import available, build_features
from features.errors import ContractBroken, MissingTable, PatronError
from features.finding import Finding
from features.instants import read_instant
from features.profile import Profile, examine_profile, open_profile, profile_from_tables
from features.usability.page import write_page
from features.usability.report import assess

Cells = dict[str, str]
Write = Callable[..., Path]

DAY_1, DAY_2, DAY_3 = "2023-01-01T00:00:00Z", "2023-01-02T00:00:00Z", "2023-01-03T00:00:00Z"

VALID: dict[str, list[Cells]] = {
    "customers": [
        {"customer_id": "c1", "created_at": DAY_1, "acquisition_cost": "1.5", "ingested_at": DAY_1},
        {"customer_id": "c2", "created_at": "", "acquisition_cost": "", "ingested_at": ""},
    ],
    "orders": [
        {"customer_id": "c1", "order_id": "o1", "event_time": DAY_1, "value": "5", "currency": "EUR",
         "discount_value": "0.5", "margin_value": "-1", "is_return": "false", "ingested_at": DAY_2},
        {"customer_id": "c1", "order_id": "o2", "event_time": DAY_2, "value": "-5", "currency": "EUR",
         "discount_value": "", "margin_value": "", "is_return": "true", "ingested_at": ""},
        {"customer_id": "c2", "order_id": "o3", "event_time": DAY_3, "value": "7.25", "currency": "EUR",
         "discount_value": "", "margin_value": "", "is_return": "", "ingested_at": ""},
    ],
    "events": [
        {"customer_id": "c1", "event_id": "e1", "event_time": DAY_1, "kind": "session", "value": "1.5"},
        {"customer_id": "c2", "event_id": "", "event_time": DAY_1, "kind": "session", "value": ""},
        {"customer_id": "c2", "event_id": "", "event_time": DAY_1, "kind": "session", "value": ""},
    ],
    "surveys": [
        {"customer_id": "c1", "metric": "nps", "sent_at": DAY_1, "responded_at": DAY_2, "score": "10"},
        {"customer_id": "c1", "metric": "csat", "sent_at": DAY_1, "responded_at": DAY_1, "score": "1"},
        {"customer_id": "c2", "metric": "ces", "sent_at": DAY_1, "responded_at": DAY_2, "score": "7.0"},
        {"customer_id": "c2", "metric": "nps", "sent_at": DAY_1, "responded_at": "", "score": ""},
    ],
    "subscriptions": [
        {"customer_id": "c1", "subscription_id": "s1", "started_at": DAY_1, "ended_at": DAY_1, "monthly_value": "9"},
        {"customer_id": "c1", "subscription_id": "s1", "started_at": DAY_2, "ended_at": "", "monthly_value": "9"},
    ],
    "campaigns": [
        {"customer_id": "c1", "campaign_id": "k1", "event_time": DAY_1, "is_control": "no", "cost": "0.1"},
        {"customer_id": "c2", "campaign_id": "k1", "event_time": DAY_1, "is_control": "YES", "cost": ""},
    ],
    "identities": [
        {"customer_id": "c1", "alias_id": "a1", "valid_from": DAY_1, "valid_to": DAY_2},
        {"customer_id": "c2", "alias_id": "a1", "valid_from": DAY_2, "valid_to": ""},
    ],
}  # fmt: skip

MONEY = "a value that is not a finite amount below 10^14"
NUMBER = "a value that is not a finite number"
WHOLE = "a value that is not a whole number"
FLAG = "a value that is neither true nor false"
TIME = "a value that is not a time of the years 1 to 9999"
YEARS = "a time outside the years 1900 to 2199"


@dataclass(frozen=True)
class Slip:
    """A way to break one rule: rows of a table, each with these values in the column, whatever else is in `cells`."""

    table: str
    column: str
    rule: str
    values: tuple[str, ...]
    cells: tuple[tuple[str, str], ...] = ()


SLIPS = [
    *(
        Slip(table, column.name, "no value", ("",))
        for table, contract in TABLES.items()
        for column in contract.columns
        if not column.nullable and column.name not in {"customer_id", "order_id"}
    ),
    Slip("orders", "event_time", "no time zone", ("2023-01-01", "2023-01-01 10:30", "2023-01-01T00:00:00")),
    Slip("orders", "event_time", TIME, (
        "2023-02-30T00:00:00Z", "yesterday", "1672531200", "2023-01-01T25:00:00Z", "12023-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
    )),
    Slip("orders", "event_time", YEARS, ("9999-12-31T00:00:00Z", "1899-12-31T23:59:59Z")),
    Slip("orders", "ingested_at", "no time zone", ("2023-01-01",)),
    Slip("orders", "value", MONEY, (
        "NaN", "inf", "-inf", "1e14", "-1e14", "99999999999999999999", "1e400", "five", "1,5", "5 EUR", "true",
    )),
    Slip("orders", "value", "a negative value without is_return", ("-0.01",)),
    Slip("orders", "value", "a negative value without is_return", ("-7",), (("is_return", ""),)),
    Slip("orders", "discount_value", "a value too low", ("-0.01",)),
    Slip("orders", "discount_value", MONEY, ("x",)),
    Slip("orders", "margin_value", MONEY, ("1e15",)),
    Slip("orders", "is_return", FLAG, ("maybe", "2", "-1")),
    Slip("customers", "acquisition_cost", "a value too low", ("-1",)),
    Slip("customers", "created_at", TIME, ("2023",)),
    Slip("customers", "ingested_at", "no time zone", ("2023-01-01T00:00:00",)),
    Slip("events", "value", NUMBER, ("much", "nan", "inf")),
    Slip("events", "event_time", "no time zone", ("2023-01-01T00:00:00",)),
    Slip("surveys", "metric", "an unknown metric", ("NPS", "stars"), (("score", "3"),)),
    Slip("surveys", "score", "a score off its scale", ("11", "-1")),
    Slip("surveys", "score", "a score off its scale", ("0", "6"), (("metric", "csat"),)),
    Slip("surveys", "score", "a score off its scale", ("0", "8"), (("metric", "ces"),)),
    Slip("surveys", "score", WHOLE, ("9.5", "ten", "nan")),
    Slip("surveys", "score", "a score without responded_at", ("5",), (("responded_at", ""),)),
    Slip("surveys", "responded_at", "a time before sent_at", ("2022-12-31T23:59:59Z",)),
    Slip("subscriptions", "ended_at", "a time before started_at", ("2022-12-31T00:00:00Z",)),
    Slip("subscriptions", "monthly_value", "a value too low", ("-9",)),
    Slip("campaigns", "is_control", FLAG, ("2",)),
    Slip("campaigns", "cost", "a value too low", ("-0.5",)),
    Slip("identities", "valid_to", "a time before valid_from", ("2022-01-01T00:00:00Z",)),
]  # fmt: skip


def csv_of(rows: Sequence[Mapping[str, str]]) -> str:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


def broken_tables() -> tuple[dict[str, list[Cells]], dict[tuple[str, str, str], list[tuple[str, str]]]]:
    """The valid profile plus one row for every slip, each of a customer of its own; and who slipped, by rule."""
    tables = {name: [dict(row) for row in rows] for name, rows in VALID.items()}
    expected: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for slip in SLIPS:
        for value in slip.values:
            number = sum(len(who) for who in expected.values())
            customer = {"customer_id": f"x{number:03d}"}
            ids = {"order_id", "event_id", "subscription_id"} & set(VALID[slip.table][0])
            made_up = dict.fromkeys(ids, f"x{number:03d}")
            if slip.table != "customers":
                tables["customers"].append(VALID["customers"][0] | customer)
            tables[slip.table].append(
                VALID[slip.table][0] | customer | made_up | dict(slip.cells) | {slip.column: value}
            )
            expected.setdefault((slip.table, slip.column, slip.rule), []).append((f"x{number:03d}", value))
    return tables, expected


TABLES_WITH_SLIPS, EXPECTED = broken_tables()


def errors_of(source: Path) -> list[Finding]:
    return [finding for finding in examine_profile(source).findings if finding.severity == "error"]


def assert_complete_line(message: str, finding: Finding) -> None:
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{finding.table}.{finding.column}: " if finding.column else f"{finding.table}: ")
    for part in (finding.rule, finding.found, f"; allowed: {finding.allowed}. ", finding.remedy):
        assert part
        assert part in message
    assert finding.allowed
    assert finding.remedy.endswith(".")


def refused(source: Path) -> str:
    with pytest.raises(ContractBroken) as error:
        open_profile(source)
    return str(error.value)


def test_the_valid_profile_has_no_error(write_folder: Write) -> None:
    profile = open_profile(write_folder({f"{name}.csv": csv_of(rows) for name, rows in VALID.items()}))
    assert set(profile.tables) == set(TABLES)
    assert [finding for finding in profile.findings if finding.severity != "advice"] == []


@pytest.fixture(scope="module")
def slipped(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Finding]:
    folder = tmp_path_factory.mktemp("slipped")
    for name, rows in TABLES_WITH_SLIPS.items():
        (folder / f"{name}.csv").write_text(csv_of(rows), newline="")
    found = errors_of(folder)
    by_rule = {(finding.table, finding.column, finding.rule): finding for finding in found}
    assert len(by_rule) == len(found)
    return by_rule


def test_exactly_the_rules_that_were_broken_are_found(slipped: dict[tuple[str, str, str], Finding]) -> None:
    assert set(slipped) == set(EXPECTED)


@pytest.mark.parametrize(("rule", "who"), EXPECTED.items(), ids=lambda value: "-".join(map(str, value)))
def test_a_broken_rule_is_named_with_its_rows_an_example_and_the_remedy(
    rule: tuple[str, str, str], who: list[tuple[str, str]], slipped: dict[tuple[str, str, str], Finding]
) -> None:
    finding = slipped[rule]
    key, value = who[0]
    key_column = "order_id" if rule[0] == "orders" else "customer_id"
    assert finding.rows == len(who)
    assert finding.of == len(TABLES_WITH_SLIPS[rule[0]])
    assert finding.found == f"{key_column} {key!r} has {value!r}"
    assert_complete_line(str(ContractBroken([finding], "shop")), finding)


def changed(table: str, row: int, cells: Cells) -> dict[str, str]:
    """The customers and one more table as CSV files, with some cells of a row changed."""
    kept = {"customers", table} if table != "customers" else {"customers", "orders"}
    tables = {name: [dict(r) for r in VALID[name]] for name in kept}
    tables[table][row] |= cells
    return {f"{name}.csv": csv_of(rows) for name, rows in tables.items()}


@pytest.mark.parametrize(
    ("table", "row", "cells", "column", "rule", "rows", "found"),
    [
        ("orders", 2, {"order_id": "o1"}, "order_id", "a duplicate order_id", 2,
         "order_id 'o1' stands there more than once"),
        ("orders", 2, {"order_id": ""}, "order_id", "no value", 1, "order_id '' has ''"),
        ("orders", 0, {"customer_id": ""}, "customer_id", "no value", 1, "order_id 'o1' has ''"),
        ("orders", 2, {"currency": "USD"}, "currency", "mixed currencies", 0, "2 of them, 'EUR' and 'USD' among them"),
        ("orders", 1, {"event_time": "2023-01-02T02:00:00+02:00"}, "event_time", "mixed time zones", 0,
         "offsets '+02:00' and 'Z'"),
        ("events", 2, {"event_id": "e1"}, "event_id", "a duplicate event_id", 2,
         "event_id 'e1' stands there more than once"),
        ("surveys", 1, {"responded_at": "2023-01-01T05:30:00+05:30"}, "responded_at", "mixed time zones", 0,
         "offsets '+05:30' and 'Z'"),
        ("subscriptions", 1, {"started_at": DAY_1}, "subscription_id", "a duplicate subscription_id and started_at", 2,
         "subscription_id 's1', started_at '2023-01-01 00:00:00+00:00' stands there more than once"),
        ("campaigns", 1, {"customer_id": "c9"}, "customer_id", "a customer_id that is not in customers", 1,
         "customer_id 'c9'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_rule_about_rows_together_is_named_in_a_one_line_refusal(
    table: str, row: int, cells: Cells, column: str, rule: str, rows: int, found: str, write_folder: Write
) -> None:
    profile = examine_profile(write_folder(changed(table, row, cells)))
    (finding,) = [finding for finding in profile.findings if finding.severity == "error"]
    with pytest.raises(ContractBroken) as error:
        profile.require_valid()
    assert_complete_line(str(error.value), finding)
    assert (finding.table, finding.column, finding.rule) == (table, column, rule)
    assert (finding.rows, finding.found) == (rows, found)
    assert finding.of == (len(VALID[table]) if rows else 0)


@pytest.mark.parametrize(
    ("cells", "severity", "rule", "found"),
    [
        ({"currency": ""}, "warning", "no currency", "none, beside 'EUR' in the others"),
        ({"currency": "", "value": "", "discount_value": "", "margin_value": ""}, "", "", ""),  # nothing to call by it
        ({"currency": "Euro"}, "error", "mixed currencies", "2 of them, 'EUR' and 'Euro' among them"),
    ],
)
def test_an_amount_without_a_currency_is_doubted(
    cells: Cells, severity: str, rule: str, found: str, write_folder: Write
) -> None:
    findings = examine_profile(write_folder(changed("orders", 2, cells))).findings
    named = [(f.severity, f.rule, f.found) for f in findings if f.column == "currency"]
    assert named == ([(severity, rule, found)] if severity else [])


def test_a_currency_that_is_no_code_is_doubted(write_folder: Write) -> None:
    files = changed("orders", 0, {})
    findings = examine_profile(
        write_folder(files | {"orders.csv": files["orders.csv"].replace("EUR", "Euro")})
    ).findings
    assert [(f.severity, f.rule, f.found) for f in findings] == [("advice", "no currency code", "'Euro'")]


def test_a_customer_that_stands_twice_is_named(write_folder: Write) -> None:
    files = changed("customers", 0, {}) | {"customers.csv": "customer_id\nc1\nc1\nc2\nc2\nc2\n"}
    (finding,) = errors_of(write_folder(files))
    assert (finding.rule, finding.rows, finding.of) == ("a duplicate customer_id", 5, 5)
    assert finding.found == "customer_id 'c1' stands there more than once"


def test_orphans_are_found_in_every_table_beside_customers(write_folder: Write) -> None:
    files = {f"{name}.csv": csv_of(rows) for name, rows in VALID.items()} | {"customers.csv": "customer_id\nc3\n"}
    orphans = {finding.table: finding.rows for finding in errors_of(write_folder(files))}
    assert orphans == {name: len(rows) for name, rows in VALID.items() if name != "customers"}


def test_a_line_break_in_an_id_stays_out_of_the_message(write_folder: Write) -> None:
    first = VALID["orders"][0] | {"order_id": "o\n1"}
    files = changed("orders", 0, {}) | {"orders.csv": csv_of([first, first, first | {"value": "fi\nve"}])}
    message = refused(write_folder(files))
    assert len(message.splitlines()) == 1
    assert r"'o\n1'" in message


@pytest.mark.parametrize(
    "offsets",
    [("Z", "+00:00", "+02:00"), ("-05:00", "Z", "+00:00"), (" UTC", "Z", "+01:00"), ("+02:00", "+03:00", "+02:00")],
)
def test_two_zones_among_several_offsets_are_mixed(offsets: tuple[str, ...], write_folder: Write) -> None:
    rows = [
        VALID["orders"][i] | {"event_time": f"2023-01-01T00:00:00{offset}", "ingested_at": ""}
        for i, offset in enumerate(offsets)
    ]
    findings = errors_of(write_folder(changed("orders", 0, {}) | {"orders.csv": csv_of(rows)}))
    assert [finding.rule for finding in findings] == ["mixed time zones"]


def test_every_way_to_write_utc_is_one_zone(write_folder: Write) -> None:
    offsets = ("Z", " UTC", "+00:00", "-00:00", "+0000", "+00", "-00")
    rows = [
        VALID["orders"][0] | {"order_id": f"o{i}", "event_time": f"2023-01-01T00:00:00{offset}", "ingested_at": ""}
        for i, offset in enumerate(offsets)
    ]
    profile = open_profile(write_folder(changed("orders", 0, {}) | {"orders.csv": csv_of(rows)}))
    assert profile.tables["orders"].event_time.nunique().to_pyarrow().as_py() == 1


def test_a_negative_value_is_allowed_on_a_return(write_folder: Write) -> None:
    files = changed("orders", 0, {"value": "-99.5", "is_return": "TRUE"})
    assert open_profile(write_folder(files)).has("orders")


def test_the_first_error_is_shown_and_the_others_are_counted(write_folder: Write) -> None:
    folder = write_folder(changed("orders", 0, {"value": "x", "is_return": "maybe", "discount_value": "-1"}))
    message = refused(folder)
    assert message.startswith("orders.value: ")
    assert message.endswith(f" (2 more findings: patron check {folder})")
    with pytest.raises(ContractBroken) as error:
        open_profile(folder)
    assert [finding.column for finding in error.value.findings] == ["value", "discount_value", "is_return"]


def test_counts_agree_with_their_verb() -> None:
    one = Finding("error", "orders", "value", "no value", 1, 2_357, "order_id 'o1' has ''", "a number", "Fill it.")
    two = Finding("error", "orders", "value", "no value", 1_200, 2_357, "order_id 'o1' has ''", "a number", "Fill it.")
    assert one.message().startswith("orders.value: 1 of 2,357 rows has no value, e.g. order_id 'o1' has ''; allowed: ")
    assert two.message().startswith("orders.value: 1,200 of 2,357 rows have no value, e.g. ")


def test_a_fact_table_without_ingested_at_brings_advice_and_no_refusal(write_folder: Write) -> None:
    profile = open_profile(write_folder({
        "customers.csv": "customer_id\nc1\n",
        "orders.csv": f"customer_id,order_id,event_time,value\nc1,o1,{DAY_1},5\n",
    }))  # fmt: skip
    assert [(finding.severity, finding.table, finding.column) for finding in profile.findings] == [
        ("advice", "orders", "ingested_at")
    ]


MOMENT = datetime(2023, 1, 1, tzinfo=UTC)
NAIVE = pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us"))
UTC_TIMES = pa.array([MOMENT], pa.timestamp("us", "UTC"))

WRONG_TYPES: dict[str, dict[str, tuple[pa.Array, str]]] = {
    "customers": {
        "customer_id": (pa.array([1.0]), "type float64"),
        "created_at": (pa.array([MOMENT.date()]), "type date, without a time zone"),
        "acquisition_channel": (pa.array([1.5]), "type float64"),
        "acquisition_cost": (UTC_TIMES, "type timestamp('UTC', 6)"),
    },
    "orders": {
        "customer_id": (pa.array([["c1"]]), "type array<string>"),
        "order_id": (pa.array([True]), "type boolean"),
        "event_time": (NAIVE, "type timestamp(6), without a time zone"),
        "value": (pa.array([True]), "type boolean"),
        "ingested_at": (pa.array([1_672_531_200]), "type int64"),
        "currency": (pa.array([b"EUR"]), "type binary"),
        "is_return": (pa.array([0.0]), "type float64"),
    },
    "surveys": {
        "metric": (pa.array([{"nps": 1}]), "type struct<nps: int64>"),
        "sent_at": (pa.array([time(1)]), "type time"),
        "responded_at": (pa.array([MOMENT.timestamp()]), "type float64"),
        "score": (pa.array([MOMENT.date()]), "type date"),
    },
}


@pytest.fixture(scope="module")
def mistyped(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    folder = tmp_path_factory.mktemp("mistyped")
    for name, columns in WRONG_TYPES.items():
        filler = {column: pa.array(["c1"]) for column in TABLES[name].required if column not in columns}
        pq.write_table(pa.table({column: values for column, (values, _) in columns.items()} | filler),
                       folder / f"{name}.parquet")  # fmt: skip
    return errors_of(folder)


@pytest.mark.parametrize(
    ("table", "column", "found"),
    [(table, column, found) for table, columns in WRONG_TYPES.items() for column, (_, found) in columns.items()],
)
def test_a_column_of_a_wrong_type_is_named_with_its_type(
    table: str, column: str, found: str, mistyped: list[Finding]
) -> None:
    (finding,) = [finding for finding in mistyped if (finding.table, finding.column) == (table, column)]
    assert (finding.rule, finding.found, finding.rows, finding.of) == ("wrong type", found, 0, 0)
    assert_complete_line(str(ContractBroken([finding], "shop")), finding)


def test_nothing_but_the_wrong_types_is_found(mistyped: list[Finding]) -> None:
    assert len(mistyped) == sum(len(columns) for columns in WRONG_TYPES.values())


def orders_of(**columns: Any) -> dict[str, pa.Table]:
    order = {"customer_id": ["c1"], "order_id": ["o1"], "event_time": UTC_TIMES, "value": [5.0]}
    return {"customers": pa.table({"customer_id": ["c1"]}), "orders": pa.table(order | columns)}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pa.array([float("nan")]), "nan"),
        (pa.array([float("-inf")]), "-inf"),
        (pa.array([1e14]), "100000000000000.0"),
        (pa.array([2**63], pa.uint64()), str(2**63)),
        (pa.array([Decimal("1e30")], pa.decimal128(38, 2)), "1" + "0" * 30 + ".00"),
        (pa.array(["five"]), "five"),
        (pa.array([""]), ""),
    ],
    ids=["nan", "-inf", "1e14", "2^63", "decimal", "text", "empty text"],
)
def test_a_typed_column_does_not_hide_an_amount_that_is_none(values: pa.Array, found: str) -> None:
    with pytest.raises(ContractBroken) as error:
        profile_from_tables(orders_of(value=values))
    (finding,) = error.value.findings
    assert (finding.table, finding.column, finding.rows) == ("orders", "value", 1)
    assert finding.rule == (MONEY if found else "no value")
    assert finding.found == f"order_id 'o1' has {found!r}"


@pytest.mark.parametrize("years", [-3_000, 9_000, 100_000])
def test_a_typed_time_that_no_calendar_holds_is_refused(years: int) -> None:
    times = pa.array([years * 31_557_600_000_000], pa.int64()).cast(pa.timestamp("us", "UTC"))
    with pytest.raises(ContractBroken) as error:
        profile_from_tables(orders_of(event_time=times))
    (finding,) = error.value.findings
    assert (finding.column, finding.rule, finding.rows) == ("event_time", TIME, 1)


@pytest.mark.parametrize(
    ("values", "value"),
    [
        (pa.array([0.1 + 0.2]), "0.3000"),
        (pa.array([900_719_925_474.0625]), "900719925474.0625"),
        (pa.array([99_999_999_999_999]), "99999999999999.0000"),
        (pa.array([5]), "5.0000"),
        (pa.array([Decimal("12.3456")], pa.decimal128(10, 4)), "12.3456"),
        (pa.array(["1e3"]), "1000.0000"),
        (pa.array([np.float32(0.1)], pa.float32()), "0.1000"),
    ],
    ids=["float", "large float", "largest", "int", "decimal", "text", "float32"],
)
def test_amounts_are_read_exactly_to_four_places(values: pa.Array, value: str) -> None:
    profile = profile_from_tables(orders_of(value=values))
    assert profile.tables["orders"].to_pyarrow()["value"].to_pylist() == [Decimal(value)]


# ------------------------------------------------------------------ any small profile, changed in any way
TIMES = [read_instant("2024-01-01")]
NASTY: dict[str, list[Any]] = {
    "text": ["", " ", "\n", "ünïcödé", "日本", "c" * 5_000, "\x00", "c1", "'; DROP TABLE orders; --", None],
    "number": [0.0, -0.0, -1.0, 1e13, 1e14, 1e300, float("nan"), float("inf"), 1e-300, 0.00005, None],
    "whole": [0, -1, 2**62, -(2**63), 5, 11, None],
    "time": [MOMENT, MOMENT.replace(year=1), MOMENT.replace(year=1969), MOMENT.replace(year=9999), None],
}
NEW_TYPES: dict[str, Callable[[int], pa.Array]] = {
    "text": lambda n: pa.array([str(i) for i in range(n)]),
    "whole": lambda n: pa.array(range(n)),
    "float": lambda n: pa.array([i + 0.5 for i in range(n)]),
    "flag": lambda n: pa.array([i % 2 == 0 for i in range(n)]),
    "date": lambda n: pa.array([date(2023, 1, 1)] * n),
    "naive": lambda n: pa.array([datetime(2023, 1, 1)] * n, pa.timestamp("us")),
    "nanoseconds": lambda n: pa.array([MOMENT] * n, pa.timestamp("ns", "UTC")),
    "list": lambda n: pa.array([[1]] * n),
    "bytes": lambda n: pa.array([b"\xff"] * n),
    "nothing": pa.nulls,
    "decimal": lambda n: pa.array([Decimal("1.23456789")] * n, pa.decimal128(38, 8)),
    "dictionary": lambda n: pa.array(["x"] * n).dictionary_encode(),
    "half": lambda n: pa.array([np.float16(1)] * n),
    "duration": lambda n: pa.array([1] * n, pa.duration("us")),
}


def nasty_values(dtype: pa.DataType) -> list[Any]:
    if pa.types.is_timestamp(dtype):
        return NASTY["time"]
    if pa.types.is_floating(dtype):
        return NASTY["number"]
    if pa.types.is_integer(dtype):
        return NASTY["whole"]
    return NASTY["text"] if pa.types.is_string(dtype) else [None, True]


def mutate(tables: dict[str, pa.Table], draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Change one table in one way."""
    name = draw(st.sampled_from(sorted(tables)))
    table = tables[name]
    index = draw(st.integers(0, table.num_columns - 1))
    column = table.schema.field(index)
    match draw(st.sampled_from(["drop", "retype", "put", "put", "put", "repeat", "rename", "empty", "lose"])):
        case "drop" if table.num_columns > 1:
            tables[name] = table.remove_column(index)
        case "retype":
            kind = draw(st.sampled_from(sorted(NEW_TYPES)))
            tables[name] = table.set_column(index, column.name, NEW_TYPES[kind](table.num_rows))
        case "put" if table.num_rows:
            values = table.column(index).to_pylist()
            values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from(nasty_values(column.type)))
            tables[name] = table.set_column(index, column, pa.array(values, column.type))
        case "repeat":
            tables[name] = pa.concat_tables([table, table.slice(0, 1)])
        case "rename":
            names = [n.upper() if n == column.name else n for n in table.column_names]
            tables[name] = table.rename_columns(names)
        case "empty":
            tables[name] = table.slice(0, 0)
        case "lose" if len(tables) > 1:
            del tables[name]
        case _:
            pass


@pytest.mark.slow
@pytest.mark.exhaustive
@given(st.data())
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_change_of_a_profile_leaves_it_valid_or_is_refused_in_one_line(
    small_rows: dict[str, list[dict[str, Any]]], as_tables: Callable[..., dict[str, pa.Table]], data: st.DataObject
) -> None:
    tables = as_tables({name: small_rows[name] for name in ("customers", "orders", "surveys")})
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(tables, data.draw)
    said = ""
    try:
        profile = profile_from_tables(tables)
        build_features(profile, available(profile, CLV).features, TIMES)
    except PatronError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


@pytest.mark.slow
@pytest.mark.exhaustive
@given(st.data())
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_change_of_a_profile_can_still_be_reported_on(
    small_rows: dict[str, list[dict[str, Any]]],
    as_tables: Callable[..., dict[str, pa.Table]],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    tables = as_tables({name: small_rows[name] for name in ("customers", "orders", "surveys")})
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(tables, data.draw)
    folder = tmp_path_factory.mktemp("changed")
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    quarantine = folder / "aside" if data.draw(st.booleans(), label="quarantine") else None
    try:
        report = assess(examine_profile(folder, quarantine))
    except MissingTable:  # without customers or without any fact there is nothing to report on
        assert not {"customers", "orders", "surveys"} <= set(tables)
        return
    json.dumps(report.document(), allow_nan=False)
    write_page(report, folder / "page.html")
    for count in report.counts.values():
        assert count.read == count.used + count.quarantined + count.out_of_scope
    if quarantine is None:
        try:
            open_profile(folder)
        except ContractBroken:
            assert not report.is_valid
        else:
            assert report.is_valid


@pytest.fixture(scope="module")
def unchanged(small_profile: Profile) -> pa.Table:
    return build_features(small_profile, CLV, TIMES)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.take(list(range(table.num_rows))[::-1]),
        lambda table: table.select(table.column_names[::-1]),
        lambda table: table.append_column("further", pa.array(["x"] * table.num_rows)),
        lambda table: pa.concat_tables([table.slice(0, 1), table.slice(1)]),
        lambda table: pa.table({f.name: table[f.name].cast(pa.large_string()) if pa.types.is_string(f.type)
                                else table[f.name] for f in table.schema}),
        lambda table: pa.table({f.name: table[f.name].cast(pa.timestamp("us", "Asia/Kolkata"))
                                if pa.types.is_timestamp(f.type) else table[f.name] for f in table.schema}),
    ],
    ids=["rows turned round", "columns turned round", "a further column", "chunks", "large strings", "another zone"],
)  # fmt: skip
def test_a_change_without_meaning_leaves_every_feature(
    change: Callable[[pa.Table], pa.Table],
    small_rows: dict[str, list[dict[str, Any]]],
    unchanged: pa.Table,
    as_tables: Callable[..., dict[str, pa.Table]],
) -> None:
    profile = profile_from_tables({name: change(table) for name, table in as_tables(small_rows).items()})
    assert build_features(profile, CLV, TIMES).equals(unchanged)
