"""The rolling-origin backtest: every family and every naive forecast, at several earlier cutoffs, on the same rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import CLV
from features.instants import days, write_instant
from features.profile import Profile
from models.base import Array
from models.families import Family, families_of
from training.clv import ClvJob, history_days, rows_before, with_outcome
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.grade import Skill, skill
from training.metrics import clv_metrics, poisson_deviance
from training.naive import NAIVE, LastPeriod
from training.splits import Split
from training.task import Prepared

ORIGINS = 3


@dataclass(frozen=True)
class Backtest:
    """How well each contender forecast from each origin.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a contender and origin: `name`, `is_naive`, `origin`, `horizon_days`, `customers` and the metrics of
        `training.metrics.clv_metrics`.
    losses : dict of str to ndarray
        Poisson deviance of each row, over all origins, by contender.
    """

    table: pd.DataFrame
    losses: dict[str, Array]

    @property
    def ranking(self) -> pd.DataFrame:
        """Mean metrics of each contender over the origins, least Poisson deviance first."""
        numbers = self.table.drop(columns=["origin", "is_naive"]).groupby("name").mean()
        return numbers.sort_values("poisson_deviance_orders")

    def champion(self) -> tuple[str, str, Skill]:
        """The family of least Poisson deviance, its closest rival of any kind, and the skill of one over the other."""
        mean = {name: float(losses.mean()) for name, losses in self.losses.items()}
        families = set(self.table.loc[~self.table["is_naive"], "name"])
        best = min(families, key=lambda name: (mean[name], name))
        rival = min(set(mean) - {best}, key=lambda name: (mean[name], name))
        return best, rival, skill(self.losses[best], self.losses[rival])


def origins(history: int, horizon_days: int, cutoff: datetime) -> tuple[list[datetime], int]:
    """Cutoffs to forecast from, latest first, and how far: windows that do not overlap and end by the cutoff.

    Parameters
    ----------
    history : int
        Days from the first order to the cutoff.
    horizon_days : int
        The horizon; a quarter of the history where that is shorter.
    cutoff : datetime
        Nothing after it is looked at.

    Returns
    -------
    origins : list of datetime
        At most three, each with at least one window of history before it.
    window_days : int
        Length of the windows.
    """
    window = max(min(horizon_days, history // 4), 1)
    ages = [window * (i + 1) for i in range(ORIGINS)]
    return [cutoff - days(age) for age in ages if history - age >= window], window


def backtest(
    profile: Profile, config: TrainConfig, cutoff: datetime, families: Iterable[Family] | None = None
) -> Backtest:
    """Let families and naive forecasts compete on what was known before the cutoff.

    Parameters
    ----------
    profile : Profile
        Valid, with orders.
    config : TrainConfig
        Settings.
    cutoff : datetime
        Nothing known only at or after it is learned from or measured on.
    families : iterable of Family, optional
        By default all of lifetime value.

    Returns
    -------
    Backtest
        All contenders on the same customers from the same origins.

    Raises
    ------
    NothingToTrain
        If the history is too short for a single origin.
    """
    chosen = list(families_of("clv") if families is None else families)
    starts, window = origins(history_days(rows_before(profile, CLV, [cutoff], "train")), config.horizon_days, cutoff)
    if not starts:
        raise NothingToTrain(
            "no origin to backtest from", f"the history before {write_instant(cutoff)} is too short", "Choose a later "
            "--cutoff.",
        )  # fmt: skip
    settings = config.model_copy(update={"horizon_days": window, "gap_days": 0, "model": {}})
    table: list[dict[str, Any]] = []
    losses: dict[str, list[Array]] = {}
    for origin in starts:
        for name, is_naive, metrics, loss in _from_origin(profile, settings, origin, origin + days(window), chosen):
            facts = {"name": name, "is_naive": is_naive, "origin": origin, "horizon_days": window}
            table.append(facts | {"customers": len(loss)} | metrics)
            losses.setdefault(name, []).append(loss)
    return Backtest(pd.DataFrame(table), {name: np.concatenate(parts) for name, parts in losses.items()})


def _from_origin(
    profile: Profile, config: TrainConfig, origin: datetime, known_until: datetime, families: list[Family]
) -> list[tuple[str, bool, dict[str, float], Array]]:
    """Every contender's metrics and losses from one origin."""
    job = ClvJob()
    found = []
    prepared: dict[str, Prepared] = {}
    for family in families:
        key = family.feature_set.name
        if key not in prepared:
            made = job.prepare(config, profile, family.feature_set, origin, evaluate=False)
            prepared[key] = job.prepare_past(config, profile, made) if family.build.learns_from_past else made
        here = prepared[key]
        held = with_outcome(profile, here.splits["train"], config, "validation", known_until)
        measured = job.measure(job.learn(family, config, here), held, config, here)
        found.append((family.name, False, measured.metrics, measured.losses))
    now = with_outcome(profile, rows_before(profile, CLV, [origin], "train"), config, "validation", known_until)
    period = _last_period(profile, config, origin, now)
    orders, value = (now.outcome[name].to_numpy(dtype=np.float64) for name in ("order_days", "order_value"))
    for name, forecast in NAIVE.items():
        told = forecast(now, period)
        metrics = clv_metrics(orders, value, told.orders, told.value, told.probability_no_order)
        found.append((name, True, metrics, poisson_deviance(orders, told.orders)))
    return found


def _last_period(profile: Profile, config: TrainConfig, origin: datetime, now: Split) -> LastPeriod:
    length = max(min(config.horizon_days, history_days(now) // 2), 1)
    earlier = rows_before(profile, CLV, [origin - days(length)], "train")
    shorter = config.model_copy(update={"horizon_days": length})
    return LastPeriod(
        with_outcome(profile, earlier, shorter, "train", origin), float(length), float(config.horizon_days)
    )
