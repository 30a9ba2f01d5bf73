"""Features of a large log beside hand-written SQL and beside lifetimes: `PATRON_BENCH_ORDERS=10000000 make bench`."""

import os
import resource
import warnings
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.catalogue import CATALOGUE, CLV
from features.engine.builder import build_features
from features.instants import read_instant
from features.profile import Profile, open_profile
from features.spec import FeatureSet

ORDERS = int(os.environ.get("PATRON_BENCH_ORDERS", "1000000"))
CUSTOMERS = int(ORDERS * 0.087)
AT = "2025-01-01"
WINDOWS = (7, 30, 90, 180, 365)

BY_ORDER = """
SELECT customer_id, epoch_us(TIMESTAMPTZ '{at}') - max(epoch_us(event_time)) AS since,
  {windows},
  max(value) AS order_value_maximum, min(value) AS order_value_minimum, avg(CAST(value AS DOUBLE)) AS order_value_mean
FROM orders WHERE event_time < TIMESTAMPTZ '{at}' AND NOT is_return GROUP BY customer_id
"""
BY_DAY = """
WITH days AS (
  SELECT customer_id, CAST(event_time AS DATE) AS day, sum(value) AS value, max(event_time) AS latest
  FROM orders WHERE event_time < TIMESTAMPTZ '{at}' AND NOT is_return GROUP BY ALL),
gaps AS (SELECT *, day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap FROM days)
SELECT customer_id, count(*) - 1 AS frequency, max(day) - min(day) AS recency_days,
  DATE '{last_day}' - min(day) AS T_days, avg(CAST(value AS DOUBLE)) FILTER (gap IS NOT NULL) AS monetary_value,
  avg(gap) AS order_gap_mean_days, stddev_samp(gap) AS order_gap_std_days, max(gap) AS order_gap_maximum_days,
  {windows}
FROM gaps GROUP BY customer_id
"""
LIKE_BY_HAND = (
    *(f"order_{what}_{days}d" for days in WINDOWS for what in ("count", "value")),
    *("days_since_last_order", "order_value_maximum", "order_value_minimum", "order_value_mean"),
    *("frequency", "recency_days", "T_days", "monetary_value"),
    *("order_gap_mean_days", "order_gap_std_days", "order_gap_maximum_days"),
    *(f"order_day_count_{days}d" for days in WINDOWS if days != 7),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of `ORDERS` orders over three years, heavy-tailed over customers."""
    folder = tmp_path_factory.mktemp("log")
    engine = duckdb.connect()
    whose = f"floor({CUSTOMERS} * power(((i * 2654435761) % 1000003) / 1000003.0, 2))::BIGINT"
    engine.execute(f"CREATE TABLE customers AS SELECT 'c' || i AS customer_id FROM range({CUSTOMERS}) t(i)")
    engine.execute(
        f"""CREATE TABLE orders AS SELECT 'c' || {whose} AS customer_id, 'o' || i AS order_id,
            TIMESTAMPTZ '2022-01-01 00:00:00+00' + INTERVAL (((i * 48271) % 94608000)) SECOND AS event_time,
            (1 + ((i * 7919) % 20000) / 100.0)::DECIMAL(18, 4) AS value, i % 20 = 0 AS is_return,
            (['web', 'app', 'store'])[1 + (i * 13) % 3] AS channel, 'cat' || ((i * 7) % 24) AS category
          FROM range({ORDERS}) t(i)"""
    )
    for table in ("customers", "orders"):
        engine.execute(f"COPY {table} TO '{folder}/{table}.parquet' (FORMAT parquet)")
    return folder


@pytest.fixture(scope="module")
def large(log: Path) -> Profile:
    return open_profile(log)


@pytest.fixture(autouse=True)
def _say_memory(benchmark: Any) -> Any:
    yield
    benchmark.extra_info["peak_MiB_of_the_process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def picked(*names: str) -> FeatureSet:
    return FeatureSet("picked", 1, tuple(CATALOGUE[name] for name in names))


def by_hand(log: Path) -> pa.Table:
    """The same columns as a person would write them, in one query."""
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'")
    engine.execute(f"CREATE VIEW orders AS FROM read_parquet('{log}/orders.parquet')")
    start = {days: f"TIMESTAMPTZ '{AT}' - INTERVAL {days} DAY" for days in WINDOWS}
    windows = ", ".join(
        f"count(*) FILTER (event_time >= {start[days]}) AS order_count_{days}d, "
        f"CAST(coalesce(sum(value) FILTER (event_time >= {start[days]}), 0) AS DOUBLE) AS order_value_{days}d"
        for days in WINDOWS
    )
    days_active = ", ".join(
        f"count(*) FILTER (latest >= {start[days]}) AS order_day_count_{days}d" for days in WINDOWS if days != 7
    )
    one = BY_ORDER.format(at=AT, windows=windows)
    two = BY_DAY.format(at=AT, last_day="2024-12-31", windows=days_active)
    customers = f"read_parquet('{log}/customers.parquet')"
    joined = f"FROM {customers} LEFT JOIN ({one}) USING (customer_id) LEFT JOIN ({two}) USING (customer_id)"
    return engine.sql(f"{joined} ORDER BY customer_id").to_arrow_table()


def read_as_lifetimes_takes_it(log: Path) -> pd.DataFrame:
    orders = pd.read_parquet(log / "orders.parquet", columns=["customer_id", "event_time", "value", "is_return"])
    orders = orders[~orders["is_return"]]
    orders["value"] = orders["value"].astype(float)
    orders["event_time"] = orders["event_time"].dt.tz_convert(None)
    return orders


def summary_of(orders: pd.DataFrame) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes.utils import summary_data_from_transaction_data

        summary: pd.DataFrame = summary_data_from_transaction_data(
            orders, "customer_id", "event_time", "value", observation_period_end="2024-12-31"
        )
        return summary


@pytest.mark.benchmark(group=f"windows, values and rhythm of {ORDERS:,} orders")
class TestOrderFeatures:
    def test_build(self, benchmark: Any, large: Profile) -> None:
        wanted = picked(*LIKE_BY_HAND)
        table = benchmark.pedantic(lambda: build_features(large, wanted, [read_instant(AT)]), rounds=3, warmup_rounds=1)
        assert table.num_rows == CUSTOMERS

    def test_by_hand(self, benchmark: Any, log: Path, large: Profile) -> None:
        theirs = benchmark.pedantic(lambda: by_hand(log), rounds=3, warmup_rounds=1).to_pandas()
        ours = build_features(large, picked(*LIKE_BY_HAND), [read_instant(AT)]).to_pandas()
        for name in ("frequency", "T_days", "order_value_365d", "order_gap_std_days", "order_day_count_90d"):
            a, b = ours[name].astype(float), theirs[name].astype(float).fillna(0.0 if name[:5] == "order" else np.nan)
            both = ours["frequency"].notna() & ours[name].notna()
            np.testing.assert_allclose(a[both], b[both], rtol=1e-9)


@pytest.mark.benchmark(group=f"the BTYD four of {ORDERS:,} orders")
class TestBtyd:
    def test_build(self, benchmark: Any, large: Profile) -> None:
        benchmark.pedantic(lambda: build_features(large, CLV, [read_instant(AT)]), rounds=3, warmup_rounds=1)

    def test_lifetimes(self, benchmark: Any, log: Path) -> None:
        benchmark.pedantic(lambda: summary_of(read_as_lifetimes_takes_it(log)), rounds=1)

    def test_lifetimes_of_a_frame_in_memory(self, benchmark: Any, log: Path) -> None:
        orders = read_as_lifetimes_takes_it(log)
        benchmark.pedantic(lambda: summary_of(orders), rounds=1)


@pytest.mark.benchmark(group=f"one and six prediction times over {ORDERS:,} orders")
@pytest.mark.parametrize("times", [1, 6])
def test_prediction_times(benchmark: Any, large: Profile, times: int) -> None:
    ends = [read_instant(f"2024-{month:02d}-01") for month in range(12, 12 - times, -1)]
    wanted = picked(
        "order_count_30d", "order_count_90d", "order_value_90d", "days_since_last_order", "order_value_mean"
    )
    benchmark.pedantic(lambda: build_features(large, wanted, ends), rounds=3, warmup_rounds=1)
