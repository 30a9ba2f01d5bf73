"""Whether rows hold anything to learn from, before the first model is fitted."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from models.base import Array
from models.churn.target import check_target
from training.errors import ColumnUnusable, OutcomeTooRare, TooRareToMeasure

LEAST_OUTCOMES = 20
"""Customers of the rarer outcome, below which a model would learn them by heart."""
LEAST_MEASURED = 5
"""Customers of the rarer outcome, below which no interval of a figure holds."""
MOST_LEVELS = 1_000
"""Names of which a column of text may hold so many: more of them are of a few customers each."""


def require_columns(rows: pd.DataFrame) -> None:
    """Refuse columns that can teach nothing.

    Parameters
    ----------
    rows : pandas.DataFrame
        As models take them.

    Raises
    ------
    ColumnUnusable
        If one is empty in every row, or holds over 1,000 different texts.
    """
    for name in rows.columns:
        if rows[name].isna().all():
            raise ColumnUnusable(str(name), f"no value in any of {len(rows):,} rows", "a value in some rows")
        levels = rows[name].nunique() if rows[name].dtype == object else 0
        if levels > MOST_LEVELS:
            found = f"{levels:,} different texts in {len(rows):,} rows"
            raise ColumnUnusable(str(name), found, f"at most {MOST_LEVELS:,}: group them")


def require_outcomes(rows: Iterable[tuple[pd.Series, Array]], label: str) -> None:
    """Refuse rows with too few customers of one outcome.

    Parameters
    ----------
    rows : iterable of (Series, ndarray)
        Customer ids and their outcome: 0 or 1, or a probability where the label window is cut short.
    label : str
        What 1 means.

    Raises
    ------
    TooFewRows, OneClassOnly
        With fewer than 20 rows, or with one outcome.
    OutcomeTooRare
        With fewer than 20 customers of either outcome.
    """
    parts = [(ids.to_numpy(), share) for ids, share in rows]
    ids, share = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    check_target(share, label)
    having, without = len(set(ids[share > 0])), len(set(ids[share < 1]))
    if min(having, without) < LEAST_OUTCOMES:
        raise OutcomeTooRare(label, having, len(set(ids)), LEAST_OUTCOMES)


def require_measurable(split: str, answers: Array, label: str) -> None:
    """Refuse rows to evaluate on of which nearly all have one outcome.

    Parameters
    ----------
    split : str
        What the rows are called.
    answers : ndarray of shape (n,)
        1 where the outcome came, 0 where it did not; a row a customer.
    label : str
        What 1 means.

    Raises
    ------
    TooRareToMeasure
        With fewer than 5 customers of either outcome.
    """
    happened = int((answers > 0).sum())
    if min(happened, len(answers) - happened) < LEAST_MEASURED:
        raise TooRareToMeasure(split, label, happened, len(answers), LEAST_MEASURED)
