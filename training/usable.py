"""Whether rows hold anything to learn from, before the first model is fitted."""

from collections.abc import Iterable

import numpy as np

from models.base import Array
from training.errors import OutcomeTooRare

LEAST_OUTCOMES = 20
"""Customers of the rarer outcome, below which a model would learn them by heart."""


def require_outcomes(customer_ids: Iterable[str], share: Array, label: str) -> None:
    """Refuse rows with too few customers of one outcome.

    Parameters
    ----------
    customer_ids : iterable of str
        One a row.
    share : ndarray of shape (n,)
        0 or 1, or a probability where the label window is cut short.
    label : str
        What 1 means.

    Raises
    ------
    OutcomeTooRare
        With fewer than 20 customers who may have either outcome.
    """
    ids = np.asarray(list(customer_ids), dtype=object)
    with_it, without = (len(set(ids[rows])) for rows in (share > 0, share < 1))
    if min(with_it, without) < LEAST_OUTCOMES:
        raise OutcomeTooRare(label, with_it, len(set(ids)), LEAST_OUTCOMES)
