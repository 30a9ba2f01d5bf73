import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from features import __version__
from features.engine.builder import build_features, feature_frame
from features.profile import Profile, profile_from_tables
from models.families import OUTPUTS, TASKS, Task
from models.persistence import load
from training.config import TrainConfig, make_config
from training.errors import TrackingUnavailable
from training.fit import fit
from training.reporting.plots import draw
from training.result import FitResult
from training.search import Searched, Trial
from training.tracking import Tracker

PLOTS = {
    "churn": {"roc_and_calibration", "lift", "global_factors", "profit"},
    "clv": {
        "tracking",
        "expected_and_actual_orders",
        "deciles_with_intervals",
        "value_concentration",
        "one_customer",
        "frequency_recency_matrix",
    },
    "segments": {"segment_profile"},
    "propensity": {"roc_and_calibration", "lift", "global_factors"},
}


@pytest.fixture(scope="module")
def artifacts(store: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    """The artifacts of each task's winning run, as MLflow hands them out."""
    return {
        task: Path(store.client.download_artifacts(trained[0].tracked.run_id, "", str(tmp_path_factory.mktemp(task))))
        for task, trained in store.trained.items()
    }


def run_of(store: Any, task: Task, position: int = 0) -> Any:
    return store.client.get_run(store.trained[task][position].tracked.run_id)


# runs


@pytest.mark.parametrize("task", TASKS)
def test_families_of_a_task_share_its_experiment(task: Task, store: Any) -> None:
    experiment = store.client.get_experiment_by_name(task)
    runs = store.client.search_runs([experiment.experiment_id])
    assert {run.info.run_id for run in runs} == {trained.tracked.run_id for trained in store.trained[task]}
    assert all(run.info.status == "FINISHED" for run in runs)


def test_run_is_named_by_family_cutoff_and_commit(store: Any) -> None:
    run = run_of(store, "churn", 1)
    commit = run.data.tags.get("mlflow.source.git.commit", "")
    assert run.info.run_name == "-".join(filter(None, ["churn_logistic", "2024-10-02", commit[:7]]))


@pytest.mark.parametrize("task", TASKS)
def test_params_of_a_run_are_those_of_the_result(task: Task, store: Any) -> None:
    result = store.trained[task][0].result
    assert run_of(store, task).data.params == {name: str(value) for name, value in result.params.items()}


@pytest.mark.parametrize("task", TASKS)
def test_metrics_of_a_run_are_those_of_the_result_under_split_and_name(task: Task, store: Any) -> None:
    found = run_of(store, task).data.metrics
    assert found == store.trained[task][0].result.metrics
    kinds = "train|validation|holdout|cv|baseline|backtest|champion|curve|data|model|stability|surveys|without_surveys"
    kinds += "|out_of_customer|profit"
    pattern = rf"({kinds})/[a-z0-9_]+"
    assert all(re.fullmatch(pattern, name) and "neg_" not in name for name in found)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("churn", "roc_auc average_precision log_loss brier expected_calibration_error lift_top_decile empc"),
        (
            "clv",
            "poisson_deviance_orders rmse_orders mae_orders log_loss_no_order mae_value rmse_value gini_value "
            "top_decile_share_value bias_total_orders bias_total_value coverage_50 coverage_90",
        ),
        ("segments", "silhouette stability_ari smallest_share"),
    ],
)
def test_standard_metrics_of_each_task_are_there(task: Task, names: str, store: Any) -> None:
    found = run_of(store, task).data.metrics
    assert {f"holdout/{name}" for name in names.split()} <= set(found)
    assert {"data/rows", "data/positive_rate"} <= set(found)


def test_tags_say_what_was_learned_from_what(store: Any, simulated: Profile) -> None:
    result = store.trained["churn"][0].result
    tags = run_of(store, "churn").data.tags
    expected = {
        "task": "churn",
        "family": result.family.name,
        "grade": result.grade,
        "package_version": __version__,
        "data_digest": simulated.digest,
        "prediction_time": "2024-10-02",
        "label": "no order in 90 days",
        "is_simulated": "true",
    }
    assert {name: tags.get(name) for name in expected} == expected


def test_inputs_are_logged_by_split_with_the_digest(store: Any, simulated: Profile) -> None:
    inputs = run_of(store, "churn").inputs.dataset_inputs
    contexts = {tag.value for logged in inputs for tag in logged.tags if tag.key == "mlflow.data.context"}
    assert contexts == {"train", "validation", "holdout"}
    assert {logged.dataset.digest for logged in inputs} == {simulated.digest[:32]}


