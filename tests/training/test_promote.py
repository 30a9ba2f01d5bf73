import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from features.profile import Profile
from models.families import TASKS
from training.config import TrainConfig
from training.errors import NoSuchVersion, TrackingUnavailable
from training.job import train
from training.promote import Decision, champion, champion_runs, promote
from training.result import FitResult

NEW = "no worse than the champion"


@dataclass(frozen=True)
class Registry:
    """A store whose lifetime value model is under test."""

    store: Any

    def aliases(self) -> dict[str, str]:
        found = self.store.client.get_registered_model("clv").aliases
        return {name: str(version) for name, version in found.items()}

    def status(self, version: str) -> str:
        return str(self.store.client.get_model_version("clv", version).tags["validation_status"])

    def logged(self, version: str, folder: Path) -> Any:
        run_id = self.store.client.get_model_version("clv", version).run_id
        return json.loads(Path(self.store.client.download_artifacts(run_id, "promotion.json", str(folder))).read_text())

    def set_metric(self, version: str, name: str, value: float) -> None:
        self.store.client.log_metric(self.store.client.get_model_version("clv", version).run_id, name, value)


@pytest.fixture(scope="module")
def _tracked(empty_database: Path, make_store: Callable[[Path], Any], clv_result: FitResult) -> Path:
    folder = empty_database.parent / "tracked"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    make_store(folder).tracker.track(clv_result, register=True)
    return folder / "mlflow.db"


@pytest.fixture
def challenged(tmp_path: Path, _tracked: Path, make_store: Callable[[Path], Any]) -> Registry:
    """Version 1 waits as challenger, there is no champion."""
    shutil.copy(_tracked, tmp_path / "mlflow.db")
    return Registry(make_store(tmp_path))


@pytest.fixture
def served(challenged: Registry) -> Registry:
    """Version 1 is the champion."""
    assert promote("clv", challenged.store.uri).promoted
    return challenged


@pytest.fixture(scope="module")
def again(simulated: Profile, config: TrainConfig) -> Callable[..., Any]:
    """Train lifetime value once more on the same profile into a store."""

    def _again(store: Any, family: str = "clv_bgnbd", **model: float) -> Any:
        settings = config.model_copy(update={"refit": False, "model": model})
        return train("clv", simulated, settings, store.tracker, family)[0]

    return _again


@pytest.fixture(scope="module")
def _rivals(_tracked: Path, make_store: Callable[[Path], Any], again: Callable[..., Any]) -> Path:
    folder = _tracked.parent / "rivals"
    folder.mkdir()
    shutil.copy(_tracked, folder / "mlflow.db")
    store = make_store(folder)
    promote("clv", store.uri)
    store.tracker.track(again(store).result, register=True)
    return folder / "mlflow.db"


@pytest.fixture
def rivals(tmp_path: Path, _rivals: Path, make_store: Callable[[Path], Any]) -> Registry:
    """Version 1 is the champion; versions 2 and 3, the same model, were measured against it."""
    shutil.copy(_rivals, tmp_path / "mlflow.db")
    return Registry(make_store(tmp_path))


def failed(decision: Decision) -> list[str]:
    return [gate.name for gate in decision.gates if not gate.passed]


def test_first_version_that_beats_its_baseline_becomes_champion(challenged: Registry) -> None:
    decision = promote("clv", challenged.store.uri)
    assert decision.promoted
    assert (decision.task, decision.version, decision.previous) == ("clv", "1", None)
    assert challenged.aliases() == {"champion": "1"}
    assert challenged.status("1") == "passed"


def test_version_may_be_named(challenged: Registry) -> None:
    assert promote("clv", challenged.store.uri, "1").promoted
    assert challenged.aliases() == {"champion": "1"}


def test_decision_is_logged_with_the_run(challenged: Registry, tmp_path: Path) -> None:
    decision = promote("clv", challenged.store.uri)
    logged = challenged.logged("1", tmp_path)
    assert logged == json.loads(json.dumps(decision.document(), allow_nan=False))
    assert [gate["name"] for gate in logged["gates"]] == [
        "beats its baseline",
        "level can be trusted",
        "no worse than the champion",
        "holds in every slice",
        "small enough",
        "fast enough",
    ]


def test_second_training_is_measured_against_the_champion_on_the_same_holdout(
    served: Registry, again: Callable[..., Any]
) -> None:
    metrics = again(served.store).result.metrics
    figures = [name.removeprefix("champion/") for name in metrics if name.startswith("champion/")]
    assert {"poisson_deviance_orders", "rmse_orders", "mae_value", "skill", "skill_low", "skill_high"} <= set(figures)
    # the same recipe on the same rows: every figure is the same, and neither is better
    assert all(metrics[f"champion/{name}"] == metrics[f"holdout/{name}"] for name in figures if "skill" not in name)
    assert metrics["champion/skill"] == 0.0


