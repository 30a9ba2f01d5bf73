"""Predicting every row by models that learned from other customers: deals into folds, and what the folds predict."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, Model
from models.families import RANKED
from training.config import TrainConfig
from training.splits import Split, held_out
from training.task import Prepared, TaskJob

Folds = npt.NDArray[np.int64]


def folds_of(rows: Split, config: TrainConfig, outcome: str = "churned") -> Folds:
    """Deal customers into folds: as many of each outcome in every fold, and equal rows together.

    Parameters
    ----------
    rows : Split
        One row a customer.
    config : TrainConfig
        `folds` and `random_state`.
    outcome : str
        The column of the answer.
    """
    alike = pd.factorize(rows.people)[0]
    first = np.unique(alike, return_index=True)[1]
    answer = rows.outcome[outcome].to_numpy()[first]
    order = np.random.default_rng(config.random_state).permutation(len(first))
    order = order[np.argsort(answer[order], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % config.folds
    return np.asarray(fold[alike], dtype=np.int64)


def parts_of(rows: Split, config: TrainConfig) -> dict[str, Split]:
    """Some customers to learn from and others to stop and calibrate on."""
    out = held_out(rows.people, config.validation_share, config.random_state)
    parts = {"train": rows.where(~out), "validation": rows.where(out)}
    return {name: Split(name, part.keys, part.rows, part.outcome, part.window) for name, part in parts.items()}


def out_of_fold(
    job: TaskJob, rows: Split, fold: Folds, config: TrainConfig, prepared: Prepared, learn: Callable[[Prepared], Model]
) -> pd.DataFrame:
    """Predict every fold by a model that learned from the others.

    Parameters
    ----------
    job : TaskJob
        Of a classifier.
    rows : Split
        What is predicted.
    fold : ndarray of shape (n,)
        See `folds_of`.
    config : TrainConfig
        Says how many customers each model stops and calibrates on.
    prepared : Prepared
        What the rows are of.
    learn : callable
        Fits a model to the `train` and `validation` rows that it is given.

    Returns
    -------
    pandas.DataFrame
        The probability of each row.
    """
    found: Array = np.zeros(len(rows.rows))
    for number in np.unique(fold):
        here = fold == number
        model = learn(replace(prepared, splits=parts_of(rows.where(~here), config)))
        found[here] = model.score(rows.where(here).rows)[RANKED[job.task]].to_numpy()
    return pd.DataFrame({RANKED[job.task]: found})
