"""Groups of customers by what is said of them, as known at the prediction time: to measure in, not to learn from."""

from collections.abc import Iterable

import pandas as pd

from features.attributes import OWN
from features.profile import Profile
from features.spec import Feature
from models.families import Task
from training.config import TrainConfig
from training.errors import ConfigInvalid

PREFIX = "group_"
USUAL = {"acquisition_channel": "channel", "country": "country"}
"""Columns by which every classifier is measured apart, with what the slice is called."""
MOST_LEVELS = 12
MISSING, OTHER = "missing", "other"


def require_groups_for(task: Task, config: TrainConfig) -> None:
    """Refuse groups where they would not be measured.

    Raises
    ------
    ConfigInvalid
        If groups are declared for a task that is no classifier.
    """
    if config.fairness_groups and task not in {"churn", "propensity"}:
        allowed = f"none for {task}: only churn and propensity are measured by group"
        raise ConfigInvalid("fairness_groups", ", ".join(config.fairness_groups), allowed)


def group_features(profile: Profile, config: TrainConfig) -> tuple[Feature, ...]:
    """The usual groups that the profile has, and the declared ones.

    Raises
    ------
    ConfigInvalid
        If a declared group is not a column of `customers`.
    """
    for name in config.fairness_groups:
        if not profile.has("customers", name):
            known = sorted(profile.tables["customers"].columns) if profile.has("customers") else []
            found = ", ".join(column for column in known if column not in {"customer_id", "ingested_at"})
            raise ConfigInvalid("fairness_groups", name, f"columns of customers: {found or 'there are none'}")
    names = dict.fromkeys([*(name for name in USUAL if profile.has("customers", name)), *config.fairness_groups])
    return tuple(_group(name) for name in names)


def _group(name: str) -> Feature:
    words = f"Column {name!r} as text, to measure apart by; null where it is empty."
    return Feature(
        PREFIX + name,
        "customers",
        "string",
        OWN,
        words,
        lambda customers: customers.column(name).max().cast("string"),
        nullable=True,
    )


def groups_in(outcome: pd.DataFrame, names: Iterable[str]) -> dict[str, pd.Series]:
    """The group of each row, by column; the least common of more than twelve levels are "other"."""
    found = {}
    for name in names:
        if PREFIX + name in outcome:
            levels = outcome[PREFIX + name].astype(object)
            levels = levels.where(levels.notna(), MISSING).astype(str)
            common = levels.value_counts().index[:MOST_LEVELS]
            found[name] = levels.where(levels.isin(common), OTHER).reset_index(drop=True)
    return found
