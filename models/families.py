"""Every family of models: what it predicts, from which features, how it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features.catalogue import CHURN, CLV, CLV_CONTRACTUAL, CLV_HYBRID, PROPENSITY, SEGMENTS
from features.errors import UnknownName
from features.spec import FeatureSet
from models.base import Model
from models.churn.lightgbm import ChurnLightGBM
from models.churn.logistic import ChurnLogistic
from models.churn.rule import ChurnRule
from models.clv.answer import COLUMNS
from models.clv.btyd import ClvBgNbd, ClvMbgNbd, ClvParetoNbd
from models.clv.contractual import ClvContractual, ClvContractualNaive
from models.clv.hybrid import ClvHybrid
from models.clv.naive import ClvNaive
from models.errors import ParameterOutOfRange, UnknownParameter
from models.propensity import PropensityLightGBM, PropensityLogistic, PropensityRule
from models.segments.kmeans import SegmentsKMeans
from models.segments.rfm import SegmentsRFM

Task = Literal["churn", "clv", "segments", "propensity"]
TASKS: tuple[Task, ...] = ("churn", "clv", "segments", "propensity")

OUTPUTS: dict[Task, dict[str, type]] = {
    "churn": {"probability_churned": float},
    "clv": COLUMNS,
    "segments": {"segment_id": int, "segment": str},
    "propensity": {"probability_event": float},
}
"""The score columns of each task, the same for all of its families."""

MOST = 1e9
RANGES: dict[str, tuple[float, float]] = {
    "trees": (1, 100_000), "maximum_trees": (1, 100_000), "patience": (1, 100_000), "learning_rate": (1e-6, 10),
    "num_leaves": (2, 131_072), "max_bin": (2, 65_535), "minimum_leaf_rows": (1, MOST), "lambda_l2": (0, MOST),
    "feature_fraction": (1e-3, 1), "bagging_fraction": (1e-3, 1), "random_state": (0, MOST),
    "C": (1e-9, MOST), "maximum_iterations": (1, MOST), "bins": (2, MOST), "penalty": (0, MOST),
    "period_days": (1, 3_653),
}  # fmt: skip
"""Between what settings of models must lie; the others are looked at where they are used."""
FRACTIONS = {"period_days"}
"""Settings without a default that need not be whole."""

Outcome = Literal["orders", "subscriptions"]

RANKED: dict[Task, str] = {"churn": "probability_churned", "clv": "clv", "propensity": "probability_event"}
"""The score column by which customers are ranked into percentiles and bands."""


@dataclass(frozen=True)
class Family:
    """A recipe for a model.

    Parameters
    ----------
    name : str
        Unique over all tasks.
    task : {"churn", "clv", "segments", "propensity"}
        What it predicts.
    feature_set : FeatureSet
        What it is fitted on; features that a profile lacks are left out.
    build : type
        The model's class; its settings are the class's arguments.
    is_baseline : bool
        Whether it is the simplest model of its task, which the others must beat.
    reason_unit : str
        What its explanations are measured in.
    outcome : {"orders", "subscriptions"}
        The facts in which its forecasts come true or not. Families of one task and outcome compete; what customers
        order and what subscriptions pay are different amounts, and no loss compares them.
    simpler : str
        The simpler family that it is measured beside, and that is taken where its gain may be noise and the
        data are small or it is the baseline; empty for none.
    """

    name: str
    task: Task
    feature_set: FeatureSet
    build: type[Model]
    is_baseline: bool
    reason_unit: str
    outcome: Outcome = "orders"
    simpler: str = ""

    def make(self, settings: Mapping[str, Any]) -> Model:
        """Make an unfitted model.

        Parameters
        ----------
        settings : mapping
            The class's arguments; those left out have their defaults.

        Raises
        ------
        UnknownParameter
            If a setting is not one of them.
        ParameterOutOfRange
            If one is no number of its kind, or not between its `RANGES`.
        """
        defaults = self.build().get_params()
        for name, found in settings.items():
            if name not in defaults:
                raise UnknownParameter(self.name, name, defaults)
            if found is not None or defaults[name] is not None:
                _require(name, found, whole=not isinstance(defaults[name], float) and name not in FRACTIONS)
        return self.build(**settings)


def _require(name: str, found: object, *, whole: bool) -> None:
    """Refuse what is no number of a setting's kind, or out of its range."""
    low, high = RANGES.get(name, (-MOST, MOST))
    kinds = (int,) if whole else (int, float)
    if isinstance(found, bool) or not isinstance(found, kinds) or not low <= found <= high:
        raise ParameterOutOfRange(name, found, f"a {'whole ' if whole else ''}number from {low:g} to {high:g}")


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("churn_lightgbm", "churn", CHURN, ChurnLightGBM, False, "log-odds", simpler="churn_logistic"),
        Family("churn_logistic", "churn", CHURN, ChurnLogistic, False, "log-odds", simpler="churn_rule"),
        Family("churn_rule", "churn", CHURN, ChurnRule, True, "log-odds"),
        Family("clv_bgnbd", "clv", CLV, ClvBgNbd, False, "log ratio"),
        Family("clv_mbgnbd", "clv", CLV, ClvMbgNbd, False, "log ratio"),
        Family("clv_pareto_nbd", "clv", CLV, ClvParetoNbd, False, "log ratio"),
        Family("clv_hybrid", "clv", CLV_HYBRID, ClvHybrid, False, "log ratio"),
        Family("clv_naive", "clv", CLV, ClvNaive, True, "log ratio"),
        Family("clv_contractual", "clv", CLV_CONTRACTUAL, ClvContractual, False, "log ratio", "subscriptions"),
        Family(
            "clv_contractual_naive", "clv", CLV_CONTRACTUAL, ClvContractualNaive, True, "log ratio", "subscriptions"
        ),
        Family("segments_kmeans", "segments", SEGMENTS, SegmentsKMeans, False, "standard deviations"),
        Family("segments_rfm", "segments", SEGMENTS, SegmentsRFM, True, "standard deviations"),
        Family(
            "propensity_lightgbm",
            "propensity",
            PROPENSITY,
            PropensityLightGBM,
            False,
            "log-odds",
            simpler="propensity_logistic",
        ),
        Family(
            "propensity_logistic",
            "propensity",
            PROPENSITY,
            PropensityLogistic,
            False,
            "log-odds",
            simpler="propensity_rule",
        ),
        Family("propensity_rule", "propensity", PROPENSITY, PropensityRule, True, "log-odds"),
    )
}


def family(name: str) -> Family:
    """Look a family up.

    Raises
    ------
    UnknownName
        If there is none of that name.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise UnknownName("family", name, FAMILIES) from None


def families_of(task: Task, *, baseline: bool | None = None, outcome: Outcome = "orders") -> list[Family]:
    """The families of a task that forecast one outcome; with `baseline`, only those that are one, or are not."""
    return [
        f for f in FAMILIES.values() if (f.task, f.outcome) == (task, outcome) and baseline in (None, f.is_baseline)
    ]
