"""Customers' own margin rates are the same in a batch, by id, from facts sent now, in MLflow's model and on Spark."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.engine.builder import build_features, feature_frame
from features.instants import read_instant
from features.margins import CategoryMargins
from features.profile import Profile, open_profile, profile_from_tables
from models.clv.decomposition import STEPS
from models.clv.margins import Margins
from serving.answers import ClvAnswer
from serving.batch import score_profile
from serving.champion import Champion
from serving.manifest import SCORES, Manifest
from serving.online import Online, task_rows
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.store import OnlineStore

AT = read_instant("1998-07-01")
HOW: dict[str, dict[str, Any]] = {
    "observed": {"observed_margin": True},
    "by_category": {"margin_by_category": {"film": 0.6}, "margin_rate": 0.1},
}


@pytest.fixture(scope="module", params=list(HOW))
def scorer(request: pytest.FixtureRequest, cdnow_shelves: Profile) -> Scorer:
    """A champion that values every customer at a margin of their own."""
    from training.config import TrainConfig
    from training.fit import fit

    config = TrainConfig(cutoff=read_instant("1997-10-01"), horizon_days=120, **HOW[request.param])
    return Scorer({"clv": Champion("1", fit("clv", cdnow_shelves, config, "clv_mbgnbd")[0].final)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own_margin")


@pytest.fixture(scope="module")
def manifest(scorer: Scorer, cdnow_shelves: Profile, folder: Path) -> Manifest:
    return score_profile(cdnow_shelves, AT, folder / "out", scorer, folder / "store.sqlite")


@pytest.fixture(scope="module")
def scores(manifest: Manifest, folder: Path) -> pd.DataFrame:
    assert manifest.scored > 2_000
    table: pd.DataFrame = pq.read_table(folder / "out" / SCORES).to_pandas()
    return table


def test_who_buys_what_earns_little_is_worth_less(scores: pd.DataFrame, cdnow_shelves: Profile) -> None:
    orders = cdnow_shelves.tables["orders"].to_pyarrow().to_pandas()
    value = orders["value"].astype(float)
    of_film = value.where(orders["category"] == "film", 0.0).groupby(orders["customer_id"]).sum()
    share = (of_film / value.groupby(orders["customer_id"]).sum()).reindex(scores["customer_id"]).to_numpy()
    film, music = scores[share > 0.9], scores[share < 0.1]
    assert len(film) > 100
    assert film["margin_rate"].min() > music["margin_rate"].max()
    assert (film["clv_from_margin"] > 0).all()
    assert (music["clv_from_margin"] < 0).all()


def test_value_is_product_of_its_factors_and_sum_of_its_steps(scores: pd.DataFrame) -> None:
    np.testing.assert_allclose(scores[list(STEPS.values())].prod(axis=1), scores["clv"], rtol=1e-9, atol=1e-9)
    steps = scores[["clv_of_average", *STEPS, "clv_from_cost"]].sum(axis=1)
    np.testing.assert_allclose(steps, scores["clv"], rtol=1e-9, atol=1e-9)


def test_equity_is_the_sum_of_values_at_own_margin(manifest: Manifest, scores: pd.DataFrame) -> None:
    assert manifest.equity[0]["value"] == pytest.approx(scores["clv"].sum(), abs=0.01)
    usual = manifest.models["clv"]["margin_rate"]
    at_one_rate = (scores["clv"] / scores["margin_rate"] * usual).sum()
    assert abs(at_one_rate / scores["clv"].sum() - 1) > 0.001


def test_online_answers_as_the_batch_by_id_and_from_facts(
    scorer: Scorer, manifest: Manifest, scores: pd.DataFrame, folder: Path, cdnow_shelves: Profile
) -> None:
    from serving.probe import facts_of

    assert manifest.scored
    online = Online(scorer, OnlineStore(folder / "store.sqlite"))
    chosen = scores.sort_values("margin_rate").iloc[[0, 700, 1500, -1]].sort_values("customer_id")
    ids = chosen["customer_id"].tolist()
    requests = (
        {"customer_ids": ids},
        {"prediction_time": AT.isoformat(), "profiles": facts_of(cdnow_shelves, ids)},
    )
    for body in requests:
        scored = online.score(ScoreRequest.model_validate(body), ["clv"])
        rows = sorted(task_rows("clv", scored.scores), key=lambda row: row["customer_id"])
        answer = ClvAnswer.model_validate({"rows": rows, "excluded": [], "bands": online.bands(["clv"])})
        for name in ("clv", "margin_rate", "clv_from_margin", "clv_low_90", "clv_high_50", "percentile"):
            column = name if name in chosen else f"clv_{name}"
            assert [getattr(row, name) for row in answer.rows] == chosen[column].tolist(), name


def test_the_margin_is_a_reason_and_is_said_in_words(scorer: Scorer, cdnow_shelves: Profile) -> None:
    table = build_features(cdnow_shelves, scorer.features, [AT]).slice(0, 300)
    told = scorer.score(table, ["clv"], "all").scores.column("clv_reasons").to_pylist()
    margins = [reason for reasons in told for reason in reasons if reason["factor"] == "own_margin"]
    assert margins
    assert any("of the orders' value is margin" in reason["text"] for reason in margins)


@pytest.mark.parametrize("film", [0.6, None])
def test_categories_without_a_margin_rate_are_told(
    film: float | None, scorer: Scorer, cdnow_shelves: Profile, tmp_path: Path
) -> None:
    tables = {name: table.to_pyarrow().slice(0, 600) for name, table in cdnow_shelves.tables.items()}
    champion = scorer.champions["clv"]
    rates = {name: rate for name, rate in (("film", film), ("music", 0.1)) if rate is not None}
    known = CategoryMargins(rates) if champion.kept.margins and champion.kept.margins.categories else None
    lacking = Scorer({"clv": replace(champion, kept=replace(champion.kept, margins=Margins(0.3, 50.0, known)))})
    told = score_profile(profile_from_tables(tables), AT, tmp_path / "out", lacking, reasons="none").warnings
    if known is None or film is not None:
        assert told == []
    else:
        (warning,) = told
        orders = tables["orders"].to_pandas()
        value = orders["value"].astype(float)
        share = value[orders["category"] == "film"].sum() / value.sum()
        assert warning.startswith(f"no margin rate is known of 'film', {share:.1%} of the value ordered: ")


def test_mlflows_model_scores_as_the_batch(scorer: Scorer, scores: pd.DataFrame, cdnow_shelves: Profile) -> None:
    champion = scorer.champions["clv"]
    table = build_features(cdnow_shelves, champion.features, [AT])
    found = champion.kept.score(feature_frame(table, champion.features))
    by_id = pd.Series(found["clv"].to_numpy(), table.column("customer_id").to_pandas())
    assert by_id.reindex(scores["customer_id"]).tolist() == scores["clv"].tolist()


@pytest.mark.exhaustive
def test_spark_scores_at_the_same_margins_bit_for_bit(
    scorer: Scorer, cdnow_shelves: Profile, on_spark: Callable[..., str], tmp_path: Path
) -> None:
    from serving.spark import score_on_spark

    tables: dict[str, pa.Table] = {
        name: table.to_pyarrow().slice(0, 600) for name, table in cdnow_shelves.tables.items()
    }
    score_profile(profile_from_tables(tables), AT, tmp_path / "duckdb", scorer, reasons="none")
    score_on_spark(open_profile(on_spark(tables)), AT, tmp_path / "spark", scorer, reasons="none")
    expected, found = (pq.read_table(tmp_path / run / SCORES).sort_by("customer_id") for run in ("duckdb", "spark"))
    assert found.num_rows > 50
    for name in ("customer_id", "clv", "margin_rate", "clv_from_margin"):
        assert found.column(name).to_pylist() == expected.column(name).to_pylist(), name
