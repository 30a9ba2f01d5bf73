"""The facts a scorer needs besides a model's parameters, and that a reader of its scores is owed."""

from typing import Any, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict

from features.attributes import OWN, attribute
from features.catalogue import CATALOGUE
from features.eligibility import Eligible
from features.margins import category_margin_feature
from features.occurrences import occurrence_feature
from features.spec import Dtype, Feature, FeatureSet
from models.base import Array
from models.errors import ModelIncompatible

BAND_EDGES = {"medium": 50.0, "high": 80.0}
"""Percentile from which a customer is in the band; below the first: low."""
HIGH_VALUE_SHARE = 0.8
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous_champion"
"""What versions of a model are called in the registry: the one that is served, the last trained, the one before."""
GRID = np.linspace(0, 100, 1001)


class FeatureIdentity(BaseModel):
    """A feature as the model knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dtype: Dtype
    unit: str
    version: int
    detail: str = ""

    def installed(self) -> Feature | None:
        """The feature as installed: of the catalogue, the company's own, or made for a condition or rates."""
        if self.unit == OWN:
            return attribute(self.name, self.dtype)
        if not self.detail:
            return CATALOGUE.get(self.name)
        return category_margin_feature(self.name, self.detail) or occurrence_feature(self.name, self.detail)


class Contract(BaseModel):
    """What a model version promises.

    Parameters
    ----------
    task, family : str
        What it predicts and by which recipe.
    feature_set, feature_set_version, features, fingerprint
        The columns it takes, in order, and their hash.
    cutoff : datetime
        Nothing known only at or after it was learned from.
    is_dated : bool
        Whether the cutoff means anything: a flat table need not say when it was taken.
    horizon_days, gap_days : int
        The window it predicts: ``[prediction_time + gap, prediction_time + gap + horizon)``; 0 where the data have no
        dates.
    label : str
        What is predicted, in words.
    outcome : str
        The name of what is predicted: `churned`, `churned_contractual`, `event`, or a label column's own.
    eligible : {"ordered", "subscriber", "active", "subscribed", "known", "lapsed", "former"}
        Whom it is for: see `features.eligibility`.
    id_column : str
        What names the customer in the flat table learned from.
    currency : str or None
        Of every amount, where the profile says.
    margin_rate, annual_discount_rate, annual_cost_to_serve : float or None
        On what terms `clv` is valued.
    total_errors : tuple of float
        Logarithm of actual over expected total of value, from each origin of the backtest, widened where its
        windows are shorter than the horizon, and on the holdout.
    customers : int
        Customers learned from.
    data_digest : str
        SHA-256 of the profile learned from.
    is_simulated : bool
        Whether that profile was simulated.
    random_state : int
        Seed of everything random.
    package_version : str
        Of Patron.
    reference : list of float
        Scores of the customers learned from at 0, 0.1, ..., 100 percent; empty for segments.
    warnings : list of str
        What a reader of its scores should know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    family: str
    feature_set: str
    feature_set_version: int
    features: tuple[FeatureIdentity, ...]
    fingerprint: str
    cutoff: AwareDatetime
    horizon_days: int
    gap_days: int
    label: str
    is_dated: bool = True
    outcome: str = ""
    eligible: Eligible = "ordered"
    id_column: str = "customer_id"
    currency: str | None = None
    margin_rate: float | None = None
    annual_discount_rate: float | None = None
    annual_cost_to_serve: float | None = None
    total_errors: tuple[float, ...] = ()
    customers: int
    data_digest: str
    is_simulated: bool
    random_state: int
    package_version: str
    reference: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def for_features(cls, features: FeatureSet, **facts: Any) -> Self:
        """Write down the features beside the other facts."""
        identities = tuple(
            FeatureIdentity(name=f.name, dtype=f.dtype, unit=f.unit, version=f.version, detail=f.detail)
            for f in features.features
        )
        return cls(
            feature_set=features.name,
            feature_set_version=features.version,
            features=identities,
            fingerprint=features.fingerprint,
            **facts,
        )

    def installed_features(self) -> FeatureSet:
        """The model's features as the installed catalogue defines them.

        Raises
        ------
        ModelIncompatible
            If the catalogue lacks one or defines it differently.
        """
        known = [feature.installed() for feature in self.features]
        features = FeatureSet(self.feature_set, self.feature_set_version, tuple(f for f in known if f is not None))
        if features.fingerprint != self.fingerprint:
            raise ModelIncompatible(f"{self.task}/{self.family}", self.fingerprint, features.fingerprint)
        return features

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The company's own columns among its features."""
        return tuple(feature.name for feature in self.features if feature.unit == OWN)

    @property
    def band_thresholds(self) -> dict[str, float]:
        """The lowest reference score in each band above low."""
        levels = np.unique(np.array(self.reference))
        ranks = percentile(levels, self.reference)
        inside = {name: levels[ranks >= edge] for name, edge in BAND_EDGES.items()}
        return {name: float(scores[0]) for name, scores in inside.items() if len(scores)}

    @property
    def high_value_threshold(self) -> float | None:
        """The lowest score among the reference customers who together hold 80 % of the total; None where there is none.

        The 80/20 rule as it is for these customers: how many they are is theirs to say.
        """
        levels = np.array(self.reference)[::-1]
        if not len(levels) or levels[0] <= 0:
            return None
        held = np.cumsum(np.maximum((levels[:-1] + levels[1:]) / 2, 0.0))  # by the thousandth of the customers
        return float(levels[1 + np.searchsorted(held, HIGH_VALUE_SHARE * held[-1])])


def reference_of(scores: Array) -> tuple[float, ...]:
    """The distribution of scores that percentiles and bands are read from: 1,001 quantiles."""
    return tuple(float(value) for value in np.quantile(scores, GRID / 100, method="inverted_cdf"))


def percentile(scores: Array, reference: tuple[float, ...]) -> Array:
    """Percent of the reference customers who score lower, ties counting half; 0 to 100 in steps of 0.1."""
    levels = np.array(reference)
    below, not_above = (np.searchsorted(levels, scores, side=side) for side in ("left", "right"))
    return np.round((below + not_above) / 2 / len(levels) * 100, 1)


def band(percentiles: Array) -> list[str]:
    """Low, medium or high."""
    medium, high = BAND_EDGES["medium"], BAND_EDGES["high"]
    return ["high" if value >= high else "medium" if value >= medium else "low" for value in percentiles]
