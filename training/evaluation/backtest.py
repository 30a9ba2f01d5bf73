"""The rolling-origin backtest: every family and every naive forecast, at several earlier cutoffs, on the same rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from features.catalogue import CLV
from features.instants import days, write_instant
from features.profile import Profile
from models.base import Array
from models.families import Family, families_of
from training.clv import ClvJob
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.evaluation.cost import measured
from training.evaluation.metrics import clv_metrics, poisson_deviance
from training.evaluation.naive import NAIVE, LastPeriod
from training.evaluation.standings import Backtest
from training.rows.past import history_days, rows_before, with_outcome
from training.rows.splits import Split, held_out
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
        See `training.evaluation.metrics.clv_metrics`; coverages where there are intervals; `seconds` and `megabytes`.
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
    history = history_days(everyone.rows)
    starts, window = origins(history, config.horizon_days, cutoff, count)
    if not starts:
        raise _nothing(cutoff)
    settings = config.model_copy(update={"horizon_days": window, "gap_days": 0})
    share = min((most_customers or len(everyone.rows)) / len(everyone.rows), 1.0)
    table, losses, calibration, ids, splits = [], dict[str, list[Array]](), [], [], []
    for i, (now, period) in enumerate(starting_points(profile, settings, starts, cutoff - days(history), share)):
        origin = origin_of(now)
        progress(f"backtest from {write_instant(origin)}, {i + 1} of {len(starts)}")
        for found in contenders(profile, settings, now, period, chosen, share):
            facts = {"name": found.name, "is_naive": found.is_naive, "origin": origin, "horizon_days": window}
            table.append(facts | {"customers": len(now.rows)} | found.metrics)
            losses.setdefault(found.name, []).append(found.losses)
            calibration.append(sums_by_frequency(found.expected, now).assign(name=found.name))
        ids.append(now.keys["customer_id"])
        splits.append(now.log())
    if not table:
        raise _nothing(cutoff)
    return Backtest(
        pd.DataFrame(table),
        {name: np.concatenate(parts) for name, parts in losses.items()},
        pd.factorize(pd.concat(ids))[0],
        _calibration(pd.concat(calibration)),
        splits,
    )


def _nothing(cutoff: datetime) -> NothingToTrain:
    return NothingToTrain(
        "no origin to backtest from",
        f"before {write_instant(cutoff)} the history is too short, or nobody had come back",
        "Wait for a longer history.",
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


def starting_points(
    profile: Profile, config: TrainConfig, starts: Sequence[datetime], first: datetime, share: float = 1.0
) -> Iterator[tuple[Split, LastPeriod]]:
    """Who is forecast from each origin with what they did in the horizon, and the last period before it.

    Origins before which nobody had come back are left out. All histories are read in one pass.

    Parameters
    ----------
    profile, config
        As for `backtest`; the horizon is the one to measure over.
    starts : sequence of datetime
        The origins.
    first : datetime
        When the first order of all was placed.
    share : float
        Of the customers to take, by a hash of their id.
    """
    lengths = {start: max(min(config.horizon_days, (start - first).days // 2), 1) for start in starts}
    times = [*starts, *(start - days(length) for start, length in lengths.items())]
    try:
        known = rows_before(profile, CLV, sorted(set(times)), "validation")
    except NothingToTrain:
        return
    for start, length in lengths.items():
        now, then = (_at(known, time) for time in (start, start - days(length)))
        now = _sampled(now, share)
        if not len(then.rows) or not (now.rows["frequency"] > 0).any():
            continue
        shorter = config.model_copy(update={"horizon_days": length})
        yield (
            with_outcome(profile, now, config, "validation", start + days(config.horizon_days)),
            LastPeriod(with_outcome(profile, then, shorter, "train", start), float(length), float(config.horizon_days)),
        )


def _at(split: Split, time: datetime) -> Split:
    return split.where((split.keys["prediction_time"] == time).to_numpy())


def _sampled(split: Split, share: float) -> Split:
    return split if share >= 1 else split.where(held_out(split.keys["customer_id"], share, 0))


def origin_of(split: Split) -> datetime:
    """The one prediction time of its rows."""
    time: datetime = split.keys["prediction_time"].iloc[0].to_pydatetime()
    return time


def contenders(
    profile: Profile,
    config: TrainConfig,
    now: Split,
    period: LastPeriod,
    families: Iterable[Family],
    share: float = 1.0,
) -> Iterator[Contender]:
    """Every contender's forecast from one origin.

    Parameters
    ----------
    profile, config, share
        As for `starting_points`.
    now, period
        One of the starting points.
    families : iterable of Family
        Who competes, beside every naive forecast.
    """
    job, origin = ClvJob(), origin_of(now)
    prepared = {CLV.name: Prepared(origin, CLV, {}, {"train": now}, "")}
    for family in families:
        key = family.feature_set.name
        if key not in prepared:
            made = job.prepare(config, profile, family.feature_set, origin, evaluate=False)
            prepared[key] = replace(made, splits={"train": _sampled(made.splits["train"], share)})
        if prepared[key].past is None and family.build.learns_from_past:
            made = job.prepare_past(config, profile, prepared[key])
            prepared[key] = replace(made, past=made.past and _sampled(made.past, share))
        here = prepared[key]
        settings = config.model_copy(update={"model": {}}) if family.is_baseline else config
        held = replace(now, rows=here.splits["train"].rows)
        with measured() as cost:
            found = job.measure(job.learn(family, settings, here), held, settings, here)
        metrics = found.metrics | {"seconds": cost.seconds, "megabytes": cost.megabytes}
        expected = found.scores["expected_orders"].to_numpy()
        yield Contender(family.name, family.is_baseline, metrics, found.losses, expected)
    orders, value = (now.outcome[name].to_numpy(dtype=np.float64) for name in ("order_days", "order_value"))
    for name, forecast in NAIVE.items():
        with measured() as cost:
            told = forecast(now, period)
        metrics = clv_metrics(orders, value, told.orders, told.value, told.probability_no_order)
        metrics |= {"seconds": cost.seconds, "megabytes": cost.megabytes}
        yield Contender(name, True, metrics, poisson_deviance(orders, told.orders), told.orders)


def sums_by_frequency(expected: Array, now: Split) -> pd.DataFrame:
    """Customers and their expected and actual order days, summed by repeat order days before, up to `MOST_FREQUENT`.

    Parameters
    ----------
    expected : ndarray of shape (n,)
        Order days of each customer.
    now : Split
        Who they are, with what came.
    """
    frequency = np.minimum(now.outcome["frequency"], MOST_FREQUENT).astype(int)
    actual = now.outcome["order_days"].to_numpy()
    frame = pd.DataFrame({"frequency": frequency, "customers": 1, "expected": expected, "actual": actual})
    return frame.groupby("frequency").sum().reset_index()


def _calibration(parts: pd.DataFrame) -> pd.DataFrame:
    sums = parts.groupby(["name", "frequency"])[["customers", "expected", "actual"]].sum()
    means = sums.assign(expected=sums["expected"] / sums["customers"], actual=sums["actual"] / sums["customers"])
    return means.reset_index()
