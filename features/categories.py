"""The categories of a profile's orders, and what was ordered of each."""

from datetime import datetime
from typing import Any

import ibis.expr.types as ir

from features.profile import Profile
from features.snapshot import make_snapshot

NO_CATEGORY = "(orders without a category)"


def order_rows(profile: Profile, until: datetime) -> ir.Table:
    """Orders as known at an instant, with returns of negative value and margin."""
    return make_snapshot(profile.tables, [until], profile.backend.name).relation("order_rows")


def value_by_category(profile: Profile, until: datetime) -> dict[str | None, float]:
    """Net value of the orders known before an instant by category, null among them."""
    rows = order_rows(profile, until)
    sums = rows.group_by("category").aggregate(value=rows.value.sum().cast("float64"))
    found: list[dict[str, Any]] = profile.backend.to_pyarrow(sums).to_pylist()
    return {row["category"]: row["value"] or 0.0 for row in found}


def categories(profile: Profile) -> set[str | None]:
    """Those of all orders, whenever they were placed; null among them where an order has none."""
    if not profile.has("orders", "category"):
        return {None}
    levels = profile.tables["orders"].select("category").distinct()
    return set(profile.backend.to_pyarrow(levels).column("category").to_pylist())
