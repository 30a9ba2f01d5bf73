"""The one scorer: from a feature table to scores, percentiles, bands and reasons, online and in batch alike."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.builder import feature_frame
from features.catalogue import CATALOGUE
from features.eligibility import ELIGIBLE, Eligibility
from features.instants import DAY_US
from features.lifecycle import lifecycle_state
from features.spec import Feature, FeatureSet
from models.base import Model
from models.churn.curve import COLUMNS as CURVE
from models.contract import Contract, band, percentile
from models.families import OUTPUTS, RANKED, TASKS, Task
from models.persistence import Kept
from serving.errors import NoChampion

REASONS = 3
NO_ORDER = ELIGIBLE["ordered"].otherwise
ALREADY_CHURNED = ("lapsed", "former")
CHURNED_BAND = "churned"
"""Where a customer stands who has been silent for so long, by the customer's own rhythm, and what the band then is."""
DATES = {
    "next_order_date": "days_to_next_order",
    "next_order_date_low_50": "days_to_next_order_low_50",
    "next_order_date_high_50": "days_to_next_order_high_50",
}
"""The dates of the next order by the days until it."""
REASON_TYPE = pa.struct(
    [
        ("factor", pa.string()),
        ("value", pa.float64()),
        ("contribution", pa.float64()),
        ("text", pa.string()),
    ]
)
DERIVED: dict[Task, dict[str, pa.DataType]] = {
    "churn": {"is_already_churned": pa.bool_(), **dict.fromkeys(CURVE, pa.float64())},
    "clv": {**dict.fromkeys(DATES, pa.date32()), "is_high_value": pa.bool_()},
}
"""What the scorer adds to a task's outputs from the prediction time, the contract and where the customer stands."""
KIND_TYPES: dict[type, pa.DataType] = {float: pa.float64(), int: pa.int64(), str: pa.string()}

WORDS: dict[Task, tuple[str, str]] = {
    "churn": ("raises the churn probability", "lowers the churn probability"),
    "clv": ("raises the value above average", "lowers the value below average"),
    "segments": ("above the average customer", "below the average customer"),
    "propensity": ("raises the probability", "lowers the probability"),
}


@dataclass(frozen=True)
class Champion:
    """A model version in service.

    Parameters
    ----------
    version : str
        Its number in the registry.
    kept : Kept
        Model and contract.
    """

    version: str
    kept: Kept

    @property
    def contract(self) -> Contract:
        """What it promises."""
        return self.kept.contract

    @cached_property
    def features(self) -> FeatureSet:
        """The features it takes, as installed."""
        return self.contract.installed_features()

    @property
    def eligible(self) -> Eligibility:
        """Whom it scores."""
        return ELIGIBLE[self.contract.eligible]

    @property
    def marks_churned(self) -> bool:
        """Whether customers may have churned already when it scores them: by orders, not by an agreement."""
        return self.contract.task == "churn" and self.contract.eligible == "ordered"

    @property
    def needed(self) -> tuple[Feature, ...]:
        """All that must be known of a customer to score, to refuse and to mark them."""
        return (
            *self.features.features,
            *([self.eligible.feature] if self.eligible.feature else []),
            *([lifecycle_state] if self.marks_churned else []),
        )


