"""Fitting a task: every family learns from the same rows, is measured against the baseline, and one wins."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from features import __version__
from features.profile import Profile
from models.base import Model
from models.contract import Contract, reference_of
from models.families import FAMILIES, Family, Task, families_of, family
from models.persistence import Kept
from training.clv import likelihoods
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.evaluation.backtest import contest_before
from training.evaluation.baselines import compare, graded, said_of_choice, simpler_of, within_noise
from training.evaluation.evidence import evidence_warnings
from training.evaluation.examine import Winner, examine
from training.evaluation.facts import cost_metrics, data_metrics, holdout_frame
from training.evaluation.grade import LEAST_RARE, LEAST_ROWS
from training.evaluation.profit import require_offer_for
from training.evaluation.prospects import forecast_prospects
from training.evaluation.slices import measure_slices
from training.evaluation.standings import Backtest, log_error
from training.flat import CV
from training.jobs import competitors, job_of
from training.result import FitResult
from training.rows.groups import require_groups_for
from training.rows.leakage import Checked, check_leakage
from training.rows.margin import margin_of
from training.rows.own_margins import learn_margins, with_margins
from training.rows.splits import split_log
from training.search import require_searchable, with_search
from training.task import Measured, Prepared, TaskJob

NO_BACKTEST = "low evidence: too few customers had come back for a backtest before the cutoff"

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
    cutoff = job.cutoff(config, profile)
    margin_rate = margin_of(config, profile, cutoff) if outcome == "orders" else config.margin_rate
    margins = learn_margins(config, profile, cutoff, margin_rate) if (task, outcome) == ("clv", "orders") else None
    config = config.model_copy(
        update={"cutoff": cutoff if job.is_dated(config, profile) else None, "margin_rate": margin_rate}
    )
    contest = (
        contest_before(cutoff, profile, config, chosen, progress) if (task, outcome) == ("clv", "orders") else None
    )
    progress("building features and labels")
    plain = config.model_copy(update={"model": {}})
    results: list[FitResult] = []
    for recipes in _by_feature_set(chosen):
        prepared = job.prepare(config, profile, recipes[0].feature_set, cutoff, evaluate=True)
        job.require_enough(prepared)
        prepared = with_margins(prepared, profile, margins, config)
        if any(recipe.build.learns_from_past for recipe in recipes):
            prepared = job.prepare_past(config, profile, prepared)
        leakage = _checked(job, prepared, profile, config)
        baselines = job.baselines(simplest, plain, prepared)
        for recipe in recipes:
            settings, searched = with_search(job, recipe, config, prepared, progress)
            progress(f"fitting {recipe.name}")
            model = job.learn(recipe, settings, prepared)
            beside = _beside(job, recipe, plain, prepared, results)
            result = _measure(job, recipe, model, profile, config, prepared, baselines, leakage, beside, contest)
            results.append(replace(result, config=settings, searched=searched))
    if contest is not None and len(results) > 1:
        best = next(result for result in results if result.family.name == contest.champion()[0])
    elif (task, outcome) == ("clv", "orders") and not results[0].prepared.splits["train"].rows["frequency"].any():
        # nobody came back to say what an order is worth: the family that knows what first orders were
        best = max(results, key=lambda result: "first_day_value" in result.prepared.features.names)
    else:
        best = min(results, key=lambda result: result.metrics.get("validation/loss", np.inf))
    results.sort(key=lambda result: result is not best)
    if not family_name:
        results = _simpler_in_doubt(job, results, profile, plain, baselines)
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


def _simpler_in_doubt(
    job: TaskJob, results: list[FitResult], profile: Profile, config: TrainConfig, baselines: Mapping[str, Measured]
) -> list[FitResult]:
    """Put the simpler model first while what the winner gains may be noise: on small data, or over a baseline."""
    name = results[0].family.simpler
    while name:
        best, simpler = results[0], family(name)
        name = simpler.simpler
        if not (simpler.is_baseline or _is_small(job, best.prepared)):
            continue
        other = next((result for result in results if result.family is simpler), None)
        if other is None:
            model = job.learn(simpler, config, best.prepared)
            other = _measure(job, simpler, model, profile, config, best.prepared, baselines, best.leakage, {})
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


def _measure(
    job: TaskJob,
    recipe: Family,
    model: Model,
    profile: Profile,
    config: TrainConfig,
    prepared: Prepared,
    baselines: Mapping[str, Measured],
    leakage: Checked,
    beside: Mapping[str, Measured],
    contest: Backtest | None = None,
) -> FitResult:
    on = job.evaluated_on
    holdout = prepared.splits[on]
    measured = job.evaluate(recipe, model, config, prepared)
    validated = measured if on == CV else job.validate(model, config, prepared)  # folds say more than one split
    compared = compare(recipe.name, measured, baselines, job.perfect_loss, beside)
    rival, found = compared.baseline, compared.skill
    metrics = {f"{on}/{name}": value for name, value in {**measured.metrics, **compared.metrics()}.items()}
    metrics |= {f"baseline/{name}": value for name, value in rival.metrics.items()}
    if validated is not None:
        metrics |= {f"validation/{name}": value for name, value in validated.metrics.items()}
        metrics["validation/loss"] = float(validated.losses.mean())
    errors = log_error(measured.metrics["bias_total_value"]) if job.task == "clv" else ()
    if contest is not None:
        metrics |= contest.metrics(recipe.name)
        errors = (*contest.total_errors(recipe.name), *errors)
    metrics |= {f"train/{name}": value for name, value in likelihoods(model, prepared.splits["train"]).items()}
    metrics |= {f"curve/{name}": value for name, value in prepared.curve_metrics.items()}
    metrics |= dict(prepared.margin_metrics)
    metrics |= job.worth(measured, holdout, config)
    metrics |= data_metrics(prepared, holdout.outcome) | cost_metrics(model, holdout.rows)
    rows, rare = len(holdout.rows), job.evidence(holdout)
    prospects, of_prospects, told = forecast_prospects(model, prepared)
    metrics |= of_prospects
    letter = graded(job, compared, measured, holdout, is_stable=not job.asks_stability)
    if job.task == "clv" and recipe.outcome == "orders" and contest is None:
        prepared = replace(prepared, warnings=(*prepared.warnings, NO_BACKTEST))
    history = (prepared.cutoff - profile.known_from).days if job.is_dated(config, profile) else 0
    doubts = evidence_warnings(rows, rare, found, history)
    warnings = [*leakage.warnings, *prepared.warnings, *model.warnings_, *told, *doubts]
    if letter == "D":
        warnings.append(f"{recipe.name} does not beat its baseline: do not use its scores")
    contract = _contract(job, recipe, model, profile, config, prepared, tuple(warnings), errors)
    kept = Kept(model, contract, prospects, prepared.curve, prepared.margins)
    return FitResult(
        recipe,
        kept,
        kept,
        config,
        metrics,
        measure_slices(job, holdout, measured, rival),
        holdout_frame(holdout, measured, rival),
        split_log(prepared.every_split) + (contest.splits if contest else []),
        letter,
        found,
        tuple(warnings),
        prepared.absent,
        prepared,
        measured,
        rival,
        compared,
        validated,
        source=profile.source,
        leakage=leakage,
        backtest=contest,
    )


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
    contract = _contract(job, result.family, model, profile, config, prepared, warnings, errors)
    final = Kept(model, contract, forecast_prospects(model, prepared)[0], prepared.curve, prepared.margins)
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
        prepared.scored_from,
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
        customers=prepared.customers,
        data_digest=profile.digest,
        is_simulated=profile.is_simulated,
        random_state=config.random_state,
        package_version=__version__,
        reference=reference_of(scores) if scores is not None else (),
        warnings=warnings,
    )
