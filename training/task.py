"""What all tasks have in common: preparing rows, learning, and measuring against the baseline."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.eligibility import Eligible
from features.engine.counted import CUSTOMERS
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.churn.curve import ChurnCurve
from models.clv.margins import Margins
from models.families import Family, Task
from models.persistence import Kept
from training.config import TrainConfig
from training.evaluation.levels import LEVELS
from training.rows.prospects import ProspectRows
from training.rows.splits import Split, resolve_cutoff
from training.rows.timeline import Timeline


@dataclass(frozen=True)
class Prepared:
    """Rows to learn from and to evaluate on, made once for all families of a task.

    Parameters
    ----------
    cutoff : datetime
        Nothing known only at or after it is in `train` or `validation`.
    features : FeatureSet
        The model's columns: those of the family's set that the profile can give.
    absent : mapping of str to str
        The others, with what is missing.
    splits : mapping of str to Split
        `train`, `validation` and, when evaluating, `holdout`.
    label : str
        What is predicted, in words.
    currency : str or None
        Of every amount, where the profile says.
    warnings : tuple of str
        What a reader of the result should know.
    counted : pandas.DataFrame or None
        Instead of `train`: distinct histories with the number of their customers, of `features.engine.counted`.
    past : Split or None
        Rows at earlier prediction times whose windows of `past_days` ended by the cutoff, for families that learn
        from them.
    past_days : int
        See `past`.
    months, year, year_ago : Split or None
        Of `training.rows.past.month_rows`, `year_rows` and `year_ago_rows`: what tells season and persistent bias.
    timeline : Timeline or None
        When the customers of the holdout of lifetime value ordered.
    prospects : ProspectRows or None
        What is known of customers without an order, for lifetime value.
    curve : ChurnCurve or None
        When customers will have left, for whichever family is fitted beside it.
    curve_metrics : mapping of str to float
        How well it foretold that.
    margins : Margins or None
        How customers' own margin rates are told, where they have any; `splits` then hold them in `outcome`.
    margin_metrics : mapping of str to float
        How well these foretold what the orders of the holdout earned, beside everyone's rate.
    """

    cutoff: datetime
    features: FeatureSet
    absent: Mapping[str, str]
    splits: Mapping[str, Split]
    label: str
    currency: str | None = None
    warnings: tuple[str, ...] = ()
    counted: pd.DataFrame | None = field(default=None, repr=False)
    past: Split | None = None
    past_days: int = 0
    months: Split | None = None
    year: Split | None = None
    year_ago: Split | None = None
    timeline: Timeline | None = None
    prospects: ProspectRows | None = None
    curve: ChurnCurve | None = None
    curve_metrics: Mapping[str, float] = field(default_factory=dict)
    margins: Margins | None = None
    margin_metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def scored_from(self) -> FeatureSet:
        """All that is needed of a customer to score: the model's columns, and those that tell the margin rate."""
        own = self.margins.features if self.margins else ()
        return FeatureSet(self.features.name, self.features.version, (*self.features.features, *own))

    @property
    def customers(self) -> int:
        """How many are learned from."""
        if self.counted is not None:
            return int(self.counted[CUSTOMERS].sum())
        return int(self.splits["train"].keys["customer_id"].nunique())

    @property
    def every_split(self) -> dict[str, Split]:
        """All rows that were learned from or evaluated on, for the log."""
        splits = dict(self.splits)
        if self.past is not None:
            splits["past"] = replace(self.past, name="past")
        if self.prospects is not None:
            splits["prospects"] = self.prospects.waiting
        return splits


@dataclass(frozen=True)
class Measured:
    """A model's figures on one split.

    Parameters
    ----------
    metrics : dict of str to float
        By standard name.
    losses : ndarray of shape (n,)
        The task's primary loss of each evaluated row; smaller is better.
    scores : pandas.DataFrame
        The model's score columns for the split's rows.
    people : ndarray of shape (n,) or None
        Whose rows were evaluated; None where every row is another's.
    """

    metrics: dict[str, float]
    losses: Array
    scores: pd.DataFrame = field(repr=False)
    people: npt.NDArray[Any] | None = field(default=None, repr=False)


