"""What customers said when asked, and that they said nothing: silence is a fact of its own, never a mean or a zero."""

from collections.abc import Callable
from typing import Any

import ibis

from features.contract import SURVEY_SCALES
from features.instants import DAY_US
from features.spec import Dtype, Facts, Feature, Window, feature, windowed

METRICS = tuple(SURVEY_SCALES)
CATEGORIES: dict[str, tuple[tuple[int, str], ...]] = {
    "nps": ((9, "promoter"), (7, "passive"), (0, "detractor")),
    "csat": ((4, "satisfied"), (3, "neutral"), (1, "dissatisfied")),
    "ces": ((5, "easy"), (4, "neutral"), (1, "hard")),
}
"""Names of the answers from each score up, the greatest first."""
YEAR = Window(365)


def _per_metric(
    name: str,
    description: str,
    build: Callable[[Facts, str], Any],
    *,
    dtype: Dtype = "float64",
    unit: str = "score",
    nullable: bool = True,
    minimum: float | None = 0,
    maximum: float | None = None,
) -> tuple[Feature, ...]:
    """One feature a survey metric; `{}` in name and description stands for the metric."""

    def of(metric: str) -> Feature:
        said = description.format(metric.upper())
        return Feature(
            name.format(metric),
            "surveys",
            dtype,
            unit,
            said,
            lambda surveys: build(surveys, metric),
            nullable,
            minimum,
            maximum,
        )

    return tuple(of(metric) for metric in METRICS)


def _asked(surveys: Facts, metric: str) -> Any:
    return surveys.metric == metric


def _answered(surveys: Facts, metric: str) -> Any:
    return surveys.is_answered & (surveys.metric == metric)


def _last(surveys: Facts, metric: str) -> Any:
    return surveys.last_whole(surveys.score, surveys.responded_at, _answered(surveys, metric))


def _mean(surveys: Facts, metric: str) -> Any:
    return surveys.mean(surveys.score, where=_answered(surveys, metric))


def _trend(surveys: Facts, metric: str) -> Any:
    answered = _answered(surveys, metric)
    count, total = surveys.count(where=answered), surveys.score.sum(where=answered)
    last = _last(surveys, metric)
    return last.cast("float64") - (total - last).cast("float64") / (count - 1).nullif(0)


def _spread(surveys: Facts, metric: str) -> Any:
    answered = _answered(surveys, metric)
    return surveys.score.max(where=answered) - surveys.score.min(where=answered)


def _category(surveys: Facts, metric: str) -> Any:
    last = _last(surveys, metric)
    return ibis.cases(*((last >= low, name) for low, name in CATEGORIES[metric]), else_=None)


def _is_silent(surveys: Facts, metric: str) -> Any:
    last_asked = surveys.sent_at.max(where=_asked(surveys, metric))
    last_answered_question = surveys.sent_at.max(where=_answered(surveys, metric))
    return (last_asked > last_answered_question.fill_null(last_asked - 1)).fill_null(False)


def _response_rate(surveys: Facts, metric: str) -> Any:
    return surveys.share(surveys.is_answered, of=_asked(surveys, metric) & surveys.within(YEAR))


last_scores = _per_metric("{}_last_score", "Score of the last {} answer; null when never answered.", _last, maximum=10)
mean_scores = _per_metric("{}_mean_score", "Mean score of all {} answers; null when never answered.", _mean, maximum=10)
minimum_scores = _per_metric(
    "{}_minimum_score",
    "Lowest score of all {} answers; null when never answered.",
    lambda surveys, metric: surveys.score.min(where=_answered(surveys, metric)),
    maximum=10,
)
score_trends = _per_metric(
    "{}_trend",
    "Last {} score less the mean of those before; null with fewer than two answers.",
    _trend,
    minimum=-10,
    maximum=10,
)
score_spreads = _per_metric("{}_spread", "Highest less lowest {} score; null when never answered.", _spread, maximum=10)
answer_ages = _per_metric(
    "days_since_{}_answer",
    "Days from the last {} answer to the prediction time; null when never answered.",
    lambda surveys, metric: surveys.days_to_prediction(surveys.responded_at.max(where=_answered(surveys, metric))),
    unit="days",
)
answer_categories = _per_metric(
    "{}_category",
    "Category of the last {} answer; null when never answered.",
    _category,
    dtype="string",
    unit="name",
    minimum=None,
)
asked_counts = _per_metric(
    "{}_asked_count_365d",
    "{} questions sent, in the 365 days before the prediction time.",
    lambda surveys, metric: surveys.count(where=_asked(surveys, metric) & surveys.within(YEAR)),
    dtype="int64",
    unit="surveys",
    nullable=False,
)
answered_counts = _per_metric(
    "{}_answered_count_365d",
    "{} questions sent in the 365 days before the prediction time and answered by it.",
    lambda surveys, metric: surveys.count(where=_answered(surveys, metric) & surveys.within(YEAR)),
    dtype="int64",
    unit="surveys",
    nullable=False,
)
response_rates = _per_metric(
    "{}_response_rate_365d",
    "{} questions answered over those sent, in the 365 days before the prediction time; null when none was sent.",
    _response_rate,
    unit="share",
    maximum=1,
)
silences = _per_metric(
    "is_{}_silent",
    "Asked for {} and silent: the last question has no answer by the prediction time.",
    _is_silent,
    dtype="bool",
    unit="flag",
    nullable=False,
    minimum=None,
)


