"""What every churn classifier checks of its target."""

import numpy as np

from models.base import Array
from models.errors import OneClassOnly, TooFewRows, WrongValues

MINIMUM_ROWS = 20


def check_target(target: Array | None, label: str = "churned") -> Array:
    """Refuse a target from which nothing can be learned.

    Parameters
    ----------
    target : ndarray of shape (n,)
        Probability in [0, 1] that each row churned: 0 or 1 where it is known.
    label : str
        What to call it.

    Raises
    ------
    TooFewRows
        With fewer than 20 rows.
    WrongValues
        If one is not a probability.
    OneClassOnly
        If every row has the same outcome.
    """
    if target is None or len(target) < MINIMUM_ROWS:
        rows = 0 if target is None else len(target)
        raise TooFewRows("training rows", rows, MINIMUM_ROWS, "Give a profile with more customers or a longer history.")
    wrong = ~((target >= 0) & (target <= 1))
    if wrong.any():
        raise WrongValues(label, int(wrong.sum()), float(target[wrong][0]), "probabilities from 0 to 1")
    if np.all(target == target[0]):
        raise OneClassOnly(label, len(target), float(np.mean(target)))
    return target
