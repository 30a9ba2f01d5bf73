"""The margin rate of a profile's orders: as set, as they had it, or as their categories have it."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import ibis.expr.types as ir

from features.profile import Profile
from features.snapshot import make_snapshot
from training.config import TrainConfig
from training.errors import CategoryMarginUnknown, ConfigInvalid

ALLOWED = "false, with margin_rate set to a share of order value, more than 0, at most 1"


def margin_of(config: TrainConfig, profile: Profile, until: datetime) -> float:
    """The margin rate that the settings ask for, as known at an instant.

    Raises
    ------
    ConfigInvalid
        If it is asked for in two ways, or the orders make no such rate.
    CategoryMarginUnknown
        If margins by category and the categories of the orders do not fit.
    """
    if config.observed_margin and config.margin_by_category:
        allowed = "left out together with observed_margin=true: one of the two says what the margin is"
        raise ConfigInvalid("margin_by_category", config.margin_by_category, allowed)
    if config.observed_margin:
        return observed_margin(profile, until)
    if not config.margin_by_category:
        return config.margin_rate
    rest = config.margin_rate if "margin_rate" in config.model_fields_set else None
    return category_margin(profile, until, config.margin_by_category, rest)


def category_margin(profile: Profile, until: datetime, margins: Mapping[str, float], rest: float | None) -> float:
    """Margin rate of what all customers ordered, by the mix of its categories.

    Parameters
    ----------
    profile : Profile
        With `orders`.
    until : datetime
        Orders count that happened before it and were known by then; returns are taken off their category.
    margins : mapping of str to float
        Margin rate by category.
    rest : float or None
        That of orders of another category, or of none; None: there must be no such orders.

    Returns
    -------
    float
        More than 0, at most 1.

    Raises
    ------
    CategoryMarginUnknown
        If a margin is given for a category that no order ever had, or none for one that orders have.
    ConfigInvalid
        If nothing was ordered net of returns.
    """
    found = _categories(profile)
    if strange := set(margins) - found:
        raise CategoryMarginUnknown("names", strange, found, "Correct the names.")
    sums = _sums_by_category(profile, until)
    lacking = {category for category in sums if category not in margins}
    if lacking and rest is None:
        names = {category or "(orders without a category)" for category in lacking}
        remedy = "Add them, or set margin_rate for the rest."
        raise CategoryMarginUnknown("has no margin for", names, found, remedy)
    values = {category: max(value, 0.0) for category, value in sums.items()}
    total = math.fsum(values.values())
    if total <= 0:
        problem = f"the orders before the cutoff have {math.fsum(sums.values()):,.2f} of net value"
        raise ConfigInvalid("margin_by_category", dict(margins), f"orders of some value to weigh it by: {problem}")
    earned = math.fsum(value * margins.get(category or "", rest or 0.0) for category, value in values.items())
    return earned / total


def _rows_known(profile: Profile, until: datetime) -> ir.Table:
    """Orders as known at an instant, with returns of negative value and margin."""
    return make_snapshot(profile.tables, [until], profile.backend.name).relation("order_rows")


def _sums_by_category(profile: Profile, until: datetime) -> dict[str | None, float]:
    """Net value of the orders known before an instant by category, null among them."""
    rows = _rows_known(profile, until)
    sums = rows.group_by("category").aggregate(value=rows.value.sum().cast("float64"))
    found: list[dict[str, Any]] = profile.backend.to_pyarrow(sums).to_pylist()
    return {row["category"]: row["value"] or 0.0 for row in found}


def _categories(profile: Profile) -> set[str]:
    """Those of all orders, whenever they were placed."""
    if not profile.has("orders", "category"):
        return set()
    levels = profile.tables["orders"].select("category").distinct()
    found: list[str | None] = profile.backend.to_pyarrow(levels).column("category").to_pylist()
    return {category for category in found if category is not None}


def observed_margin(profile: Profile, until: datetime) -> float:
    """Margin over value of all orders known before an instant, returns taken off both.

    Parameters
    ----------
    profile : Profile
        With `orders`.
    until : datetime
        Orders count that happened before it and were known by then, where their `margin_value` is known.

    Returns
    -------
    float
        More than 0, at most 1.

    Raises
    ------
    ConfigInvalid
        If the orders have no `margin_value`, or one that makes no such rate.
    """
    if not profile.has("orders", "margin_value"):
        raise ConfigInvalid("observed_margin", True, f"{ALLOWED}: orders have no margin_value")
    rows = _rows_known(profile, until)
    kept = rows.filter(rows.margin_value.notnull())
    sums = kept.aggregate(margin=kept.margin_value.sum().cast("float64"), value=kept.value.sum().cast("float64"))
    found: dict[str, Any] = profile.backend.to_pyarrow(sums).to_pylist()[0]
    margin, value = (found[name] or 0.0 for name in ("margin", "value"))
    if not 0 < margin <= value:
        problem = f"the orders before the cutoff have {margin:,.2f} of margin on {value:,.2f} of value"
        raise ConfigInvalid("observed_margin", True, f"{ALLOWED}: {problem}")
    return float(margin / value)
