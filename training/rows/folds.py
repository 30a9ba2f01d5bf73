"""Predicting every row by models that learned from other customers: deals into folds, and what the folds predict."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from models.base import Array, Model
from models.families import RANKED
from models.folds import Folds, deal
from training.config import TrainConfig
from training.evaluation.metrics import Z_90
from training.rows.splits import Split
from training.task import Measured, Prepared, TaskJob

FEW_CUSTOMERS, DEALS = 2_000, 5
"""Below so many customers folds are dealt so many times."""


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
    people = pd.factorize(rows.people)[0].astype(np.int64)
    return deal(people, rows.outcome[outcome].to_numpy(dtype=np.float64), config.folds, config.random_state)


def deals_of(rows: Split, config: TrainConfig) -> list[TrainConfig]:
    """The settings of every deal into folds: several of few customers, whose figures would else hang on one of them.

    A search of settings in every fold has one deal only, since its time is shared out.
    """
    several = len(set(rows.people)) < FEW_CUSTOMERS and not config.search_minutes
    seeds = range(config.random_state, config.random_state + (DEALS if several else 1))
    return [config.model_copy(update={"random_state": seed}) for seed in seeds]


def averaged(found: Sequence[Measured]) -> Measured:
    """Several measurements of the same rows, from different deals, as one.

    Parameters
    ----------
    found : sequence of Measured
        One a deal.

    Returns
    -------
    Measured
        Mean metrics and mean losses of each row; an interval reaches as far as on average, and as much further as the
        mean of so many deals is uncertain. The scores are those of the first deal: a mean of several models would rank
        better than any that is kept.
    """
    if len(found) == 1:
        return found[0]
    names = [name for name in found[0].metrics if all(name in one.metrics for one in found)]
    values = {name: np.array([one.metrics[name] for one in found]) for name in names}
    metrics = {name: float(each.mean()) for name, each in values.items()}
    for name in [name for name in names if f"{name}_low" in metrics]:
        apart = (Z_90 * float(values[name].std(ddof=1))) ** 2 / len(found)
        for end, side in (("_low", -1), ("_high", 1)):
            reach = metrics[f"{name}{end}"] - metrics[name]
            metrics[f"{name}{end}"] = metrics[name] + side * float(np.sqrt(reach**2 + apart))
    losses = np.mean([one.losses for one in found], axis=0)
    return Measured({**metrics, "deals": float(len(found))}, losses, found[0].scores, found[0].people)


def learned_from(rows: Split) -> dict[str, Split]:
    """Some customers, as the only ones to learn from."""
    return {"train": Split("train", rows.keys, rows.rows, rows.outcome, rows.window)}


def out_of_fold(
    job: TaskJob, rows: Split, fold: Folds, prepared: Prepared, learn: Callable[[Prepared], Model]
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
    prepared : Prepared
        What the rows are of.
    learn : callable
        Fits a model to the `train` rows that it is given.

    Returns
    -------
    pandas.DataFrame
        The probability of each row.
    """
    found: Array = np.zeros(len(rows.rows))
    for number in np.unique(fold):
        here = fold == number
        model = learn(replace(prepared, splits=learned_from(rows.where(~here))))
        found[here] = model.score(rows.where(here).rows)[RANKED[job.task]].to_numpy()
    return pd.DataFrame({RANKED[job.task]: found})
