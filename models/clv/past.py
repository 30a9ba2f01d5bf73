"""What customers did after earlier prediction times: what a lifetime value model may learn from besides histories."""

from dataclasses import dataclass

import pandas as pd

from models.base import Array


@dataclass(frozen=True)
class Past:
    """Rows at prediction times before the cutoff, each with what followed in a window that ended by the cutoff.

    Parameters
    ----------
    rows : pandas.DataFrame, shape (n_rows, n_features)
        Features as known at each prediction time; a customer has a row at each.
    window_days : float
        Length of the window after each prediction time.
    order_days, order_value : ndarray of shape (n_rows,)
        Days with an order in the window, and their value.
    """

    rows: pd.DataFrame
    window_days: float
    order_days: Array
    order_value: Array
