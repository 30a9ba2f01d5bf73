"""Which rows are learned from and which are evaluated on: out of time, out of customer, with a gap."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.flat import UNDATED
from features.instants import days, write_instant
from features.population import in_order
from features.profile import Profile
from training.config import TrainConfig
from training.errors import CutoffOutOfRange

PERSON = "person"
"""The column of a split's outcome that says who the customer is, see `training.rows.duplicates`."""
LEAST_WINDOW_SHARE = 1 / 4
"""A label window of which less than this share is known before the cutoff teaches too little."""


@dataclass(frozen=True)
class Split:
    """Rows with their features and what came of them.

    Parameters
    ----------
    name : {"train", "validation", "holdout", "cv"}
        What the rows are for.
    keys : pandas.DataFrame
        `customer_id` and `prediction_time`.
    rows : pandas.DataFrame
        Features as models take them.
    outcome : pandas.DataFrame
        What came after: columns depend on the task.
    window : str
        The label window in words, for the log.
    left_out : mapping of str to int
        Rows by population that were left out because the task does not concern them.
    """

    name: str
    keys: pd.DataFrame
    rows: pd.DataFrame
    outcome: pd.DataFrame
    window: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Split":
        """The same split with some rows only."""
        keys, rows, outcome = (frame[chosen].reset_index(drop=True) for frame in (self.keys, self.rows, self.outcome))
        return replace(self, keys=keys, rows=rows, outcome=outcome)

    @property
    def people(self) -> npt.NDArray[Any]:
        """Whose rows they are: customers under several ids are one person where that was found out."""
        own = self.outcome[PERSON] if PERSON in self.outcome else self.keys["customer_id"]
        return own.to_numpy(dtype=object)

    def by_population(self) -> dict[str, int]:
        """Its rows by the population that the customer belonged to at the prediction time, where that is known."""
        if "population" not in self.outcome:
            return {}
        return in_order(Counter(self.outcome["population"]))

    def log(self) -> dict[str, Any]:
        """Its periods and sizes, and its populations where they are known."""
        populations = {"population": self.by_population(), "left_out": dict(self.left_out)}
        times = [time for time in sorted(self.keys["prediction_time"].unique()) if time != UNDATED]
        return {
            "split": self.name,
            "prediction_times": [write_instant(pd.Timestamp(time).to_pydatetime()) for time in times],
            "label_window": self.window,
            "rows": len(self.keys),
            "customers": int(self.keys["customer_id"].nunique()),
            **{name: counts for name, counts in populations.items() if counts},
        }


def resolve_cutoff(config: TrainConfig, profile: Profile, grace_days: int = 0) -> datetime:
    """The cutoff to use: the given one, or the latest that leaves one whole label window after it.

    Parameters
    ----------
    config : TrainConfig
        Cutoff, gap and horizon.
    profile : Profile
        What is known.
    grace_days : int
        Days after the window that must have been seen, too.

    Raises
    ------
    CutoffOutOfRange
        If there is nothing before the cutoff or no whole label window after it.
    """
    span = days(config.gap_days + config.horizon_days + grace_days)
    earliest, latest = profile.known_from + days(1), profile.known_until - span
    cutoff = config.cutoff or latest
    if latest <= earliest:
        raise _without_any_cutoff(config, profile, grace_days)
    if cutoff > latest:
        left = (profile.known_until - cutoff).days - config.gap_days - grace_days
        raise CutoffOutOfRange(
            "the label window after the cutoff is not over yet",
            f"cutoff {write_instant(cutoff)} + {span.days} days ends {write_instant(cutoff + span)}, the last fact is "
            f"known before {write_instant(profile.known_until)}",
            f"a cutoff up to {write_instant(latest)}" + (f", or a horizon up to {left} days" if left > 0 else ""),
            "Choose an earlier --cutoff" + (" or a shorter --horizon-days." if left > 0 else "."),
        )
    if cutoff <= earliest:
        raise CutoffOutOfRange(
            "there is no history before the cutoff",
            f"cutoff {write_instant(cutoff)}, first fact on {write_instant(profile.known_from)}",
            f"a cutoff after {write_instant(earliest)} and up to {write_instant(latest)}",
            "Choose a later --cutoff.",
        )
    return cutoff


