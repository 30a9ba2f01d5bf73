"""What is looked at of the winner only: surveys, earlier cutoffs, what drives it, and whether groups fare alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from features.errors import PatronError
from features.profile import Profile
from models.base import Model
from models.families import RANKED, Family, families_of
from training.churn import ChurnJob
from training.config import TrainConfig
from training.evaluation.baselines import compare
from training.evaluation.factors import global_factors
from training.evaluation.fairness import fairness_warnings, measure_fairness
from training.evaluation.grade import Skill, skill
from training.evaluation.out_of_customer import out_of_customer
from training.evaluation.surveys import with_and_without
from training.flat import CV
from training.rows.folds import folds_of
from training.task import Measured, Prepared, TaskJob

NOT_SHOWN = (
    "stability is not shown: the history holds no earlier cutoff with a whole horizon before and after it that leaves "
    "enough to learn from; the best grade asks for one"
)


@dataclass(frozen=True)
class Examined:
    """What was found of a winner.

    Parameters
    ----------
    metrics : mapping of str to float
        ``without_surveys/...``, ``surveys/...``, ``out_of_customer/...`` and ``stability/<cutoff or fold>``, such as
        ``stability/2024_07_04``.
    warnings : tuple of str
        What a reader should know of it.
    stability : mapping of str to Skill
        Skill of the same recipe at each earlier cutoff, or in each fold.
    factors, fairness : pandas.DataFrame
        See `training.evaluation.factors` and `training.evaluation.fairness`; empty where they were not asked for.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    stability: Mapping[str, Skill] = field(default_factory=dict)
    factors: pd.DataFrame = field(default_factory=pd.DataFrame)
    fairness: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def is_stable(self) -> bool:
        """Whether it has skill everywhere it was looked at, and that was somewhere."""
        return bool(self.stability) and all(found.value > 0 for found in self.stability.values())


@dataclass(frozen=True)
class Winner:
    """The model that won, with what it was made of.

    Parameters
    ----------
    recipe, model, config, prepared, measured, baseline
        As it was fitted and measured.
    threshold : float
        Probability from which a customer counts as picked out.
    """

    recipe: Family
    model: Model
    config: TrainConfig
    prepared: Prepared
    measured: Measured
    baseline: Measured
    threshold: float


def examine(job: TaskJob, winner: Winner, profile: Profile) -> Examined:
    """Look closer at a winner.

    Parameters
    ----------
    job : TaskJob
        Its task.
    winner : Winner
        On which nothing is changed.
    profile : Profile
        What it was fitted on.
    """
    metrics = with_and_without(job, winner.recipe, winner.config, winner.prepared, winner.measured)
    if not isinstance(job, ChurnJob):
        return Examined(metrics)
    split = winner.prepared.splits[job.evaluated_on]
    stability = _in_folds(winner) if job.evaluated_on == CV else _at_cutoffs(job, winner, profile)
    for place, found in stability.items():
        name = f"stability/{place.replace('-', '_')}"
        metrics |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    if job.evaluated_on != CV:
        metrics |= out_of_customer(job, winner.recipe, winner.config, winner.prepared, winner.measured)
    answers = split.outcome[job.outcome].to_numpy(dtype=np.float64)
    probability = winner.measured.scores[RANKED[job.task]].to_numpy()
    fairness = measure_fairness(split, answers, probability, winner.config.fairness_groups, winner.threshold)
    whole = skill(winner.measured.losses, winner.baseline.losses)
    where = "over all folds" if job.evaluated_on == CV else "at the cutoff"
    unstable = [
        f"unstable: no skill over its baseline at {place.replace('_', ' ')} (skill {found.value:.3f}), although there "
        f"is {where}"
        for place, found in stability.items()
        if found.value <= 0 < whole.value
    ]
    shown = [NOT_SHOWN] if not stability and winner.config.stability_cutoffs else []
    return Examined(
        metrics,
        (*unstable, *shown, *fairness_warnings(fairness)),
        stability,
        global_factors(winner.model, split.rows),
        fairness,
    )


def earlier_cutoffs(config: TrainConfig, profile: Profile, cutoff: datetime) -> list[datetime]:
    """Cutoffs before one, a label window apart, that have a whole horizon of history before them."""
    step, horizon = timedelta(days=config.horizon_days + config.gap_days), timedelta(days=config.horizon_days)
    times = [cutoff - i * step for i in range(1, config.stability_cutoffs + 1)]
    return [time for time in times if time - profile.known_from >= horizon]


def _at_cutoffs(job: ChurnJob, winner: Winner, profile: Profile) -> dict[str, Skill]:
    """The same recipe with the same settings, learned and measured as of earlier cutoffs."""
    simplest, plain = families_of(job.task, baseline=True)[0], winner.config.model_copy(update={"model": {}})
    found = {}
    for cutoff in earlier_cutoffs(winner.config, profile, winner.prepared.cutoff):
        try:
            prepared = job.prepare_rows(winner.config, profile, winner.recipe.feature_set, cutoff, evaluate=True)
            job.require_enough(prepared)
            model = job.learn(winner.recipe, winner.config, prepared)
        except PatronError:  # too little of the history lies before it: earlier ones have less still
            break
        measured = job.evaluate(winner.recipe, model, winner.config, prepared)
        baselines = job.baselines(simplest, plain, prepared)
        found[f"{cutoff:%Y-%m-%d}"] = compare(winner.recipe.name, measured, baselines, job.perfect_loss).skill
    return found


def _in_folds(winner: Winner) -> dict[str, Skill]:
    """Skill in each fold, where there are no cutoffs."""
    fold, measured, rival = folds_of(winner.prepared.splits[CV], winner.config), winner.measured, winner.baseline
    found = {}
    for number in range(winner.config.folds):
        here = fold == number
        people = measured.people[here] if measured.people is not None else None
        found[f"fold_{number + 1}"] = skill(measured.losses[here], rival.losses[here], people=people)
    return found
