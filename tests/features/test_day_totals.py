"""Order days added up by sorting give what the engine's grouping gives."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CHURN, CLV
from features.engine import day_totals
from features.engine.builder import build_features
from features.engine.day_totals import is_worth_sorting, totals_of
from features.instants import read_instant
from features.profile import Profile
from features.spec import FeatureSet

Make = Callable[..., Profile]
orders = st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3), st.integers(0, 10**12)), min_size=1, max_size=40)


def table_of(rows: list[tuple[int, int, int]]) -> pa.Table:
    """In batches of three: more than one however few there are."""
    columns = [pa.array(column, pa.int64()) for column in zip(*rows, strict=True)]
    names = ["number", "day", "units"]
    return pa.Table.from_batches(pa.table(columns, names).to_batches(max_chunksize=3))


def both_ways(
    profile: Profile, features: FeatureSet, at: Sequence[datetime], patch: pytest.MonkeyPatch
) -> list[pa.Table]:
    built = []
    for least in (10**9, 1):
        patch.setattr(day_totals, "WORTH_SORTING", least)
        assert is_worth_sorting(profile, features) == (least == 1)
        built.append(build_features(profile, features, at).combine_chunks())
    return built


@pytest.mark.parametrize("back", [(0,), (200,), (5_000,), (0, 200, 400), (90, 5_000)])
@pytest.mark.parametrize("names", [CLV.names, ("monetary_value",), ("T_days", "frequency")])
def test_sorting_gives_what_the_engine_gives_bit_for_bit(
    simulated: Profile, back: tuple[int, ...], names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [simulated.known_until - timedelta(days=days) for days in back]
    engine, sorted_ = both_ways(simulated, CLV.only(names), times, monkeypatch)
    assert sorted_.schema == engine.schema
    assert sorted_.equals(engine)
    assert (engine.num_rows == 0) == (back == (5_000,))


def test_late_orders_returns_and_customers_without_an_order_are_seen_alike(
    make_profile: Make, make_orders: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = ["01-01T23:59:59", "01-02T00:00:00", "01-05T00:00:00", "01-01T08:00:00", "02-01T00:00:00", "01-06T00:00:00"]
    whose, values = "aabaab", [10.0, 0.0001, 5.5, 2.5, 7.0, 99.0]
    rows = [(who, f"2024-{time}Z", value) for who, time, value in zip(whose, times, values, strict=True)]
    late = pd.to_datetime(["2024-01-07"] * 5 + ["2024-09-01"], utc=True)
    profile = make_profile(
        make_orders(*rows, is_return=[False] * 4 + [True, False], ingested_at=late),
        customers=pd.DataFrame({"customer_id": ["a", "b", "c"]}),
    )
    ends = [read_instant(day) for day in ("2024-01-06", "2024-01-07", "2024-03-01", "2024-10-01")]
    engine, sorted_ = both_ways(profile, CLV, ends, monkeypatch)
    assert sorted_.equals(engine)
    assert sorted_.column("frequency").to_pylist() == [None] * 3 + [1, 0, None] * 2 + [1, 1, None]
    assert sorted_.column("monetary_value").to_pylist()[3:] == [0.0001, None, None] * 2 + [0.0001, 99.0, None]


def test_only_the_btyd_four_of_a_large_log_in_the_engine_are_sorted(
    simulated: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_worth_sorting(simulated, CLV)  # it is small
    monkeypatch.setattr(day_totals, "WORTH_SORTING", 1)
    assert is_worth_sorting(simulated, CLV)
    assert not is_worth_sorting(simulated, CHURN)
    with monkeypatch.context() as patch:
        patch.setattr(day_totals, "MOST_SORTED", 100)
        assert not is_worth_sorting(simulated, CLV)


@pytest.mark.parametrize("value", [9e13, 2.2e11 + 0.0003])
def test_large_amounts_are_exact_or_left_to_the_engine(
    value: float, make_profile: Make, make_orders: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("a", f"2024-01-{1 + i // 9:02d}T0{i % 9}:00:00Z", value) for i in range(200)]
    profile = make_profile(make_orders(*rows))
    engine, sorted_ = both_ways(profile, CLV, [datetime(2024, 3, 1, tzinfo=UTC)], monkeypatch)
    assert sorted_.equals(engine)
    assert engine.column("monetary_value")[0].as_py() == pytest.approx(191 * value / 22)


@given(orders)
def test_totals_are_those_of_a_frame_grouped_by_hand(rows: list[tuple[int, int, int]]) -> None:
    totals = totals_of(table_of(rows), 7)
    frame = pd.DataFrame(rows, columns=["number", "day", "units"])
    days = frame.groupby(["number", "day"])["units"].sum().reset_index().groupby("number")  # in order of day
    expected = pd.DataFrame(
        {"days": days.size(), "first_day": days.day.min(), "last_day": days.day.max(), "units": days.units.sum(),
         "first_units": days.units.first()}
    ).astype("Int64").reindex(range(7))  # fmt: skip
    expected["days"] = expected["days"].fillna(0)
    found = totals.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get).set_index("number")
    pd.testing.assert_frame_equal(found, expected, check_index_type=False, check_names=False)


def test_customers_times_days_beyond_32_bits_are_told_apart() -> None:
    rows = [(0, 0, 5), (2, 2**30, 7), (2, 2**30, 1), (2, 0, 3)]
    totals = totals_of(table_of(rows), 3)
    assert totals.to_pylist()[2] == {
        "number": 2, "days": 2, "first_day": 0, "last_day": 2**30, "units": 11, "first_units": 3,
    }  # fmt: skip
    assert np.array_equal(totals["days"], [1, 0, 2])
