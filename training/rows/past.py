"""Rows at earlier prediction times, each with what followed: what lifetime value is learned from besides histories."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import ibis
import pandas as pd

from features.catalogue import CLV
from features.engine.builder import build_features
from features.instants import days, write_instant
from features.profile import Profile
from features.spec import FeatureSet
from models.clv.corrections.movement import LEAST_PAIRS, LEAST_WINDOWS
from models.clv.past import MONTH_DAYS, YEAR_DAYS
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.rows.keyed import keyed_frame, with_future
from training.rows.labels import future_orders
from training.rows.splits import Split, held_out, window_words

PAST_TIMES, LEAST_WINDOW_DAYS = 6, 7
YEAR_TIMES = 8
"""Prediction times spread over the last year."""
MOST_PAST_ROWS = 600_000
"""More rows of the past teach trees little more, and do not fit into memory beside the customers themselves."""
LEAST_HISTORY_DAYS, MOST_HORIZON_DAYS = 60, 300
"""History before a month that is looked at; a horizon of nearly a year holds every season."""


def rows_before(profile: Profile, features: FeatureSet, times: Sequence[datetime], name: str) -> Split:
    """Histories of everyone who has ordered before each of some instants."""
    keys, rows = keyed_frame(build_features(profile, features, times), features)
    eligible = rows["frequency"].notna().to_numpy()
    words = f"before {write_instant(max(times))}"
    if not eligible.any():
        raise NothingToTrain(
            "nobody to learn lifetime value from", f"no customer had ordered {words}", "Choose a later --cutoff."
        )
    keys, rows = keys[eligible].reset_index(drop=True), rows[eligible].reset_index(drop=True)
    return Split(name, keys, rows, rows[["frequency", "T_days"]].copy(), words)


def with_outcome(profile: Profile, split: Split, config: TrainConfig, name: str, known_until: datetime) -> Split:
    """The same rows with what was ordered in the horizon after them, as far as known by then."""
    times = [time.to_pydatetime() for time in sorted(split.keys["prediction_time"].unique())]
    future = future_orders(profile, times, config.horizon_days, config.gap_days, known_until)
    outcome = pd.concat([split.outcome, with_future(split.keys, future)], axis=1)
    window = window_words(times[-1] + days(config.gap_days), config.horizon_days)
    return Split(name, split.keys, split.rows, outcome, window)


def history_days(histories: pd.DataFrame) -> int:
    """Days from the first order of all to the prediction time."""
    return int(histories["T_days"].max()) + 1


def past_times(history_days: int, horizon_days: int, cutoff: datetime) -> tuple[list[datetime], int]:
    """Prediction times whose windows end by the cutoff, and the length of those windows.

    The window is a quarter of the history, at most the horizon: longer ones teach more of the horizon, shorter ones
    leave more history before them; a quarter did best on every log tried. The times lie a third of a window apart, up
    to six of them, each with half a window of history before it.

    Parameters
    ----------
    history_days : int
        From the first order day to the cutoff.
    horizon_days : int
        How far ahead will be predicted.
    cutoff : datetime
        End of the history.

    Returns
    -------
    times : list of datetime
        In order; empty when the history is too short.
    window_days : int
        Length of the windows.
    """
    window = min(horizon_days, history_days // 4)
    if window < LEAST_WINDOW_DAYS:
        return [], window
    step = max(window // 3, LEAST_WINDOW_DAYS)
    ages = (window + i * step for i in range(PAST_TIMES))
    return sorted(cutoff - days(age) for age in ages if history_days - age >= window / 2), window


def past_rows(
    config: TrainConfig, profile: Profile, features: FeatureSet, customers: int, history_days: int, cutoff: datetime
) -> tuple[Split | None, int, tuple[str, ...]]:
    """Rows at earlier prediction times with what followed each, as far as known by the cutoff.

    Of very many customers a sample by a hash of their ids, the same customers at every prediction time.

    Parameters
    ----------
    config, profile, features, cutoff
        As for `ClvJob.prepare`.
    customers : int
        Who had ordered by the cutoff.
    history_days : int
        From the first order of all to the cutoff.

    Returns
    -------
    past : Split or None
        None when the history is too short.
    window_days : int
        Length of the windows.
    warnings : tuple of str
        How many customers were sampled, where not all were taken.
    """
    times, window = past_times(history_days, config.horizon_days, cutoff)
    if not times:
        return None, 0, ()
    profile, told = _share(config, profile, customers, len(times))
    return _followed(config, profile, features, times, window, cutoff), window, told


def month_rows(
    config: TrainConfig, profile: Profile, customers: int, history_days: int, cutoff: datetime
) -> Split | None:
    """Histories before months that are over, and before those a year earlier, with what followed.

    Parameters
    ----------
    config, profile, customers, history_days, cutoff
        As for `past_rows`.

    Returns
    -------
    Split or None
        None when the history is too short, or where the horizon holds nearly every season.
    """
    earliest = history_days - LEAST_HISTORY_DAYS - YEAR_DAYS
    ages = range(MONTH_DAYS, min(YEAR_DAYS + MONTH_DAYS, earliest + 1), MONTH_DAYS)
    if len(ages) < LEAST_PAIRS or config.horizon_days > MOST_HORIZON_DAYS:
        return None
    times = sorted({cutoff - days(age + before) for age in ages for before in (0, YEAR_DAYS)})
    profile = _share(config, profile, customers, len(times))[0]
    return _followed(config, profile, CLV, times, MONTH_DAYS, cutoff)


def year_ago_rows(
    config: TrainConfig, profile: Profile, customers: int, history_days: int, cutoff: datetime
) -> Split | None:
    """Histories a year before the cutoff, with what followed in as many days as the horizon has.

    Parameters
    ----------
    config, profile, customers, history_days, cutoff
        As for `past_rows`.

    Returns
    -------
    Split or None
        None when the history is too short, or where the horizon holds nearly every season.
    """
    if history_days < YEAR_DAYS + LEAST_HISTORY_DAYS or config.horizon_days > MOST_HORIZON_DAYS:
        return None
    profile = _share(config, profile, customers, 1)[0]
    try:
        return _followed(config, profile, CLV, [cutoff - days(YEAR_DAYS)], config.horizon_days, cutoff)
    except NothingToTrain:  # nobody of a sample may have ordered by then
        return None


def year_rows(
    config: TrainConfig, profile: Profile, customers: int, history_days: int, window_days: int, cutoff: datetime
) -> Split | None:
    """Histories before windows at times spread over the last year, with what followed.

    Parameters
    ----------
    config, profile, customers, history_days, cutoff
        As for `past_rows`.
    window_days : int
        Length of the windows; the latest ends at the cutoff.

    Returns
    -------
    Split or None
        None when the history is too short.
    """
    ages = [window_days + round(i * YEAR_DAYS / YEAR_TIMES) for i in range(YEAR_TIMES)]
    times = sorted(cutoff - days(age) for age in ages if history_days - age >= LEAST_HISTORY_DAYS)
    if len(times) < LEAST_WINDOWS:
        return None
    profile = _share(config, profile, customers, len(times))[0]
    return _followed(config, profile, CLV, times, window_days, cutoff)


def _followed(
    config: TrainConfig,
    profile: Profile,
    features: FeatureSet,
    times: Sequence[datetime],
    window: int,
    cutoff: datetime,
) -> Split:
    """Rows at some times with what followed in the days after each, as far as known by the cutoff."""
    shorter = config.model_copy(update={"horizon_days": window, "gap_days": 0})
    return with_outcome(profile, rows_before(profile, features, times, "train"), shorter, "train", cutoff)


def _share(config: TrainConfig, profile: Profile, customers: int, times: int) -> tuple[Profile, tuple[str, ...]]:
    """The profile of as many of those who order as are taken at so many times, and a word on that if not all are.

    The engine drops the others before anything but their ids is in memory.
    """
    share = MOST_PAST_ROWS / (customers * times)
    if share >= 1:
        return profile, ()
    ids = profile.tables["orders"].select("customer_id").distinct().order_by("customer_id")
    known: Any = profile.backend.to_pyarrow(ids)
    everyone = known.column(0).to_pylist()
    chosen = held_out(everyone, share, config.random_state)
    taken = [each for each, is_taken in zip(everyone, chosen, strict=True) if is_taken]
    kept = ibis.memtable({"customer_id": taken}, schema={"customer_id": "string"})
    tables = {
        name: table.semi_join(kept, "customer_id") if "customer_id" in table.columns else table
        for name, table in profile.tables.items()
    }
    told = (
        f"what followed earlier was learned from {len(taken):,} of {len(everyone):,} customers, a sample by a hash of "
        "their ids"
    )
    return replace(profile, tables=tables), (told,)
