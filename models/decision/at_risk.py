"""Value at risk: what is lost if customers leave, of each, of segments and of all."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from models.base import Array
from models.clv.equity import COST, Equity, customer_equity
from models.clv.intervals import LEVELS

COLUMNS = ("value_at_risk", *(f"value_at_risk_{level}" for level in LEVELS))
VALUES = ("clv", *(f"clv_{level}" for level in LEVELS))
"""Score columns that a customer's own is made of, beside the probability."""
SOURCES = ("probability_churned", "clv", "clv_standard_deviation")
"""Score columns that totals are made of."""


def value_at_risk(probability: Array, clv: Mapping[str, Array]) -> dict[str, Array]:
    """What customers put at risk: probability of leaving times value.

    Parameters
    ----------
    probability : ndarray of shape (n,)
        Of leaving.
    clv : mapping of str to ndarray of shape (n,)
        `VALUES`: the expected value and its predictive bounds.

    Returns
    -------
    dict of str to ndarray of shape (n,)
        `COLUMNS`: the product with the expected value, and with each bound. The interval is of what is at stake; that
        the customer either leaves or stays is in the probability.
    """
    return {name: np.asarray(probability * clv[value]) for name, value in zip(COLUMNS, VALUES, strict=True)}


def total_at_risk(batches: Iterable[pd.DataFrame], errors: Sequence[float]) -> list[Equity]:
    """Value at risk of all customers together, then of each segment, the largest first, with intervals.

    A customer's loss is B V: B is 1 if the customer leaves, with probability p; V, the value, has mean v and standard
    deviation s, whoever leaves. Its mean is p v and its variance ``p s^2 + p (1 - p) v^2``. Customers are independent;
    beyond that the level of all values may be wrong together, as `models.clv.equity.Equity.of` says.

    Parameters
    ----------
    batches : iterable of pandas.DataFrame
        The scores in parts, one row a customer: `SOURCES`, and `segment` where there are segments.
    errors : sequence of float
        See `models.clv.equity.level_reach`.

    Returns
    -------
    list of Equity
        Empty where the scores lack a column.
    """
    return customer_equity((_losses(batch) for batch in batches), errors)


def _losses(rows: pd.DataFrame) -> pd.DataFrame:
    """Losses in the columns in which `customer_equity` looks for values."""
    if not set(SOURCES) <= set(rows.columns):
        return rows[[]]
    p, value, deviation = (rows[name].to_numpy(dtype=np.float64) for name in SOURCES)
    losses = {"clv": p * value, "clv_standard_deviation": np.sqrt(p * deviation**2 + p * (1 - p) * value**2)}
    kept = rows[["segment"]] if "segment" in rows else rows[[]]
    if COST in rows:
        losses[COST] = p * rows[COST].to_numpy(dtype=np.float64)
    return kept.assign(**losses)
