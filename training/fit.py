"""Fitting a task: every family learns from the same rows, is measured against the baseline, and one wins."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from features import __version__
from features.profile import Profile
from models.base import Model
from models.contract import Contract, reference_of
from models.families import FAMILIES, Family, Task, families_of, family
from models.persistence import Kept
from training.backtest import contest_before
from training.clv import likelihoods
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.facts import cost_metrics, data_metrics, holdout_frame
from training.grade import LEAST_RARE, LEAST_ROWS, Skill, grade, skill
from training.jobs import competitors, job_of
from training.leakage import Checked, check_leakage
from training.margin import margin_of
from training.prospects import forecast_prospects
from training.splits import Split, split_log
from training.standings import Backtest, log_error
from training.surveys import with_and_without
from training.task import Measured, Prepared, TaskJob

NO_BACKTEST = "low evidence: too few customers had come back for a backtest before the cutoff"
LEAST_SLICE_ROWS = 100

Progress = Callable[[str], None]


@dataclass(frozen=True)
class FitResult:
    """A family fitted, measured and ready to be tracked.

    Parameters
    ----------
    family : Family
        The recipe.
    evaluated : Kept
        Fitted to what was known before the cutoff: the model the metrics are of.
    final : Kept
        The model to serve: fitted once more to everything known, unless told not to.
    config : TrainConfig
        Resolved settings; its cutoff is set.
    metrics : dict of str to float
        ``<split>/<metric>``, ``baseline/<metric>``, ``champion/<metric>``, ``data/...``.
    slices : pandas.DataFrame
        Mean primary loss of model and baseline by slice.
    holdout : pandas.DataFrame
        For every holdout row the primary loss, score and outcome, without customer ids.
    splits : list of dict
        Periods and sizes.
    grade : str
        A to D.
    skill : Skill
        Against the baseline, on the holdout.
    warnings : tuple of str
        What a reader should know.
    absent : mapping of str to str
        Features of the set that the profile could not give, and why.
    prepared, measured, baseline
        Rows and figures, for plots.
    source : str
        Where the profile was read from.
    tags : mapping of str to str
        Further facts for the tracker.
    leakage : Checked
        What was looked at for columns that give the outcome away, and found.
    backtest : Backtest or None
        How the families of lifetime value and the naive forecasts did from earlier origins.
    """

    family: Family
    evaluated: Kept
    final: Kept
    config: TrainConfig
    metrics: dict[str, float]
    slices: pd.DataFrame
    holdout: pd.DataFrame
    splits: list[dict[str, Any]]
    grade: str
    skill: Skill
    warnings: tuple[str, ...]
    absent: Mapping[str, str]
    prepared: Prepared = field(repr=False)
    measured: Measured = field(repr=False)
    baseline: Measured = field(repr=False)
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    leakage: Checked = field(default_factory=Checked, repr=False)
    backtest: Backtest | None = field(default=None, repr=False)

    @property
    def task(self) -> Task:
        """What it predicts."""
        return self.family.task

    @property
    def evaluated_on(self) -> str:
        """The split that the metrics are of: `holdout`, or `cv` where there are no dates."""
        return job_of(self.task, self.config, self.family.outcome).evaluated_on

    @property
    def params(self) -> dict[str, Any]:
        """Inputs under dotted names, and the fitted parameters under the literature's."""
        contract = self.evaluated.contract
        settings = {f"model.{name}": value for name, value in sorted(self.evaluated.model.get_params().items())}
        return {
            "data.cutoff": contract.cutoff.isoformat() if contract.is_dated else "",
            **self.config.flat(),
            "features.set": f"{contract.feature_set}/{contract.feature_set_version}",
            "features.fingerprint": contract.fingerprint,
            **settings,
            **self.evaluated.model.fitted_parameters(),
        }


