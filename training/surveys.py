"""What surveys are worth to a model: the same recipe fitted and measured without them."""

from dataclasses import replace

from features.spec import FeatureSet
from models.families import Family
from training.config import TrainConfig
from training.grade import skill
from training.origin import tables_of
from training.splits import Split
from training.task import Measured, Prepared, TaskJob

SHOWN = ("poisson_deviance_orders", "rmse_orders", "log_loss_no_order", "mae_value", "gini_value")


def with_and_without(
    job: TaskJob, family: Family, config: TrainConfig, prepared: Prepared, measured: Measured
) -> dict[str, float]:
    """Fit once more without any feature of surveys and compare on the same holdout.

    Parameters
    ----------
    job, family, config, prepared
        As the model was fitted.
    measured : Measured
        The model with surveys, on the holdout.

    Returns
    -------
    dict
        ``without_surveys/<metric>``, and ``surveys/skill`` with its 90 % interval: the share of the loss without
        surveys that they take away. Empty where no feature comes from surveys or the family takes only histories.
    """
    kept = tuple(f.name for f in prepared.features.features if "surveys" not in tables_of(f))
    if not family.build.learns_from_past or prepared.past is None or len(kept) == len(prepared.features.features):
        return {}
    features = prepared.features.only(kept)
    splits = {name: _only(split, features) for name, split in prepared.splits.items()}
    less = replace(prepared, features=features, splits=splits, past=_only(prepared.past, features))
    other = job.measure(job.learn(family, config, less), splits["holdout"], config, less)
    found = skill(measured.losses, other.losses, job.perfect_loss)
    metrics = {f"without_surveys/{name}": other.metrics[name] for name in SHOWN}
    return metrics | {"surveys/skill": found.value, "surveys/skill_low": found.low, "surveys/skill_high": found.high}


def _only(split: Split, features: FeatureSet) -> Split:
    return replace(split, rows=split.rows[list(features.names)])
