"""The rolling-origin backtest: every family and every naive forecast, at several earlier cutoffs, on the same rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from features.catalogue import CLV
from features.instants import days, write_instant
from features.profile import Profile
from models.base import Array
from models.families import Family, families_of
from training.clv import ClvJob, history_days, rows_before, with_outcome
from training.config import TrainConfig
from training.cost import measured
from training.errors import NothingToTrain
from training.metrics import clv_metrics, poisson_deviance
from training.naive import NAIVE, LastPeriod
from training.splits import Split, held_out
from training.standings import Backtest
from training.task import Prepared

ORIGINS = 3
MOST_CUSTOMERS = 10_000
"""Of a backtest in a training run: enough to tell families apart, in seconds."""
MOST_FREQUENT = 7
"""Repeat order days from which customers are taken together where calibration is shown."""


@dataclass(frozen=True)
class Contender:
    """One contender's forecast from one origin, measured.

    Parameters
    ----------
    name : str
        Of the family or the naive forecast.
    is_naive : bool
        Whether it is what a model must beat.
    metrics : dict of str to float
        See `training.metrics.clv_metrics`; coverages where there are intervals; `seconds` and `megabytes`.
    losses, expected : ndarray of shape (n,)
        Poisson deviance of each row, and expected order days.
    """

    name: str
    is_naive: bool
    metrics: dict[str, float]
    losses: Array
    expected: Array


def origins(history: int, horizon_days: int, cutoff: datetime, count: int = ORIGINS) -> tuple[list[datetime], int]:
    """Cutoffs to forecast from, latest first, and how far: windows that do not overlap and end by the cutoff.

    Parameters
    ----------
    history : int
        Days from the first order to the cutoff.
    horizon_days : int
        The horizon; a quarter of the history where that is shorter.
    cutoff : datetime
        Nothing after it is looked at.
    count : int
        How many at most.

    Returns
    -------
    origins : list of datetime
        Each with at least one window of history before it.
    window_days : int
        Length of the windows.
    """
    window = max(min(horizon_days, history // 4), 1)
    ages = [window * (i + 1) for i in range(count)]
    return [cutoff - days(age) for age in ages if history - age >= window], window


def backtest(
    profile: Profile,
    config: TrainConfig,
    cutoff: datetime,
    families: Iterable[Family] | None = None,
    *,
    count: int = ORIGINS,
    most_customers: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Let families and naive forecasts compete on what was known before the cutoff.

    Parameters
    ----------
    profile : Profile
        Valid, with orders.
    config : TrainConfig
        Settings; those of the model are for families that are no baseline.
    cutoff : datetime
        Nothing known only at or after it is learned from or measured on.
    families : iterable of Family, optional
        By default all of lifetime value.
    count : int
        From how many origins at most.
    most_customers : int, optional
        With more, about so many of them, chosen by a hash of their id, are learned from and measured on.
    progress : callable
        Told what is being done.

    Returns
    -------
    Backtest
        All contenders on the same customers from the same origins.

    Raises
    ------
    NothingToTrain
        If there is no origin before which customers had come back.
    """
    chosen = list(families_of("clv") if families is None else families)
    everyone = rows_before(profile, CLV, [cutoff], "train")
    starts, window = origins(history_days(everyone), config.horizon_days, cutoff, count)
    settings = config.model_copy(update={"horizon_days": window, "gap_days": 0})
    share = min((most_customers or len(everyone.rows)) / len(everyone.rows), 1.0)
    table, losses, calibration, ids, splits = [], dict[str, list[Array]](), [], [], []
    for i, origin in enumerate(starts):
        progress(f"backtest from {write_instant(origin)}, {i + 1} of {len(starts)}")
        now = _outcome(profile, settings, origin, share)
        if now is None:
            continue
        for found in contenders(profile, settings, origin, now, chosen, share):
            facts = {"name": found.name, "is_naive": found.is_naive, "origin": origin, "horizon_days": window}
            table.append(facts | {"customers": len(now.rows)} | found.metrics)
            losses.setdefault(found.name, []).append(found.losses)
            calibration.append(_means(found, now))
        ids.append(now.keys["customer_id"])
        splits.append(now.log())
    if not table:
        raise NothingToTrain(
            "no origin to backtest from",
            f"before {write_instant(cutoff)} the history is too short, or nobody had come back",
            "Wait for a longer history, or choose a later --cutoff.",
        )
    return Backtest(
        pd.DataFrame(table),
        {name: np.concatenate(parts) for name, parts in losses.items()},
        pd.factorize(pd.concat(ids))[0],
        _calibration(pd.concat(calibration)),
        splits,
    )


