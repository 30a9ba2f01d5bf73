"""The bounded search of settings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.flat import open_flat
from features.profile import Profile
from models.families import FAMILIES, family
from training.churn import ChurnJob
from training.config import TrainConfig, make_config
from training.errors import ConfigInvalid
from training.fit import fit
from training.result import FitResult
from training.search import SPACE, Searched, Trial, search, with_search
from training.task import Prepared

RECIPE = family("churn_lightgbm")
CONFIG = TrainConfig(model={"maximum_trees": 20})


@pytest.fixture(scope="module")
def prepared(small_simulated: Profile) -> Prepared:
    job = ChurnJob()
    cutoff = job.cutoff(CONFIG, small_simulated)
    few = RECIPE.feature_set.only(("days_since_last_order", "frequency", "order_count_90d"))
    return job.prepare(CONFIG, small_simulated, few, cutoff, evaluate=True)


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds whenever it is looked at."""
    times: Iterator[float] = iter(np.arange(0.0, 1e6, seconds))
    return lambda: float(next(times))


def searched(prepared: Prepared, minutes: float = 1.0, **changes: Any) -> tuple[Searched, list[str]]:
    told: list[str] = []
    config = CONFIG.model_copy(update=changes)
    return search(ChurnJob(), RECIPE, config, prepared, told.append, minutes, ticking(3.0)), told


def test_search_ends_before_a_trial_would_pass_the_budget(prepared: Prepared) -> None:
    """A trial takes 3 s and with looking at the clock 9 s: after the sixth 6 s are left, after the seventh none."""
    found, told = searched(prepared)
    assert [trial.seconds for trial in found.trials] == [3.0] * 7
    assert "searching settings of churn_lightgbm: 60 s" in told[0]
    assert "s left, best log loss" in told[-1]


def test_the_familys_own_settings_are_the_first_trial(prepared: Prepared) -> None:
    found, _ = searched(prepared, minutes=0.0)
    own = RECIPE.build().get_params()
    assert len(found.trials) == 1
    assert found.trials[0].settings == {**{name: own[name] for name in SPACE}, "maximum_trees": 20}


def test_the_best_trial_is_that_of_least_loss_and_no_worse_than_the_first(prepared: Prepared) -> None:
    found, _ = searched(prepared)
    assert found.best.loss == min(trial.loss for trial in found.trials) <= found.trials[0].loss


def test_same_seed_tries_the_same_settings_and_another_seed_others(prepared: Prepared) -> None:
    first, again, other = (searched(prepared, random_state=seed)[0].trials[-1] for seed in (0, 0, 1))
    assert (first.settings, first.loss) == (again.settings, again.loss)
    assert first.settings != other.settings


def test_given_settings_are_kept(prepared: Prepared) -> None:
    found, _ = searched(prepared, model={"maximum_trees": 20, "num_leaves": 4})
    assert {trial.settings["num_leaves"] for trial in found.trials} == {4}


def test_search_never_looks_at_the_holdout(prepared: Prepared) -> None:
    splits = {name: split for name, split in prepared.splits.items() if name != "holdout"}
    blind = Prepared(prepared.cutoff, prepared.features, {}, splits, prepared.label)
    assert [t.loss for t in searched(blind)[0].trials] == [t.loss for t in searched(prepared)[0].trials]


def test_without_minutes_nothing_is_searched(prepared: Prepared) -> None:
    assert with_search(ChurnJob(), RECIPE, CONFIG, prepared, print) == (CONFIG, None)


def test_families_without_settings_to_search_are_not_searched(prepared: Prepared) -> None:
    config = TrainConfig(search_minutes=1.0)
    assert with_search(ChurnJob(), FAMILIES["churn_logistic"], config, prepared, print) == (config, None)


@pytest.mark.parametrize(("task", "name"), [("clv", None), ("churn", "churn_logistic")])
def test_search_of_nothing_is_refused(task: Any, name: str | None, small_simulated: Profile) -> None:
    with pytest.raises(ConfigInvalid, match=r"'search_minutes' is 1\.0\. Allowed: 0, or one of the families churn_l"):
        fit(task, small_simulated, TrainConfig(search_minutes=1.0), name)


def test_minutes_are_given_by_name_or_as_a_setting() -> None:
    assert make_config(search_minutes=2.0).search_minutes == 2.0
    assert make_config(assignments={"search_minutes": "5"}).search_minutes == 5.0


@pytest.fixture(scope="module")
def result(simulated: Profile) -> FitResult:
    settings = TrainConfig(refit=False, search_minutes=0.001, stability_cutoffs=0, model={"maximum_trees": 30})
    return fit("churn", simulated, settings, "churn_lightgbm")[0]


def test_best_settings_are_those_of_the_final_fit(result: FitResult) -> None:
    assert result.searched is not None
    for name, value in result.searched.best.settings.items():
        assert result.params[f"model.{name}"] == value


def test_trials_are_nested_runs(result: FitResult, empty_store: Any) -> None:
    tracked = empty_store.tracker.track(result, register=False)
    experiment = empty_store.client.get_experiment_by_name("churn")
    runs = empty_store.client.search_runs([experiment.experiment_id])
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == tracked.run_id]
    assert result.searched is not None
    losses = sorted(trial.loss for trial in result.searched.trials)
    assert sorted(run.data.metrics["search/log_loss"] for run in nested) == pytest.approx(losses)
    assert nested[0].data.params["model.maximum_trees"] == "30"
    files = {file.path for file in empty_store.client.list_artifacts(tracked.run_id)}
    assert {"search.json", "model_card.md", "model_card.html", "global_factors.csv"} <= files


def test_where_rows_are_predicted_in_folds_the_search_is_done_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"customer_id": np.arange(300), "x": generator.normal(size=300)})
    table["left"] = np.where(generator.random(300) < 0.4, "yes", "no")
    table.to_csv(tmp_path / "t.csv", index=False)
    asked: list[tuple[float, frozenset[str]]] = []

    def found(*arguments: Any) -> Searched:
        prepared, minutes = arguments[3], arguments[5]
        asked.append((minutes, frozenset(prepared.splits["train"].keys["customer_id"])))
        own = {name: value for name, value in RECIPE.build().get_params().items() if name in SPACE}
        return Searched((Trial(0, {**own, "maximum_trees": 5}, 0.6, 1.0),), 1.0)

    monkeypatch.setattr("training.search.search", found)
    config = TrainConfig(label="left", folds=3, search_minutes=4.0)
    fit("churn", open_flat(str(tmp_path / "t.csv"), "customer_id", "left"), config, "churn_lightgbm")
    assert [minutes for minutes, _ in asked] == [1.0] * 4
    assert len({learned for _, learned in asked}) == 4