def fit(
    task: Task,
    profile: Profile,
    config: TrainConfig,
    family_name: str | None = None,
    progress: Progress = lambda _: None,
) -> list[FitResult]:
    """Fit the families of a task and measure them out of time.

    Parameters
    ----------
    task : {"churn", "clv", "segments", "propensity"}
        What to predict.
    profile : Profile
        Valid.
    config : TrainConfig
        Settings.
    family_name : str, optional
        Fit this one; by default all that are not the baseline compete: on the validation split, those of lifetime
        value in a rolling-origin backtest. Families of subscriptions forecast something else than orders and compete
        only where the profile has no orders.
    progress : callable
        Told what is being done.

    Returns
    -------
    list of FitResult
        The winner first. Nothing is written, no tracker is needed.

    Raises
    ------
    MissingTable, CutoffOutOfRange, NothingToTrain, ConfigInvalid
        If the profile or the settings leave nothing to learn from or to evaluate on.
    LeakageSuspected
        If a column may give the outcome away and the settings do not allow it.
    """
    chosen = [family(family_name)] if family_name else competitors(task, profile)
    if chosen[0].task != task:
        names = ", ".join(f.name for f in FAMILIES.values() if f.task == task)
        raise ConfigInvalid("family", chosen[0].name, f"a family of task {task!r}: {names}")
    for recipe in chosen:
        recipe.make(config.model)  # refuses settings that a family does not have before anything is built
    outcome = chosen[0].outcome
    job = job_of(task, config, outcome)
    simplest = families_of(task, baseline=True, outcome=outcome)[0]
    cutoff = job.cutoff(config, profile)
    margin_rate = margin_of(config, profile, cutoff) if outcome == "orders" else config.margin_rate
    config = config.model_copy(
        update={"cutoff": cutoff if job.is_dated(config, profile) else None, "margin_rate": margin_rate}
    )
    contest = (
        contest_before(cutoff, profile, config, chosen, progress) if (task, outcome) == ("clv", "orders") else None
    )
    progress("building features and labels")
    plain = config.model_copy(update={"model": {}})
    results = []
    for recipes in _by_feature_set(chosen):
        prepared = job.prepare(config, profile, recipes[0].feature_set, cutoff, evaluate=True)
        job.require_enough(prepared)
        if any(recipe.build.learns_from_past for recipe in recipes):
            prepared = job.prepare_past(config, profile, prepared)
        leakage = _checked(job, prepared, profile, config)
        rival = job.evaluate(simplest, job.learn(simplest, plain, prepared), plain, prepared)
        for recipe in recipes:
            progress(f"fitting {recipe.name}")
            model = job.learn(recipe, config, prepared)
            results.append(_measure(job, recipe, model, profile, config, prepared, rival, leakage, contest))
    if contest is not None and len(results) > 1:
        best = next(result for result in results if result.family.name == contest.champion()[0])
    else:
        best = min(results, key=lambda result: result.metrics.get("validation/loss", np.inf))
    results.sort(key=lambda result: result is not best)
    if config.refit and job.refits:
        progress(f"fitting {best.family.name} once more to everything known")
        results[0] = _refitted(job, best, profile, config)
    return results


def _by_feature_set(families: Iterable[Family]) -> list[list[Family]]:
    """Families that take the same rows, together."""
    groups: dict[str, list[Family]] = {}
    for recipe in families:
        groups.setdefault(recipe.feature_set.name, []).append(recipe)
    return list(groups.values())


def _checked(job: TaskJob, prepared: Prepared, profile: Profile, config: TrainConfig) -> Checked:
    """Refuse columns that give the outcome away, on all rows learned from and on those evaluated on."""
    names = ("train", "past", "holdout") if job.evaluated_on == "holdout" else (job.evaluated_on,)
    splits = [prepared.every_split[name] for name in names if name in prepared.every_split]
    return check_leakage(profile, prepared.features, [(s, job.churned_share(s)) for s in splits], config)


def _measure(
    job: TaskJob,
    recipe: Family,
    model: Model,
    profile: Profile,
    config: TrainConfig,
    prepared: Prepared,
    rival: Measured,
    leakage: Checked,
    contest: Backtest | None,
) -> FitResult:
    on = job.evaluated_on
    holdout = prepared.splits[on]
    measured = job.evaluate(recipe, model, config, prepared)
    validated = job.validate(model, config, prepared)
    found = skill(measured.losses, rival.losses, job.perfect_loss)
    metrics = {f"{on}/{name}": value for name, value in measured.metrics.items()}
    metrics |= {f"{on}/skill": found.value, f"{on}/skill_low": found.low, f"{on}/skill_high": found.high}
    metrics |= {f"baseline/{name}": value for name, value in rival.metrics.items()}
    if validated is not None:
        metrics |= {f"validation/{name}": value for name, value in validated.metrics.items()}
        metrics["validation/loss"] = float(validated.losses.mean())
    errors = log_error(measured.metrics["bias_total_value"]) if job.task == "clv" else ()
    if contest is not None:
        metrics |= contest.metrics(recipe.name)
        errors = (*contest.total_errors(recipe.name), *errors)
    metrics |= {f"train/{name}": value for name, value in likelihoods(model, prepared.splits["train"]).items()}
    metrics |= with_and_without(job, recipe, config, prepared, measured)
    metrics |= {f"curve/{name}": value for name, value in prepared.curve_metrics.items()}
    metrics |= data_metrics(prepared, holdout.outcome) | cost_metrics(model, holdout.rows)
    rows, rare = len(holdout.rows), job.evidence(holdout)
    prospects, of_prospects, told = forecast_prospects(model, prepared)
    metrics |= of_prospects
    letter = grade(
        found,
        calibrated=job.is_calibrated(measured.metrics, strictly=False),
        strictly=job.is_calibrated(measured.metrics, strictly=True),
        rows=rows,
        rare=rare,
    )
    if job.task == "clv" and recipe.outcome == "orders" and contest is None:
        prepared = replace(prepared, warnings=(*prepared.warnings, NO_BACKTEST))
    warnings = [*leakage.warnings, *prepared.warnings, *model.warnings_, *told, *_evidence_warnings(rows, rare)]
    if letter == "D":
        warnings.append(f"{recipe.name} does not beat its baseline: do not use its scores")
    contract = _contract(job, recipe, model, profile, config, prepared, tuple(warnings), errors)
    kept = Kept(model, contract, prospects, prepared.curve)
    return FitResult(
        recipe,
        kept,
        kept,
        config,
        metrics,
        _slices(job, holdout, measured, rival),
        holdout_frame(holdout, measured, rival),
        split_log(prepared.every_split) + (contest.splits if contest else []),
        letter,
        found,
        tuple(warnings),
        prepared.absent,
        prepared,
        measured,
        rival,
        profile.source,
        leakage=leakage,
        backtest=contest,
    )


