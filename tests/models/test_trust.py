import numpy as np
import pytest

from models.clv.corrections.trust import departure, level, weights_of_all, weights_out_of_time

EXPECTED = np.log(np.full(4, 10.0))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_corrections_weigh_what_they_were_worth_at_a_later_time(weight: float) -> None:
    right, wrong = np.array([0.5, 0.5, -0.5, -0.5]), np.array([0.4, -0.4, 0.4, -0.4])
    logs = EXPECTED + weight * right
    came = np.exp(logs - level(logs, EXPECTED))
    found = weights_out_of_time(came, EXPECTED, np.column_stack([right, wrong]))
    np.testing.assert_allclose(found, [weight, 0.0])


def test_what_corrections_say_of_the_total_counts_for_nothing() -> None:
    twice = np.full((4, 1), np.log(2.0))
    found = weights_out_of_time(np.full(4, 20.0), EXPECTED, np.hstack([twice, twice]))
    np.testing.assert_array_equal(found, [0.0, 0.0])


def test_weights_of_trees_that_saw_twice_as_much_are_those_of_half_the_doubt() -> None:
    np.testing.assert_allclose(weights_of_all(np.array([0.3, 0.2]), 1.0), np.array([0.3, 0.2]) * (2 / 3) / 0.5)
    np.testing.assert_allclose(weights_of_all(np.array([0.3, 0.2]), 0.4), [0.24, 0.16])
    np.testing.assert_array_equal(weights_of_all(np.zeros(2), 0.9), [0.0, 0.0])


AGES = np.array([90.0, 120.0, 150.0])
"""Of the latest window first."""


def test_the_total_goes_half_as_far_as_the_latest_window_when_it_departed_furthest() -> None:
    assert departure(np.array([108.0, 104.0, 100.0]), np.full(3, 100.0), AGES) == pytest.approx(np.log(1.08) / 2)
    assert departure(np.array([92.0, 96.0, 100.0]), np.full(3, 100.0), AGES) == pytest.approx(np.log(0.92) / 2)


def test_a_departure_that_passes_is_not_followed() -> None:
    assert departure(np.array([105.0, 120.0, 130.0]), np.full(3, 100.0), AGES) == 0.0
    assert departure(np.array([95.0, 80.0, 70.0]), np.full(3, 100.0), AGES) == 0.0


@pytest.mark.parametrize(("latest", "most"), [(300.0, 0.05), (20.0, -0.05)])
def test_no_departure_moves_the_total_by_more_than_a_twentieth(latest: float, most: float) -> None:
    assert departure(np.array([latest, 100.0, 100.0]), np.full(3, 100.0), AGES) == most


def test_windows_are_told_apart_by_age_and_not_by_place() -> None:
    rows = np.array([54.0, 50.0, 54.0, 50.0])
    assert departure(rows, np.full(4, 50.0), np.array([90.0, 120.0, 90.0, 120.0])) == pytest.approx(np.log(1.08) / 2)


def test_a_latest_window_without_orders_says_nothing() -> None:
    assert departure(np.array([0.0, 110.0, 100.0]), np.full(3, 100.0), AGES) == 0.0


def test_without_ages_nothing_is_said() -> None:
    assert departure(np.array([300.0]), np.array([100.0]), None) == 0.0
