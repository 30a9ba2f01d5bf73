from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.base import Array
from models.clv.corrections.consensus import Consensus
from models.clv.corrections.movement import MOST, Movement, moved_silence, movement, worth_movement
from models.clv.histories import Histories
from models.clv.past import MONTH_DAYS, YEAR_DAYS, Past

LATELY = (1.5, 1.2, 0.8, 0.6)
AGES = tuple(MONTH_DAYS * (i + 1) for i in range(len(LATELY)))


def hundred(histories: Histories, days: float) -> Array:
    del days
    return np.full(len(histories.frequency), 50.0)


def of_no_use(histories: Histories, days: float) -> Array:
    raise AssertionError((histories, days))


def window(days: float, came: Sequence[float], ages: Sequence[float]) -> Past:
    """Two rows a window, of each of which 50 order days are expected."""
    halves = np.repeat(np.array(came) / 2, 2)
    rows = pd.DataFrame({"frequency": 0.0 * halves, "recency_days": 0.0, "T_days": 100.0})
    return Past(rows, days, halves, halves, np.repeat(np.array(ages, dtype=float), 2))


NOTHING = window(90, [100], [90])


def year(lately: Sequence[float], before: Sequence[float], ahead: float) -> Past:
    """What came of every hundred expected: in months lately, in the same a year before, in the horizon's a year ago."""
    ages = (*AGES[: len(lately)], *(age + YEAR_DAYS for age in AGES[: len(before)]))
    came = [100 * each for each in (*lately, *before)]
    return replace(NOTHING, months=window(MONTH_DAYS, came, ages), year_ago=a_year_ago(ahead))


def a_year_ago(ahead: float) -> Past:
    return window(90, [100 * ahead], [YEAR_DAYS])


def as_told(histories: Histories, days: float) -> Array:
    """So that a year ago came what had been expected, and nothing but a season can move the total."""
    del days
    return np.full(len(histories.frequency), 50.0 * 2.0)


def moved(past: Past) -> float:
    return movement(past, hundred, of_no_use).log_ratio


def test_a_year_that_repeats_itself_is_followed_by_two_thirds_after_four_months() -> None:
    assert moved(year(LATELY, LATELY, 2.0)) == pytest.approx(np.log(2.0) * 4 / 6)
    assert moved(year(LATELY, LATELY, 0.5)) == pytest.approx(-np.log(2.0) * 4 / 6)


def test_a_weaker_season_than_a_year_before_is_followed_as_far_as_it_came_again() -> None:
    weaker = [each**0.6 for each in LATELY]
    assert moved(year(weaker, LATELY, 2.0)) == pytest.approx(np.log(2.0) * 0.6 * 4 / 6)


def test_a_season_that_grew_stronger_counts_as_it_was() -> None:
    stronger = [each**1.2 for each in LATELY]
    assert moved(year(stronger, LATELY, 2.0)) == pytest.approx(np.log(2.0) * 4 / 6)


@pytest.mark.parametrize(
    "told",
    [
        NOTHING,
        year(LATELY[:3], LATELY[:3], 2.0),  # three months only
        year(LATELY, LATELY[::-1], 2.0),  # the other way round
        year([each**0.4 for each in LATELY], LATELY, 2.0),  # hardly came again
        year((1.5, 0.7, 1.3, 0.6), LATELY, 2.0),  # nor did it tell the months apart
        year(LATELY, [0.2 * each for each in LATELY], 2.0),  # each with under 30 order days
    ],
)
def test_without_a_year_seen_to_repeat_itself_there_is_no_season(told: Past) -> None:
    assert movement(told, hundred, as_told) == Movement()


@pytest.mark.parametrize("told", [year(LATELY, LATELY, 0.29), year(LATELY[:3], LATELY[:3], 0.29), NOTHING])
def test_under_thirty_order_days_a_year_ago_tell_nothing(told: Past) -> None:
    assert movement(told, hundred, hundred) == Movement()


@pytest.mark.parametrize(("ahead", "words"), [(2.25, "+50%"), (0.64, "-20%")])
def test_half_of_what_models_fitted_a_year_ago_erred_by_is_followed(ahead: float, words: str) -> None:
    found = movement(replace(NOTHING, year_ago=a_year_ago(ahead)), of_no_use, hundred)
    assert found.log_ratio == pytest.approx(np.log(ahead) / 2)
    (told,) = found.words
    assert told.startswith(f"the horizon is taken as a year ago: {words} on what purchase histories expect")
    assert f"its days a year ago brought {ahead - 1:+.0%} on what was expected then" in told


def test_a_year_ago_is_not_told_of_where_it_hardly_moves_the_total() -> None:
    found = movement(replace(NOTHING, year_ago=a_year_ago(1.09)), of_no_use, hundred)
    assert found.log_ratio > 0
    assert found.words == ()


def test_no_year_ago_moves_the_total_by_more_than_four_times() -> None:
    assert movement(replace(NOTHING, year_ago=a_year_ago(99.0)), of_no_use, hundred).log_ratio == MOST


def test_the_reader_is_told_of_the_season() -> None:
    (told,) = movement(year(LATELY, LATELY, 1.25), hundred, of_no_use).words
    assert told.startswith(f"the season is in the forecast: {1.25 ** (4 / 6) - 1:+.0%} on what purchase")


def test_no_season_moves_the_total_by_more_than_four_times() -> None:
    assert moved(year(LATELY, LATELY, 50.0)) == MOST


