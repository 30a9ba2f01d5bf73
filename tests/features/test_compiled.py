from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from features.attributes import attribute
from features.catalogue import ALL, CATALOGUE, CHURN, CLV
from features.contract import FACT_TABLES
from features.engine.builder import build_features
from features.engine.compiled import CompiledFeatures
from features.instants import read_instant
from features.portrait import ATTRIBUTES
from features.profile import Profile, profile_from_tables
from features.spec import FeatureSet

Rows = dict[str, list[dict[str, Any]]]

AT = read_instant("2024-01-01")
IN_INDIA = timezone(timedelta(hours=5, minutes=30))


def as_sent(value: Any) -> Any:
    """Numbers as they come in a request."""
    return float(value) if isinstance(value, Decimal) else value


@pytest.fixture(scope="module")
def compiled() -> CompiledFeatures:
    return CompiledFeatures(ALL)


@pytest.fixture(scope="module")
def simulated_facts(simulated: Profile) -> dict[str, Rows]:
    """Rows of the simulated profile by customer, as a request would send them."""
    by_customer: dict[str, Rows] = {}
    for name, table in simulated.tables.items():
        for row in table.to_pyarrow().to_pylist():
            sent = {key: as_sent(value) for key, value in row.items()}
            by_customer.setdefault(row["customer_id"], {}).setdefault(name, []).append(sent)
    return by_customer


def together(facts: dict[str, Rows], customers: list[str]) -> Rows:
    rows: Rows = {}
    for customer in customers:
        for name, table in facts[customer].items():
            rows.setdefault(name, []).extend(table)
    return rows


@pytest.fixture(scope="module", params=["2024-12-31", "2023-09-01T07:30:00.000001Z"])
def in_batch(request: pytest.FixtureRequest, simulated: Profile) -> tuple[Any, dict[str, dict[str, Any]]]:
    at = read_instant(request.param)
    table = build_features(simulated, ALL, [at])
    return at, {row["customer_id"]: row for row in table.to_pylist()}


@pytest.mark.parametrize("size", [1, 50])
def test_a_request_gives_the_same_features_as_the_batch_bit_for_bit(
    size: int,
    compiled: CompiledFeatures,
    simulated_facts: dict[str, Rows],
    in_batch: tuple[Any, dict[str, dict[str, Any]]],
) -> None:
    at, batch = in_batch
    known = list(batch)
    starts = range(0, len(known) - size, max(len(known) // 12, size))
    assert len(starts) >= 10
    for start in starts:
        customers = known[start : start + size]
        rows = compiled.build(together(simulated_facts, customers), at).to_pylist()
        assert repr(rows) == repr([batch[customer] for customer in sorted(customers)])


def test_a_request_gives_the_same_columns_and_types_as_the_batch(
    compiled: CompiledFeatures, small_rows: Rows, small_profile: Profile
) -> None:
    assert compiled.build(small_rows, AT).schema == build_features(small_profile, ALL, [AT]).schema


def test_requests_at_the_same_time_do_not_mix(
    compiled: CompiledFeatures, simulated_facts: dict[str, Rows], in_batch: tuple[Any, dict[str, dict[str, Any]]]
) -> None:
    at, batch = in_batch
    customers = list(batch)[:32]
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda customer: compiled.build(simulated_facts[customer], at), customers))
    assert repr([table.to_pylist() for table in tables]) == repr([[batch[customer]] for customer in customers])


@pytest.mark.parametrize(
    "order",
    [
        {"value": "five"},
        {"value": 1e300},
        {"value": float("nan")},
        {"event_time": "soon"},
        {"order_id": 5},
        {"is_return": "maybe"},
    ],
    ids=str,
)
def test_a_request_that_fails_leaves_nothing_behind(
    order: dict[str, Any], compiled: CompiledFeatures, small_rows: Rows
) -> None:
    from duckdb import Error as EngineError

    expected = repr(compiled.build(small_rows, AT).to_pylist())
    good = {"customer_id": "busy", "order_id": "o", "event_time": AT - timedelta(days=1), "value": 1.0}
    with pytest.raises((pa.ArrowException, EngineError, TypeError)):
        compiled.build({"customers": small_rows["customers"], "orders": [good, good | order]}, AT)
    assert repr(compiled.build(small_rows, AT).to_pylist()) == expected


