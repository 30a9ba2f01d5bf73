"""Learning what customers without an order are worth: how long each has waited, and how the first order comes."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE
from features.engine.builder import available, build_features
from features.portrait import ATTRIBUTES
from features.profile import Profile
from features.spec import FeatureSet
from models.base import column
from models.clv.first_orders import AGE, UNKNOWN, FirstOrders, Waits, names_of
from models.clv.prospects import CHANNEL, FirstValues
from training.config import TrainConfig
from training.rows.keyed import keyed_frame, with_future
from training.rows.labels import future_orders
from training.rows.splits import Split, window_words

SAYS_SOMETHING = tuple(name for name in (CHANNEL, *ATTRIBUTES) if name != "tier")
"""A loyalty tier follows from orders."""
ALIKE = 0.1
"""An attribute is used when its known share differs by less than this between prospects and customers."""
LEAST_FIRST_ORDERS = 30


@dataclass(frozen=True)
class ProspectRows:
    """What is known of prospects at the cutoff, for every family.

    Parameters
    ----------
    first, spent : FirstOrders, FirstValues
        What was learned of everyone who is or was one.
    waiting : Split
        Those who are one, with what they did next where that is evaluated.
    first_orders : int
        First orders learned from.
    rate : float
        First orders a day waited, over everyone: the forecast to beat.
    warnings : tuple of str
        What a reader should know.
    """

    first: FirstOrders
    spent: FirstValues
    waiting: Split
    first_orders: int
    rate: float
    warnings: tuple[str, ...]


def prospect_rows(config: TrainConfig, profile: Profile, cutoff: datetime, *, evaluate: bool) -> ProspectRows | None:
    """Learn how prospects come to a first order; None where the profile knows of no prospect, or not since when.

    Parameters
    ----------
    config, profile, cutoff, evaluate
        As for `ClvJob.prepare`.
    """
    names = (AGE, *SAYS_SOMETHING, "frequency", "days_since_first_order", "first_day_value")
    wanted = available(profile, FeatureSet("prospects", 1, tuple(CATALOGUE[name] for name in names))).features
    if AGE not in wanted.names:
        return None
    keys, rows = keyed_frame(build_features(profile, wanted, [cutoff]), wanted)
    known = rows[AGE].notna().to_numpy()
    keys, rows = keys[known].reset_index(drop=True), rows[known].reset_index(drop=True)
    is_waiting = rows["frequency"].isna().to_numpy()
    if not is_waiting.any() or is_waiting.all():
        return None
    used, warnings = _told(rows, is_waiting)
    age, since = column(rows, AGE), np.nan_to_num(column(rows, "days_since_first_order"), nan=0.0)
    end = age - since
    start = np.maximum(age - since.max(), 0.0)  # before the first order of all, nobody's was seen
    waited = end > start
    waits = Waits.of(rows[used][waited].reset_index(drop=True), start[waited], end[waited], ~is_waiting[waited])
    spent = waited & ~is_waiting & rows["first_day_value"].notna().to_numpy()
    channels = rows[CHANNEL][spent] if CHANNEL in rows else pd.Series([""] * int(spent.sum()))
    values = FirstValues.fit(channels.reset_index(drop=True), np.maximum(column(rows[spent], "first_day_value"), 0.0))
    ended = int(waits.orders.sum())
    waiting = Split(
        "prospects", keys[is_waiting].reset_index(drop=True), rows.loc[is_waiting, [AGE, *used]].reset_index(drop=True),
        pd.DataFrame(index=range(int(is_waiting.sum()))), window_words(cutoff, config.horizon_days),
    )  # fmt: skip
    if evaluate:
        future = future_orders(profile, [cutoff], config.horizon_days, config.gap_days, profile.known_until)
        outcome = with_future(waiting.keys, future)
        waiting = Split(waiting.name, waiting.keys, waiting.rows, outcome, waiting.window)
    if ended < LEAST_FIRST_ORDERS:
        warnings.append(
            f"low evidence: prospects are forecast from {ended:,} first orders, all else is everyone's mean"
        )
    rate = max(ended, 0.5) / max(float(waits.days.sum()), 1.0)
    return ProspectRows(FirstOrders.fit(waits), values, waiting, ended, rate, tuple(warnings))


def _told(rows: pd.DataFrame, is_waiting: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> tuple[list[str], list[str]]:
    """Attributes that are known of prospects as of customers; the others tell who ordered, not who will."""
    used, warnings = [], []
    for name in (name for name in SAYS_SOMETHING if name in rows):
        known = np.array([value != UNKNOWN for value in names_of(rows[name])])
        of_prospects, of_customers = float(known[is_waiting].mean()), float(known[~is_waiting].mean())
        if abs(of_prospects - of_customers) < ALIKE:
            used.append(name)
        else:
            warnings.append(
                f"{name} says nothing of prospects: it is known of {of_prospects:.0%} of them and of "
                f"{of_customers:.0%} of customers, so it seems to be asked for with the first order"
            )
    return used, warnings