def test_promotion_moves_all_three_aliases(rivals: Registry) -> None:
    assert rivals.aliases() == {"champion": "1", "challenger": "3"}
    decision = promote("clv", rivals.store.uri)
    assert (decision.promoted, decision.version, decision.previous) == (True, "3", "1")
    assert rivals.aliases() == {"champion": "3", "previous_champion": "1"}


def test_worse_challenger_is_refused_and_the_champion_stays(
    served: Registry, again: Callable[..., Any], tmp_path: Path
) -> None:
    worse = again(served.store, penalty=0.1).result
    assert worse.metrics["champion/skill"] < -0.005
    assert worse.metrics["holdout/skill_low"] > 0
    decision = promote("clv", served.store.uri)
    assert not decision.promoted
    assert failed(decision) == [NEW]
    assert served.aliases() == {"champion": "1", "challenger": "2"}
    assert served.status("2") == "failed"
    assert served.logged("2", tmp_path)["promoted"] is False


def test_model_that_does_not_beat_its_baseline_is_refused(challenged: Registry, again: Callable[..., Any]) -> None:
    again(challenged.store, "clv_naive")
    decision = promote("clv", challenged.store.uri)
    assert "beats its baseline" in failed(decision)
    assert challenged.aliases() == {"challenger": "2"}
    assert any("its 90 % interval begins at 0.000, must begin above 0" in reason for reason in decision.failed)


def test_comparison_with_a_champion_that_is_no_longer_one_is_refused(rivals: Registry) -> None:
    assert promote("clv", rivals.store.uri, "2").promoted
    decision = promote("clv", rivals.store.uri, "3")
    assert failed(decision) == [NEW]
    assert "measured against version 1, the champion is version 2: train again" in decision.failed[0]
    assert rivals.aliases()["champion"] == "2"


@pytest.mark.parametrize("other_label", [True, False])
def test_version_not_comparable_with_the_champion_passes_only_if_it_predicts_something_else(
    other_label: bool, served: Registry, clv_result: FitResult
) -> None:
    tags = {"champion_version": "1", "champion_not_comparable": "the reason"}
    tags |= {"champion_other_label": "true"} if other_label else {}
    served.store.tracker.track(replace(clv_result, tags=tags), register=True)
    decision = promote("clv", served.store.uri)
    assert decision.promoted is other_label
    assert next(gate.found for gate in decision.gates if gate.name == NEW) == "the reason"


def test_promoting_another_version_leaves_the_challenger(rivals: Registry) -> None:
    promote("clv", rivals.store.uri, "2")
    assert rivals.aliases() == {"champion": "2", "previous_champion": "1", "challenger": "3"}


def test_promoting_the_champion_again_changes_nothing(served: Registry) -> None:
    assert promote("clv", served.store.uri, "1").promoted
    assert served.aliases() == {"champion": "1"}


@pytest.mark.parametrize(
    ("metric", "value", "gate"),
    [
        ("holdout/skill_low", 0.0, "beats its baseline"),
        ("holdout/bias_total_orders", 0.2501, "level can be trusted"),
        ("holdout/bias_total_orders", -0.2501, "level can be trusted"),
        ("model/bytes", 50_000_001.0, "small enough"),
        ("model/cpu_milliseconds_a_row", 50.1, "fast enough"),
    ],
)
def test_each_gate_refuses_by_itself(metric: str, value: float, gate: str, challenged: Registry) -> None:
    challenged.set_metric("1", metric, value)
    decision = promote("clv", challenged.store.uri)
    assert failed(decision) == [gate]
    assert challenged.aliases() == {"challenger": "1"}


@pytest.mark.parametrize(
    ("metric", "value"),
    [("holdout/bias_total_orders", 0.25), ("model/bytes", 5e7), ("model/cpu_milliseconds_a_row", 50.0)],
)
def test_value_at_the_limit_passes(metric: str, value: float, challenged: Registry) -> None:
    challenged.set_metric("1", metric, value)
    assert promote("clv", challenged.store.uri).promoted


