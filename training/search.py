"""A bounded search for better settings of boosted trees, on customers known before the cutoff.

Every trial learns from some of the training customers and is judged on the others; validation customers, on whom the
families compete, and the holdout are never looked at. The first trial is the family's own settings, so that the
search cannot end worse than it began.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from models.churn.lightgbm import ChurnLightGBM
from models.families import FAMILIES, Family
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.rows.splits import held_out
from training.task import Prepared, TaskJob

MOST_TRIALS = 500
JUDGED = 1_000_003
"""Added to the seed, so that the draw does not go with the split that made the validation customers."""


@dataclass(frozen=True)
class Trial:
    """One attempt.

    Parameters
    ----------
    number : int
        From 0; the family's own settings are the first.
    settings : mapping
        What was tried.
    loss : float
        Mean log loss of the customers judged on.
    seconds : float
        How long it took.
    """

    number: int
    settings: Mapping[str, Any]
    loss: float
    seconds: float


@dataclass(frozen=True)
class Searched:
    """A search that is over.

    Parameters
    ----------
    trials : tuple of Trial
        In order.
    seconds : float
        How long it took in all.
    """

    trials: tuple[Trial, ...]
    seconds: float

    @property
    def best(self) -> Trial:
        """The trial of least loss; the earliest of equals."""
        return min(self.trials, key=lambda trial: trial.loss)


def is_searched(recipe: Family) -> bool:
    """Whether there are settings of a family to search."""
    return issubclass(recipe.build, ChurnLightGBM)


def require_searchable(recipes: Iterable[Family], config: TrainConfig) -> None:
    """Refuse a search where there is nothing to search.

    Raises
    ------
    ConfigInvalid
        If minutes are given and no family is searched.
    """
    if config.search_minutes and not any(map(is_searched, recipes)):
        searched = ", ".join(recipe.name for recipe in FAMILIES.values() if is_searched(recipe))
        raise ConfigInvalid("search_minutes", config.search_minutes, f"0, or one of the families {searched}")


def with_search(
    job: TaskJob, recipe: Family, config: TrainConfig, prepared: Prepared, progress: Callable[[str], None]
) -> tuple[TrainConfig, Searched | None]:
    """The settings to fit a family with: those given, or the best that a search finds beside them.

    Where rows are predicted in folds the search is done in each fold, too, so that no row is measured under settings
    that were chosen on it; the time is shared.
    """
    if not config.search_minutes or not is_searched(recipe) or SPACE.keys() <= config.model.keys():
        return config, None
    shares = 1 if job.evaluated_on == "holdout" else 1 + config.folds
    found = search(job, recipe, config, prepared, progress, config.search_minutes / shares)
    return config.model_copy(update={"model": dict(found.best.settings)}), found


def search(
    job: TaskJob,
    recipe: Family,
    config: TrainConfig,
    prepared: Prepared,
    progress: Callable[[str], None],
    minutes: float,
    clock: Callable[[], float] = time.monotonic,
) -> Searched:
    """Search for settings within a time budget.

    Parameters
    ----------
    job, recipe, config, prepared
        What is fitted; settings given in `config.model` are kept as they are.
    progress : callable
        Told the trial, the time left and the best so far.
    minutes : float
        No trial begins that would not end in time, were it as long as the longest so far.
    clock : callable
        Seconds.

    Returns
    -------
    Searched
        With one trial at least.
    """
    train = prepared.splits["train"]
    aside = held_out(train.people, config.validation_share, config.random_state + JUDGED)
    inner = replace(prepared, splits={**prepared.splits, "train": train.where(~aside)})
    judged = train.where(aside)
    begun, budget, trials = clock(), minutes * 60, list[Trial]()

    def attempt(trial: optuna.Trial) -> float:
        started = clock()
        settings = {**_suggested(trial), **config.model}
        model = job.learn(recipe, config.model_copy(update={"model": settings}), inner)
        loss = float(job.measure(model, judged, config, inner).losses.mean())
        trials.append(Trial(trial.number, settings, loss, clock() - started))
        return loss

    def stop_in_time(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        left, longest = budget - (clock() - begun), max(trial.seconds for trial in trials)
        progress(
            f"searching settings of {recipe.name}: trial {len(trials)}, {max(left, 0):.0f} of {budget:.0f} s left, "
            f"best log loss {study.best_value:.4f}"
        )
        if left < longest or len(trials) >= MOST_TRIALS:
            study.stop()

    progress(f"searching settings of {recipe.name}: {budget:.0f} s")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.random_state))
    study.enqueue_trial({name: value for name, value in recipe.build().get_params().items() if name in SPACE})
    study.optimize(attempt, n_trials=MOST_TRIALS, callbacks=[stop_in_time])
    return Searched(tuple(trials), clock() - begun)


SPACE: Mapping[str, Callable[[optuna.Trial], Any]] = {
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
    "num_leaves": lambda trial: trial.suggest_int("num_leaves", 3, 63, log=True),
    "feature_fraction": lambda trial: trial.suggest_float("feature_fraction", 0.2, 1.0),
    "lambda_l2": lambda trial: trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
}
"""What is searched; the number of trees follows from early stopping, the rows of a leaf from the rows."""


def _suggested(trial: optuna.Trial) -> dict[str, Any]:
    return {name: suggest(trial) for name, suggest in SPACE.items()}
