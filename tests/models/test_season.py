from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.base import Array
from models.clv.past import MONTH_DAYS, YEAR_DAYS, Past, Year
from models.clv.season import MOST, in_season, season, season_words

LATELY = (1.5, 1.2, 0.8, 0.6)
AGES = tuple(MONTH_DAYS * (i + 1) for i in range(len(LATELY)))


def hundred(rows: pd.DataFrame, days: float) -> Array:
    del days
    return np.full(len(rows), 50.0)


def window(days: float, came: Sequence[float], ages: Sequence[float]) -> Past:
    """Two rows a window, of each of which 50 order days are expected."""
    halves = np.repeat(np.array(came) / 2, 2)
    return Past(pd.DataFrame(index=range(len(halves))), days, halves, halves, np.repeat(np.array(ages, dtype=float), 2))


def year(lately: Sequence[float], before: Sequence[float], ahead: float) -> Year:
    """What came of every hundred expected: in months lately, in the same a year before, in the horizon's a year ago."""
    ages = (*AGES[: len(lately)], *(age + YEAR_DAYS for age in AGES[: len(before)]))
    came = [100 * each for each in (*lately, *before)]
    return Year(window(MONTH_DAYS, came, ages), window(90, [100 * ahead], [YEAR_DAYS]))


def test_a_year_that_repeats_itself_is_followed_by_two_thirds_after_four_months() -> None:
    assert season(year(LATELY, LATELY, 2.0), hundred) == pytest.approx(np.log(2.0) * 4 / 6)
    assert season(year(LATELY, LATELY, 0.5), hundred) == pytest.approx(-np.log(2.0) * 4 / 6)


def test_a_weaker_season_than_a_year_before_is_followed_as_far_as_it_came_again() -> None:
    weaker = [each**0.6 for each in LATELY]
    assert season(year(weaker, LATELY, 2.0), hundred) == pytest.approx(np.log(2.0) * 0.6 * 4 / 6)


def test_a_season_that_grew_stronger_counts_as_it_was() -> None:
    stronger = [each**1.2 for each in LATELY]
    assert season(year(stronger, LATELY, 2.0), hundred) == pytest.approx(np.log(2.0) * 4 / 6)


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
def test_without_a_year_seen_to_repeat_itself_nothing_moves(told: Year | None) -> None:
    assert season(told, hundred) == 0.0


def test_no_season_moves_the_total_by_more_than_four_times() -> None:
    assert season(year(LATELY, LATELY, 50.0), hundred) == MOST


def test_silence_moves_as_that_of_a_poisson_number_of_orders() -> None:
    silence = -np.log(np.expm1(np.array([0.01, 1.0, 3.0])))
    np.testing.assert_allclose(expit(in_season(silence, np.log(2.0))), np.exp([-0.02, -2.0, -6.0]), rtol=1e-9)
    assert in_season(silence, 0.0) is silence


def test_a_reader_is_told_of_a_season_only_where_there_is_one() -> None:
    assert season_words(0.0) == ()
    (told,) = season_words(np.log(1.25))
    assert told.startswith("the season is in the forecast: +25%")
