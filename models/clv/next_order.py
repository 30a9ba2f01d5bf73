"""When the next order comes: days until it, with a 50 % interval, if one comes at all."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from models.base import Array

WITHIN_DAYS = 3_650.0
GRID = np.concatenate([[0.0], np.geomspace(0.25, WITHIN_DAYS, 64)])
LEVELS = {
    "days_to_next_order_low_50": 0.25,
    "days_to_next_order": 0.5,
    "days_to_next_order_high_50": 0.75,
}
"""The interval's bounds and the median, as quantiles."""
CHUNK = 131_072  # customers at a time; the hybrid scores as many


def days_to_next_order(no_order_of: Callable[[slice, float], Array], rows: int) -> dict[str, Array]:
    """Quantiles of the days to the next order, given that there is one within ten years.

    Parameters
    ----------
    no_order_of : callable
        From a range of rows and a number of days to each one's probability of no order in these days.
    rows : int
        How many there are.

    Returns
    -------
    dict of str to ndarray of shape (n,)
        By the names of `LEVELS`, in days, 0 to 3650; 3650 for those from whom no order will come.
    """
    starts = range(0, rows, CHUNK)
    parts = [_quantiles(no_order_of, slice(start, min(start + CHUNK, rows))) for start in starts]
    whole = np.concatenate(parts, axis=1) if parts else np.empty((len(LEVELS), 0))
    return dict(zip(LEVELS, whole, strict=True))


def _quantiles(no_order_of: Callable[[slice, float], Array], rows: slice) -> Array:
    """Walk along the grid and interpolate in the step in which each quantile is passed."""
    levels = np.array(list(LEVELS.values()))[:, None]
    ever = 1 - no_order_of(rows, WITHIN_DAYS)
    found = np.full((len(levels), len(ever)), WITHIN_DAYS)
    sought = np.maximum(levels * ever, 0.0)
    is_open = np.broadcast_to(ever > 0, found.shape).copy()
    before = np.zeros(len(ever))
    for start, end in pairwise(GRID.tolist()):
        by_then = 1 - no_order_of(rows, end)
        passed = is_open & (by_then >= sought)
        share = (sought - before) / np.maximum(by_then - before, 1e-300)
        found = np.where(passed, start + (end - start) * np.clip(share, 0.0, 1.0), found)
        is_open &= ~passed
        before = by_then
    return found