@dataclass(frozen=True)
class Scored:
    """The outcome of scoring some customers.

    Parameters
    ----------
    scores : pyarrow.Table
        One row a scored customer.
    excluded : pyarrow.Table
        `customer_id` and `reason` of the others.
    """

    scores: pa.Table
    excluded: pa.Table


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
    """

    def __init__(self, champions: Mapping[Task, Champion]) -> None:
        if not champions:
            raise NoChampion("any task", ())
        self.champions = {task: champions[task] for task in TASKS if task in champions}
        wanted = {feature.name: feature for champion in self.champions.values() for feature in champion.needed}
        self.features = FeatureSet("champions", 1, tuple(wanted.values()))

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

    def score(self, table: pa.Table, tasks: Iterable[Task] | None = None) -> Scored:
        """Score customers.

        Parameters
        ----------
        table : pyarrow.Table
            Features as `features.builder.build_features` returns them, with at least the columns of `features`.
        tasks : iterable of task, optional
            By default every task with a champion.

        Returns
        -------
        Scored
            Columns of `scores`: `customer_id`, `prediction_time`; for each task its outputs, ``<task>_percentile`` and
            ``<task>_band`` where customers are ranked, ``<task>_reasons``, ``<task>_model_version`` and
            ``<task>_feature_fingerprint``. Each row depends on its own features only.

        Raises
        ------
        NoChampion
            If a task has no champion.
        """
        wanted = self.require(self.champions if tasks is None else tasks)
        masks = {task: self.champions[task].eligible.mask(table) for task in wanted}
        eligible = reduce(pc.or_, masks.values())
        rows = table.filter(eligible)
        columns: dict[str, Any] = {name: rows.column(name) for name in ("customer_id", "prediction_time")}
        for task in wanted:
            concerned = pc.filter(masks[task], eligible)
            found = _task_columns(task, self.champions[task], rows.filter(concerned))
            columns |= found if pc.all(concerned).as_py() else _in_place(found, concerned)
        left = table.filter(pc.invert(eligible)).select(["customer_id"])
        reason = pa.array([self.reason(wanted)] * left.num_rows, pa.string())
        return Scored(pa.table(columns), left.append_column("reason", reason))

    def eligible(self, table: pa.Table) -> pa.Array:
        """Which rows have a score of any task."""
        return reduce(pc.or_, (champion.eligible.mask(table) for champion in self.champions.values()))

    def reason(self, tasks: Iterable[Task]) -> str:
        """Why a customer has no score of any of some tasks."""
        return "; ".join(dict.fromkeys(self.champions[task].eligible.otherwise for task in tasks))


def _in_place(columns: Mapping[str, pa.Array], concerned: pa.Array) -> dict[str, pa.Array]:
    """Columns of some rows as columns of all, null where a row is not one of them."""
    chosen = concerned.to_numpy(zero_copy_only=False)
    places = pa.array(np.cumsum(chosen) - 1, mask=~chosen)
    return {name: column.take(places) for name, column in columns.items()}


def _task_columns(task: Task, champion: Champion, rows: pa.Table) -> dict[str, pa.Array]:
    frame = feature_frame(rows, champion.features)
    model, contract, count = champion.kept.model, champion.contract, rows.num_rows
    scores = model.score(frame)
    columns = {name: pa.array(scores[name], KIND_TYPES[kind]) for name, kind in OUTPUTS[task].items()}
    if task in RANKED:
        ranks = percentile(scores[RANKED[task]].to_numpy(), contract.reference)
        columns[f"{task}_percentile"] = pa.array(ranks)
        columns[f"{task}_band"] = pa.array(band(ranks), pa.string())
    if task == "churn":
        columns |= _already_churned(champion, rows, columns["churn_band"]) | _curve(champion, frame)
    if task == "clv":
        columns |= _derived(scores, contract, rows.column("prediction_time"))
    columns[f"{task}_reasons"] = pa.array(_reasons(task, model, frame), pa.list_(REASON_TYPE))
    columns[f"{task}_model_version"] = pa.array([champion.version] * count, pa.string())
    columns[f"{task}_feature_fingerprint"] = pa.array([contract.fingerprint] * count, pa.string())
    return columns


def _already_churned(champion: Champion, rows: pa.Table, bands: pa.Array) -> dict[str, pa.Array]:
    """Mark who left already: their band is no degree of risk."""
    gone = pa.array([False] * rows.num_rows, pa.bool_())
    if champion.marks_churned:
        states = rows.column(lifecycle_state.name).combine_chunks()
        gone = pc.is_in(states, value_set=pa.array(ALREADY_CHURNED, states.type))
    return {"is_already_churned": gone, "churn_band": pc.if_else(gone, CHURNED_BAND, bands)}


def _curve(champion: Champion, frame: pd.DataFrame) -> dict[str, pa.Array]:
    """Probability to have left by several days; null where the champion has not learned as far."""
    curve = champion.kept.curve
    if curve is None:
        return {name: pa.nulls(len(frame), pa.float64()) for name in CURVE}
    told = curve.score(frame)
    return {name: pa.array(told[name], pa.float64(), from_pandas=True) for name in CURVE}


def _derived(scores: pd.DataFrame, contract: Contract, prediction_time: pa.ChunkedArray) -> dict[str, pa.Array]:
    """Dates of the next order, and who is among those that hold most of the value."""
    now = np.asarray(prediction_time.to_numpy()).astype("datetime64[us]")
    dates = {
        name: (now + (scores[days].to_numpy() * DAY_US).astype("timedelta64[us]")).astype("datetime64[D]")
        for name, days in DATES.items()
    }
    threshold = contract.high_value_threshold
    is_high = scores["clv"].to_numpy() >= (np.inf if threshold is None else threshold)
    values = {**dates, "is_high_value": is_high}
    return {name: pa.array(values[name], kind) for name, kind in DERIVED["clv"].items()}


def _reasons(task: Task, model: Model, frame: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """The factors that move each row's score most, largest first; ties in the order of the columns."""
    if frame.empty:
        return []
    contributions = model.explain(frame)
    values = model.reason_values(frame)
    factors = list(contributions.columns)
    shares = contributions.to_numpy()
    order = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :REASONS]
    columns = {name: values[name].tolist() for name in factors}
    return [
        [
            _reason(task, factors[at], columns[factors[at]][row], float(shares[row, at]))
            for at in order[row]
            if shares[row, at]
        ]
        for row in range(len(frame))
    ]


def _reason(task: Task, factor: str, value: Any, contribution: float) -> dict[str, Any]:
    number = float(value) if isinstance(value, float) and not math.isnan(value) else None
    up, down = WORDS[task]
    text = f"{_words(factor)}: {_shown(factor, value)} {up if contribution > 0 else down}"
    return {"factor": factor, "value": number, "contribution": contribution, "text": text}


def _words(factor: str) -> str:
    """A factor's name as a person reads it: ``order_count_90d`` is "order count in 90 days"."""
    return re.sub(r"_(\d+)d$", r"_in_\1_days", factor).replace("_", " ")


def _shown(factor: str, value: Any) -> str:
    """A value as a person reads it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, str):
        return value
    unit = CATALOGUE[factor].unit if factor in CATALOGUE else ""
    if unit == "flag":
        return "yes" if value else "no"
    if unit == "share" or factor.startswith("probability"):
        return f"{value:.0%}"
    number = f"{value:.2g}" if abs(value) < 1 else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{number} days" if unit == "days" else number
