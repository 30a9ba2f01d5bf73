"""Dealing customers into folds."""

import numpy as np
import numpy.typing as npt

from models.base import Array

Folds = npt.NDArray[np.int64]


def deal(people: npt.NDArray[np.int64], outcome: Array, folds: int, random_state: int) -> Folds:
    """Deal customers into folds, as many of each outcome in every fold.

    Parameters
    ----------
    people : ndarray of shape (n,)
        Whose each row is, numbered from 0; a customer's rows are dealt together.
    outcome : ndarray of shape (n,)
        Of each row; a customer is dealt by that of the first.
    folds : int
        How many.
    random_state : int
        Another number deals otherwise.

    Returns
    -------
    ndarray of shape (n,)
        Each row's fold, from 0; with fewer customers than folds some are empty.
    """
    answer = outcome[np.unique(people, return_index=True)[1]]
    order = np.random.default_rng(random_state).permutation(len(answer))
    order = order[np.argsort(answer[order], kind="stable")]
    fold = np.empty(len(answer), dtype=np.int64)
    fold[order] = np.arange(len(answer)) % folds
    return np.asarray(fold[people], dtype=np.int64)
