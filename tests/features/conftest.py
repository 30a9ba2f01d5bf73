"""Tiny profiles written as rows, ways to lay them out, and where a large example lies."""

import struct
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalogue import ALL
from features.contract import FACT_TABLES, TABLES
from features.engine.builder import build_features
from features.engine.compiled import ARRIVING_TYPES, CompiledFeatures
from features.instants import read_instant
from features.profile import Profile, profile_from_tables
from features.spec import FeatureSet

Rows = dict[str, list[dict[str, Any]]]

AT = "2024-01-01"


def tables_of(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, pa.Table]:
    """Contract tables of some rows, with every column of the contract."""
    return {
        name: pa.Table.from_pylist(
            facts, schema=pa.schema([(column.name, ARRIVING_TYPES[column.kind]) for column in TABLES[name].columns])
        )
        for name, facts in rows.items()
    }


def lived(rows: Mapping[str, list[dict[str, Any]]], at: str = AT) -> Rows:
    """Rows with text read as instants; a number of days stands for so many days before the prediction time."""
    end = read_instant(at)

    def read(value: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        return read_instant(value) if isinstance(value, str) else end - timedelta(days=value)

    read_rows: Rows = {}
    for name, facts in rows.items():
        instants = [column.name for column in TABLES[name].columns if column.kind == "instant"]
        read_rows[name] = [
            {key: read(value) if key in instants and value is not None else value for key, value in row.items()}
            for row in facts
        ]
    numbered = read_rows.get("orders", [])
    read_rows["orders"] = [{"order_id": f"o{i}", "value": 1.0, **row} for i, row in enumerate(numbered)]
    return read_rows


def with_customers(rows: Rows) -> Rows:
    """Rows with the customers they speak of, and with every fact table, empty where nothing was written."""
    ids = sorted({row["customer_id"] for table in rows.values() for row in table})
    nothing: Rows = {name: [] for name in FACT_TABLES}
    return {"customers": [{"customer_id": name} for name in ids]} | nothing | rows


def rows_by_customer(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["customer_id"]: row for row in table.to_pylist()}


def same_bits(value: Any) -> Any:
    """A value as something that is equal only to the same bits."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def assert_columns_equal(expected: pa.Table, found: pa.Table) -> None:
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        assert found.schema.field(name).type == expected.schema.field(name).type, name
        pairs = zip(expected.column(name).to_pylist(), found.column(name).to_pylist(), strict=True)
        differing = [pair for pair in pairs if same_bits(pair[0]) != same_bits(pair[1])]
        assert not differing, (name, differing[:3])


@pytest.fixture(scope="session")
def assert_same_columns() -> Callable[[pa.Table, pa.Table], None]:
    """Demands equal columns, types and rows, to the last bit of every number."""
    return assert_columns_equal


@pytest.fixture(scope="session")
def as_tables() -> Callable[..., dict[str, pa.Table]]:
    """`tables_of`."""
    return tables_of


@pytest.fixture(scope="session")
def as_rows() -> Callable[..., Rows]:
    """`lived`."""
    return lived


@pytest.fixture(scope="session")
def features_of() -> Callable[..., dict[str, dict[str, Any]]]:
    """Features by customer, built from a profile of rows written with days before 2024-01-01 (or another time)."""

    def build(
        rows: Mapping[str, list[dict[str, Any]]], at: str = AT, features: FeatureSet = ALL
    ) -> dict[str, dict[str, Any]]:
        profile = profile_from_tables(tables_of(with_customers(lived(rows, at))))
        return rows_by_customer(build_features(profile, features, [read_instant(at)]))

    return build


@pytest.fixture(scope="session")
def features_now() -> Callable[..., dict[str, dict[str, Any]]]:
    """As `features_of`, all features by the faster way of a request; `test_compiled` holds the two ways together."""
    compiled = CompiledFeatures(ALL)

    def build(rows: Mapping[str, list[dict[str, Any]]], at: str = AT) -> dict[str, dict[str, Any]]:
        return rows_by_customer(compiled.build(with_customers(lived(rows, at)), read_instant(at)))

    return build


@pytest.fixture(scope="session")
def small_rows() -> Rows:
    """Four customers with rows in every table: a busy one, one with one order, one silent, one without facts."""
    return lived({
        "customers": [
            {"customer_id": "busy", "created_at": 700, "acquisition_channel": "search", "acquisition_cost": 3.0,
             "region": "north", "age_band": "35-44", "gender": "f", "income_band": "high", "company_size": "1-9",
             "industry": "retail", "tier": "gold"},
            {"customer_id": "once", "created_at": 40.5, "region": "south"},
            {"customer_id": "silent", "ingested_at": 300},
            {"customer_id": "none"},
        ],
        "orders": [
            {"customer_id": "busy", "event_time": 400, "value": 10.01, "channel": "web", "category": "books"},
            {"customer_id": "busy", "event_time": 250.25, "value": 20.02, "discount_value": 2.5, "channel": "app"},
            {"customer_id": "busy", "event_time": 80, "value": 0.1, "channel": "web", "category": "toys"},
            {"customer_id": "busy", "event_time": 80, "value": 0.2, "channel": "store", "category": "food"},
            {"customer_id": "busy", "event_time": 60, "value": -5.0, "is_return": True},
            {"customer_id": "busy", "event_time": 3.5, "value": 33.33, "ingested_at": 1, "currency": "EUR"},
            {"customer_id": "once", "event_time": 20.75, "value": 7.77, "margin_value": 2.0, "item_count": 3.0},
            {"customer_id": "silent", "event_time": 600, "value": 99.0},
        ],
        "events": [
            {"customer_id": "busy", "event_id": "e1", "event_time": 20, "kind": "session", "channel": "web"},
            {"customer_id": "busy", "event_id": "e2", "event_time": 15, "kind": "complaint", "touchpoint": "delivery"},
            {"customer_id": "busy", "event_time": 10, "kind": "email_sent"},
            {"customer_id": "busy", "event_time": 9, "kind": "email_open", "value": 1.0},
            {"customer_id": "busy", "event_time": 8, "kind": "loyalty_earn", "value": 12.5},
            {"customer_id": "busy", "event_time": 7, "kind": "loyalty_redeem", "value": 0.1},
            {"customer_id": "silent", "event_time": 70, "kind": "cart_abandon", "ingested_at": 60},
        ],
        "surveys": [
            {"customer_id": "busy", "metric": "nps", "sent_at": 50, "responded_at": 49, "score": 9},
            {"customer_id": "busy", "metric": "csat", "sent_at": 15, "responded_at": 14, "score": 2,
             "touchpoint": "delivery", "programme": "event"},
            {"customer_id": "silent", "metric": "ces", "sent_at": 100},
        ],
        "subscriptions": [
            {"customer_id": "busy", "subscription_id": "s1", "started_at": 300, "ended_at": 100, "monthly_value": 5.0},
            {"customer_id": "busy", "subscription_id": "s2", "started_at": 90, "monthly_value": 9.99, "plan": "gold",
             "term_ends_at": -20},
            {"customer_id": "busy", "subscription_id": "s1", "started_at": 30, "ended_at": 10, "monthly_value": 6.0},
        ],
        "campaigns": [
            {"customer_id": "busy", "campaign_id": "m1", "event_time": 10, "channel": "email", "cost": 0.5},
            {"customer_id": "busy", "campaign_id": "m2", "event_time": 5, "is_control": True},
            {"customer_id": "silent", "campaign_id": "m1", "event_time": 200, "is_control": False},
        ],
    })  # fmt: skip


@pytest.fixture(scope="session")
def small_profile(small_rows: Rows) -> Profile:
    """`small_rows` as a profile."""
    return profile_from_tables(tables_of(small_rows))


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write files of a profile, each given as text, bytes or a table, into a folder of that name."""

    def write(files: Mapping[str, str | bytes | pa.Table], folder: str = "profile") -> Path:
        where = tmp_path / folder
        where.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if isinstance(content, str):
                (where / name).write_text(content, encoding="utf-8", newline="")
            elif isinstance(content, bytes):
                (where / name).write_bytes(content)
            else:
                pq.write_table(content, where / name)
        return where

    return write


@pytest.fixture
def write_mapping(tmp_path: Path) -> Callable[..., Path]:
    """Write CSV files, each given as lines of text, and a `profile.yaml` beside them."""

    def write(mapping: str, **files: str) -> Path:
        for name, text in files.items():
            lines = [line.strip() for line in text.strip().splitlines()]
            (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        path = tmp_path / "profile.yaml"
        path.write_text(dedent(mapping), encoding="utf-8")
        return path

    return write


@pytest.fixture
def rows_of() -> Callable[..., list[dict[str, Any]]]:
    """Some columns of a profile's table, as rows in their order."""

    def rows(profile: Profile, table: str, *columns: str) -> list[dict[str, Any]]:
        chosen = profile.tables[table].select(*columns).to_pyarrow().to_pylist()
        return sorted(chosen, key=str)

    return rows
