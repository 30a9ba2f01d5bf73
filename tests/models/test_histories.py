"""Distinct histories are the same however they are found."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.clv.distinct
from features.engine.counted import count_customers
from features.instants import read_instant
from features.profile import Profile
from models.clv.btyd import ClvBgNbd, ClvMbgNbd
from models.clv.distinct import distinct_rows, distinct_whole, packed, unpacked
from models.clv.errors import InvalidHistory
from models.clv.histories import Histories

Array = npt.NDArray[np.float64]

CUTOFF = read_instant("1997-10-01")
DAYS = st.tuples(st.integers(0, 30), st.integers(0, 800), st.integers(0, 800), st.integers(1, 4))
CUSTOMERS = st.lists(DAYS, min_size=1, max_size=60)


def histories(customers: list[tuple[int, int, int, int]], unit: float = 1.0) -> Histories:
    """Valid histories of any numbers, in whole units of time."""
    x, recency, rest, weight = np.array(customers, dtype=np.float64).T.copy()
    recency = np.where(x > 0, recency + 1, 0.0)
    return Histories(x, recency * unit, (recency + rest) * unit, weight)


def entries(counted: Histories) -> list[tuple[float, ...]]:
    columns = (counted.frequency, counted.recency_days, counted.T_days, counted.weight)
    return [tuple(map(float, entry)) for entry in zip(*columns, strict=True)]


@settings(max_examples=50, deadline=None)
@given(CUSTOMERS, st.booleans())
def test_packed_days_give_the_patterns_that_any_numbers_give(
    customers: list[tuple[int, int, int, int]], weighted: bool
) -> None:
    sample = histories(customers)
    if not weighted:
        sample = Histories(sample.frequency, sample.recency_days, sample.T_days, np.ones(len(sample)))
    days = sample.patterns()
    counts: dict[tuple[float, ...], float] = {}
    for *history, weight in entries(sample):
        counts[tuple(history)] = counts.get(tuple(history), 0.0) + weight
    assert entries(days) == [(*history, weight) for history, weight in sorted(counts.items())]
    broken = Histories(sample.frequency, sample.recency_days / 7, sample.T_days / 7, sample.weight).patterns()
    assert np.array_equal(broken.recency_days, days.recency_days / 7)
    assert np.array_equal(broken.T_days, days.T_days / 7)
    assert np.array_equal(broken.frequency, days.frequency)
    assert np.array_equal(broken.weight, days.weight)
    assert days.customers == sample.customers


@settings(max_examples=50, deadline=None)
@given(CUSTOMERS, st.sampled_from([1.0, 1 / 7]))
def test_every_customer_is_found_among_the_distinct_pairs(
    customers: list[tuple[int, int, int, int]], unit: float
) -> None:
    sample = histories(customers, unit)
    pairs, which = sample.pairs()
    assert np.array_equal(pairs.frequency[which], sample.frequency)
    assert np.array_equal(pairs.T_days[which], sample.T_days)
    assert len(set(zip(pairs.frequency, pairs.T_days, strict=True))) == len(pairs)
    pairs.patterns()  # raises of what contradicts itself


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=50), st.integers(501, 10**6))
def test_a_table_of_all_numbers_finds_what_sorting_finds(numbers: list[int], below: int) -> None:
    values = np.array(numbers)
    found, which = distinct_whole(values, below)
    expected, places = np.unique(values, return_inverse=True)
    assert np.array_equal(found, expected)
    assert np.array_equal(which, places)


def test_numbers_that_do_not_fit_one_are_counted_one_after_the_other() -> None:
    largest = float(models.clv.distinct.LARGEST)
    assert packed([np.array([1.0]), np.array([largest])]) is None
    assert packed([np.array([0.5])]) is None
    assert packed([np.array([-1.0])]) is None
    assert packed([np.array([np.nan])]) is None
    assert packed([np.empty(0)]) is None
    far = Histories(np.array([1.0, 1.0]), np.full(2, largest / 4), np.full(2, largest / 4), np.ones(2))
    assert entries(far.patterns()) == [(1.0, largest / 4, largest / 4, 2.0)]


def test_packed_columns_come_back() -> None:
    columns = [np.array([3.0, 0.0]), np.array([0.0, 7.0]), np.array([2.0, 2.0])]
    together = packed(columns)
    assert together is not None
    assert together.numbers.tolist() == [3 * 8 * 3 + 2, 7 * 3 + 2]
    assert [column.tolist() for column in unpacked(*together)] == [[3, 0], [0, 7], [2, 2]]


def test_distinct_rows_come_in_order_with_the_first_of_each() -> None:
    first, which = distinct_rows([np.array([0.5, 0.25, 0.5, 0.5]), np.array([1.0, 9.0, 0.0, 1.0])])
    assert first.tolist() == [1, 2, 0]
    assert which.tolist() == [2, 0, 1, 2]


def test_counted_patterns_are_not_counted_again() -> None:
    counted = histories([(1, 4, 5, 1), (1, 4, 5, 2), (0, 0, 9, 1)]).patterns()
    assert counted.patterns() is counted
    assert counted.take(counted.frequency > 0).is_counted


def test_a_contradiction_is_named_before_anything_is_counted() -> None:
    with pytest.raises(InvalidHistory, match="recency_days <= T_days"):
        Histories(np.array([1.0]), np.array([9.0]), np.array([8.0]), np.ones(1)).patterns()


def test_histories_counted_by_the_engine_are_the_patterns_of_the_rows(cdnow: Profile, cdnow_rows: pd.DataFrame) -> None:
    counted = Histories.counted(count_customers(cdnow, CUTOFF))
    patterns = Histories.of(cdnow_rows).patterns()
    assert entries(counted) == entries(patterns)
    assert counted.is_counted


@pytest.mark.parametrize("family", [ClvBgNbd, ClvMbgNbd])
def test_a_fit_to_what_the_engine_counted_is_the_fit_to_the_rows(
    cdnow: Profile, cdnow_rows: pd.DataFrame, family: type[ClvBgNbd]
) -> None:
    rows = family().fit(cdnow_rows)
    counted = family().fit_counted(count_customers(cdnow, CUTOFF))
    assert counted.orders_ == rows.orders_
    assert counted.fitted_parameters() == pytest.approx(rows.fitted_parameters(), rel=1e-9)
    assert counted.average_ == pytest.approx(rows.average_, rel=1e-9)
    assert counted.warnings_ == rows.warnings_
    assert counted.columns_ == rows.columns_
    some = cdnow_rows.iloc[:50]
    np.testing.assert_allclose(counted.point(some), rows.point(some), rtol=1e-9)
