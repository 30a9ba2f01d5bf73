"""Fitting a task: every family learns from the same rows, is measured against the baseline, and one wins."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from features.profile import Profile
from models.families import FAMILIES, Family, Task, families_of, family
from models.persistence import Kept
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.evaluation.backtest import contest_before
from training.evaluation.baselines import graded, said_of_choice, simpler_of, within_noise
from training.evaluation.examine import Winner, examine
from training.evaluation.grade import LEAST_RARE, LEAST_ROWS
from training.evaluation.profit import require_offer_for
from training.evaluation.prospects import forecast_prospects
from training.jobs import competitors, job_of
from training.measure import Ground, contract_of, measure
from training.result import FitResult
from training.rows.groups import require_groups_for
from training.rows.leakage import Checked, check_leakage
from training.rows.margin import margin_of
from training.rows.own_columns import require_known
from training.rows.own_margins import learn_margins, with_margins
from training.search import require_searchable, with_search
from training.task import Measured, Prepared, TaskJob

Progress = Callable[[str], None]


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
    require_searchable(chosen, config)
    outcome = chosen[0].outcome
    job = job_of(task, config, outcome)
    simplest = families_of(task, baseline=True, outcome=outcome)[0]
    require_groups_for(task, config)
    require_offer_for(task, config)
    require_known(config, profile)
    cutoff = job.cutoff(config, profile)
    margin_rate = margin_of(config, profile, cutoff) if outcome == "orders" else config.margin_rate
    margins = learn_margins(config, profile, cutoff, margin_rate) if (task, outcome) == ("clv", "orders") else None
    config = config.model_copy(
        update={"cutoff": cutoff if job.is_dated(config, profile) else None, "margin_rate": margin_rate}
    )
    of_orders = (task, outcome) == ("clv", "orders")
    contest = contest_before(cutoff, profile, config, chosen, progress) if of_orders else None
    progress("building features and labels")
    plain = config.model_copy(update={"model": {}})
    grounds: dict[str, Ground] = {}
    results: list[FitResult] = []
    for recipes in _by_feature_set(chosen):
        prepared = job.prepare(config, profile, recipes[0].feature_set, cutoff, evaluate=True)
        job.require_enough(prepared)
        prepared = with_margins(prepared, profile, margins, config)
        if any(recipe.build.learns_from_past for recipe in recipes):
            prepared = job.prepare_past(config, profile, prepared)
        leakage = _checked(job, prepared, profile, config)
        ground = Ground(job, profile, prepared, job.baselines(simplest, plain, prepared), leakage, contest)
        grounds[recipes[0].feature_set.name] = ground
        for recipe in recipes:
            settings, searched = with_search(job, recipe, config, prepared, progress)
            progress(f"fitting {recipe.name}")
            model = job.learn(recipe, settings, prepared)
            result = measure(ground, recipe, model, config, _beside(job, recipe, plain, prepared, results))
            results.append(replace(result, config=settings, searched=searched))
    best = _best(results)
    results.sort(key=lambda result: result is not best)
    if not family_name:
        results = _simpler_in_doubt(grounds, results, plain)
    results[0] = _examined(job, results[0], profile, progress)
    if config.refit and job.refits:
        progress(f"fitting {results[0].family.name} once more to everything known")
        results[0] = _refitted(job, results[0], profile, results[0].config)
    return results


def _by_feature_set(families: Iterable[Family]) -> list[list[Family]]:
    """Families that take the same rows, together; one that another stands beside comes first."""
    groups: dict[str, list[Family]] = {}
    for recipe in families:
        groups.setdefault(recipe.feature_set.name, []).append(recipe)
    return [sorted(group, key=lambda recipe: recipe.simpler in {r.name for r in group}) for group in groups.values()]


def _beside(
    job: TaskJob, recipe: Family, config: TrainConfig, prepared: Prepared, results: Iterable[FitResult]
) -> dict[str, Measured]:
    """The simpler model of the run, fitted here where it does not compete."""
    name = simpler_of(recipe.name)
    known = {result.family.name: result.measured for result in results}
    if not name or name in known:
        return {name: known[name]} if name else {}
    other = family(name)
    return {name: job.evaluate(other, job.learn(other, config, prepared), config, prepared)}


def _best(results: list[FitResult]) -> FitResult:
    """Who wins: of lifetime value by the backtest, of all else by the loss on validation customers."""
    first = results[0]
    if first.backtest is not None and len(results) > 1:
        champion = first.backtest.champion()[0]
        return next(result for result in results if result.family.name == champion)
    of_orders = (first.task, first.family.outcome) == ("clv", "orders")
    if of_orders and not first.prepared.splits["train"].rows["frequency"].any():
        # nobody came back to say what an order is worth: the family that knows what first orders were
        return max(results, key=lambda result: "first_day_value" in result.prepared.features.names)
    return min(results, key=lambda result: result.metrics.get("validation/loss", np.inf))


def _simpler_in_doubt(grounds: Mapping[str, Ground], results: list[FitResult], config: TrainConfig) -> list[FitResult]:
    """Put the simpler model first while what the winner gains may be noise: on small data, or over a baseline."""
    ground, name = grounds[results[0].family.feature_set.name], results[0].family.simpler
    while name and results[0].validated is not None:  # a backtest has settled it where nothing was validated
        best, simpler = results[0], family(name)
        name = simpler.simpler
        if not (simpler.is_baseline or _is_small(ground.job, best.prepared)):
            continue
        other = next((result for result in results if result.family is simpler), None)
        if other is None:  # on the rows of the winner, which its gain is measured on
            other = measure(ground, simpler, ground.job.learn(simpler, config, ground.prepared), config, {})
        gain = within_noise(best.validated, other.validated)
        if gain is None:
            break
        reason = said_of_choice(best.family.name, simpler.name, gain)
        other = replace(other, warnings=(*other.warnings, reason))
        results = [other, *(result for result in results if result.family is not simpler)]
    return results


def _is_small(job: TaskJob, prepared: Prepared) -> bool:
    """Whether the rows that families compete on say too little to tell them apart."""
    split = prepared.splits.get("validation", prepared.splits[job.evaluated_on])
    return len(split.rows) < LEAST_ROWS or job.evidence(split) < LEAST_RARE


def _examined(job: TaskJob, result: FitResult, profile: Profile, progress: Progress) -> FitResult:
    """Look closer at the winner, and grade it by all that is known then."""
    if job.asks_stability:
        progress(f"examining {result.family.name}")
    model, contract = result.evaluated.model, result.evaluated.contract
    threshold = contract.band_thresholds.get("high", 1.0)
    winner = Winner(result.family, model, result.config, result.prepared, result.measured, result.baseline, threshold)
    found = examine(job, winner, profile)
    metrics = {**result.metrics, **found.metrics}
    holdout = result.prepared.splits[job.evaluated_on]
    stable = found.is_stable or not job.asks_stability
    letter = graded(job, result.compared, result.measured, holdout, is_stable=stable)
    warnings = (*result.warnings, *found.warnings)
    return replace(result, metrics=metrics, grade=letter, warnings=warnings, examined=found)


def _checked(job: TaskJob, prepared: Prepared, profile: Profile, config: TrainConfig) -> Checked:
    """Refuse columns that give the outcome away, on all rows learned from and on those evaluated on."""
    names = ("train", "past", "holdout") if job.evaluated_on == "holdout" else (job.evaluated_on,)
    splits = [prepared.every_split[name] for name in names if name in prepared.every_split]
    return check_leakage(profile, prepared.features, [(s, job.churned_share(s)) for s in splits], config)


def _refitted(job: TaskJob, result: FitResult, profile: Profile, config: TrainConfig) -> FitResult:
    """The same recipe, fitted to everything known."""
    prepared = job.prepare_refit(result.family, config, profile)
    prepared = with_margins(prepared, profile, result.prepared.margins, config)
    later = _checked(job, prepared, profile, config)
    leakage = result.leakage.and_then(later)
    model = job.learn(result.family, config, prepared)
    of_evaluation = (*result.prepared.warnings, *result.evaluated.model.warnings_)
    lasting = [warning for warning in result.warnings if warning not in of_evaluation]
    warnings = tuple(dict.fromkeys([*leakage.warnings, *prepared.warnings, *model.warnings_, *lasting]))
    errors = result.evaluated.contract.total_errors
    contract = contract_of(job, result.family, model, profile, config, prepared, warnings, errors)
    final = Kept(model, contract, forecast_prospects(model, prepared)[0], prepared.curve, prepared.margins)
    told = tuple(dict.fromkeys([*result.warnings, *warnings]))
    return replace(result, final=final, warnings=told, leakage=leakage)
