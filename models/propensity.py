"""Models of what a customer will do: the classifiers of churn, asked for another outcome."""

from typing import ClassVar

from models.churn.lightgbm import ChurnLightGBM
from models.churn.logistic import ChurnLogistic
from models.churn.rule import ChurnRule

EVENT = "probability_event"


class PropensityLightGBM(ChurnLightGBM):
    """Gradient-boosted trees for the probability of an event in the horizon."""

    output: ClassVar[str] = EVENT


class PropensityLogistic(ChurnLogistic):
    """Logistic regression for the probability of an event in the horizon."""

    output: ClassVar[str] = EVENT


class PropensityRule(ChurnRule):
    """The customer's own past rate: how often those did it who had done it about as often in the last year."""

    output: ClassVar[str] = EVENT
    column: ClassVar[str] = "target_count_365d"
