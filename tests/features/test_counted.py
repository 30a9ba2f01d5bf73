"""Histories counted where the tables lie are those of the customers, on DuckDB and on Spark."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.builder import build_features, feature_frame
from features.catalogue import CLV
from features.counted import count_histories, count_spend
from features.instants import read_instant
from features.profile import Profile, open_profile

HISTORY = ["frequency", "recency_days", "T_days"]
SPEND = ["frequency", "monetary_value"]
CUTOFF = read_instant("1997-10-01")


def by_customer(profile: Profile, at: datetime, columns: list[str]) -> pd.DataFrame:
    """The same counts made from a row a customer."""
    rows = feature_frame(build_features(profile, CLV, [at]), CLV)
    kept = rows[rows["frequency"].notna()]
    sizes = kept.groupby(columns, dropna=False).size().astype("float64")
    return sizes.rename("customers").reset_index()


@pytest.mark.parametrize(("count", "columns"), [(count_histories, HISTORY), (count_spend, SPEND)])
def test_counts_on_duckdb_are_those_of_the_customers(
    cdnow: Profile, count: Callable[..., pd.DataFrame], columns: list[str]
) -> None:
    found = count(cdnow, CUTOFF)
    pd.testing.assert_frame_equal(found, by_customer(cdnow, CUTOFF, columns), check_exact=True)
    assert found["customers"].sum() == 23_570
    assert len(found) < 9_000


def test_who_has_not_ordered_is_not_counted(make_profile: Callable[..., Profile], make_orders: Any) -> None:
    orders = make_orders(
        ("a", "2024-01-01", 5.0), ("a", "2024-01-04", 7.0), ("b", "2024-01-02", 3.0), ("c", "2024-02-01", 1.0)
    )
    profile = make_profile(orders)
    counted = count_histories(profile, read_instant("2024-01-11"))
    assert counted.to_numpy().tolist() == [[0, 0, 8, 1], [1, 3, 9, 1]]
    spend = count_spend(profile, read_instant("2024-01-11")).to_numpy()
    np.testing.assert_array_equal(spend, [[0, np.nan, 1], [1, 7, 1]])


def test_counts_on_spark_are_those_of_duckdb(cdnow_sample: Profile, on_spark: Callable[..., str]) -> None:
    elsewhere = open_profile(on_spark({name: table.to_pyarrow() for name, table in cdnow_sample.tables.items()}))
    for count in (count_histories, count_spend):
        pd.testing.assert_frame_equal(count(elsewhere, CUTOFF), count(cdnow_sample, CUTOFF), check_exact=True)
