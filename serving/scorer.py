"""The one scorer: from a feature table to scores, percentiles, bands and reasons, online and in batch alike."""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.attributes import own_columns
from features.engine.builder import feature_frame
from features.instants import DAY_US
from features.lifecycle import lifecycle_state
from features.spec import Feature, FeatureSet
from models.base import Array
from models.churn.curve import COLUMNS as CURVE
from models.clv.first_orders import AGE
from models.clv.next_order import WITHIN_DAYS
from models.contract import Contract, band, percentile
from models.decision import at_risk
from models.evidence import evidence
from models.families import OUTPUTS, RANKED, TASKS, Task
from serving.champion import Champion
from serving.errors import ChampionsDisagree, NoChampion
from serving.reasons import CHANGE_TYPE, PROBABILITIES, REASON_TYPE, Explained, Which, account_for
from serving.telling import Telling

ALREADY_CHURNED = ("lapsed", "former")
CHURNED_BAND = "churned"
"""Where a customer stands who has been silent for so long, by the customer's own rhythm, and what the band then is."""
NO_VALUE = "orders before the prediction time are worth nothing net of what was given back"
DATES = {
    "next_order_date": "days_to_next_order",
    "next_order_date_low_50": "days_to_next_order_low_50",
    "next_order_date_high_50": "days_to_next_order_high_50",
}
"""The dates of the next order by the days until it."""
DERIVED: dict[Task, dict[str, pa.DataType]] = {
    "churn": {
        "is_already_churned": pa.bool_(),
        **dict.fromkeys(CURVE, pa.float64()),
        "churn_evidence": pa.string(),
    },
    "propensity": {"propensity_evidence": pa.string()},
    "clv": {**dict.fromkeys(DATES, pa.date32()), "is_high_value": pa.bool_(), "currency": pa.string()},
}
"""What the scorer adds to a task's outputs from the prediction time, the contract and where the customer stands."""
KIND_TYPES: dict[type, pa.DataType] = {float: pa.float64(), int: pa.int64(), str: pa.string()}


@dataclass(frozen=True)
class Scored:
    """The outcome of scoring some customers.

    Parameters
    ----------
    scores : pyarrow.Table
        One row a scored customer.
    excluded : pyarrow.Table
        `customer_id` and `reason` of the others.
    prospects : pyarrow.Table
        What those may be worth who have never ordered: the columns of lifetime value, with what is derived from them,
        and the reasons. Empty without a champion that can tell.
    """

    scores: pa.Table
    excluded: pa.Table
    prospects: pa.Table


