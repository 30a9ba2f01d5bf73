"""What drives a model over all customers, and in which direction."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from models.base import Model

MOST_ROWS = 2_000
"""Rows explained: the mean of more is the same, and explaining takes its time."""
LEAST_ASSOCIATION = 0.3
COLUMNS = ("factor", "contribution", "share", "association", "direction")


def global_factors(model: Model, rows: pd.DataFrame) -> pd.DataFrame:
    """Mean size of each factor's contribution, and how it goes with the factor's value.

    Parameters
    ----------
    model : Model
        Fitted; explains in the columns that it takes.
    rows : pandas.DataFrame
        What it is asked of.

    Returns
    -------
    pandas.DataFrame
        The most important first: `factor`; `contribution`, the mean absolute one; its `share` of all; `association`,
        Spearman's rank correlation of value and contribution, null for names; and `direction` in words. Association
        among customers, not what a change would cause.
    """
    sample = rows.iloc[:: max(-(-len(rows) // MOST_ROWS), 1)].reset_index(drop=True)
    shares = model.explain(sample)
    size = shares.abs().mean()
    total = max(float(size.sum()), 1e-12)
    found = []
    for name in size.sort_values(ascending=False, kind="stable").index:
        association, direction = _direction(sample[name], shares[name])
        found.append((str(name), float(size[name]), float(size[name]) / total, association, direction))
    return pd.DataFrame(found, columns=list(COLUMNS))


def _direction(values: pd.Series, shares: pd.Series) -> tuple[float, str]:
    known = values.notna().to_numpy()
    if values.dtype == object:
        if not known.any():
            return float("nan"), "none"
        means = shares[known].groupby(values[known].astype(str)).mean()
        return float("nan"), f"highest for {means.idxmax()!s}, lowest for {means.idxmin()!s}"
    numbers, parts = values[known].to_numpy(dtype=np.float64), shares[known].to_numpy()
    if len(numbers) < 3 or np.ptp(numbers) == 0 or np.ptp(parts) == 0:
        return float("nan"), "none"
    association = float(spearmanr(numbers, parts).statistic)
    if abs(association) < LEAST_ASSOCIATION:
        return association, "mixed"
    return association, "more of it raises the probability" if association > 0 else "more of it lowers the probability"
