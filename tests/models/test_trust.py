import numpy as np
import pytest

from models.clv.trust import level, weights_of_all, weights_out_of_time

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
