"""Where the rows of orders go at a prediction time: used, too late, or known too late."""

from datetime import datetime
from typing import Any

import ibis.expr.types as ir

from features.instants import to_us
from features.profile import Profile
from features.snapshot import MICROSECONDS


def count_orders(profile: Profile, at: datetime) -> dict[str, int]:
    """Account for every row of `orders`.

    Parameters
    ----------
    profile : Profile
        Any.
    at : datetime
        Prediction time.

    Returns
    -------
    dict of str to int
        ``rows = used + after_prediction_time + known_later``; empty without orders. A row dated at the prediction time
        or later counts as after it, whenever it was known.
    """
    if not profile.has("orders"):
        return {}
    orders, limit = profile.tables["orders"], to_us(at)
    micros = MICROSECONDS[profile.backend.name]
    before = orders.filter(micros(orders.event_time) < limit)
    rows, early = _count(profile, orders), _count(profile, before)
    unknown = 0
    if "ingested_at" in orders.columns:
        unknown = _count(profile, before.filter((micros(before.ingested_at) > limit).fill_null(False)))
    return {"rows": rows, "used": early - unknown, "after_prediction_time": rows - early, "known_later": unknown}


def _count(profile: Profile, rows: ir.Table) -> int:
    """Number of rows, without bringing one here."""
    engine: Any = profile.backend
    return int(engine.frame(rows).count() if engine.name == "pyspark" else engine.to_pyarrow(rows.count()).as_py())