def test_run_lies_under_the_parent_it_was_given(empty_store: Any, clv_result: FitResult) -> None:
    client = empty_store.client
    parent = client.create_run(client.create_experiment("clv", artifact_location=str(empty_store.artifacts)))
    tracker = Tracker(empty_store.uri, empty_store.artifacts, parent.info.run_id)
    tracked = tracker.track(clv_result, register=False)
    assert client.get_run(tracked.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id


# artifacts


@pytest.mark.parametrize("task", TASKS)
def test_artifacts_lie_in_the_folder_of_the_store(task: Task, store: Any) -> None:
    run = run_of(store, task)
    assert run.info.artifact_uri.startswith((store.artifacts / task).resolve().as_uri())


@pytest.mark.parametrize("task", TASKS)
def test_run_has_the_standard_artifacts(task: Task, artifacts: dict[Task, Path]) -> None:
    names = {"contract.json", "config.yaml", "split_log.json", "metrics_by_slice.parquet", "warnings.json"}
    names |= {"leakage.json", "model_card.md", "model_card.html"}
    assert names <= {path.name for path in artifacts[task].iterdir()}


def test_backtest_is_logged_as_document_and_table(artifacts: dict[Task, Path], store: Any) -> None:
    contest = store.trained["clv"][0].result.backtest
    assert json.loads((artifacts["clv"] / "backtest.json").read_text()) == contest.document()
    logged = pd.read_parquet(artifacts["clv"] / "backtest.parquet")
    assert logged["poisson_deviance_orders"].tolist() == contest.table["poisson_deviance_orders"].tolist()
    found = run_of(store, "clv").data.metrics
    assert found["backtest/poisson_deviance_orders"] == contest.ranking.loc["clv_bgnbd", "poisson_deviance_orders"]
    assert found["backtest/skill_over_naive"] == contest.best_naive("clv_bgnbd")[1].value
    assert not (artifacts["churn"] / "backtest.json").exists()


@pytest.mark.parametrize("task", TASKS)
def test_every_plot_is_a_picture_with_its_data(task: Task, artifacts: dict[Task, Path]) -> None:
    folder = artifacts[task] / "plots"
    assert {path.name for path in folder.iterdir()} == {f"{n}.{kind}" for n in PLOTS[task] for kind in ("png", "csv")}
    for name in PLOTS[task]:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n")
        assert len(pd.read_csv(folder / f"{name}.csv")) > 1


def test_lift_data_are_ten_equal_groups_ordered_by_prediction(artifacts: dict[Task, Path]) -> None:
    data = pd.read_csv(artifacts["churn"] / "plots" / "lift.csv")
    assert data["tenth"].tolist() == list(range(1, 11))
    assert data["rows"].tolist() == [150] * 10
    assert data["predicted"].is_monotonic_decreasing
    assert data["lift"].to_numpy() == pytest.approx(data["observed"] / data["observed"].mean())


def test_expected_and_actual_orders_hold_every_customer(artifacts: dict[Task, Path], store: Any) -> None:
    data = pd.read_csv(artifacts["clv"] / "plots" / "expected_and_actual_orders.csv")
    assert data["rows"].sum() == 1_500
    total = store.trained["clv"][0].result.prepared.splits["holdout"].outcome["order_days"].sum()
    assert (data["actual"] * data["rows"]).sum() == pytest.approx(total)


def test_segment_shares_add_up(artifacts: dict[Task, Path]) -> None:
    data = pd.read_csv(artifacts["segments"] / "plots" / "segment_profile.csv")
    assert data["share"].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("task", TASKS)
def test_logged_config_makes_the_same_config_again(task: Task, artifacts: dict[Task, Path], store: Any) -> None:
    assert make_config(artifacts[task] / "config.yaml") == store.trained[task][0].result.config


def test_logged_config_is_resolved(artifacts: dict[Task, Path]) -> None:
    assert yaml.safe_load((artifacts["churn"] / "config.yaml").read_text())["cutoff"] == "2024-10-02T00:00:00Z"


@pytest.mark.parametrize("task", TASKS)
def test_logged_contract_is_that_of_the_model_to_serve(task: Task, artifacts: dict[Task, Path], store: Any) -> None:
    contract = store.trained[task][0].result.final.contract
    assert json.loads((artifacts[task] / "contract.json").read_text()) == contract.model_dump(mode="json")


def test_slices_are_logged_as_measured(artifacts: dict[Task, Path], store: Any) -> None:
    logged = pd.read_parquet(artifacts["churn"] / "metrics_by_slice.parquet")
    pd.testing.assert_frame_equal(logged, store.trained["churn"][0].result.slices, check_dtype=False)


def test_split_log_is_logged(artifacts: dict[Task, Path], store: Any) -> None:
    assert json.loads((artifacts["churn"] / "split_log.json").read_text()) == store.trained["churn"][0].result.splits


# registered models


@pytest.mark.parametrize("task", TASKS)
def test_only_the_winner_is_registered_under_the_name_of_its_task(task: Task, store: Any) -> None:
    winner, *losers = store.trained[task]
    versions = store.client.search_model_versions(f"name = '{task}'")
    assert [(str(version.version), version.run_id) for version in versions] == [("1", winner.tracked.run_id)]
    assert winner.tracked.model_version == "1"
    assert all(loser.tracked.model_version is None for loser in losers)


def test_new_version_is_the_challenger_and_waits_for_its_gates(empty_store: Any, clv_result: FitResult) -> None:
    tracked = empty_store.tracker.track(clv_result, register=True)
    found = empty_store.client.get_model_version_by_alias("clv", "challenger")
    assert str(found.version) == tracked.model_version
    assert found.run_id == tracked.run_id
    assert found.tags["validation_status"] == "pending"
    assert found.tags["feature_fingerprint"] == clv_result.final.contract.fingerprint


def test_later_version_takes_the_challenger_alias(empty_store: Any, clv_result: FitResult) -> None:
    for expected in ("1", "2"):
        assert empty_store.tracker.track(clv_result, register=True).model_version == expected
    assert str(empty_store.client.get_model_version_by_alias("clv", "challenger").version) == "2"


def test_run_without_registration_makes_no_version(empty_store: Any, clv_result: FitResult) -> None:
    assert empty_store.tracker.track(clv_result, register=False).model_version is None
    assert empty_store.client.search_registered_models() == []


@pytest.mark.parametrize("task", TASKS)
def test_signature_is_the_feature_set_with_doubles_and_texts_all_optional(task: Task, store: Any) -> None:
    mlflow.set_tracking_uri(store.uri)
    signature = mlflow.models.get_model_info(f"models:/{task}/1").signature
    contract = store.trained[task][0].result.final.contract
    kinds = {feature.name: "string" if feature.dtype == "string" else "double" for feature in contract.features}
    assert {column.name: column.type.name for column in signature.inputs} == kinds
    assert list(signature.inputs.input_names()) == list(kinds)
    assert not any(column.required for column in signature.inputs)
    assert signature.outputs.input_names() == list(OUTPUTS[task])


@pytest.fixture(scope="module")
def features(simulated: Profile, store: Any) -> Callable[[Task], pd.DataFrame]:
    """Feature rows of all customers as a notebook builds them, for the model of a task."""

    def _features(task: Task) -> pd.DataFrame:
        wanted = store.trained[task][0].result.final.contract.installed_features()
        rows = feature_frame(build_features(simulated, wanted, [simulated.known_until]), wanted)
        return rows[rows["frequency"].notna()].reset_index(drop=True)

    return _features


@pytest.mark.parametrize("task", TASKS)
def test_loaded_model_gives_the_models_own_scores_bit_for_bit(
    task: Task, store: Any, features: Callable[[Task], pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(store.uri)
    rows = features(task)
    predicted = mlflow.pyfunc.load_model(f"models:/{task}/1").predict(rows)
    own = store.trained[task][0].result.final.model.score(rows)
    pd.testing.assert_frame_equal(predicted, own, check_exact=True)


def test_loaded_model_takes_a_single_row_with_whole_and_missing_numbers(
    store: Any, features: Callable[[Task], pd.DataFrame]
) -> None:
    mlflow.set_tracking_uri(store.uri)
    model = mlflow.pyfunc.load_model("models:/churn/1")
    rows = features("churn")
    silent = rows[rows["nps_last_score"].isna()].head(1).reset_index(drop=True)
    own = store.trained["churn"][0].result.final.model.score(silent)
    assert model.predict(silent)["probability_churned"].tolist() == own["probability_churned"].tolist()


def test_version_holds_the_evaluated_model_beside_the_refitted_one(store: Any, tmp_path: Path) -> None:
    result = store.trained["churn"][0].result
    mlflow.set_tracking_uri(store.uri)
    folder = Path(mlflow.artifacts.download_artifacts("models:/churn/1", dst_path=str(tmp_path))) / "artifacts"
    for name, kept in (("model", result.final), ("evaluated", result.evaluated)):
        found = load(folder / name)
        assert found.contract == kept.contract
        assert found.model.state() == kept.model.state()


# what must not be there


@pytest.fixture(scope="module")
def marked(simulated: Profile) -> Profile:
    """The simulated customers under ids that cannot come about by chance."""
    tables = {}
    for name, table in simulated.tables.items():
        frame = simulated.backend.to_pyarrow(table).to_pandas()
        money = [column for column in frame if str(column).endswith(("value", "cost"))]
        tables[name] = frame.astype(dict.fromkeys(money, float)).assign(
            customer_id=lambda rows: "person-" + rows["customer_id"] + "@example.org"
        )
    return profile_from_tables(tables)


def texts_in(path: Path) -> Iterator[bytes]:
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield pq.read_table(path).to_pandas().to_csv().encode()


@pytest.mark.parametrize(
    ("task", "name"), [("churn", "churn_lightgbm"), ("clv", "clv_bgnbd"), ("segments", "segments_rfm")]
)
def test_no_customer_id_is_anywhere_in_the_store(
    task: Task, name: str, marked: Profile, empty_store: Any, config: TrainConfig
) -> None:
    result = fit(task, marked, config.model_copy(update={"refit": False}), name)[0]
    assert result.prepared.splits["train"].keys["customer_id"].str.endswith("@example.org").all()
    empty_store.tracker.track(result, register=True)
    files = [path for path in empty_store.folder.rglob("*") if path.is_file()]
    assert len(files) > 15
    assert not [path for path in files for text in texts_in(path) if b"@example.org" in text]


def test_no_model_file_is_a_pickle(store: Any) -> None:
    files = [path for path in store.artifacts.rglob("*") if path.is_file()]
    names = {path.suffix for path in files if path.parent.name != "__pycache__"}  # Python's own, of models loaded here
    assert names <= {"", ".json", ".yaml", ".txt", ".py", ".parquet", ".png", ".csv", ".md", ".html"}


# failures


def statuses(store: Any, experiment: str) -> dict[str, str]:
    """How each run of an experiment ended, by its name without cutoff and commit."""
    found = store.client.get_experiment_by_name(experiment)
    runs = store.client.search_runs([found.experiment_id])
    return {re.sub(r"-\d{4}-.*", "", run.info.run_name): run.info.status for run in runs}


def test_failed_tracking_leaves_a_failed_run_and_no_version(
    empty_store: Any, clv_result: FitResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("training.tracking.draw", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        empty_store.tracker.track(clv_result, register=True)
    assert statuses(empty_store, "clv") == {"clv_bgnbd": "FAILED"}
    assert empty_store.client.search_registered_models() == []


def test_failed_trial_leaves_failed_runs_and_no_version(empty_store: Any, clv_result: FitResult) -> None:
    fine, broken = Trial(0, {"num_leaves": 7}, 0.5, 1.0), Trial(1, {"num_leaves": 9}, "no number", 1.0)  # type: ignore[arg-type]
    searched = replace(clv_result, searched=Searched((fine, broken), 2.0))
    with pytest.raises(ValueError, match="no number"):
        empty_store.tracker.track(searched, register=True)
    assert statuses(empty_store, "clv") == {
        "clv_bgnbd-trial-0": "FINISHED",
        "clv_bgnbd-trial-1": "FAILED",
        "clv_bgnbd": "FAILED",
    }
    assert empty_store.client.search_registered_models() == []


def test_note_that_cannot_be_written_leaves_a_failed_run(empty_store: Any, tmp_path: Path) -> None:
    facts: dict[str, dict[str, Any]] = {"tags": {}, "params": {}, "metrics": {"uplift/effect": "none"}}
    with pytest.raises(ValueError, match="none"):
        empty_store.tracker.note("uplift", "letter", facts, tmp_path)
    assert statuses(empty_store, "uplift") == {"letter": "FAILED"}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_plain_folder_store_is_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailable) as refused:
        Tracker(form.format(tmp_path / "mlruns"))
    message = str(refused.value)
    assert "\n" not in message
    assert "a database or server URI such as sqlite:///" in message


@pytest.mark.parametrize(
    "uri", ["nonsense://nowhere", "sqlite:////dev/null/folder/mlflow.db", "http://127.0.0.1:9", "mysql+nodriver://x/y"]
)
def test_store_that_cannot_be_reached_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingUnavailable) as refused:
        Tracker(uri)
    message = str(refused.value)
    assert "\n" not in message
    assert repr(uri) in message
    assert "()" not in message


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_bytes(b"these are my notes\n" * 100)
    with pytest.raises(TrackingUnavailable, match="not a database"):
        Tracker(f"sqlite:///{file}")
    assert file.read_bytes() == b"these are my notes\n" * 100


def test_plots_of_a_holdout_where_everybody_did_the_same_are_drawn(store: Any, tmp_path: Path) -> None:
    result = store.trained["churn"][0].result
    holdout = result.prepared.splits["holdout"]
    silent = replace(holdout, outcome=holdout.outcome.assign(churned=0.0))
    prepared = replace(result.prepared, splits={**result.prepared.splits, "holdout": silent})
    pictures = draw(replace(result, prepared=prepared), tmp_path)
    assert {path.stem for path in pictures} == PLOTS["churn"]
