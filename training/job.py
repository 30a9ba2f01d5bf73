"""The training job: fit, measure the champion on the same holdout, track."""

from dataclasses import dataclass, replace
from typing import Any

from features.errors import FeaturesUnavailable
from features.profile import Profile
from models.contract import Contract
from models.errors import ModelIncompatible
from models.families import Task, family
from models.persistence import Kept
from training.config import TrainConfig
from training.evaluation.grade import skill
from training.fit import Progress, fit
from training.jobs import job_of
from training.promote import champion
from training.result import FitResult
from training.tracking import Tracked, Tracker


@dataclass(frozen=True)
class Trained:
    """A fitted family and where it was written."""

    result: FitResult
    tracked: Tracked

    def document(self) -> dict[str, Any]:
        """What `patron train --json` prints."""
        result = self.result
        return {
            "task": result.task,
            "family": result.family.name,
            "run_id": self.tracked.run_id,
            "model_version": self.tracked.model_version,
            "params": result.params,
            "metrics": result.metrics,
            "grade": result.grade,
            "warnings": list(result.warnings),
        }


def train(
    task: Task,
    profile: Profile,
    config: TrainConfig,
    tracker: Tracker,
    family_name: str | None = None,
    progress: Progress = lambda _: None,
) -> list[Trained]:
    """Train a task and register the winner as challenger.

    Parameters
    ----------
    task : {"churn", "clv", "segments", "propensity"}
        What to predict.
    profile : Profile
        Valid.
    config : TrainConfig
        Settings.
    tracker : Tracker
        Where to write.
    family_name : str, optional
        Train this one only.
    progress : callable
        Told what is being done.

    Returns
    -------
    list of Trained
        The winner first; nothing is written unless every family could be fitted.
    """
    results = fit(task, profile, config, family_name, progress)
    rival = champion(task, tracker.uri)
    if rival is not None:
        progress(f"measuring champion version {rival[0]} on the same holdout")
        results[0] = against(results[0], *rival, profile)
    progress("tracking")
    return [Trained(result, tracker.track(result, register=i == 0)) for i, result in enumerate(results)]


def against(result: FitResult, version: str, rival: Kept, profile: Profile) -> FitResult:
    """Measure the champion on a challenger's holdout, where that is fair.

    It is fair when the champion predicts the same thing, its evaluated model learned nothing of the holdout, and the
    profile gives its features as it knows them.

    Parameters
    ----------
    result : FitResult
        The challenger.
    version : str
        The champion's.
    rival : Kept
        The champion's evaluated model.
    profile : Profile
        The data of both.
    """
    mine, theirs = result.evaluated.contract, rival.contract
    tags = {"champion_version": version}
    other_facts = family(theirs.family).outcome != result.family.outcome
    if other_facts or _asked(mine) != _asked(theirs):
        reason = f"version {version} predicts {theirs.label!r}, this one {mine.label!r}: not comparable"
        return replace(result, tags={**tags, "champion_other_label": "true", "champion_not_comparable": reason})
    job = job_of(result.task, result.config, result.family.outcome)
    if job.refits and theirs.cutoff > mine.cutoff:
        reason = (
            f"version {version} learned from data up to {theirs.cutoff:%Y-%m-%d}, after this holdout begins: train "
            f"with --cutoff {theirs.cutoff:%Y-%m-%d} or later"
        )
        return replace(result, tags={**tags, "champion_not_comparable": reason})
    try:
        measured = job.measure_rival(rival, profile, result.config, result.prepared)
    except (FeaturesUnavailable, ModelIncompatible) as problem:
        return replace(result, tags={**tags, "champion_not_comparable": f"version {version} cannot score: {problem}"})
    found = skill(result.measured.losses, measured.losses, job.perfect_loss, measured.people)
    metrics = {f"champion/{name}": value for name, value in measured.metrics.items()}
    metrics |= {"champion/skill": found.value, "champion/skill_low": found.low, "champion/skill_high": found.high}
    return replace(result, metrics=result.metrics | metrics, tags=tags)


def _asked(contract: Contract) -> tuple[object, ...]:
    """What a model predicts and of whom."""
    return contract.horizon_days, contract.gap_days, contract.outcome, contract.eligible
