"""Where the rows of orders go at a prediction time: used, too late, or known too late."""

from datetime import datetime
from typing import Any

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
    later = micros(orders.event_time) >= limit
    measures = {"rows": orders.count(), "after_prediction_time": orders.count(where=later)}
    if "ingested_at" in orders.columns:
        unknown = (micros(orders.ingested_at) > limit).fill_null(False)
        measures["known_later"] = orders.count(where=~later & unknown)
    found: dict[str, Any] = profile.backend.to_pyarrow(orders.aggregate(**measures)).to_pylist()[0]
    late, unknown_rows = int(found["after_prediction_time"]), int(found.get("known_later", 0))
    used = int(found["rows"]) - late - unknown_rows
    return {"rows": int(found["rows"]), "used": used, "after_prediction_time": late, "known_later": unknown_rows}
