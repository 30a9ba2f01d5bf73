"""The one place that writes to MLflow: runs, their figures, and model versions."""

import json
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking.context.registry import resolve_tags
from mlflow.types import ColSpec, Schema
from mlflow.utils.git_utils import get_git_commit
from sqlalchemy.exc import SQLAlchemyError

from features import __version__
from features.instants import write_instant
from models.contract import CHALLENGER, Contract
from models.families import OUTPUTS
from models.persistence import save
from training.errors import TrackingUnavailable
from training.evaluation.grade import rule_of
from training.reporting.card import write_card
from training.reporting.plots import draw
from training.reporting.survival_plot import draw_survival
from training.result import FitResult

COMMIT, NOTE = "mlflow.source.git.commit", "mlflow.note.content"
PARENT_RUN = "mlflow.parentRunId"
LONGEST_PARAM = 6000
REQUIREMENTS = (
    "patron",
    "lightgbm",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "ibis-framework",
    "duckdb",
    "pydantic",
)
ENTRY = Path(__file__).with_name("pyfunc_entry.py")


@dataclass(frozen=True)
class Tracked:
    """Where a run went.

    Parameters
    ----------
    run_id : str
        The MLflow run.
    model_version : str or None
        Version of the registered model named after the task; None for a run that did not win.
    """

    run_id: str
    model_version: str | None


class Tracker:
    """Writes fitted models to an MLflow store.

    Parameters
    ----------
    uri : str
        Database or server; plain folders are refused by MLflow.
    artifacts : Path, optional
        Where artifacts of a database store go; a server knows its own place.
    parent_run : str, optional
        Run under which new runs are nested.
    """

    def __init__(self, uri: str, artifacts: Path | None = None, parent_run: str | None = None) -> None:
        self.uri = uri
        self.parent_run = parent_run
        self.artifacts = artifacts
        with self._guarded():
            if uri.startswith("sqlite:///"):
                Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(uri)
            self.client = mlflow.MlflowClient(uri)
            self.client.search_experiments(max_results=1)

    def track(self, result: FitResult, *, register: bool) -> Tracked:
        """Write one run; with `register`, also a model version under the alias `challenger`.

        Parameters
        ----------
        result : FitResult
            Fitted and measured.
        register : bool
            Whether it won its competition.

        Returns
        -------
        Tracked
            Run and version.

        Raises
        ------
        TrackingUnavailable
            If the store cannot be used.
        """
        with self._guarded():
            return self._track(result, register)

    def note(self, experiment: str, name: str, facts: Mapping[str, Mapping[str, Any]], folder: Path) -> str:
        """Write a run that registers no model.

        Parameters
        ----------
        experiment, name : str
            Where it goes and what it is called.
        facts : mapping
            Its `tags`, `params` and `metrics`.
        folder : Path
            Whose files are its artifacts.

        Returns
        -------
        str
            The run.

        Raises
        ------
        TrackingUnavailable
            If the store cannot be used.
        """
        tags = _context() | {tag: str(value) for tag, value in facts["tags"].items()}
        tags |= {PARENT_RUN: self.parent_run} if self.parent_run else {}
        with self._guarded(), self._run(experiment, name, tags) as run_id:
            self._log_figures(run_id, facts["metrics"], facts["params"])
            self.client.log_artifacts(run_id, str(folder))
        return run_id

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:  # ImportError: a driver is missing
            reason = str(error).strip() or type(error).__name__
            raise TrackingUnavailable(self.uri, reason.splitlines()[0]) from error

    @contextmanager
    def _run(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
        """Begin a run that ends with the block: finished, or failed where the block is left by an exception."""
        run_id = str(self.client.create_run(self._experiment(experiment), run_name=name, tags=dict(tags)).info.run_id)
        try:
            yield run_id
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None
        if self.artifacts is not None and not self.uri.startswith("http"):
            place = (self.artifacts / name).resolve().as_uri()
        return str(self.client.create_experiment(name, artifact_location=place))

    def _track(self, result: FitResult, register: bool) -> Tracked:
        context = _context()
        tags = _tags(result, context, self.parent_run)
        with self._run(result.task, _run_name(result, context), tags) as run_id:
            self._log_figures(run_id, result.metrics, result.params)
            with tempfile.TemporaryDirectory() as folder:
                self._log_artifacts(run_id, result, Path(folder))
            self._log_trials(run_id, result)
            model_version = self._log_model(run_id, result, register)  # last: what fails leaves no version behind
        return Tracked(run_id, model_version)

    def _log_figures(self, run_id: str, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), now, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)[:LONGEST_PARAM]) for name, value in params.items()],
        )

    def _log_trials(self, run_id: str, result: FitResult) -> None:
        """Every trial of a search as a run of its own under the one that it was for."""
        trials = result.searched.trials if result.searched is not None else ()
        for trial in trials:
            tags = {"task": result.task, "family": result.family.name, PARENT_RUN: run_id}
            name = f"{result.family.name}-trial-{trial.number}"
            params = {f"model.{setting}": value for setting, value in sorted(trial.settings.items())}
            with self._run(result.task, name, tags) as trial_id:
                self._log_figures(trial_id, {"search/log_loss": trial.loss, "search/seconds": trial.seconds}, params)

    def _log_artifacts(self, run_id: str, result: FitResult, folder: Path) -> None:
        config = json.loads(result.config.model_dump_json())
        (folder / "contract.json").write_text(result.final.contract.model_dump_json(indent=1))
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        (folder / "split_log.json").write_text(json.dumps(result.splits, indent=1))
        (folder / "absent_features.json").write_text(json.dumps(dict(result.absent), indent=1))
        (folder / "leakage.json").write_text(json.dumps(result.leakage.document(), indent=1))
        (folder / "warnings.json").write_text(json.dumps(list(result.warnings), indent=1))
        if result.backtest is not None:
            (folder / "backtest.json").write_text(json.dumps(result.backtest.document(), indent=1, allow_nan=False))
            result.backtest.table.to_parquet(folder / "backtest.parquet", index=False)
        result.slices.to_parquet(folder / "metrics_by_slice.parquet", index=False)
        result.holdout.to_parquet(folder / "holdout.parquet", index=False)
        _write_examined(result, folder)
        write_card(result, folder)
        drawn = draw_survival if result.family.outcome == "subscriptions" else draw
        drawn(result, folder / "plots")
        self.client.log_artifacts(run_id, str(folder))

    def _log_model(self, run_id: str, result: FitResult, register: bool) -> str | None:
        digest = result.final.contract.data_digest
        source = CodeDatasetSource({"profile": result.source, "digest": digest})
        with tempfile.TemporaryDirectory() as temporary, mlflow.start_run(run_id=run_id), warnings.catch_warnings():
            # an input example would keep rows of real customers in the artifact
            warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
            for name, split in result.prepared.splits.items():
                data = from_pandas(split.rows, source=source, name=name, digest=digest[:32])
                mlflow.log_input(data, context=name)
            folders = {
                "model": str(save(result.final, Path(temporary) / "model")),
                "evaluated": str(save(result.evaluated, Path(temporary) / "evaluated")),
            }
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(ENTRY),
                artifacts=folders,
                signature=signature(result.final.contract),
                pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            )
        if not register:
            return None
        return self._register(logged.model_uri, run_id, result)

    def _register(self, model_uri: str, run_id: str, result: FitResult) -> str:
        task = result.task
        if not self.client.search_registered_models(f"name = '{task}'"):
            self.client.create_registered_model(task)
        tags = {
            "validation_status": "pending",
            "feature_fingerprint": result.final.contract.fingerprint,
            "family": result.family.name,
            "grade": result.grade,
            "leakage": _leakage(result),
        }
        model_id = model_uri.rsplit("/", maxsplit=1)[-1]
        made = self.client.create_model_version(task, model_uri, run_id, tags=tags, model_id=model_id)
        self.client.set_registered_model_alias(task, CHALLENGER, made.version)
        return str(made.version)


