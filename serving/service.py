"""The HTTP service: routes, and nothing that could not be tested without them."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

import bentoml
from prometheus_client import Counter
from starlette.responses import JSONResponse

from features.errors import PatronError
from models.families import RANKED, Task
from serving.answers import ChurnAnswer, ClvAnswer, ModelsAnswer, PropensityAnswer, ScoreAnswer, SegmentsAnswer
from serving.champion import Champion
from serving.explain_schemas import ExplainAnswer, ExplainRequest
from serving.gate import Gate
from serving.online import BackgroundLoader, Online, customer_rows, prospect_rows, task_rows
from serving.schemas import ScoreRequest
from serving.scorer import Scored
from serving.settings import Settings
from serving.store import OnlineStore

log = logging.getLogger("patron")
TIMEOUT_SECONDS = 60


def answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """Answer Patron's own errors as ``{"error": one line}`` with their status."""

    @wraps(method)
    def answer(self: Any, *request: Any) -> Any:
        try:
            return method(self, *request)
        except PatronError as problem:
            status = getattr(problem, "status", HTTPStatus.BAD_REQUEST)
            return JSONResponse({"error": str(problem)}, status_code=status)

    return answer


@bentoml.service(name="patron", traffic={"timeout": TIMEOUT_SECONDS}, threads=2)
class PatronService:
    """Churn, lifetime value and segments of customers, by id or from facts sent now."""

    def __init__(self) -> None:
        settings = Settings()
        store = OnlineStore(settings.online_store)
        self.rows_scored = Counter("patron_rows_scored_total", "Rows scored.", ["task", "model_version"])
        self.loader = BackgroundLoader(
            lambda: _load(settings),
            lambda scorer: Online(scorer, store, settings.language),
            lambda line: log.warning("%s", line),
        ).start()

    def __is_ready__(self) -> bool:
        """Whether every champion is loaded and its contract accepted; /readyz answers 503 until then."""
        return self.loader.is_ready

    @bentoml.api(route="/v1/score")  # type: ignore[untyped-decorator]
    @answered
    def score(self, request: ScoreRequest, /) -> ScoreAnswer:
        """Score customers for every task that has a champion."""
        online = self.loader.online
        scored = self._scored(online.score(request), tuple(online.scorer.champions))
        rows = customer_rows(online.scorer, scored.scores)
        bands = online.bands(online.scorer.champions)
        told = {"excluded": scored.excluded.to_pylist(), "prospects": prospect_rows(scored.prospects)}
        return ScoreAnswer.model_validate({"rows": rows, "bands": bands, **told})

    @bentoml.api(route="/v1/churn/score")  # type: ignore[untyped-decorator]
    @answered
    def score_churn(self, request: ScoreRequest, /) -> ChurnAnswer:
        """Score customers for churn."""
        return ChurnAnswer.model_validate(self._task(request, "churn"))

    @bentoml.api(route="/v1/clv/score")  # type: ignore[untyped-decorator]
    @answered
    def score_clv(self, request: ScoreRequest, /) -> ClvAnswer:
        """Score customers for lifetime value."""
        scored = self._scored(self.loader.online.score(request, ["clv"]), ("clv",))
        return ClvAnswer.model_validate(self._rows(scored, "clv") | {"prospects": prospect_rows(scored.prospects)})

    @bentoml.api(route="/v1/segments/score")  # type: ignore[untyped-decorator]
    @answered
    def score_segments(self, request: ScoreRequest, /) -> SegmentsAnswer:
        """Put customers into segments."""
        return SegmentsAnswer.model_validate(self._task(request, "segments"))

    @bentoml.api(route="/v1/propensity/score")  # type: ignore[untyped-decorator]
    @answered
    def score_propensity(self, request: ScoreRequest, /) -> PropensityAnswer:
        """Score customers for the event that propensity was trained for."""
        return PropensityAnswer.model_validate(self._task(request, "propensity"))

    @bentoml.api(route="/v1/explain")  # type: ignore[untyped-decorator]
    @answered
    def explain(self, request: ExplainRequest, /) -> ExplainAnswer:
        """Say everything that moves customers' scores, and what would change them."""
        online = self.loader.online
        bands = online.bands(request.tasks or online.scorer.champions)
        return ExplainAnswer.model_validate({**online.explain(request), "bands": bands})

    @bentoml.api(route="/v1/models")  # type: ignore[untyped-decorator]
    @answered
    def models(self) -> ModelsAnswer:
        """The model versions in service, with their contracts."""
        return ModelsAnswer(models=self.loader.online.models())

    def _task(self, request: ScoreRequest, task: Task) -> dict[str, Any]:
        return self._rows(self._scored(self.loader.online.score(request, [task]), (task,)), task)

    def _rows(self, scored: Scored, task: Task) -> dict[str, Any]:
        answer = {"rows": task_rows(task, scored.scores), "excluded": scored.excluded.to_pylist()}
        return answer | ({"bands": self.loader.online.bands([task])} if task in RANKED else {})

    def _scored(self, scored: Scored, tasks: tuple[Task, ...]) -> Scored:
        for task in tasks:
            version = self.loader.online.scorer.champions[task].version
            told = scored.scores.column(f"{task}_model_version")
            self.rows_scored.labels(task, version).inc(len(told) - told.null_count)
        return scored


def _load(settings: Settings) -> dict[Task, Champion]:
    from serving.loader import load_champions  # noqa: PLC0415 - MLflow takes seconds to import; the service is up before

    return load_champions(settings.tracking_uri, settings.cache)


PatronService.add_asgi_middleware(Gate)  # type: ignore[attr-defined]  # the decorator makes a Service of the class
