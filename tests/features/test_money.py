import functools
import operator
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import ALL, CATALOGUE
from features.engine.builder import build_features
from features.instants import read_instant
from features.profile import profile_from_tables
from features.spec import FeatureSet

Features = Callable[..., dict[str, dict[str, Any]]]

AT = read_instant("2024-01-01")
amounts = st.decimals(0, 10**9, places=4)


def orders_of(values: list[Decimal], **columns: Any) -> list[dict[str, Any]]:
    return [{"customer_id": "c1", "event_time": i % 29 + 1, "value": float(v)} | columns for i, v in enumerate(values)]


@given(values=st.lists(amounts, min_size=1, max_size=60))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_sums_and_means_equal_decimal_arithmetic(values: list[Decimal], features_now: Features) -> None:
    row = features_now({"orders": orders_of(values)})["c1"]
    assert row["order_value_30d"] == float(sum(values))
    assert row["order_value_mean"] == float(sum(values)) / len(values)
    assert row["order_value_maximum"] == float(max(values))


@given(values=st.lists(amounts, min_size=1, max_size=20))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_returned_value_equals_decimal_arithmetic_whatever_the_sign(
    values: list[Decimal], features_now: Features
) -> None:
    signed = [value if i % 2 else -value for i, value in enumerate(values)]
    row = features_now({"orders": orders_of(signed, is_return=True)})["c1"]
    assert row["return_value_365d"] == float(sum(values))


@given(values=st.lists(amounts, min_size=2, max_size=60, unique=True), seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_sums_do_not_depend_on_the_order_of_rows(values: list[Decimal], seed: int, features_now: Features) -> None:
    orders = orders_of(values)
    shuffled = random.Random(seed).sample(orders, len(orders))
    assert repr(features_now({"orders": shuffled})) == repr(features_now({"orders": orders}))


OF_SUBSCRIPTIONS = ("subscriptions", "subscription_terms")
MONEY = FeatureSet(
    "money",
    1,
    tuple(feature for feature in ALL.features if feature.unit == "currency" and feature.source not in OF_SUBSCRIPTIONS),
)


@given(values=st.lists(st.floats(0, 9e11) | st.floats(0, 10), min_size=30, max_size=60))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_amounts_with_many_decimals_round_alike_in_request_and_batch(
    values: list[float], features_now: Features, as_tables: Callable[..., dict[str, pa.Table]]
) -> None:
    orders = [
        {"customer_id": "c1", "order_id": f"o{i}", "event_time": AT - timedelta(days=7 * i + 1), "value": value,
         "discount_value": values[-i], "is_return": i % 4 == 3}
        for i, value in enumerate(values)
    ]  # fmt: skip
    rows = {"customers": [{"customer_id": "c1"}], "orders": orders}
    (batch,) = build_features(profile_from_tables(as_tables(rows)), MONEY, [AT]).to_pylist()
    now = features_now(rows)["c1"]
    assert repr({name: now[name] for name in batch}) == repr(batch)


def test_a_tenth_added_ten_thousand_times_is_a_thousand(features_now: Features) -> None:
    row = features_now({"orders": [{"customer_id": "c1", "event_time": 5, "value": 0.1}] * 10_000})["c1"]
    assert row["order_value_30d"] == 1000.0
    assert functools.reduce(operator.add, [0.1] * 10_000) != 1000.0


def test_a_batch_over_many_rows_gives_the_exact_sum_every_time() -> None:
    values = [Decimal(i * 7919 % 1_000_003).scaleb(-4) for i in range(100_000)]
    orders = pa.table({
        "customer_id": ["c1"] * len(values),
        "order_id": [f"o{i}" for i in range(len(values))],
        "event_time": pa.array([AT - timedelta(hours=1 + i % 8_000) for i in range(len(values))]),
        "value": [float(value) for value in values],
    })  # fmt: skip
    profile = profile_from_tables({"customers": pa.table({"customer_id": ["c1"]}), "orders": orders})
    total = FeatureSet("total", 1, (CATALOGUE["order_value_365d"],))
    assert {build_features(profile, total, [AT])["order_value_365d"][0].as_py() for _ in range(3)} == {
        float(sum(values))
    }
