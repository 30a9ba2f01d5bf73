import numpy as np
import pandas as pd
import pytest

from models.base import Array
from training.rows.completion import Seen, complete_labels

HORIZON = 270.0
NONE = float("nan")


def seen(
    days_to_order: list[float],
    observed_days: list[float],
    frequency: float = 1.0,
    since: float = 20.0,
    age: float = 60.0,
) -> Seen:
    """Rows of one history with different windows."""
    rows = len(days_to_order)
    return Seen(
        np.full(rows, frequency),
        np.full(rows, since),
        np.full(rows, age),
        np.array(days_to_order),
        np.array(observed_days),
    )


@pytest.fixture(scope="module")
def shop() -> tuple[Seen, Array]:
    """20,000 rows whose next order comes at a known constant rate, seen for 60 to 240 days of a window of 270."""
    generator = np.random.default_rng(11)
    rows = 20_000
    frequency = generator.integers(0, 4, rows).astype(np.float64)
    rate = 0.001 * (1 + frequency) ** 1.5
    wait = generator.exponential(1 / rate)
    observed = generator.choice(np.array([60.0, 120.0, 180.0, 240.0]), rows)
    since, age = generator.uniform(1, 200, rows), generator.uniform(200, 400, rows)
    return Seen(frequency, since, age, np.where(wait < observed, wait, NONE), observed), rate


def test_whole_windows_give_plain_labels() -> None:
    labels = complete_labels(seen([3.0, NONE, 269.0, NONE], [HORIZON] * 4), HORIZON)
    assert labels.tolist() == [0.0, 1.0, 0.0, 1.0]


def test_order_seen_is_not_churned_however_short_the_window() -> None:
    labels = complete_labels(seen([3.0, 40.0, NONE, NONE], [60.0, 60.0, 60.0, HORIZON]), HORIZON)
    assert labels[:2].tolist() == [0.0, 0.0]


def test_cut_window_without_an_order_gives_a_probability() -> None:
    labels = complete_labels(seen([3.0, 40.0, NONE, NONE], [60.0, 60.0, 60.0, HORIZON]), HORIZON)
    assert 0 < labels[2] < 1
    assert labels[3] == 1.0


def test_the_more_of_the_window_was_silent_the_likelier_it_stays_so(shop: tuple[Seen, Array]) -> None:
    rows, _ = shop
    labels = complete_labels(rows, HORIZON)
    silent = np.isnan(rows.days_to_order)
    by_observed = [labels[silent & (rows.observed_days == days)].mean() for days in (60, 120, 180, 240)]
    assert by_observed == sorted(by_observed)
    assert by_observed[0] < by_observed[-1]


def test_completed_labels_hold_the_true_rate_of_exponential_waiting_times(shop: tuple[Seen, Array]) -> None:
    rows, rate = shop
    truth = np.exp(-rate * HORIZON)
    # four standard errors of 20,000 labels are 0.014; plain labels of what was seen are 0.13 too high
    assert complete_labels(rows, HORIZON).mean() == pytest.approx(truth.mean(), abs=0.014)
    assert np.isnan(rows.days_to_order).mean() > truth.mean() + 0.1


@pytest.mark.parametrize("frequency", [0.0, 1.0, 2.0, 3.0])
def test_completed_labels_hold_the_true_rate_of_each_group(frequency: float, shop: tuple[Seen, Array]) -> None:
    rows, rate = shop
    here = rows.frequency == frequency
    truth = float(np.exp(-rate[here] * HORIZON).mean())
    # four standard errors of 5,000 labels are at most 0.028
    assert complete_labels(rows, HORIZON)[here].mean() == pytest.approx(truth, abs=0.028)


def test_probability_of_a_silent_row_is_that_of_the_rest_of_its_window(shop: tuple[Seen, Array]) -> None:
    rows, rate = shop
    labels = complete_labels(rows, HORIZON)
    silent = np.isnan(rows.days_to_order)
    truth = np.exp(-rate * (HORIZON - rows.observed_days))
    error = np.abs(labels - truth)[silent]
    assert error.mean() < 0.02
    assert error.max() < 0.12


def test_nobody_orders_gives_certain_churn() -> None:
    labels = complete_labels(seen([NONE] * 5, [60.0, 60.0, 90.0, 120.0, HORIZON]), HORIZON)
    assert labels.tolist() == [1.0] * 5


def test_everybody_orders_at_once_gives_no_churn() -> None:
    labels = complete_labels(seen([1.0, 2.0, 3.0, 1.0], [60.0, 60.0, 90.0, 120.0]), HORIZON)
    assert labels.tolist() == [0.0] * 4


@pytest.mark.parametrize("wait", [NONE, 5.0])
def test_single_row_stays_finite(wait: float) -> None:
    labels = complete_labels(seen([wait], [60.0]), HORIZON)
    assert np.isfinite(labels).all()
    assert ((labels >= 0) & (labels <= 1)).all()


@pytest.mark.parametrize("observed", [1.0, 10.0, 29.0, 30.0, 31.0])
def test_history_shorter_than_a_month_still_completes(observed: float) -> None:
    waits = [NONE] * 30 + [observed / 2] * 10
    labels = complete_labels(seen(waits, [observed] * 40), 90.0)
    # a quarter ordered within what was seen, at a constant rate three quarters are left after each such time
    assert labels[30:].tolist() == [0.0] * 10
    assert labels[:30] == pytest.approx(np.full(30, 0.75 ** ((90 - observed) / min(observed, 30.0))), rel=1e-3)
    assert (labels[:30] < 1).all()


def test_identical_histories_get_the_same_probability() -> None:
    labels = complete_labels(seen([NONE, NONE, 4.0, 80.0], [60.0, 60.0, 60.0, 90.0]), HORIZON)
    assert labels[0] == labels[1]


def test_order_of_the_rows_does_not_matter(shop: tuple[Seen, Array]) -> None:
    rows, _ = shop
    back = np.arange(len(rows.frequency))[::-1]
    labels = complete_labels(rows, HORIZON)
    turned = complete_labels(
        Seen(
            rows.frequency[back],
            rows.days_since_last_order[back],
            rows.T_days[back],
            rows.days_to_order[back],
            rows.observed_days[back],
        ),
        HORIZON,
    )
    np.testing.assert_allclose(turned, labels[back], atol=1e-4)


def test_histories_are_taken_from_feature_columns() -> None:
    rows = pd.DataFrame({"T_days": [9.0], "other": [1.0], "frequency": [2.0], "days_since_last_order": [3.5]})
    taken = Seen.of(rows, np.array([NONE]), np.array([30.0]))
    assert (taken.frequency[0], taken.days_since_last_order[0], taken.T_days[0]) == (2.0, 3.5, 9.0)
