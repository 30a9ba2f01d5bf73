"""A company's own columns in serving: batch, online and Spark agree, and reasons speak of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import FeaturesUnavailable
from features.instants import read_instant
from features.profile import Profile, open_profile, profile_from_tables
from models.families import Task
from serving.batch import score_profile
from serving.champion import Champion
from serving.errors import ChampionsDisagree
from serving.online import Online
from serving.probe import facts_of
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.store import OnlineStore
from training.config import TrainConfig
from training.fit import fit

AT = read_instant("2023-12-01")
KIDS = 'kids "under 16", n'
Tables = dict[str, pd.DataFrame]
FAMILY: dict[Task, str] = {"churn": "churn_lightgbm", "propensity": "propensity_logistic", "clv": "clv_hybrid"}


def champions(profile: Profile, *tasks: Task) -> dict[Task, Champion]:
    """Trees of churn, a logistic regression of propensity, the hybrid of lifetime value."""
    config = TrainConfig(cutoff=AT, horizon_days=60, refit=False, stability_cutoffs=0)
    asked = config.model_copy(update={"event": "orders"})
    return {
        task: Champion("1", fit(task, profile, asked if task == "propensity" else config, FAMILY[task])[0].final)
        for task in tasks
    }


@pytest.fixture(scope="module")
def scorer(own_profile: Profile) -> Scorer:
    """Champions of three tasks, that learned from the columns."""
    return Scorer(champions(own_profile, "churn", "propensity", "clv"))


@pytest.fixture(scope="module")
def folder(own_profile: Profile, scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch run with its online store."""
    folder = tmp_path_factory.mktemp("own")
    score_profile(own_profile, AT, folder / "scores", scorer, folder / "online.db", "all")
    return folder


@pytest.fixture(scope="module")
def online(scorer: Scorer, folder: Path) -> Online:
    """The service of the same champions."""
    return Online(scorer, OnlineStore(folder / "online.db"))


def asked_of(profile: Profile, *customer_ids: str, **changes: Any) -> ScoreRequest:
    """A request as an application sends it, through JSON; ... takes a column out."""
    profiles = facts_of(profile, list(customer_ids))
    for each in profiles:
        each["customer"] = {k: v for k, v in (each["customer"] | changes).items() if v is not ...}
    body = {"prediction_time": AT.isoformat(), "profiles": profiles}
    return ScoreRequest.model_validate_json(json.dumps(body))


def test_online_is_batch_to_the_last_bit(online: Online, own_profile: Profile, folder: Path) -> None:
    batch = pq.read_table(folder / "scores" / "scores.parquet")
    ids = batch["customer_id"].to_pylist()[::12]
    expected = batch.filter(pc.is_in(batch["customer_id"], value_set=pa.array(ids))).sort_by("customer_id")
    assert online.score(asked_of(own_profile, *ids)).scores.sort_by("customer_id").equals(expected)
    assert online.score(ScoreRequest(customer_ids=ids)).scores.sort_by("customer_id").equals(expected)


def test_what_is_not_sent_is_missing_and_what_was_never_seen_is_scored(online: Online, own_profile: Profile) -> None:
    def probability(**changes: Any) -> float:
        (row,) = online.score(asked_of(own_profile, "c0001", **changes)).scores.to_pylist()
        return float(row["probability_churned"])

    told = {level: probability(**{"income level": level}) for level in ("low", "high", None, "of another kind", ...)}
    assert told["low"] > told[None] > told["high"]
    assert told["of another kind"] == told[None] == told[...]
    assert probability(**{KIDS: ...}) == probability(**{KIDS: None})
    assert probability(is_staff=True) == probability(is_staff="true")


def test_value_rises_with_what_the_column_tells(online: Online, own_profile: Profile) -> None:
    def orders(level: str | None) -> float:
        (row,) = online.score(asked_of(own_profile, "c0001", **{"income level": level})).scores.to_pylist()
        return float(row["expected_orders"])

    assert orders("low") < orders(None) < orders("high")


def test_reasons_name_the_column_and_its_value(folder: Path) -> None:
    rows = pq.read_table(folder / "scores" / "scores.parquet").to_pylist()
    for task in ("churn", "propensity"):
        reasons = [reason for row in rows for reason in row[f"{task}_reasons"]]
        named = [reason for reason in reasons if reason["factor"] == "own.income level"]
        assert len(named) > len(rows) / 10
        for level in ("low", "high"):
            assert any(reason["text"].startswith(f"income level: {level} (") for reason in named), (task, level)
        assert not any(reason["can_influence"] for reason in named)


def test_a_profile_without_the_columns_is_refused_by_their_names(
    scorer: Scorer, own_tables: Tables, tmp_path: Path
) -> None:
    customers = own_tables["customers"].drop(columns=["income level"])
    with pytest.raises(FeaturesUnavailable, match=r"customers\.income level"):
        score_profile(profile_from_tables(own_tables | {"customers": customers}), AT, tmp_path / "out", scorer)


def test_champions_that_learned_different_things_under_one_name_do_not_serve_together(
    own_tables: Tables, own_profile: Profile, scorer: Scorer
) -> None:
    numbers = own_tables["customers"].assign(**{"income level": range(len(own_tables["customers"]))})
    numbers["income level"] %= 7
    other = champions(profile_from_tables(own_tables | {"customers": numbers}), "propensity")
    with pytest.raises(ChampionsDisagree, match=r"champions of churn and propensity .* columns 'income level'"):
        Scorer({"churn": scorer.champions["churn"], **other})


@pytest.mark.exhaustive
def test_spark_is_batch_to_the_last_bit(
    own_profile: Profile, scorer: Scorer, folder: Path, on_spark: Callable[..., str], tmp_path: Path
) -> None:
    from serving.spark import score_on_spark

    tables = {name: own_profile.backend.to_pyarrow(table) for name, table in own_profile.tables.items()}
    profile = open_profile(on_spark(tables))
    score_on_spark(profile, AT, tmp_path / "out", scorer, "all")
    found, expected = (
        pq.read_table(place / "scores.parquet").sort_by("customer_id")
        for place in (tmp_path / "out", folder / "scores")
    )
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        assert found[name].to_pylist() == expected[name].to_pylist(), name
