"""What `/v1/explain` takes and answers."""

from datetime import datetime

from pydantic import Field

from models.families import Task
from serving.answers import Answer, Ranked, Reason
from serving.schemas import ScoreRequest


class ExplainRequest(ScoreRequest):
    """Customers whose scores to explain, by default of every task that has a champion."""

    tasks: list[Task] | None = Field(default=None, min_length=1)


class Member(Answer):
    """A feature of a reason."""

    feature: str
    description: str
    value: str | float | None
    contribution: float


class FullReason(Reason):
    """A reason with all its features."""

    title: str
    members: list[Member]


class Change(Answer):
    """What a probability would be if a meaning that the company can influence were as an average customer's."""

    factor: str
    probability: float
    effect: float
    text: str


class Explanation(Answer):
    """Everything that moves one score: from `base`, where all is average, to `score`."""

    score: float | None
    base: float | None
    percentile: float | None = None
    band: str | None = None
    evidence: str | None = None
    currency: str | None = None
    contribution_unit: str
    effect_unit: str
    reasons: list[FullReason]
    what_would_change: list[Change]
    association: str
    model_version: str
    feature_fingerprint: str


class ExplainRow(Answer):
    """The explanations of one customer's scores; a task that was not asked for or does not concern is null."""

    customer_id: str
    prediction_time: datetime
    churn: Explanation | None = None
    clv: Explanation | None = None
    segments: Explanation | None = None
    propensity: Explanation | None = None


class ExplainAnswer(Ranked):
    """Answer of /v1/explain."""

    rows: list[ExplainRow]
