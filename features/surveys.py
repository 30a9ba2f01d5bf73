"""What customers said when asked, and that they said nothing: silence is a fact of its own, never a mean or a zero."""

from typing import Any

from features.spec import Facts, Feature, Window, feature, windowed

METRICS = ("nps", "csat", "ces")


def _last_score(metric: str) -> Feature:
    def build(surveys: Facts) -> Any:
        return surveys.last_whole(surveys.score, surveys.responded_at, surveys.is_answered & (surveys.metric == metric))

    return Feature(
        f"{metric}_last_score",
        "surveys",
        "float64",
        "score",
        f"Score of the last {metric.upper()} answer; null when never answered.",
        build,
        nullable=True,
        minimum=0,
        maximum=10,
    )


def _is_silent(metric: str) -> Feature:
    def build(surveys: Facts) -> Any:
        asked = surveys.metric == metric
        last_asked = surveys.sent_at.max(where=asked)
        last_answered_question = surveys.sent_at.max(where=asked & surveys.is_answered)
        return (last_asked > last_answered_question.fill_null(last_asked - 1)).fill_null(False)

    return Feature(
        f"is_{metric}_silent",
        "surveys",
        "bool",
        "flag",
        f"Asked for {metric.upper()} and silent: the last question has no answer by the prediction time.",
        build,
    )


last_scores = tuple(_last_score(metric) for metric in METRICS)
silences = tuple(_is_silent(metric) for metric in METRICS)


@windowed(365, source="surveys", dtype="int64", unit="surveys", minimum=0)
def survey_asked_count(surveys: Facts, window: Window) -> Any:
    """Survey questions sent, of any metric."""
    return surveys.count(where=surveys.within(window))


@windowed(365, source="surveys", dtype="float64", unit="share", nullable=True, minimum=0, maximum=1)
def survey_response_rate(surveys: Facts, window: Window) -> Any:
    """Survey questions answered over survey questions sent; null when none was sent."""
    answered = surveys.count(where=surveys.within(window) & surveys.is_answered).cast("float64")
    return answered / surveys.count(where=surveys.within(window)).nullif(0)


@feature(source="surveys", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_answer(surveys: Facts) -> Any:
    """Days from the last survey answer to the prediction time; null when never answered."""
    return surveys.days_to_prediction(surveys.responded_at.max(where=surveys.is_answered))