def test_a_request_leaves_nothing_behind_for_the_next(compiled: CompiledFeatures, small_rows: Rows) -> None:
    assert compiled.build(small_rows, AT).num_rows == 4
    assert compiled.build({"customers": [{"customer_id": "busy"}]}, AT).to_pylist()[0]["order_count_365d"] == 0
    assert compiled.build({}, AT).num_rows == 0


def test_tables_left_out_hold_nothing_and_columns_left_out_are_null(compiled: CompiledFeatures) -> None:
    (row,) = compiled.build({"customers": [{"customer_id": "c1"}]}, AT).to_pylist()
    named = {"rhythm_days": 90.0, "lifecycle_state": "prospect"} | dict.fromkeys(ATTRIBUTES, "missing")
    for name, feature in CATALOGUE.items():
        assert row[name] == (None if feature.nullable else named.get(name, 0)), name


@pytest.mark.parametrize("left_out", FACT_TABLES)
def test_a_table_left_out_of_a_request_is_an_empty_table_of_a_batch(
    left_out: str, compiled: CompiledFeatures, small_rows: Rows, as_tables: Callable[..., dict[str, pa.Table]]
) -> None:
    emptied = profile_from_tables(as_tables(small_rows | {left_out: []}))
    sent = {name: rows for name, rows in small_rows.items() if name != left_out}
    assert repr(compiled.build(sent, AT).to_pylist()) == repr(build_features(emptied, ALL, [AT]).to_pylist())


def test_facts_of_unknown_customers_are_left_out(compiled: CompiledFeatures, small_rows: Rows) -> None:
    known = small_rows | {"customers": [{"customer_id": "once"}]}
    (row,) = compiled.build(known, AT).to_pylist()
    assert (row["customer_id"], row["order_count_365d"]) == ("once", 1)


def test_an_instant_means_the_same_in_every_zone(compiled: CompiledFeatures, small_rows: Rows) -> None:
    abroad = {
        name: [{k: v.astimezone(IN_INDIA) if hasattr(v, "astimezone") else v for k, v in row.items()} for row in rows]
        for name, rows in small_rows.items()
    }
    here = compiled.build(small_rows, AT)
    assert repr(compiled.build(abroad, AT.astimezone(IN_INDIA)).to_pylist()) == repr(here.to_pylist())


def test_rows_may_come_as_any_iterable(compiled: CompiledFeatures, small_rows: Rows) -> None:
    streamed = {name: (row for row in rows) for name, rows in small_rows.items()}
    assert compiled.build(streamed, AT).equals(compiled.build(small_rows, AT))


def test_a_smaller_set_gives_its_own_columns(compiled: CompiledFeatures, small_rows: Rows) -> None:
    whole, churn = compiled.build(small_rows, AT), CompiledFeatures(CHURN).build(small_rows, AT)
    assert repr(churn.to_pylist()) == repr(whole.select(["customer_id", "prediction_time", *CHURN.names]).to_pylist())


def test_a_column_that_no_feature_reads_is_not_looked_at(small_rows: Rows) -> None:
    compiled = CompiledFeatures(CLV)
    with_unread = small_rows | {"orders": [order | {"channel": object()} for order in small_rows["orders"]]}
    assert compiled.build(with_unread, AT).equals(compiled.build(small_rows, AT))


def test_a_column_that_differs_from_the_contracts_in_case_is_the_companys() -> None:
    own = FeatureSet("own", 1, (attribute("Region", "string"), attribute('a "b", c', "float64")))
    customer = {"customer_id": "c1", "region": "none", "Region": "north", 'a "b", c': 2.5}
    (row,) = CompiledFeatures(own).build({"customers": [customer]}, AT).to_pylist()
    assert (row["Region"], row['a "b", c']) == ("north", 2.5)