def _without_any_cutoff(config: TrainConfig, profile: Profile, grace_days: int) -> CutoffOutOfRange:
    """What to do where the facts end before the label window of the earliest cutoff does: another would not help."""
    known, aside = profile.known_until - profile.known_from, config.gap_days + grace_days
    longest = (known - _least_history(config) - days(aside)) // days(1)
    asked = {"a horizon": config.horizon_days, "a gap": config.gap_days, "a grace": grace_days}
    found = ", ".join(
        [
            f"{known.days} days of facts from {write_instant(profile.known_from)} to "
            f"{write_instant(profile.known_until)}",
            *(f"{what} of {length} days" for what, length in asked.items() if length),
        ]
    )
    problem = "no cutoff leaves both a history before it and a whole label window after it"
    if longest < 1:
        least = math.ceil((_least_history(config) + days(aside + config.horizon_days)) / days(1))
        remedy = "Give a longer history" + (" or a shorter gap_days." if config.gap_days else ".")
        return CutoffOutOfRange(problem, found, f"{least} days of facts or more", remedy)
    remedy = "Choose a shorter --horizon-days" + (", and leave --cutoff out." if config.cutoff else ".")
    return CutoffOutOfRange(problem, found, f"a horizon up to {longest} days", remedy)


def _least_history(config: TrainConfig) -> timedelta:
    """Days before a cutoff from which training rows can be made: after a third of them, a label window has to begin."""
    return days(config.gap_days + 1) * 3 / 2


def training_times(config: TrainConfig, known_from: datetime, cutoff: datetime) -> list[datetime]:
    """Prediction times whose label windows lie before the cutoff.

    With history enough, whole windows: the latest that ends at the cutoff, and earlier ones a quarter of the horizon
    apart. With less, windows that the cutoff cuts short: evenly from a third of the history to the last time at which
    a quarter of the window (or of the history, if that is shorter) is still known. What is cut off is completed by
    `training.rows.completion`.

    Parameters
    ----------
    config : TrainConfig
        Horizon, gap and number of times.
    known_from : datetime
        First day of the history.
    cutoff : datetime
        End of the history.

    Returns
    -------
    list of datetime
        In order; whole days before the cutoff, and at least one day of each label window lies before it.

    Raises
    ------
    CutoffOutOfRange
        If the gap leaves no label window that begins before the cutoff.
    """
    history = cutoff - known_from
    horizon, gap = days(config.horizon_days), days(config.gap_days)
    latest = cutoff - gap - horizon
    step = max(horizon / 4, days(7))
    if latest - known_from >= max(horizon / 2, days(30)):
        times = [latest - i * step for i in range(config.prediction_times)]
        return sorted(_whole_days(t, cutoff) for t in times if t - known_from >= max(horizon / 4, days(30)))
    first = known_from + history / 3
    last = cutoff - gap - min(horizon, history) * LEAST_WINDOW_SHARE
    if cutoff - gap - first < days(1):
        longest = (cutoff - first).days - 1
        raise CutoffOutOfRange(
            "no label window begins before the cutoff",
            f"{history.days} days of history before {write_instant(cutoff)}, a gap of {config.gap_days} days",
            f"a cutoff from {write_instant(known_from + _least_history(config))} on"
            + (f", or a gap up to {longest} days" if longest >= 0 else ""),
            "Choose a later --cutoff" + (" or a shorter gap_days." if longest >= 0 else "."),
        )
    count = max(config.prediction_times - 1, 1)
    times = [first + max(last - first, days(0)) * i / count for i in range(config.prediction_times)]
    return sorted({min(_whole_days(time, cutoff), cutoff - gap - days(1)) for time in times})


def _whole_days(instant: datetime, cutoff: datetime) -> datetime:
    """The nearest instant that lies whole days before the cutoff."""
    return cutoff - timedelta(days=round((cutoff - instant) / timedelta(days=1)))


def held_out(customer_ids: Iterable[str], share: float, random_state: int) -> npt.NDArray[np.bool_]:
    """Choose customers never to be learned from, by a hash of their id: the same ones whatever else is in the data.

    Parameters
    ----------
    customer_ids : iterable of str
        One a row; a customer's rows are all in or all out.
    share : float
        Share of customers held out.
    random_state : int
        Another number holds out others.
    """
    limit = int(share * 2**32)
    known: dict[str, bool] = {}
    out = []
    for customer_id in customer_ids:
        if customer_id not in known:
            digest = hashlib.blake2b(f"{random_state}:{customer_id}".encode(), digest_size=4).digest()
            known[customer_id] = int.from_bytes(digest) < limit
        out.append(known[customer_id])
    return np.array(out, dtype=bool)


def window_words(start: datetime, horizon_days: int, until: datetime | None = None) -> str:
    """A label window in words."""
    end = start + days(horizon_days)
    shown = min(end, until) if until else end
    cut = " (cut short by the cutoff)" if shown < end else ""
    return f"[{write_instant(start)}, {write_instant(shown)}){cut}"


def split_log(splits: Mapping[str, Split]) -> list[dict[str, Any]]:
    """The log of all splits."""
    return [split.log() for split in splits.values()]
