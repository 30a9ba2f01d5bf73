"""Churn of many customers, trained and told with reasons: `PATRON_BENCH_ROWS=1000000 make bench`.

Of so many rows: what training takes without a search, and what scoring takes with reasons for all, for the top decile
and for nobody. CPU time stands next to wall time, which other processes stretch; so does the peak of memory, which is
that of the process: ask for `-k train` and `-k score` apart.
"""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest

from features.catalogue import ALL, CHURN
from features.engine.builder import ARROW_TYPES, feature_frame
from features.spec import FeatureSet
from models.churn.lightgbm import ChurnLightGBM
from models.contract import Contract, reference_of
from models.persistence import Kept
from serving.batch import PART_ROWS
from serving.champion import Champion
from serving.reasons import Which
from serving.scorer import Scorer

ROWS = int(os.environ.get("PATRON_BENCH_ROWS", "50000"))
COLUMNS = 120
AT = datetime(2024, 12, 31, tzinfo=UTC)
WIDE = FeatureSet(
    "wide", 1, tuple({f.name: f for f in (*CHURN.features, *ALL.features)}.values())[:COLUMNS]
)  # as wide as the issue asks: the set of churn, and more of the catalogue


def draw() -> pa.Table:
    """Features of `ROWS` customers, drawn so that some tell of the outcome and many values are missing."""
    generator = np.random.default_rng(0)
    columns: dict[str, Any] = {
        "customer_id": pa.array([f"c{i}" for i in range(ROWS)]),
        "prediction_time": pa.array([AT] * ROWS, pa.timestamp("us", tz="UTC")),
        "lifecycle_state": pa.array(["active"] * ROWS),
    }
    for feature in WIDE.features:
        missing = generator.random(ROWS) < (0.2 if feature.nullable and feature.name != "frequency" else 0)
        drawn: npt.NDArray[Any] = generator.gamma(1.0, 40.0, ROWS)
        if feature.dtype == "string":
            drawn = np.array(["web", "store", "app", "call centre"])[generator.integers(0, 4, ROWS)]
        elif feature.dtype == "bool":
            drawn = drawn > 50
        elif feature.dtype == "int64":
            drawn = (drawn / 10).astype(np.int64)
        elif feature.unit == "share":
            drawn = generator.random(ROWS)
        elif feature.unit == "ratio":
            drawn = 1.8 * generator.random(ROWS) - 0.9
        columns[feature.name] = pa.array(drawn, ARROW_TYPES[feature.dtype], mask=missing)
    return pa.table(columns)


def outcome(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Who leaves: those silent for long, and those who complain."""
    generator = np.random.default_rng(1)
    odds = frame["days_since_last_order"].fillna(80) / 40 + frame["complaint_count_365d"] / 8 - 2.5
    return (generator.logistic(size=len(frame)) < odds.to_numpy()).astype(np.float64)


@contextmanager
def measured(info: dict[str, Any]) -> Iterator[None]:
    """Wall and CPU seconds, and the peak of memory so far, into the benchmark's notes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    info |= {
        "rows": ROWS,
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def fitted(frame: pd.DataFrame) -> ChurnLightGBM:
    """As training does it."""
    return ChurnLightGBM().fit(frame, outcome(frame))


@pytest.mark.benchmark(group=f"train churn on {ROWS:,} rows of {COLUMNS} features")
def test_train(benchmark: Any) -> None:
    frame = feature_frame(draw(), WIDE)
    with measured(benchmark.extra_info):
        model = benchmark.pedantic(fitted, (frame,), rounds=1)
    benchmark.extra_info["trees"] = model.fitted_parameters()["trees"]
    assert benchmark.extra_info["trees"] > 1


@pytest.fixture(scope="module")
def score_parts() -> Callable[[Which], int]:
    """Scores all rows as the batch job does, a part at a time, and counts who was told reasons."""
    table = draw()
    frame = feature_frame(table.slice(0, PART_ROWS), WIDE)
    model = fitted(frame)
    reference = reference_of(model.score(frame)["probability_churned"].to_numpy())
    contract = Contract.for_features(
        WIDE, task="churn", family="churn_lightgbm", cutoff=AT, horizon_days=90, gap_days=0, label="benchmark",
        customers=ROWS, data_digest="", is_simulated=True, random_state=0, package_version="0", reference=reference,
    )  # fmt: skip
    scorer = Scorer({"churn": Champion("1", Kept(model, contract))})

    def run(which: Which) -> int:
        told = 0
        for first in range(0, ROWS, PART_ROWS):
            reasons = scorer.score(table.slice(first, PART_ROWS), None, which).scores.column("churn_reasons")
            told += len(reasons) - reasons.null_count
        return told

    return run


@pytest.mark.parametrize("which", ["none", "top", "all"])
@pytest.mark.benchmark(group=f"score churn of {ROWS:,} customers, with reasons for nobody, the top decile and all")
def test_score(benchmark: Any, score_parts: Callable[[Which], int], which: Which) -> None:
    with measured(benchmark.extra_info):
        told = benchmark.pedantic(score_parts, (which,), rounds=1)
    benchmark.extra_info["told"] = told
    expected = {"none": 0.0, "top": 0.1, "all": 1.0}[which]
    assert told / ROWS == pytest.approx(expected, abs=0.02)