@windowed(90, 365, source="surveys", dtype="int64", unit="surveys", minimum=0)
def survey_asked_count(surveys: Facts, window: Window) -> Any:
    """Survey questions sent, of any metric."""
    return surveys.count(where=surveys.within(window))


@windowed(365, source="surveys", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def survey_response_rate(surveys: Facts, window: Window) -> Any:
    """Survey questions answered over survey questions sent; null when none was sent."""
    return surveys.share(surveys.is_answered, of=surveys.within(window))


@feature(source="surveys", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_answer(surveys: Facts) -> Any:
    """Days from the last survey answer to the prediction time; null when never answered."""
    return surveys.days_to_prediction(surveys.responded_at.max(where=surveys.is_answered))


@feature(source="surveys", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_unanswered_question(surveys: Facts) -> Any:
    """Days since the last question that has no answer by the prediction time; null when there is none."""
    return surveys.days_to_prediction(surveys.sent_at.max(where=~surveys.is_answered))


@feature(source="surveys", dtype="float64", unit="days", nullable=True, minimum=0)
def survey_answer_delay_mean_days(surveys: Facts) -> Any:
    """Mean days from question to answer; null when never answered."""
    return surveys.mean(surveys.responded_at - surveys.sent_at) / DAY_US


@feature(source="asked_after_orders", dtype="float64", unit="days", nullable=True, minimum=0)
def order_to_survey_days(asked: Facts) -> Any:
    """Days from the last order before it to the last question; null when none was asked after an order."""
    return asked.waited.argmax(asked.sent_at).cast("float64") / DAY_US


@feature(source="surveys", dtype="string", unit="name", nullable=True)
def last_survey_programme(surveys: Facts) -> Any:
    """Programme of the last question (periodic, event or random); null when unknown."""
    return surveys.last_text(surveys.programme, surveys.sent_at)


@feature(source="surveys", dtype="string", unit="name", nullable=True)
def worst_survey_touchpoint(surveys: Facts) -> Any:
    """Touchpoint of the worst answer on its scale, of several the last; null when never answered or unknown."""
    worst = (SCALED - _scaled(surveys)) * LATEST_US + surveys.responded_at.clip(0, LATEST_US - 1)
    return surveys.top_text(surveys.touchpoint, surveys.is_answered.ifelse(worst, None))


SCALED, LATEST_US = 100, 2**56
"""Steps of a scale, and an instant after every answer (year 4253): together they fit a whole number."""


def _scaled(surveys: Facts) -> Any:
    """Score in whole hundredths of its metric's scale."""
    steps = ((surveys.metric == m, (surveys.score - low) * SCALED // (high - low)) for m, (low, high) in SCALES)
    return ibis.cases(*steps, else_=None)


SCALES = tuple(SURVEY_SCALES.items())


@feature(source=last_scores, dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def experience_mean(*scores: Any) -> Any:
    """Mean of the last NPS, CSAT and CES scores, each on its scale from 0 to 1; null when never answered."""
    known = [score.notnull().cast("int64") for score in scores]
    total = sum(scaled.fill_null(0.0) for scaled in _on_scale(scores))
    return total / sum(known[1:], known[0]).nullif(0)


@feature(source=last_scores, dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def experience_disagreement(*scores: Any) -> Any:
    """Range of the last NPS, CSAT and CES scores on their scales, 0 where they agree; null with fewer than two."""
    scaled = _on_scale(scores)
    known = [score.notnull().cast("int64") for score in scores]
    most = ibis.greatest(*(value.fill_null(0.0) for value in scaled))
    least = ibis.least(*(value.fill_null(1.0) for value in scaled))
    return (sum(known[1:], known[0]) > 1).ifelse(most - least, None)


def _on_scale(scores: tuple[Any, ...]) -> list[Any]:
    return [(score - low) / float(high - low) for score, (_, (low, high)) in zip(scores, SCALES, strict=True)]