def _refitted(job: TaskJob, result: FitResult, profile: Profile, config: TrainConfig) -> FitResult:
    """The same recipe, fitted to everything known."""
    prepared = job.prepare(config, profile, result.family.feature_set, profile.known_until, evaluate=False)
    if result.family.build.learns_from_past:
        prepared = job.prepare_past(config, profile, prepared)
    later = _checked(job, prepared, profile, config)
    leakage = result.leakage.and_then(later)
    model = job.learn(result.family, config, prepared)
    of_evaluation = (*result.prepared.warnings, *result.evaluated.model.warnings_)
    lasting = [warning for warning in result.warnings if warning not in of_evaluation]
    warnings = tuple(dict.fromkeys([*leakage.warnings, *prepared.warnings, *model.warnings_, *lasting]))
    errors = result.evaluated.contract.total_errors
    contract = _contract(job, result.family, model, profile, config, prepared, warnings, errors)
    final = Kept(model, contract, forecast_prospects(model, prepared)[0], prepared.curve)
    told = tuple(dict.fromkeys([*result.warnings, *warnings]))
    return replace(result, final=final, warnings=told, leakage=leakage)


def _contract(
    job: TaskJob,
    recipe: Family,
    model: Model,
    profile: Profile,
    config: TrainConfig,
    prepared: Prepared,
    warnings: tuple[str, ...],
    total_errors: tuple[float, ...],
) -> Contract:
    scores = job.reference_scores(model, prepared)
    outcome, eligible = job.concerns(config)
    return Contract.for_features(
        prepared.features,
        task=job.task,
        family=recipe.name,
        cutoff=prepared.cutoff,
        is_dated=job.is_dated(config, profile),
        horizon_days=0 if config.label else config.horizon_days,
        gap_days=0 if config.label else config.gap_days,
        label=prepared.label,
        outcome=outcome,
        eligible=eligible,
        id_column=config.id_column,
        currency=prepared.currency,
        margin_rate=config.margin_rate if job.task == "clv" else None,
        annual_discount_rate=config.annual_discount_rate if job.task == "clv" else None,
        annual_cost_to_serve=config.annual_cost_to_serve if job.task == "clv" else None,
        total_errors=total_errors,
        customers=int(prepared.splits["train"].keys["customer_id"].nunique()),
        data_digest=profile.digest,
        is_simulated=profile.is_simulated,
        random_state=config.random_state,
        package_version=__version__,
        reference=reference_of(scores) if scores is not None else (),
        warnings=warnings,
    )


def _evidence_warnings(rows: int, rare: int) -> list[str]:
    if rows >= LEAST_ROWS and rare >= LEAST_RARE:
        return []
    return [
        f"low evidence: {rows:,} holdout customers, {rare:,} of the rarer outcome; {max(LEAST_ROWS - rows, 0):,} more "
        f"customers and {max(LEAST_RARE - rare, 0):,} more of the rarer outcome would settle the grade"
    ]


def _slices(job: TaskJob, holdout: Split, measured: Measured, rival: Measured) -> pd.DataFrame:
    rows = []
    for name, labels in job.slices(holdout).items():
        for level in sorted(labels.unique()):
            here = (labels == level).to_numpy()
            found = skill(measured.losses[here], rival.losses[here], job.perfect_loss)
            rows.append(
                {
                    "slice": name,
                    "level": str(level),
                    "rows": int(here.sum()),
                    job.primary: float(measured.losses[here].mean()),
                    f"baseline_{job.primary}": float(rival.losses[here].mean()),
                    "skill": found.value,
                    "skill_low": found.low,
                    "skill_high": found.high,
                }
            )
    return pd.DataFrame(rows)