class Scorer:
    """Scores with a fixed set of champions.

    Parameters
    ----------
    champions : mapping of task to Champion
        At least one.

    Raises
    ------
    NoChampion
        If there is none.
    ChampionsDisagree
        If two take different columns of one name.
    """

    def __init__(self, champions: Mapping[Task, Champion]) -> None:
        if not champions:
            raise NoChampion("any task", ())
        self.champions = {task: champions[task] for task in TASKS if task in champions}
        wanted: dict[str, tuple[Task, Feature]] = {}
        for task, champion in self.champions.items():
            for feature in champion.needed:
                other, same = wanted.setdefault(feature.name, (task, feature))
                if same.identity() != feature.identity():
                    raise ChampionsDisagree(feature.name, other, task)
        self.features = FeatureSet("champions", 1, tuple(feature for _, feature in wanted.values()))

    @property
    def contracts(self) -> dict[str, Contract]:
        """What the champions promise, by task."""
        return {task: champion.contract for task, champion in self.champions.items()}

    @property
    def required_columns(self) -> frozenset[str]:
        """The company's own columns without which nothing can be said: those of a table of nothing else."""
        tables = [c.features.features for c in self.champions.values() if not c.contract.horizon_days]
        return frozenset(name for features in tables for name in own_columns(features))

    def require(self, tasks: Iterable[Task]) -> tuple[Task, ...]:
        """Check that tasks can be scored.

        Raises
        ------
        NoChampion
            If a task has no champion.
        """
        wanted = tuple(tasks)
        for task in wanted:
            if task not in self.champions:
                raise NoChampion(f"task {task!r}", self.champions)
        return wanted

    def knows(self, table: pa.Table, tasks: Iterable[Task] | None = None) -> pa.Array:
        """Of which rows of a feature table any champion can say something: the rows that `score` keeps."""
        champions = [self.champions[task] for task in (self.champions if tasks is None else tasks)]
        return functools.reduce(pc.or_, (champion.knows(table) for champion in champions))

    def score(
        self,
        table: pa.Table,
        tasks: Iterable[Task] | None = None,
        reasons: Which = "all",
        language: str = "en",
        at_risk_above: float = math.inf,
    ) -> Scored:
        """Score customers.

        Parameters
        ----------
        table : pyarrow.Table
            Features as `features.engine.builder.build_features` returns them, with at least the columns of `features`.
        tasks : iterable of task, optional
            By default every task with a champion.
        reasons, language, at_risk_above
            Whose reasons are told and how: see `serving.telling.Telling`.

        Returns
        -------
        Scored
            Columns of `scores`: `customer_id`, `prediction_time`; for each task its outputs, ``<task>_percentile`` and
            ``<task>_band`` where customers are ranked, ``<task>_reasons`` and of probabilities
            ``<task>_what_would_change`` (null where they are not told), ``<task>_model_version`` and
            ``<task>_feature_fingerprint``; `models.decision.at_risk.COLUMNS` where churn and value are both scored. A
            task whose champion can say nothing of a customer is null. Each row depends on its own features only.

        Raises
        ------
        NoChampion
            If a task has no champion.
        UnknownName
            If the language is not one of them.
        """
        wanted = self.require(self.champions if tasks is None else tasks)
        eligible = self.knows(table, wanted)
        rows = table.filter(eligible)
        telling = Telling(reasons, language, at_risk_above)
        found: dict[Task, dict[str, Any]] = {}
        for task in sorted(wanted, key=lambda each: each != "clv"):  # whose churn is told depends on the value
            known = self.champions[task].knows(rows)
            value = found["clv"]["clv"].filter(known) if "clv" in found else None
            its_own = _task_columns(task, self.champions[task], rows.filter(known), telling, value)
            found[task] = its_own if pc.all(known).as_py() in (True, None) else _in_place(its_own, known)
        columns: dict[str, Any] = {name: rows.column(name) for name in ("customer_id", "prediction_time")}
        for task in wanted:
            columns |= found[task]
        if {"churn", "clv"} <= set(wanted):
            columns |= _at_risk(columns)
        left = table.filter(pc.invert(eligible))
        why = self.reasons_left_out(left, wanted)
        return Scored(
            pa.table(columns),
            left.select(["customer_id"]).append_column("reason", why),
            self._prospects(table, telling) if "clv" in wanted else pa.table({}),
        )

    def stakes(self, table: pa.Table) -> Array:
        """Value at risk of the customers who have not churned already, as far as it is known; see `score`."""
        if not {"churn", "clv"} <= set(self.champions):
            return np.empty(0)
        scores = self.score(table, ("churn", "clv"), "none").scores
        at_stake = scores.filter(pc.invert(scores["is_already_churned"]))["value_at_risk"]
        return np.asarray(at_stake.drop_null().to_numpy(), dtype=np.float64)

    def reason(self, tasks: Iterable[Task]) -> str:
        """Why a customer without facts has no score of any of some tasks."""
        return "; ".join(dict.fromkeys(self.champions[task].eligible.otherwise for task in tasks))

    def reasons_left_out(self, left: pa.Table, tasks: Iterable[Task]) -> pa.Array:
        """Why each of the rows has no score of any of some tasks."""
        wanted = list(tasks)
        is_worthless = functools.reduce(pc.or_, (self.champions[task].eligible.mask(left) for task in wanted))
        return pc.if_else(is_worthless, NO_VALUE, self.reason(wanted)).cast(pa.string())

    def _prospects(self, rows: pa.Table, telling: Telling) -> pa.Table:
        """What customers without an order may be worth, as far as it is known since when they are customers."""
        champion = self.champions["clv"]
        prospects, features = champion.kept.prospects, champion.prospect_features
        if prospects is None or features is None:
            return pa.table({})
        waits = pc.and_(pc.is_valid(rows.column(AGE).combine_chunks()), pc.invert(champion.eligible.mask(rows)))
        rows = rows.filter(waits)
        frame = feature_frame(rows, features)
        scores = prospects.score(frame, champion.kept.model.terms)
        columns: dict[str, Any] = {name: rows.column(name) for name in ("customer_id", "prediction_time")}
        columns |= {name: pa.array(scores[name], kind) for name, kind in _types("clv").items()}
        columns |= _derived(scores, champion.contract, rows.column("prediction_time"))
        told = np.full(rows.num_rows, telling.which != "none")
        explained = Explained(prospects, features, champion.contract.currency)
        columns |= _reasons("clv", explained, frame, scores, rows, told, telling.language)
        columns["clv_model_version"] = pa.array([champion.version] * rows.num_rows, pa.string())
        columns["clv_feature_fingerprint"] = pa.array([features.fingerprint] * rows.num_rows, pa.string())
        return pa.table(columns)


def _in_place(columns: Mapping[str, pa.Array], known: pa.Array) -> dict[str, pa.Array]:
    """The columns of some rows among all rows, null in the others."""
    flags = known.to_numpy(zero_copy_only=False)
    places = pa.array(np.cumsum(flags) - 1, mask=~flags)
    return {name: column.take(places) for name, column in columns.items()}


def _types(task: Task) -> dict[str, pa.DataType]:
    return {name: KIND_TYPES[kind] for name, kind in OUTPUTS[task].items()}