class TaskJob(ABC):
    """How one task is trained and measured."""

    task: ClassVar[Task]
    primary: ClassVar[str]
    """Name of the metric whose rows are `Measured.losses`."""
    perfect_loss: ClassVar[float] = 0.0
    """The primary loss of a flawless model."""
    evaluated_on: ClassVar[str] = "holdout"
    """The split that the metrics are of."""
    refits: ClassVar[bool] = True
    """Whether there is more to learn from once the model is evaluated."""
    asks_stability: ClassVar[bool] = False
    """Whether the best grade asks for skill at earlier cutoffs, too."""

    def concerns(self, config: TrainConfig) -> tuple[str, Eligible]:
        """The name of what is predicted, where a task has several, and whom it is for."""
        del config
        return "", "ordered"

    def require(self, config: TrainConfig, profile: Profile) -> int:
        """Refuse a profile without the table that the labels come from.

        Returns
        -------
        int
            Days after the label window that must have been seen, too.

        Raises
        ------
        MissingTable
            If it is not there.
        """
        del config
        profile.table("orders", f"training {self.task}")
        return 0

    @abstractmethod
    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make the rows; without `evaluate` there is no holdout."""

    def prepare_past(self, config: TrainConfig, profile: Profile, prepared: Prepared) -> Prepared:
        """Add what only families that learn from the past take: rows at earlier prediction times."""
        del config, profile
        return prepared

    def prepare_refit(self, family: Family, config: TrainConfig, profile: Profile) -> Prepared:
        """Make what a family is fitted to once more: everything known."""
        prepared = self.prepare(config, profile, family.feature_set, profile.known_until, evaluate=False)
        return self.prepare_past(config, profile, prepared) if family.build.learns_from_past else prepared

    @abstractmethod
    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Make the rows to evaluate on: as known at the cutoff, with what came after it."""

    def cutoff(self, config: TrainConfig, profile: Profile) -> datetime:
        """What separates learning from evaluating.

        Raises
        ------
        CutoffOutOfRange, MissingTable
            If there is nothing before it or no whole label window after it, or no table to take labels from.
        """
        return resolve_cutoff(config, profile, self.require(config, profile))

    def is_dated(self, config: TrainConfig, profile: Profile) -> bool:
        """Whether the cutoff means anything."""
        del config, profile
        return True

    def require_enough(self, prepared: Prepared) -> None:
        """Refuse rows from which nothing could be learned but by heart; by default none are."""
        del prepared

    @abstractmethod
    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit a family's model to the training rows."""

    @abstractmethod
    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """Measure a model on a split."""

    def evaluate(self, recipe: Family, model: Model, config: TrainConfig, prepared: Prepared) -> Measured:
        """Measure a model on what it is evaluated on."""
        del recipe
        return self.measure(model, prepared.splits[self.evaluated_on], config, prepared)

    def baselines(self, simplest: Family, config: TrainConfig, prepared: Prepared) -> dict[str, Measured]:
        """What the families must beat, by name: the task's simplest family, unless a task knows more."""
        return {simplest.name: self.evaluate(simplest, self.learn(simplest, config, prepared), config, prepared)}

    def measure_rival(self, rival: Kept, profile: Profile, config: TrainConfig, prepared: Prepared) -> Measured:
        """Measure a kept model on the rows that another is evaluated on.

        Raises
        ------
        FeaturesUnavailable, ModelIncompatible
            If the profile does not give its features as it knows them.
        """
        split = self.holdout(config, profile, rival.model_features, prepared.cutoff)
        return self.measure(rival.model, split, config, prepared)

    def validate(self, model: Model, config: TrainConfig, prepared: Prepared) -> Measured | None:
        """Measure on what was known before the cutoff, for families to compete on."""
        split = prepared.splits.get("validation")
        return self.measure(model, split, config, prepared) if split is not None and len(split.rows) else None

    def churned_share(self, split: Split) -> Array | None:
        """How much of each row is of a customer who did not order afterwards; None where that is not asked."""
        if "order_days" not in split.outcome:
            return None
        return np.asarray(split.outcome["order_days"] == 0, dtype=np.float64)

    @abstractmethod
    def slices(self, split: Split) -> dict[str, pd.Series]:
        """Groupings of a split's rows in which the model is measured apart, by name."""

    def is_calibrated(self, metrics: Mapping[str, float], *, strictly: bool) -> bool:
        """Whether the level of predictions can be trusted, by the published thresholds."""
        return LEVELS[self.task].holds(metrics, strictly=strictly)

    @abstractmethod
    def evidence(self, split: Split) -> int:
        """How many rows of the rarer outcome the holdout has."""

    def figures(self, split: Split, scores: pd.DataFrame) -> dict[str, float]:
        """Metrics of some rows that are scored already, with their intervals; none by default."""
        del split, scores
        return {}

    def worth(self, measured: Measured, split: Split, config: TrainConfig) -> dict[str, float]:
        """What decisions by the scores would earn on rows whose outcome is known; nothing where none follow."""
        del measured, split, config
        return {}

    def reference_scores(self, model: Model, prepared: Prepared) -> Array | None:
        """Scores of the customers learned from, for percentiles; None where customers are not ranked."""
        del model, prepared
        return None


def seed_of(family: Family, config: TrainConfig) -> dict[str, int]:
    """The seed as a setting of a family's model, where it takes one."""
    return {"random_state": config.random_state} if "random_state" in family.build().get_params() else {}


def currency_of(profile: Profile, table: str = "orders") -> str | None:
    """The profile's one currency, where its orders (or another table of amounts) say."""
    if not profile.has(table, "currency"):
        return None
    rows = profile.tables[table]
    found: Any = profile.backend.to_pyarrow(rows.aggregate(currency=rows.currency.max())).to_pylist()[0]["currency"]
    return str(found) if found is not None else None


def bins(values: pd.Series, edges: list[float], words: list[str]) -> pd.Series:
    """Words for the interval each value lies in; "none" where it is missing."""
    place = np.searchsorted(np.array(edges), values.to_numpy(dtype=np.float64), side="right")
    return pd.Series(np.where(values.isna(), "none", np.array(words)[place]))


def by_frequency(split: Split) -> pd.Series:
    """Repeat order days: 0, 1, 2-3, 4 and more."""
    return bins(split.outcome["frequency"], [1, 2, 4], ["0", "1", "2-3", "4+"])


def by_age(split: Split) -> pd.Series:
    """Days since the first order."""
    words = ["below 90 days", "90-180 days", "180-365 days", "over a year"]
    return bins(split.outcome["T_days"], [90, 180, 365], words)


def by_survey(rows: pd.DataFrame) -> pd.Series | None:
    """Whether each customer was asked in a year's surveys, and answered; None where the rows do not say."""
    if not {"survey_asked_count_365d", "survey_response_rate_365d"} <= set(rows.columns):
        return None
    asked, rate = rows["survey_asked_count_365d"], rows["survey_response_rate_365d"]
    return pd.Series(np.where(asked == 0, "not asked", np.where(rate > 0, "responder", "silent")))
