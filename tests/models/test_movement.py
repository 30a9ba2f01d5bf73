from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.base import Array
from models.clv.movement import MOST, moved_silence, movement
from models.clv.past import MONTH_DAYS, YEAR_DAYS, Months, Past

LATELY = (1.5, 1.2, 0.8, 0.6)
AGES = tuple(MONTH_DAYS * (i + 1) for i in range(len(LATELY)))


def hundred(rows: pd.DataFrame, days: float) -> Array:
    del days
    return np.full(len(rows), 50.0)


def window(days: float, came: Sequence[float], ages: Sequence[float]) -> Past:
    """Two rows a window, of each of which 50 order days are expected."""
    halves = np.repeat(np.array(came) / 2, 2)
    return Past(pd.DataFrame(index=range(len(halves))), days, halves, halves, np.repeat(np.array(ages, dtype=float), 2))


def year(lately: Sequence[float], before: Sequence[float], ahead: float) -> Months:
    """What came of every hundred expected: in months lately, in the same a year before, in the horizon's a year ago."""
    ages = (*AGES[: len(lately)], *(age + YEAR_DAYS for age in AGES[: len(before)]))
    came = [100 * each for each in (*lately, *before)]
    return Months(window(MONTH_DAYS, came, ages), window(90, [100 * ahead], [YEAR_DAYS]))


def moved(months: Months | None, horizon_days: float = 90) -> float:
    return movement(months, horizon_days, hundred).log_ratio


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
        None,
        year(LATELY[:3], LATELY[:3], 2.0),  # three months only
        year(LATELY, LATELY[::-1], 2.0),  # the other way round
        year([each**0.4 for each in LATELY], LATELY, 2.0),  # hardly came again
        year((1.5, 0.7, 1.3, 0.6), LATELY, 2.0),  # nor did it tell the months apart
        year(LATELY, [0.2 * each for each in LATELY], 2.0),  # each with under 30 order days
        year(LATELY, LATELY, 0.29),  # the horizon's days a year ago with as few
    ],
)
def test_without_a_year_seen_to_repeat_itself_nothing_moves(told: Months | None) -> None:
    assert movement(told, 90, hundred).log_ratio == 0.0
    assert movement(told, 90, hundred).words == ()


def test_no_season_moves_the_total_by_more_than_four_times() -> None:
    assert moved(year(LATELY, LATELY, 50.0)) == MOST


def months(*departures: float) -> Months:
    """Log ratios of months, the latest first."""
    ages = [MONTH_DAYS * (i + 1) for i in range(len(departures))]
    return Months(window(MONTH_DAYS, list(100 * np.exp(departures)), ages))


@pytest.mark.parametrize(
    ("horizon_days", "expected"),
    [
        (10, 0.6 * 5 / 7),  # a month ahead: months departed further than those before them had, counted in full
        (90, 0.6 * 4 / 6),  # two months to the middle of the horizon
        (180, 0.0),  # four months: only two months have one four months before them
    ],
)
def test_what_has_been_going_on_is_followed_as_far_ahead_as_it_has_foretold(
    horizon_days: float, expected: float
) -> None:
    assert moved(months(0.6, 0.5, 0.4, 0.3, 0.2, 0.1), horizon_days) == pytest.approx(expected)


@pytest.mark.parametrize(
    "departures",
    [
        (0.6, -0.5, 0.4, 0.5, -0.6, 0.5),  # up and down
        (0.6, 0.0, 0.0, 0.0, 0.0, 0.0),  # a single month
        (-0.5, -0.5, 0.0, 0.0, 0.0, 0.0),  # a fall of late that nothing foretold
        (0.1, 0.1, 0.15, 0.3, 0.4, 0.6),  # fading away
    ],
)
def test_what_did_not_foretell_the_months_after_it_moves_nothing(departures: tuple[float, ...]) -> None:
    assert moved(months(*departures)) == 0.0


def test_the_season_goes_before_the_trend_and_the_reader_is_told_which() -> None:
    rising = [float(np.exp(each)) for each in (0.6, 0.5, 0.4, 0.3)]
    both = Months(
        window(MONTH_DAYS, [100 * each for each in (*rising, *rising)], [*AGES, *(age + YEAR_DAYS for age in AGES)]),
        window(10, [125.0], [YEAR_DAYS]),
    )
    (told,) = movement(both, 10, hundred).words
    assert told.startswith(f"the season is in the forecast: {1.25 ** (4 / 6) - 1:+.0%} on what purchase")
    (told,) = movement(months(0.6, 0.5, 0.4, 0.3, 0.2, 0.1), 90, hundred).words
    assert told.startswith("the trend is in the forecast: +49% on what purchase histories expect")
    assert "60 days before" in told


def test_silence_moves_as_that_of_a_poisson_number_of_orders() -> None:
    silence = -np.log(np.expm1(np.array([0.01, 1.0, 3.0])))
    np.testing.assert_allclose(expit(moved_silence(silence, np.log(2.0))), np.exp([-0.02, -2.0, -6.0]), rtol=1e-9)
    assert moved_silence(silence, 0.0) is silence
