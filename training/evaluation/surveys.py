"""What surveys are worth to a model: the same recipe fitted and measured without them."""

from dataclasses import replace

import numpy as np

from features.spec import FeatureSet
from models.families import Family
from training.config import TrainConfig
from training.evaluation.grade import skill
from training.rows.origin import tables_of
from training.rows.splits import Split
from training.task import Measured, Prepared, TaskJob, by_survey

CLASSIFIED = ("log_loss", "brier", "roc_auc", "average_precision", "expected_calibration_error", "lift_top_decile")
SHOWN = ("poisson_deviance_orders", "rmse_orders", "log_loss_no_order", "mae_value", "gini_value", *CLASSIFIED)


def with_and_without(
    job: TaskJob, family: Family, config: TrainConfig, prepared: Prepared, measured: Measured
) -> dict[str, float]:
    """Fit once more without any feature of surveys and compare on the same holdout.

    Parameters
    ----------
    job, family, config, prepared
        As the model was fitted.
    measured : Measured
        The model with surveys, on the rows evaluated on.

    Returns
    -------
    dict
        ``without_surveys/<metric>``, and ``surveys/skill`` with its 90 % interval: the share of the loss without
        surveys that they take away; ``surveys/skill_responder``, ``..._silent`` and ``..._not_asked`` of those
        customers alone. Empty where no feature comes from surveys or the family takes only histories.
    """
    kept = tuple(f.name for f in prepared.features.features if "surveys" not in tables_of(f))
    learns = prepared.past is not None if family.build.learns_from_past else family.task in ("churn", "propensity")
    if not learns or len(kept) == len(prepared.features.features) or not kept:
        return {}
    features = prepared.features.only(kept)
    splits = {name: _only(split, features) for name, split in prepared.splits.items()}
    past = _only(prepared.past, features) if prepared.past is not None else None
    less = replace(prepared, features=features, splits=splits, past=past)
    other = job.evaluate(family, job.learn(family, config, less), config, less)
    metrics = {f"without_surveys/{name}": other.metrics[name] for name in SHOWN if name in other.metrics}
    apart = {"": np.full(len(measured.losses), True)}
    survey = by_survey(prepared.splits[job.evaluated_on].rows)
    if survey is not None:
        apart |= {f"_{name.replace(' ', '_')}": (survey == name).to_numpy() for name in sorted(survey.unique())}
    for name, here in apart.items():
        people = measured.people[here] if measured.people is not None else None
        found = skill(measured.losses[here], other.losses[here], job.perfect_loss, people)
        metrics[f"surveys/skill{name}"] = found.value
        metrics |= {f"surveys/skill{name}_low": found.low, f"surveys/skill{name}_high": found.high}
        metrics[f"surveys/rows{name}"] = float(here.sum())
    return metrics


def _only(split: Split, features: FeatureSet) -> Split:
    return replace(split, rows=split.rows[list(features.names)])