def errors(*log_ratios: float) -> Past:
    """Windows at times of the last year, the latest first, by their log ratios."""
    ages = [90 + 46 * i for i in range(len(log_ratios))]
    return replace(NOTHING, year=window(90, list(100 * np.exp(log_ratios)), ages))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_histories_erred_by_all_year_is_taken_off_as_far_as_it_stands_out(sign: int) -> None:
    alike = sign * np.array([0.6, 0.5, 0.5, 0.4, 0.5, 0.5])
    found = movement(errors(*alike), of_no_use, hundred)
    assert found.log_ratio == pytest.approx(sign * (0.5 - np.var(alike, ddof=1) / 0.5))
    (told,) = found.words
    assert told.startswith(f"a persistent bias is taken off the forecast: {np.expm1(found.log_ratio):+.0%} on what")
    assert "each of 6 times of the last year" in told
    assert f"too {'little' if sign > 0 else 'much'}" in told


def test_no_more_is_taken_off_than_the_latest_error() -> None:
    assert movement(errors(0.4, 0.5, 0.5, 0.5, 0.5, 0.5), of_no_use, hundred).log_ratio == pytest.approx(0.4)


def test_no_bias_moves_the_total_by_more_than_four_times() -> None:
    assert movement(errors(*[2.0] * 8), of_no_use, hundred).log_ratio == MOST


@pytest.mark.parametrize(
    "told",
    [
        (0.5, 0.5, 0.5, 0.5, 0.5),  # five windows only
        (0.8, 0.9, 0.6, 0.2, -0.1, 0.3, 0.7, 0.8),  # a season on both sides
        (0.1, 0.02, 0.05, 0.9, 0.1, 0.1),  # more spread than error
        (0.5, 0.5, 0.5, 0.5, 0.5, -1.3),  # one of them with under 30 order days
    ],
)
def test_errors_that_differ_or_are_few_are_not_taken_off(told: tuple[float, ...]) -> None:
    assert movement(errors(*told), of_no_use, hundred) == Movement()


def test_a_bias_goes_before_a_season() -> None:
    seasonal = year(LATELY, LATELY, 2.0)
    both = replace(errors(*[0.5] * 6), months=seasonal.months, year_ago=seasonal.year_ago)
    assert movement(both, hundred, hundred).log_ratio == pytest.approx(0.5)


def test_errors_are_those_of_models_fitted_to_what_was_known_then() -> None:
    generator = np.random.default_rng(1)
    rows, days = 400, 90.0
    frequency = generator.poisson(1.0, rows).astype(float)
    age = generator.uniform(200, 400, rows)
    known = pd.DataFrame(
        {
            "frequency": frequency,
            "recency_days": np.where(frequency > 0, age * generator.random(rows), 0),
            "T_days": age,
        }
    )
    expected = Consensus.fit(Histories.of(known))[0].expected_orders(Histories.of(known), days)
    ages = np.repeat([days + 46 * i for i in range(6)], rows)
    came = np.tile(2 * expected, 6)
    past = replace(NOTHING, year=Past(pd.concat([known] * 6, ignore_index=True), days, came, came, ages))
    assert movement(past, of_no_use).log_ratio == pytest.approx(np.log(2.0))


def test_silence_moves_as_that_of_a_poisson_number_of_orders() -> None:
    silence = -np.log(np.expm1(np.array([0.01, 1.0, 3.0])))
    np.testing.assert_allclose(expit(moved_silence(silence, np.log(2.0))), np.exp([-0.02, -2.0, -6.0]), rtol=1e-9)
    assert moved_silence(silence, 0.0) is silence


def worth(values: Sequence[float], orders: Sequence[float], expected: Sequence[float]) -> Movement:
    """Of customers of whom so many orders came, and were expected, at 10 each."""
    past = window(90, orders, range(len(orders)))
    past = replace(past, order_value=np.repeat(np.array(values) / 2, 2))
    return worth_movement(past, np.repeat(np.array(expected) / 2, 2), np.full(2 * len(orders), 10.0))


def test_the_value_of_an_order_goes_half_as_far_as_it_went_in_the_windows_seen() -> None:
    assert worth([400, 600], [20, 30], [20, 30]).log_ratio == pytest.approx(np.log(2.0) / 2)
    assert worth([50, 450], [10, 90], [10, 90]).log_ratio == pytest.approx(-np.log(2.0) / 2)


@pytest.mark.parametrize("times", [0.2, 1.0, 5.0])
def test_more_orders_than_expected_do_not_change_what_one_is_worth(times: float) -> None:
    assert worth([times * 200, times * 300], [times * 20, times * 30], [20, 30]) == Movement()


def test_the_reader_is_told_of_a_value_that_moves_by_a_twentieth() -> None:
    (told,) = worth([400, 600], [20, 30], [20, 30]).words
    assert told.startswith("the value of an order: +41% on what purchase histories expect")
    assert "an order was worth +100% on it" in told
    assert worth([210, 320], [20, 30], [20, 30]).words == ()


def test_no_value_of_an_order_moves_by_more_than_four_times() -> None:
    assert worth([1e6, 1e6], [20, 30], [20, 30]).log_ratio == MOST


@pytest.mark.parametrize("nothing", [([0, 0], [20, 30], [20, 30]), ([0, 0], [0, 0], [20, 30])])
def test_windows_without_value_or_orders_say_nothing_of_it(nothing: tuple[list[float], ...]) -> None:
    assert worth(*nothing) == Movement()