@pytest.mark.parametrize(("taken", "promoted"), [(49.0, True), (51.0, False)])
def test_run_from_before_processor_time_was_measured_is_held_to_the_time_it_took(
    taken: float, promoted: bool, empty_store: Any, clv_result: FitResult
) -> None:
    older = {name: value for name, value in clv_result.metrics.items() if name != "model/cpu_milliseconds_a_row"}
    result = replace(clv_result, metrics=older | {"model/milliseconds_a_row": taken})
    empty_store.tracker.track(result, register=True)
    decision = promote("clv", empty_store.uri)
    assert decision.promoted is promoted
    assert decision.gates[-1].found == f"{taken:.2f} ms for one customer, at most 50 ms"


def test_busy_machine_does_not_keep_a_fast_model_back(challenged: Registry) -> None:
    challenged.set_metric("1", "model/milliseconds_a_row", 500.0)
    challenged.set_metric("1", "model/cpu_milliseconds_a_row", 12.0)
    decision = promote("clv", challenged.store.uri)
    assert decision.promoted
    assert decision.gates[-1].found == "12.00 ms of processor time for one customer, at most 50 ms"


@pytest.mark.parametrize(("value", "promoted"), [(-0.005, True), (-0.0051, False)])
def test_tie_with_the_champion_may_be_promoted(value: float, promoted: bool, rivals: Registry) -> None:
    rivals.set_metric("3", "champion/skill", value)
    assert promote("clv", rivals.store.uri).promoted is promoted


def test_large_slice_that_is_clearly_worse_than_the_baseline_is_refused(
    empty_store: Any, clv_result: FitResult
) -> None:
    slices = clv_result.slices.copy()
    slices.loc[0, ["rows", "skill", "skill_high"]] = [200, -0.06, -0.01]
    empty_store.tracker.track(replace(clv_result, slices=slices), register=True)
    decision = promote("clv", empty_store.uri)
    assert failed(decision) == ["holds in every slice"]
    assert "frequency = 0: skill -0.060, at least -0.05" in decision.failed[0]


def test_slice_that_is_small_or_little_worse_or_not_certainly_so_passes(
    empty_store: Any, clv_result: FitResult
) -> None:
    slices = clv_result.slices.copy()
    slices.loc[:2, "rows"] = [199, 200, 200]
    slices.loc[:2, "skill"] = [-0.06, -0.05, -0.06]
    slices.loc[:2, "skill_high"] = [-0.01, -0.01, 0.0]
    empty_store.tracker.track(replace(clv_result, slices=slices), register=True)
    assert promote("clv", empty_store.uri).promoted


def test_unknown_version_is_refused_with_the_known_ones(challenged: Registry) -> None:
    with pytest.raises(NoSuchVersion) as refused:
        promote("clv", challenged.store.uri, "7")
    message = str(refused.value)
    assert "\n" not in message
    assert "has no version '7'. Found: '1'" in message


def test_no_challenger_is_refused(served: Registry) -> None:
    with pytest.raises(NoSuchVersion, match=r"model 'clv' has no challenger\. Found: '1'"):
        promote("clv", served.store.uri)


def test_task_never_trained_is_refused(challenged: Registry) -> None:
    with pytest.raises(NoSuchVersion, match=r"no version at all\. Run: patron train churn"):
        promote("churn", challenged.store.uri)


def test_store_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    for attempt in (promote, champion):
        with pytest.raises(TrackingUnavailable, match="a database or server URI"):
            attempt("clv", str(tmp_path))
    with pytest.raises(TrackingUnavailable, match="a database or server URI"):
        champion_runs(str(tmp_path))


def test_champion_is_its_version_and_the_model_its_metrics_are_of(store: Any) -> None:
    found = champion("churn", store.uri)
    assert found is not None
    version, kept = found
    result = store.trained["churn"][0].result
    assert version == "1"
    assert kept.contract == result.evaluated.contract
    assert kept.model.state() == result.evaluated.model.state()


def test_there_is_no_champion_before_the_first_promotion(challenged: Registry, empty_store: Any) -> None:
    assert champion("clv", challenged.store.uri) is None
    assert champion("churn", empty_store.uri) is None
    assert champion_runs(challenged.store.uri) == []


def test_runs_of_the_champions_come_with_all_a_report_needs(store: Any) -> None:
    runs = champion_runs(store.uri)
    assert [run.task for run in runs] == list(TASKS)
    for run in runs:
        result = store.trained[run.task][0].result
        assert (run.version, run.grade, run.warnings) == ("1", result.grade, result.warnings)
        assert run.contract == result.final.contract
        assert run.metrics == result.metrics
        assert run.splits == result.splits
        assert run.absent == dict(result.absent)
        assert all(picture.startswith(b"\x89PNG") for picture in run.plots.values())
        assert [gate["passed"] for gate in run.gates] == [True] * 6
