"""How much a customer's own facts say: one scale for every task, because a score alone does not tell."""

import numpy as np
import pandas as pd

from models.base import Array, column

LEVELS = ("low", "medium", "high")
MUCH_EVIDENCE, SOME_EVIDENCE = 4, 1
"""Repeat order days from which a customer's own history says much, or something."""
MUCH_KNOWN, SOME_KNOWN = 0.9, 0.5
"""The same of the share of a model's columns that have a value, where the model knows no order days."""
HISTORY = "frequency"


def by_order_days(repeats: Array) -> "pd.Series[str]":
    """Low without a repeat order day, high from four."""
    return _levels(repeats, SOME_EVIDENCE, MUCH_EVIDENCE)


def evidence(rows: pd.DataFrame) -> "pd.Series[str]":
    """How much is known of each customer.

    Parameters
    ----------
    rows : pandas.DataFrame, shape (n_rows, n_features)
        A model's features.

    Returns
    -------
    pandas.Series
        By repeat order days, where the model knows them: low without one, medium from one, high from four.
        Otherwise, as of a flat table, by the share of its columns that have a value: medium from 50 %, high from 90 %.

    Examples
    --------
    >>> evidence(pd.DataFrame({"frequency": [np.nan, 0.0, 3.0, 4.0]})).tolist()
    ['low', 'low', 'medium', 'high']
    """
    if HISTORY in rows.columns:
        return by_order_days(np.nan_to_num(column(rows, HISTORY)))
    return _levels(rows.notna().mean(axis=1).to_numpy(), SOME_KNOWN, MUCH_KNOWN)


def evidence_rule(has_history: bool) -> str:
    """The rule in words, for whoever reads the levels."""
    if has_history:
        return f"repeat order days: medium from {SOME_EVIDENCE}, high from {MUCH_EVIDENCE}"
    return f"share of the model's columns with a value: medium from {SOME_KNOWN:.0%}, high from {MUCH_KNOWN:.0%}"


def _levels(values: Array, some: float, much: float) -> "pd.Series[str]":
    return pd.Series([LEVELS[place] for place in np.digitize(values, [some, much])], dtype="str")