def _write_examined(result: FitResult, folder: Path) -> None:
    """What was found of the winner, as tables."""
    found = result.examined
    for name, table in (("global_factors", found.factors), ("fairness", found.fairness)):
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    stability = {name: asdict(skill) for name, skill in found.stability.items()}
    if stability:
        (folder / "stability.json").write_text(json.dumps(stability, indent=1))
    if result.searched is not None:
        (folder / "search.json").write_text(json.dumps(asdict(result.searched), indent=1))


def _context() -> dict[str, str]:
    """MLflow's own tags of who ran what, with the commit of Patron's source where it lies in a repository."""
    tags: dict[str, str] = dict(resolve_tags())
    commit = tags.get(COMMIT) or get_git_commit(str(ENTRY.parent))
    return tags | ({COMMIT: commit} if commit else {})


def _run_name(result: FitResult, context: dict[str, str]) -> str:
    contract = result.evaluated.contract
    parts = [
        result.family.name,
        f"{contract.cutoff:%Y-%m-%d}" if contract.is_dated else "undated",
        context.get(COMMIT, "")[:7],
    ]
    return "-".join(part for part in parts if part)


def _tags(result: FitResult, context: dict[str, str], parent: str | None) -> dict[str, str]:
    contract = result.evaluated.contract
    tags = {
        **context,
        **result.tags,
        "task": result.task,
        "family": result.family.name,
        "grade": result.grade,
        "baseline": result.compared.name,
        "leakage": _leakage(result),
        "package_version": __version__,
        "data_digest": result.final.contract.data_digest,
        "prediction_time": write_instant(contract.cutoff) if contract.is_dated else "undated",
        "label": contract.label,
        NOTE: _note(result),
        "is_simulated": str(result.final.contract.is_simulated).lower(),
    }
    return tags | ({PARENT_RUN: parent} if parent else {})


def _leakage(result: FitResult) -> str:
    """Suspected columns that the settings let pass."""
    return f"allowed: {', '.join(result.leakage.suspected)}" if result.leakage.suspected else "none found"


def _note(result: FitResult) -> str:
    """What a reader of the run's page should see first."""
    lines = [
        f"**Grade {result.grade}**: {rule_of(result.grade, result.task)}. Skill {result.skill.words()} against "
        f"{result.compared.name}, on the split {result.evaluated_on}.",
        *(f"- {warning}" for warning in result.warnings),
    ]
    return "\n".join(lines)


def signature(contract: Contract) -> ModelSignature:
    """Inputs and outputs as the feature set and the task define them, never inferred from data.

    Numbers are doubles, so that a whole number and a missing one both pass; every column may be null.
    """
    inputs: list[Any] = [
        ColSpec("string" if f.dtype == "string" else "double", f.name, required=False) for f in contract.features
    ]
    kinds: dict[type, Any] = {float: "double", int: "long", str: "string"}
    outputs: list[Any] = [ColSpec(kinds[kind], name) for name, kind in OUTPUTS[contract.task].items()]  # type: ignore[index]
    return ModelSignature(Schema(inputs), Schema(outputs))
