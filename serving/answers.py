"""What the service answers."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of everything answered."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Reason(Answer):
    """Features of one meaning as a reason: the strongest `feature` with its `value`; what all of them add to the score.

    `contribution` is on the model's own scale; `effect` is what the score changes against average features: the
    difference of a probability, the ratio of a value less 1, standard deviations of a segment.
    """

    factor: str
    feature: str
    value: float | None
    contribution: float
    effect: float
    can_influence: bool
    text: str


class Row(Answer):
    """What every row of an answer names."""

    customer_id: str
    prediction_time: datetime
    model_version: str
    feature_fingerprint: str
    reasons: list[Reason]


class ChurnRow(Row):
    """Churn of one customer, now and by when: the probability to have been silent for a horizon within so many days.

    The latter is null beyond what was learned.
    """

    probability_churned: float
    is_already_churned: bool
    evidence: str
    probability_churned_30d: float | None
    probability_churned_60d: float | None
    probability_churned_90d: float | None
    probability_churned_180d: float | None
    probability_churned_365d: float | None
    percentile: float
    band: str


class PropensityRow(Row):
    """Propensity of one customer to the event that the model was trained for; /v1/models says which."""

    probability_event: float
    evidence: str
    percentile: float
    band: str


class ValueRow(Row):
    """Base of what says the value of one customer, with the 50 % and 90 % intervals of what the customer will do.

    Money is in `currency`; null where what the model learned from did not say.
    """

    probability_active: float
    expected_orders: float
    expected_order_value: float
    margin_rate: float
    clv: float
    expected_orders_low_90: float
    expected_orders_low_50: float
    expected_orders_high_50: float
    expected_orders_high_90: float
    clv_low_90: float
    clv_low_50: float
    clv_high_50: float
    clv_high_90: float
    clv_standard_deviation: float
    discounted_orders_if_active: float
    clv_of_average: float
    clv_from_active: float
    clv_from_orders: float
    clv_from_order_value: float
    clv_from_margin: float
    clv_from_cost: float
    days_to_next_order_low_50: float
    days_to_next_order: float
    days_to_next_order_high_50: float
    next_order_date: date | None
    next_order_date_low_50: date | None
    next_order_date_high_50: date | None
    is_high_value: bool
    currency: str | None
    evidence: str


class ClvRow(ValueRow):
    """Value of one customer."""

    percentile: float
    band: str


class ProspectRow(ValueRow):
    """What a customer may be worth who has never ordered: to be read beside the others' values, never among them."""


class SegmentsRow(Row):
    """Segment of one customer."""

    segment_id: int
    segment: str


class AtRiskRow(Answer):
    """Probability of leaving times value of one customer, with the 50 % and 90 % intervals of that value."""

    value_at_risk: float
    value_at_risk_low_90: float
    value_at_risk_low_50: float
    value_at_risk_high_50: float
    value_at_risk_high_90: float


class CustomerRow(Answer):
    """Everything about one customer; a task without a champion, or whose champion knows nothing of one, is null."""

    customer_id: str
    prediction_time: datetime
    churn: ChurnRow | None = None
    clv: ClvRow | None = None
    segments: SegmentsRow | None = None
    at_risk: AtRiskRow | None = None
    propensity: PropensityRow | None = None


class Excluded(Answer):
    """A customer who cannot be scored, and why."""

    customer_id: str
    reason: str


Bands = dict[str, dict[str, float]]
"""By task, the lowest score in each band above low."""


class Ranked(Answer):
    """Base of answers that rank customers."""

    excluded: list[Excluded]
    bands: Bands


class ChurnAnswer(Ranked):
    """Answer of /v1/churn/score."""

    rows: list[ChurnRow]


class ClvAnswer(Ranked):
    """Answer of /v1/clv/score; `prospects` are the customers without an order whose value is forecast all the same."""

    rows: list[ClvRow]
    prospects: list[ProspectRow] = Field(default_factory=list)


class SegmentsAnswer(Answer):
    """Answer of /v1/segments/score."""

    rows: list[SegmentsRow]
    excluded: list[Excluded]


class PropensityAnswer(Ranked):
    """Answer of /v1/propensity/score."""

    rows: list[PropensityRow]


class ScoreAnswer(Ranked):
    """Answer of /v1/score; `prospects` are the customers without an order whose value is forecast all the same."""

    rows: list[CustomerRow]
    prospects: list[ProspectRow] = Field(default_factory=list)


class ModelsAnswer(Answer):
    """Answer of /v1/models: the champions in service, by task."""

    models: dict[str, dict[str, Any]]
