"""The margin rate of a profile's orders: as set, as they had it, or as their categories have it."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from features.categories import NO_CATEGORY, categories, order_rows, value_by_category
from features.profile import Profile
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
        That of orders of another category, or of none; None: there must be no such orders, not even later than
        `until`: a model is fitted once more to everything known.

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
    every = categories(profile)
    found = {category for category in every if category is not None}
    if strange := set(margins) - found:
        raise CategoryMarginUnknown("names", strange, found, "Correct the names.")
    lacking = {NO_CATEGORY if category is None else category for category in every if category not in margins}
    if lacking and rest is None:
        remedy = "Add them, or set margin_rate for the rest."
        raise CategoryMarginUnknown("has no margin for", lacking, found, remedy)
    sums = value_by_category(profile, until)
    values = {category: max(value, 0.0) for category, value in sums.items()}
    total = math.fsum(values.values())
    if total <= 0:
        problem = f"the orders before the cutoff have {math.fsum(sums.values()):,.2f} of net value"
        raise ConfigInvalid("margin_by_category", dict(margins), f"orders of some value to weigh it by: {problem}")
    earned = math.fsum(value * margins.get(category or "", rest or 0.0) for category, value in values.items())
    return earned / total


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
    rows = order_rows(profile, until)
    kept = rows.filter(rows.margin_value.notnull())
    sums = kept.aggregate(margin=kept.margin_value.sum().cast("float64"), value=kept.value.sum().cast("float64"))
    found: dict[str, Any] = profile.backend.to_pyarrow(sums).to_pylist()[0]
    margin, value = (found[name] or 0.0 for name in ("margin", "value"))
    if not 0 < margin <= value:
        problem = f"the orders before the cutoff have {margin:,.2f} of margin on {value:,.2f} of value"
        raise ConfigInvalid("observed_margin", True, f"{ALLOWED}: {problem}")
    return float(margin / value)