def contest_before(
    cutoff: datetime, profile: Profile, config: TrainConfig, families: list[Family], progress: Callable[[str], None]
) -> Backtest | None:
    """The backtest of a training run: its families, the baseline and every naive forecast, on a part of many customers.

    Returns
    -------
    Backtest or None
        None where the history is too short.
    """
    rivals = [family for family in families_of("clv", baseline=True) if family not in families]
    try:
        return backtest(profile, config, cutoff, [*families, *rivals], most_customers=MOST_CUSTOMERS, progress=progress)
    except NothingToTrain:
        return None


def _outcome(profile: Profile, config: TrainConfig, origin: datetime, share: float) -> Split | None:
    """Who is forecast from an origin and what they did; None where nobody had come back."""
    try:
        split = _sampled(rows_before(profile, CLV, [origin], "validation"), share)
    except NothingToTrain:
        return None
    if not (split.rows["frequency"] > 0).any():
        return None
    return with_outcome(profile, split, config, "validation", origin + days(config.horizon_days))


def _sampled(split: Split, share: float) -> Split:
    return split if share >= 1 else split.where(held_out(split.keys["customer_id"], share, 0))


def contenders(
    profile: Profile, config: TrainConfig, origin: datetime, now: Split, families: Iterable[Family], share: float = 1.0
) -> Iterator[Contender]:
    """Every contender's forecast from one origin.

    Parameters
    ----------
    profile, config
        As for `backtest`; the horizon is the one to measure over.
    origin : datetime
        Nothing known only at or after it is learned from.
    now : Split
        Histories at the origin, with what came after it.
    families : iterable of Family
        Who competes, beside every naive forecast.
    share : float
        Of the customers, as `now` was sampled.
    """
    job = ClvJob()
    prepared: dict[str, Prepared] = {}
    for family in families:
        key = family.feature_set.name
        if key not in prepared:
            made = job.prepare(config, profile, family.feature_set, origin, evaluate=False)
            made = replace(made, splits={"train": _sampled(made.splits["train"], share)})
            if family.build.learns_from_past:
                made = job.prepare_past(config, profile, made)
                made = replace(made, past=made.past and _sampled(made.past, share))
            prepared[key] = made
        here = prepared[key]
        settings = config.model_copy(update={"model": {}}) if family.is_baseline else config
        held = replace(now, rows=here.splits["train"].rows)
        with measured() as cost:
            found = job.measure(job.learn(family, settings, here), held, settings, here)
        metrics = found.metrics | {"seconds": cost.seconds, "megabytes": cost.megabytes}
        expected = found.scores["expected_orders"].to_numpy()
        yield Contender(family.name, family.is_baseline, metrics, found.losses, expected)
    period = _last_period(profile, config, origin, now)
    orders, value = (now.outcome[name].to_numpy(dtype=np.float64) for name in ("order_days", "order_value"))
    for name, forecast in NAIVE.items():
        with measured() as cost:
            told = forecast(now, period)
        metrics = clv_metrics(orders, value, told.orders, told.value, told.probability_no_order)
        metrics |= {"seconds": cost.seconds, "megabytes": cost.megabytes}
        yield Contender(name, True, metrics, poisson_deviance(orders, told.orders), told.orders)


def _last_period(profile: Profile, config: TrainConfig, origin: datetime, now: Split) -> LastPeriod:
    length = max(min(config.horizon_days, history_days(now) // 2), 1)
    earlier = rows_before(profile, CLV, [origin - days(length)], "train")
    shorter = config.model_copy(update={"horizon_days": length})
    return LastPeriod(
        with_outcome(profile, earlier, shorter, "train", origin), float(length), float(config.horizon_days)
    )


def _means(found: Contender, now: Split) -> pd.DataFrame:
    """Sums by frequency, to be added up over the origins."""
    frequency = np.minimum(now.outcome["frequency"], MOST_FREQUENT).astype(int)
    actual = now.outcome["order_days"].to_numpy()
    frame = pd.DataFrame({"frequency": frequency, "customers": 1, "expected": found.expected, "actual": actual})
    return frame.groupby("frequency").sum().reset_index().assign(name=found.name)


def _calibration(parts: pd.DataFrame) -> pd.DataFrame:
    sums = parts.groupby(["name", "frequency"])[["customers", "expected", "actual"]].sum()
    means = sums.assign(expected=sums["expected"] / sums["customers"], actual=sums["actual"] / sums["customers"])
    return means.reset_index()