def _task_columns(
    task: Task, champion: Champion, rows: pa.Table, telling: Telling, value: pa.Array | None
) -> dict[str, pa.Array]:
    frame = feature_frame(rows, champion.features)
    contract, count = champion.contract, rows.num_rows
    scores = champion.kept.score(frame)
    columns = {name: pa.array(scores[name], kind) for name, kind in _types(task).items()}
    if task in RANKED:
        ranks = percentile(scores[RANKED[task]].to_numpy(), contract.reference)
        columns[f"{task}_percentile"] = pa.array(ranks)
        columns[f"{task}_band"] = pa.array(band(ranks), pa.string())
    if task == "churn":
        columns |= _already_churned(champion, rows, columns["churn_band"])
        columns |= _curve(champion, frame, scores[RANKED[task]].to_numpy(), columns["is_already_churned"])
    if task == "clv":
        columns |= _derived(scores, contract, rows.column("prediction_time"))
    if f"{task}_evidence" in DERIVED.get(task, ()):
        columns[f"{task}_evidence"] = pa.array(evidence(frame), pa.string())
    told = telling.told(task, columns, count, None if value is None else value.to_numpy(zero_copy_only=False))
    columns |= _reasons(task, champion.explained, frame, scores, rows, told, telling.language)
    columns[f"{task}_model_version"] = pa.array([champion.version] * count, pa.string())
    columns[f"{task}_feature_fingerprint"] = pa.array([contract.fingerprint] * count, pa.string())
    return columns


def _at_risk(columns: Mapping[str, Any]) -> dict[str, pa.Array]:
    probability = columns["probability_churned"].to_numpy(zero_copy_only=False)
    values = {name: columns[name].to_numpy(zero_copy_only=False) for name in at_risk.VALUES}
    return {
        name: pa.array(found, from_pandas=True) for name, found in at_risk.value_at_risk(probability, values).items()
    }


def _already_churned(champion: Champion, rows: pa.Table, bands: pa.Array) -> dict[str, pa.Array]:
    """Mark who left already: their band is no degree of risk."""
    gone = pa.array([False] * rows.num_rows, pa.bool_())
    if champion.marks_churned:
        states = rows.column(lifecycle_state.name).combine_chunks()
        gone = pc.is_in(states, value_set=pa.array(ALREADY_CHURNED, states.type))
    return {"is_already_churned": gone, "churn_band": pc.if_else(gone, CHURNED_BAND, bands)}


def _curve(champion: Champion, frame: pd.DataFrame, probability: Array, gone: pa.Array) -> dict[str, pa.Array]:
    """Probability to have left by several days; null where the champion has not learned as far."""
    curve = champion.kept.curve
    if curve is None:
        return {name: pa.nulls(len(frame), pa.float64()) for name in CURVE}
    window = float(champion.contract.gap_days + champion.contract.horizon_days)
    told = curve.beside(frame, probability, window, gone.to_numpy(zero_copy_only=False))
    return {name: pa.array(told[name], pa.float64(), from_pandas=True) for name in CURVE}


def _derived(scores: pd.DataFrame, contract: Contract, prediction_time: pa.ChunkedArray) -> dict[str, pa.Array]:
    """Dates of the next order, who is among those that hold most of the value, and what money is in, if known."""
    now = np.asarray(prediction_time.to_numpy()).astype("datetime64[us]")
    dates = {}
    for name, days in DATES.items():
        wait = scores[days].to_numpy()
        date = (now + (wait * DAY_US).astype("timedelta64[us]")).astype("datetime64[D]")
        dates[name] = np.where(wait < WITHIN_DAYS, date, np.datetime64("NaT"))  # no order is to come of the others
    threshold = contract.high_value_threshold
    is_high = scores["clv"].to_numpy() >= (np.inf if threshold is None else threshold)
    values = {**dates, "is_high_value": is_high, "currency": [contract.currency] * len(scores)}
    return {name: pa.array(values[name], kind) for name, kind in DERIVED["clv"].items()}


def _reasons(
    task: Task,
    explained: Explained,
    frame: pd.DataFrame,
    scores: pd.DataFrame,
    rows: pa.Table,
    told: NDArray[np.bool_],
    language: str,
) -> dict[str, pa.Array]:
    """The reasons of some rows and what would change their probability, null for the others."""
    asked = frame[told].reset_index(drop=True)
    reasons: list[Any] = [None] * len(frame)
    changes: list[Any] = [None] * len(frame)
    if len(asked):
        times = rows.column("prediction_time").filter(pa.array(told)).to_pylist()
        of_asked = scores[told].reset_index(drop=True)
        account = account_for(task, explained, asked, of_asked, times, language)
        for place, row in enumerate(np.flatnonzero(told)):
            reasons[row] = account.reasons(place)
            changes[row] = account.labelled_changes(place) if task in PROBABILITIES else None
    columns = {f"{task}_reasons": pa.array(reasons, pa.list_(REASON_TYPE))}
    if task in PROBABILITIES:
        columns[f"{task}_what_would_change"] = pa.array(changes, pa.list_(CHANGE_TYPE))
    return columns
