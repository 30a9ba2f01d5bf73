"""Measuring a fitted family: its figures, its grade, what a reader should know, and the contract it is kept with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from features import __version__
from features.profile import Profile
from models.base import Model
from models.contract import Contract, reference_of
from models.families import Family
from models.persistence import Kept
from training.clv import likelihoods
from training.config import TrainConfig
from training.evaluation.baselines import Compared, compare, graded
from training.evaluation.evidence import evidence_warnings
from training.evaluation.facts import cost_metrics, data_metrics, holdout_frame
from training.evaluation.prospects import forecast_prospects
from training.evaluation.slices import measure_slices
from training.evaluation.standings import Backtest, log_error
from training.flat import CV
from training.result import FitResult
from training.rows.leakage import Checked
from training.rows.splits import split_log
from training.task import Measured, Prepared, TaskJob

NO_BACKTEST = "low evidence: too few customers had come back for a backtest before the cutoff"


@dataclass(frozen=True)
class Ground:
    """What families that take the same rows are measured on, and held to.

    Parameters
    ----------
    job : TaskJob
        How the task is measured.
    profile : Profile
        Where the rows are from.
    prepared : Prepared
        The rows.
    baselines : mapping of str to Measured
        On these rows, by name.
    leakage : Checked
        What was found in their columns.
    backtest : Backtest or None
        The contest of the families of lifetime value, where there was one.
    """

    job: TaskJob
    profile: Profile
    prepared: Prepared
    baselines: Mapping[str, Measured]
    leakage: Checked
    backtest: Backtest | None = None


def measure(
    ground: Ground, recipe: Family, model: Model, config: TrainConfig, beside: Mapping[str, Measured]
) -> FitResult:
    """Measure a fitted family.

    Parameters
    ----------
    ground : Ground
        What it is measured on.
    recipe, model, config
        What was fitted, and with which settings.
    beside : mapping of str to Measured
        The simpler model that stands beside it, by name.
    """
    job, prepared, contest = ground.job, ground.prepared, ground.backtest
    if job.task == "clv" and recipe.outcome == "orders" and contest is None:
        prepared = replace(prepared, warnings=(*prepared.warnings, NO_BACKTEST))
    holdout = prepared.splits[job.evaluated_on]
    measured = job.evaluate(recipe, model, config, prepared)
    # where rows are predicted in folds, these say more than one split
    validated = measured if job.evaluated_on == CV else job.validate(model, config, prepared)
    compared = compare(recipe.name, measured, ground.baselines, job.perfect_loss, beside)
    prospects, of_prospects, said_of_prospects = forecast_prospects(model, prepared)
    metrics = _figures(ground, recipe, model, config, measured, validated, compared) | of_prospects
    letter = graded(job, compared, measured, holdout, is_stable=not job.asks_stability)
    warnings = [*ground.leakage.warnings, *prepared.warnings, *model.warnings_, *said_of_prospects]
    history = (prepared.cutoff - ground.profile.known_from).days if job.is_dated(config, ground.profile) else 0
    warnings += evidence_warnings(len(holdout.rows), job.evidence(holdout), compared.skill, history)
    if letter == "D":
        warnings.append(f"{recipe.name} does not beat its baseline: do not use its scores")
    errors = _total_errors(ground, recipe, config, measured)
    contract = contract_of(job, recipe, model, ground.profile, config, prepared, warnings, errors)
    kept = Kept(model, contract, prospects, prepared.curve, prepared.margins)
    return FitResult(
        family=recipe,
        evaluated=kept,
        final=kept,
        config=config,
        metrics=metrics,
        slices=measure_slices(job, holdout, measured, compared.baseline),
        holdout=holdout_frame(holdout, measured, compared.baseline),
        splits=split_log(prepared.every_split) + (contest.splits if contest else []),
        grade=letter,
        skill=compared.skill,
        warnings=tuple(warnings),
        absent=prepared.absent,
        prepared=prepared,
        measured=measured,
        baseline=compared.baseline,
        compared=compared,
        validated=validated,
        source=ground.profile.source,
        leakage=ground.leakage,
        backtest=contest,
    )


def _figures(
    ground: Ground,
    recipe: Family,
    model: Model,
    config: TrainConfig,
    measured: Measured,
    validated: Measured | None,
    compared: Compared,
) -> dict[str, float]:
    """Every metric under ``<split>/<metric>``."""
    job, prepared = ground.job, ground.prepared
    holdout = prepared.splits[job.evaluated_on]
    by_split: dict[str, Mapping[str, float]] = {
        job.evaluated_on: {**measured.metrics, **compared.metrics()},
        "baseline": compared.baseline.metrics,
        "validation": {**validated.metrics, "loss": float(validated.losses.mean())} if validated is not None else {},
        "train": likelihoods(model, prepared.splits["train"]),
        "curve": prepared.curve_metrics,
    }
    return {
        **{f"{split}/{name}": value for split, figures in by_split.items() for name, value in figures.items()},
        **(ground.backtest.metrics(recipe.name) if ground.backtest else {}),
        **prepared.margin_metrics,
        **job.worth(measured, holdout, config),
        **data_metrics(prepared, holdout.outcome),
        **cost_metrics(model, holdout.rows),
    }


def _total_errors(ground: Ground, recipe: Family, config: TrainConfig, measured: Measured) -> tuple[float, ...]:
    """What forecasts of the total of value were off by, from every origin and on the holdout."""
    if ground.job.task != "clv":
        return ()
    before = ground.backtest.total_errors(recipe.name, config.horizon_days) if ground.backtest else ()
    return (*before, *log_error(measured.metrics["bias_total_value"]))


def contract_of(
    job: TaskJob,
    recipe: Family,
    model: Model,
    profile: Profile,
    config: TrainConfig,
    prepared: Prepared,
    warnings: Sequence[str],
    total_errors: tuple[float, ...],
) -> Contract:
    """What a fitted model promises to whoever scores with it."""
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
        warnings=tuple(warnings),
    )
