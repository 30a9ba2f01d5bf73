import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from features.catalogue import CHURN
from features.engine.builder import available
from features.profile import Profile, profile_from_tables
from models.families import TASKS, Task
from models.persistence import Kept
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.fit import fit
from training.job import against, train
from training.result import FitResult


def with_contract(kept: Kept, **changes: Any) -> Kept:
    return replace(kept, contract=kept.contract.model_copy(update=changes))


@pytest.mark.parametrize("task", TASKS)
def test_document_has_exactly_the_promised_keys(task: Task, store: Any) -> None:
    document = store.trained[task][0].document()
    assert list(document) == [
        "task", "family", "run_id", "model_version", "params", "metrics", "grade", "warnings",
    ]  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_document_is_one_json_document_without_nan(task: Task, store: Any) -> None:
    document = store.trained[task][0].document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_document_says_what_was_trained_and_where_it_lies(store: Any) -> None:
    trained = store.trained["clv"][0]
    document = trained.document()
    assert (document["task"], document["family"], document["model_version"]) == ("clv", trained.result.family.name, "1")
    assert document["run_id"] == trained.tracked.run_id
    assert trained.result.evaluated.model.fitted_parameters().items() <= document["params"].items()
    assert document["grade"] in set("ABCD")


def test_winner_comes_first_and_alone_is_registered(store: Any) -> None:
    trained = store.trained["churn"]
    losses = [each.result.metrics["validation/loss"] for each in trained]
    assert len(trained) == 2
    assert losses == sorted(losses)
    assert [each.tracked.model_version for each in trained] == ["1", None]


def test_named_family_is_trained_alone(empty_store: Any, simulated: Profile, config: TrainConfig) -> None:
    settings = config.model_copy(update={"refit": False})
    trained = train("clv", simulated, settings, empty_store.tracker, "clv_naive")
    assert [each.result.family.name for each in trained] == ["clv_naive"]
    assert trained[0].tracked.model_version == "1"


def test_nothing_is_written_when_a_family_cannot_be_fitted(
    empty_store: Any, simulated: Profile, config: TrainConfig
) -> None:
    with pytest.raises(ConfigInvalid):
        train("churn", simulated, config, empty_store.tracker, "clv_bgnbd")
    assert not empty_store.client.search_registered_models()
    assert [found.name for found in empty_store.client.search_experiments()] == ["Default"]


def test_progress_ends_with_tracking(empty_store: Any, simulated: Profile, config: TrainConfig) -> None:
    told: list[str] = []
    quick = config.model_copy(update={"refit": False})
    train("clv", simulated, quick, empty_store.tracker, "clv_bgnbd", progress=told.append)
    *first, building, fitting, last = told
    assert len(first) == 3
    assert all(step.startswith("backtest from 202") for step in first)
    assert [building, fitting, last] == ["building features and labels", "fitting clv_bgnbd", "tracking"]


def test_first_version_is_measured_against_nobody(clv_result: FitResult) -> None:
    assert not [name for name in clv_result.metrics if name.startswith("champion/")]
    assert clv_result.tags == {}


def test_better_challenger_takes_away_part_of_the_champions_loss(
    clv_result: FitResult, simulated: Profile, config: TrainConfig
) -> None:
    settings = config.model_copy(update={"refit": False, "model": {"penalty": 1.0}})
    rival = fit("clv", simulated, settings, "clv_bgnbd")[0]
    found = against(clv_result, "1", rival.evaluated, simulated)
    own, theirs = clv_result.metrics, rival.metrics
    share = 1 - own["holdout/poisson_deviance_orders"] / theirs["holdout/poisson_deviance_orders"]
    assert found.metrics["champion/skill"] == pytest.approx(share)
    assert found.metrics["champion/poisson_deviance_orders"] == theirs["holdout/poisson_deviance_orders"]
    assert found.metrics["champion/skill_low"] < share < found.metrics["champion/skill_high"]
    assert found.tags == {"champion_version": "1"}


@pytest.mark.parametrize("change", [{"horizon_days": 30}, {"gap_days": 7}])
def test_champion_of_another_label_is_not_compared(
    change: dict[str, int], clv_result: FitResult, simulated: Profile
) -> None:
    rival = with_contract(clv_result.evaluated, label="another", **change)
    found = against(clv_result, "4", rival, simulated)
    assert found.metrics == clv_result.metrics
    assert found.tags["champion_version"] == "4"
    assert found.tags["champion_other_label"] == "true"
    assert "version 4 predicts 'another'" in found.tags["champion_not_comparable"]


def test_champion_that_learned_from_the_holdout_is_not_compared(clv_result: FitResult, simulated: Profile) -> None:
    later = clv_result.evaluated.contract.cutoff + timedelta(days=1)
    found = against(clv_result, "4", with_contract(clv_result.evaluated, cutoff=later), simulated)
    assert found.metrics == clv_result.metrics
    assert "champion_other_label" not in found.tags
    assert "train with --cutoff 2024-10-03 or later" in found.tags["champion_not_comparable"]


def test_champion_of_an_earlier_cutoff_is_compared(clv_result: FitResult, simulated: Profile) -> None:
    earlier = clv_result.evaluated.contract.cutoff - timedelta(days=30)
    found = against(clv_result, "4", with_contract(clv_result.evaluated, cutoff=earlier), simulated)
    assert found.metrics["champion/skill"] == 0.0


@pytest.fixture(scope="module")
def orders_only(simulated: Profile) -> Profile:
    """The simulated customers and their orders, without surveys, events and subscriptions."""
    return profile_from_tables(
        {name: simulated.backend.to_pyarrow(simulated.tables[name]) for name in ("customers", "orders")}
    )


def test_champion_whose_features_the_profile_lacks_is_not_compared(
    store: Any, orders_only: Profile, config: TrainConfig
) -> None:
    champion = store.trained["churn"][0].result.evaluated
    assert len(available(orders_only, CHURN).features.names) < len(champion.contract.features)
    settings = config.model_copy(update={"refit": False, "cutoff": champion.contract.cutoff})
    result = fit("churn", orders_only, settings, "churn_rule")[0]
    found = against(result, "1", champion, orders_only)
    assert found.metrics == result.metrics
    assert "version 1 cannot score" in found.tags["champion_not_comparable"]
    assert "surveys" in found.tags["champion_not_comparable"] or "events" in found.tags["champion_not_comparable"]


def test_champion_of_other_feature_definitions_is_not_compared(clv_result: FitResult, simulated: Profile) -> None:
    rival = with_contract(clv_result.evaluated, fingerprint="0" * 16)
    found = against(clv_result, "2", rival, simulated)
    assert found.metrics == clv_result.metrics
    assert "0" * 16 in found.tags["champion_not_comparable"]
