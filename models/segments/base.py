"""What segment models share: the scale on which customers are alike."""

import numpy as np
import pandas as pd

from models.base import Array, column
from models.errors import WrongValues

SINCE, REPEATS, VALUE = "days_since_last_order", "frequency", "order_value_mean"
RFM = (SINCE, REPEATS, VALUE)


def known(rows: pd.DataFrame, name: str) -> Array:
    """A column without missing values.

    Raises
    ------
    WrongValues
        If one is missing: only customers with an order have a segment.
    """
    values = column(rows, name)
    missing = np.isnan(values)
    if missing.any():
        raise WrongValues(name, int(missing.sum()), None, "numbers; only customers with an order have a segment")
    return values


def log_rfm(rows: pd.DataFrame) -> Array:
    """Days since the last order, repeat order days and mean order value on the log scale, shape (n_rows, 3)."""
    return np.column_stack([np.log1p(np.maximum(known(rows, name), 0.0)) for name in RFM])


def squared_distances(points: Array, centers: Array) -> Array:
    """Squared distance of each point to each centre, shape (n_points, n_centers).

    Coordinate by coordinate: a matrix product may round a lone row differently from the same row among others.
    """
    total = np.zeros((len(points), len(centers)))
    for axis in range(points.shape[1]):
        total += (points[:, [axis]] - centers[:, axis]) ** 2
    return total


def deviations(points: Array, center: Array, scale: Array) -> pd.DataFrame:
    """How far each row stands from the average customer, in standard deviations of the log scale."""
    return pd.DataFrame((points - center) / scale, columns=list(RFM))
