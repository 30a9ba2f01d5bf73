import numpy as np
import pytest

from models.clv.trust import departure

AGES = np.array([90.0, 120.0, 150.0])
"""Of the latest window first."""


def test_the_total_goes_half_as_far_as_the_latest_window_when_it_departed_furthest() -> None:
    assert departure(np.array([120.0, 110.0, 100.0]), np.full(3, 100.0), AGES) == pytest.approx(np.log(1.2) / 2)
    assert departure(np.array([90.0, 95.0, 100.0]), np.full(3, 100.0), AGES) == pytest.approx(np.log(0.9) / 2)


def test_a_departure_that_passes_is_not_followed() -> None:
    assert departure(np.array([105.0, 120.0, 130.0]), np.full(3, 100.0), AGES) == 0.0
    assert departure(np.array([95.0, 80.0, 70.0]), np.full(3, 100.0), AGES) == 0.0


@pytest.mark.parametrize(("latest", "most"), [(300.0, 0.1), (20.0, -0.1)])
def test_no_departure_moves_the_total_by_more_than_a_tenth(latest: float, most: float) -> None:
    assert departure(np.array([latest, 100.0, 100.0]), np.full(3, 100.0), AGES) == most


def test_windows_are_told_apart_by_age_and_not_by_place() -> None:
    rows = np.array([60.0, 50.0, 60.0, 50.0])
    assert departure(rows, np.full(4, 50.0), np.array([90.0, 120.0, 90.0, 120.0])) == pytest.approx(np.log(1.2) / 2)


def test_a_latest_window_without_orders_says_nothing() -> None:
    assert departure(np.array([0.0, 110.0, 100.0]), np.full(3, 100.0), AGES) == 0.0
