"""When the customers of a holdout ordered, day by day: what forecasts are tracked against."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.instants import DAY_US, to_us
from features.profile import Profile
from features.snapshot import day_of, instants_as_whole, make_snapshot
from training.config import TrainConfig
from training.rows.splits import Split

EXAMPLE = 0.9
"""The customer shown alone orders as often as this quantile of those with a repeat order."""


@dataclass(frozen=True)
class Timeline:
    """Order days of everyone in a holdout.

    Parameters
    ----------
    daily : pandas.DataFrame
        `day` (0 is the first of the holdout) and `order_days` of all, first orders among them.
    example : int
        Row of the holdout that is shown alone.
    example_days : ndarray of int
        Its order days.
    """

    daily: pd.DataFrame
    example: int
    example_days: npt.NDArray[np.int64]


def timeline(profile: Profile, split: Split, config: TrainConfig, cutoff: datetime) -> Timeline:
    """Count order days before the cutoff, as known then, and in the horizon after it, as known now.

    Parameters
    ----------
    profile : Profile
        With `orders`.
    split : Split
        The holdout.
    config : TrainConfig
        Gap and horizon.
    cutoff : datetime
        Where the holdout begins.
    """
    days = _order_days(profile, config, cutoff)
    counted = days.group_by("day").aggregate(order_days=days.count()).order_by("day")
    daily: pd.DataFrame = profile.backend.to_pyarrow(counted).to_pandas().astype(np.int64)
    example = _example(split)
    own = days.filter(days.customer_id == str(split.keys["customer_id"].iloc[example])).select("day").order_by("day")
    found: Any = profile.backend.to_pyarrow(own).column("day").to_numpy()
    return Timeline(daily, example, found.astype(np.int64))


def _order_days(profile: Profile, config: TrainConfig, cutoff: datetime) -> Any:
    """One row a customer and order day, of those who had ordered by the cutoff."""
    engine = profile.backend.name
    first = ibis.literal((to_us(cutoff) - 1) // DAY_US + 1, "int64")  # the day after the last observed one
    past = make_snapshot(profile.tables, [cutoff], engine).relation("order_days")
    before = past.select("customer_id", day=(past.day.cast("int64") - first))
    orders = instants_as_whole(profile.tables["orders"], engine)
    start = to_us(cutoff) + config.gap_days * DAY_US
    counts = [orders.event_time >= start, orders.event_time < start + config.horizon_days * DAY_US]
    if "is_return" in orders.columns:
        counts.append(~orders.is_return.fill_null(False))
    later = orders.filter(*counts)
    ordered = later.select("customer_id", day=(day_of(later.event_time).cast("int64") - first)).distinct()
    after = ordered.mutate(day=ibis.greatest(ordered.day, 0))  # the rest of the cutoff's own day
    return before.union(after.semi_join(before, "customer_id"))


def _example(split: Split) -> int:
    """Who orders often and has ordered lately, for such a customer."""
    frequency = split.rows["frequency"].to_numpy(dtype=np.float64)
    again = frequency[frequency > 0]
    wanted = np.quantile(again, EXAMPLE) if len(again) else 0.0
    silence = (split.rows["T_days"] - split.rows["recency_days"]).to_numpy(dtype=np.float64)
    return int(np.lexsort((np.arange(len(frequency)), silence, np.abs(frequency - wanted)))[0])
