"""Answering a request: features from the online store or from the facts sent, then the one scorer."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from features.attributes import own_columns, own_values
from features.engine.compiled import CompiledFeatures
from features.errors import PatronError
from models.contract import Contract
from models.decision.at_risk import COLUMNS as AT_RISK
from models.families import OUTPUTS, RANKED, Task
from serving.champion import Champion
from serving.currency import require_currency
from serving.errors import NotReady
from serving.explain import explain
from serving.explain_schemas import ExplainRequest
from serving.manifest import describe_models
from serving.schemas import ScoreRequest
from serving.scorer import DERIVED, Scored, Scorer
from serving.store import OnlineStore
from serving.wording import read_language

log = logging.getLogger("patron")
RETRY_SECONDS = 5.0
LONGEST_PROBLEM = 500
STANDING = ("percentile", "band", "evidence", "currency")
"""Where a score stands and what it is in, beside why."""


class Online:
    """The service without its transport.

    Parameters
    ----------
    scorer : Scorer
        With the champions.
    store : OnlineStore
        For requests by customer id.
    language : {"en", "ru", "pl"}
        Of reasons, unless a request names another.
    """

    def __init__(self, scorer: Scorer, store: OnlineStore, language: str = "en") -> None:
        self.scorer = scorer
        self.store = store
        self.language = read_language(language).code
        self.compiled = CompiledFeatures(scorer.features)
        self.own = own_columns(scorer.features.features)
        self.required = scorer.required_columns

    def features(self, request: ScoreRequest, tasks: Iterable[Task]) -> pa.Table:
        """Feature rows of the customers asked for.

        Raises
        ------
        StoreMissing, StoreOutdated, StoreUnreadable, UnknownCustomers
            If they were asked for by id and the store cannot give them.
        AttributeUnusable
            If a column that a model takes from a table of the company's own was not sent, or one that says since when
            an attribute is known holds no time.
        CurrencyDiffers
            If amounts are in another currency than the champion of one of the tasks learned from.
        """
        contracts: dict[str, Contract] = {task: self.scorer.champions[task].contract for task in tasks}
        require_currency(request.currency if request.profiles else self.store.currency, contracts)
        if request.prediction_time is not None:
            facts = request.facts(self.own)
            if self.own:
                facts["customers"] = [
                    customer | own_values(customer, self.own, self.required) for customer in facts["customers"]
                ]
            return self.compiled.build(facts, request.prediction_time)
        return self.store.rows(request.customer_ids or [], self.scorer.features)

    def score(self, request: ScoreRequest, tasks: Iterable[Task] | None = None) -> Scored:
        """Score the customers of a request.

        Raises
        ------
        NoChampion
            If a task has no champion.
        """
        wanted = self.scorer.require(self.scorer.champions if tasks is None else tasks)
        return self.scorer.score(self.features(request, wanted), wanted, language=request.language or self.language)

    def explain(self, request: ExplainRequest) -> dict[str, list[dict[str, Any]]]:
        """Explain the scores of the customers of a request.

        Raises
        ------
        NoChampion
            If a task has no champion.
        """
        wanted = self.scorer.require(request.tasks or self.scorer.champions)
        table = self.features(request, wanted)
        scored, found = explain(self.scorer, table, wanted, request.language or self.language)
        rows = scored.scores.select(["customer_id", "prediction_time"]).to_pylist()
        for task in wanted:
            for row, told in zip(rows, task_rows(task, scored.scores), strict=True):
                if explanation := found[row["customer_id"]].get(task):
                    row[task] = explanation | {name: told[name] for name in STANDING if name in told}
        return {"rows": rows, "excluded": scored.excluded.to_pylist()}

    def bands(self, tasks: Iterable[Task]) -> dict[Task, dict[str, float]]:
        """The lowest score in each band above low, of tasks that rank customers."""
        return {task: self.scorer.champions[task].contract.band_thresholds for task in tasks if task in RANKED}

    def models(self) -> dict[str, dict[str, Any]]:
        """The champions in service."""
        return describe_models(self.scorer)


def task_rows(task: Task, scores: pa.Table) -> list[dict[str, Any]]:
    """Lay a task's score columns out as answer rows."""
    own = ("customer_id", "prediction_time", *OUTPUTS[task], *DERIVED.get(task, ()))
    names = {name: "evidence" if name == f"{task}_evidence" else name for name in own}
    ranked = ("percentile", "band") if task in RANKED else ()
    names |= {f"{task}_{name}": name for name in (*ranked, "reasons", "model_version", "feature_fingerprint")}
    return scores.select(list(names)).rename_columns(list(names.values())).to_pylist()  # type: ignore[no-any-return]


def prospect_rows(prospects: pa.Table) -> list[dict[str, Any]]:
    """Lay out what customers without an order may be worth as answer rows."""
    names = {f"clv_{name}": name for name in ("reasons", "model_version", "feature_fingerprint")}
    return prospects.rename_columns([names.get(name, name) for name in prospects.column_names]).to_pylist()  # type: ignore[no-any-return]


def customer_rows(scorer: Scorer, scores: pa.Table) -> list[dict[str, Any]]:
    """Lay all score columns out as one answer row a customer; a task that can say nothing of one is null."""
    keys = scores.select(["customer_id", "prediction_time"]).to_pylist()
    parts: dict[str, list[dict[str, Any]]] = {task: task_rows(task, scores) for task in scorer.champions}
    rows = [
        {**key, **{task: part[i] if part[i]["model_version"] else None for task, part in parts.items()}}
        for i, key in enumerate(keys)
    ]
    if not set(AT_RISK) <= set(scores.column_names):
        return rows
    at_risk = scores.select(list(AT_RISK)).to_pylist()
    return [row | {"at_risk": None if None in risk.values() else risk} for row, risk in zip(rows, at_risk, strict=True)]


class BackgroundLoader:
    """Loads the champions in a thread, again and again until it succeeds.

    A service whose start waits for the registry can neither say that it is not ready nor be stopped.

    Parameters
    ----------
    load : callable
        Returns the champions, or raises what is reported.
    make : callable
        From a scorer to what answers requests.
    report : callable
        Told in one line why loading failed, or that it succeeded.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[Task, Champion]],
        make: Callable[[Scorer], Online],
        report: Callable[[str], None],
    ) -> None:
        self._load, self._make, self._report = load, make, report
        self._online: Online | None = None
        self._problem = "still loading"
        self._thread = threading.Thread(target=self._run, name="champions", daemon=True)

    def start(self) -> "BackgroundLoader":
        """Begin."""
        self._thread.start()
        return self

    def _run(self) -> None:
        while True:
            try:
                online = self._make(Scorer(self._load()))
                gc.collect()
                gc.freeze()  # what stays for good is not looked through again for every large request
                self._online = online
                self._report("the champions are loaded")
            except PatronError as problem:
                self._problem = str(problem)
            except Exception as problem:  # the thread must not end: nobody else would ever say why
                self._problem = f"{type(problem).__name__}: {' '.join(str(problem).split())[:LONGEST_PROBLEM]}"
                log.exception("the champions cannot be loaded")
            else:
                return
            self._report(self._problem)
            time.sleep(RETRY_SECONDS)

    @property
    def is_ready(self) -> bool:
        """Whether the champions are in."""
        return self._online is not None

    @property
    def online(self) -> Online:
        """What answers requests.

        Raises
        ------
        NotReady
            While the champions are not in.
        """
        if self._online is None:
            raise NotReady(self._problem)
        return self._online
