"""Histories counted where the tables lie are those of the customers, on DuckDB and on Spark."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import CLV
from features.engine.builder import build_features, feature_frame
from features.engine.counted import count_customers
from features.instants import read_instant
from features.profile import Profile, open_profile

COLUMNS = ["frequency", "recency_days", "T_days", "monetary_value"]
CUTOFF = read_instant("1997-10-01")


def test_counts_on_duckdb_are_those_of_the_customers(cdnow: Profile) -> None:
    found = count_customers(cdnow, CUTOFF)
    rows = feature_frame(build_features(cdnow, CLV, [CUTOFF]), CLV)
    kept = rows[rows["frequency"].notna()]
    sizes = kept.groupby(COLUMNS, dropna=False).size().astype("float64")
    pd.testing.assert_frame_equal(found, sizes.rename("customers").reset_index(), check_exact=True)
    assert found["customers"].sum() == 23_570
    assert len(found) < 9_600


def test_who_has_not_ordered_is_not_counted(make_profile: Callable[..., Profile], make_orders: Any) -> None:
    orders = make_orders(
        *[("a", "2024-01-01", 5.0), ("a", "2024-01-04", 7.0), ("c", "2024-02-01", 1.0)],
        *[(name, "2024-01-02", 3.0) for name in ("b", "d")],
    )
    counted = count_customers(make_profile(orders), read_instant("2024-01-11")).to_numpy()
    np.testing.assert_array_equal(counted, [[0, 0, 8, np.nan, 2], [1, 3, 9, 7, 1]])


def test_counts_on_spark_are_those_of_duckdb(cdnow_sample: Profile, on_spark: Callable[..., str]) -> None:
    elsewhere = open_profile(on_spark({name: table.to_pyarrow() for name, table in cdnow_sample.tables.items()}))
    found, expected = (count_customers(profile, CUTOFF) for profile in (elsewhere, cdnow_sample))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
