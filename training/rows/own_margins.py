"""How far customers differ in the margin rate of their orders, and the rate that each one therefore has."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.engine.builder import build_features
from features.instants import days
from features.margins import CategoryMargins
from features.profile import Profile
from features.snapshot import Snapshot, make_snapshot
from features.spec import FeatureSet
from models.clv.decomposition import TINY
from models.clv.margins import RATE, Margins
from training.config import TrainConfig
from training.rows.keyed import keyed_frame
from training.rows.splits import Split
from training.task import Prepared

DIGITS = 6
"""Significant digits of k that are kept: sums of floats differ in the last bits from run to run."""
ALIKE = 1e-6
"""Customers whose rates vary by less than this share of everyone's are alike."""
ONE_RATE = "low evidence: customers do not differ in the margin of their orders as far as is known: all have one rate"

NO_BETTER = (
    "low evidence: customers' own margin rates told what their orders earned in the holdout no better than everyone's "
    "(root mean squared error {:.4f}, everyone's {:.4f})"
)


def learn_margins(config: TrainConfig, profile: Profile, until: datetime, rate: float) -> Margins | None:
    """Learn how customers differ in what of their orders is margin; None where one rate was set for all.

    Parameters
    ----------
    config, profile
        What was asked for, as `training.rows.margin.margin_of` accepted it, and of what.
    until : datetime
        Orders count that happened before it and were known by then.
    rate : float
        Everyone's margin rate.
    """
    if config.observed_margin:
        categories = None
    elif config.margin_by_category:
        rest = config.margin_rate if "margin_rate" in config.model_fields_set else None
        categories = CategoryMargins(config.margin_by_category, rest)
    else:
        return None
    snapshot = make_snapshot(profile.tables, [until], profile.backend.name)
    return Margins(rate, _credence(_sums(profile, _amounts(snapshot, categories))), categories)


def _amounts(snapshot: Snapshot, categories: CategoryMargins | None) -> ir.Table:
    """Value and margin of each order placed, of those of known margin that are worth something."""
    orders = snapshot.relation("orders")
    if categories is None:
        rate = orders.margin_value.cast("float64") / orders.value.cast("float64").nullif(0)
    else:
        rate = orders.category.cases(*sorted(categories.margins.items()), else_=categories.rest).cast("float64")
    rated = orders.select("customer_id", value=orders.value.cast("float64"), rate=rate)
    return rated.filter(rated.value > 0, rated.rate.notnull())  # noqa: PD004 - Ibis


def _sums(profile: Profile, amounts: ir.Table) -> dict[str, float]:
    """What Buehlmann and Straub's estimators need of all customers, summed where the orders are."""
    of_each = amounts.group_by("customer_id").aggregate(
        orders=amounts.count(),
        value=amounts.value.sum(),
        margin=(amounts.value * amounts.rate).sum(),
        squares=(amounts.value * amounts.rate**2).sum(),
    )
    explained = of_each.margin**2 / of_each.value
    sums = of_each.aggregate(
        customers=of_each.count(),
        repeats=(of_each.orders - 1).sum(),
        value=of_each.value.sum(),
        margin=of_each.margin.sum(),
        explained=explained.sum(),
        unexplained=(of_each.squares - explained).sum(),
        square_value=(of_each.value**2).sum(),
    )
    row: dict[str, Any] = profile.backend.to_pyarrow(sums).to_pylist()[0]
    return {name: float(found or 0.0) for name, found in row.items()}


def _credence(sums: dict[str, float]) -> float | None:
    """The k of `models.clv.margins`: the variance within customers over that between them; None where there is none.

    With value w and rate X of orders j of customers i, as by Buehlmann and Straub (1970)::

        within  = sum_ij w_ij (X_ij - X_i)^2 / sum_i (n_i - 1)
        between = (sum_i w_i (X_i - X)^2 - (I - 1) within) / (w - sum_i w_i^2 / w)
    """
    if sums["repeats"] <= 0:
        return None
    value, mean = sums["value"], sums["margin"] / sums["value"]
    within = max(sums["unexplained"], 0.0) / sums["repeats"]
    spread = sums["explained"] - sums["margin"] * mean - (sums["customers"] - 1) * within
    room = value - sums["square_value"] / value
    between = spread / room if room > ALIKE * value else 0.0
    if between <= (ALIKE * mean) ** 2:
        return None
    return float(f"{within / between:.{DIGITS}g}")


def with_margins(prepared: Prepared, profile: Profile, margins: Margins | None, config: TrainConfig) -> Prepared:
    """Give customers at the cutoff margin rates of their own, in the outcome of their rows.

    Parameters
    ----------
    prepared : Prepared
        Of lifetime value; with a holdout, these rates are measured on what its orders earned.
    profile : Profile
        What it was prepared from.
    margins : Margins or None
        As learned; None leaves it as it is.
    config : TrainConfig
        Settings.
    """
    if margins is None:
        return prepared
    found = _amounts_at(profile, margins, prepared.cutoff)
    rates = pd.Series(margins.rates(found), found.index)
    splits = {
        name: replace(split, outcome=split.outcome.assign(**{RATE: rates.loc[split.keys["customer_id"]].to_numpy()}))
        for name, split in prepared.splits.items()
    }
    told = [ONE_RATE] if margins.credence is None else []
    metrics: dict[str, float] = {}
    if "holdout" in splits:
        metrics = _measured(profile, margins, splits["holdout"], prepared.cutoff, config)
        own, everyones = (metrics.get(f"{whose}/margin_rmse", 0.0) for whose in ("holdout", "baseline"))
        if own > everyones:
            told.append(NO_BETTER.format(own, everyones))
    warnings = (*prepared.warnings, *told)
    return replace(prepared, splits=splits, margins=margins, margin_metrics=metrics, warnings=warnings)


def _amounts_at(profile: Profile, margins: Margins, time: datetime) -> pd.DataFrame:
    """What a margin rate is told from, by customer, as known at an instant."""
    wanted = FeatureSet("margins", 1, margins.features)
    keys, rows = keyed_frame(build_features(profile, wanted, [time]), wanted)
    return rows.set_index(pd.Index(keys["customer_id"]))


def _measured(
    profile: Profile, margins: Margins, holdout: Split, cutoff: datetime, config: TrainConfig
) -> dict[str, float]:
    """Error of the rates of customers who bought in the holdout, each by the value bought; and of everyone's rate."""
    start = cutoff + days(config.gap_days)
    before, after = (_amounts_at(profile, margins, time) for time in (start, start + days(config.horizon_days)))
    ids = holdout.keys["customer_id"]
    bought, earned = (
        (after[name].reindex(ids).fillna(0.0) - before[name].reindex(ids).fillna(0.0)).to_numpy()
        for name in margins.columns
    )
    came = bought > 0
    if not came.any():
        return {}
    weight, actual = bought[came], earned[came] / bought[came]
    metrics = {"holdout/margin_customers": float(came.sum())}
    everyones = np.full(len(ids), margins.rate)
    for whose, rates in (("holdout", holdout.outcome[RATE].to_numpy()), ("baseline", everyones)):
        metrics[f"{whose}/margin_rmse"] = float(np.sqrt(np.average((rates[came] - actual) ** 2, weights=weight)))
        metrics[f"{whose}/bias_total_margin"] = float((weight @ rates[came]) / max(weight @ actual, TINY) - 1)
    return metrics
