"""One trained store, one empty store and small builders, shared by the tests of the training room."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from features.profile import Profile
from models.families import TASKS, Task
from training.config import TrainConfig
from training.fit import fit
from training.job import Trained, train
from training.promote import Decision, promote
from training.result import FitResult
from training.tracking import Tracker

HORIZON_DAYS = 90
QUICK: dict[Task, str] = {"clv": "clv_bgnbd", "propensity": "propensity_logistic"}
PROPENSITY = {"event": "kind = 'loyalty_earn'", "eligible": "ordered"}


@dataclass(frozen=True)
class Store:
    """An MLflow store in a temporary folder."""

    tracker: Tracker
    folder: Path
    trained: dict[Task, list[Trained]] = field(default_factory=dict)
    decisions: dict[Task, Decision] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return self.tracker.uri

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"


def store_in(folder: Path) -> Store:
    return Store(Tracker(f"sqlite:///{folder}/mlflow.db", folder / "artifacts"), folder)


@contextmanager
def untouched_mlflow() -> Iterator[None]:
    """MLflow writes the store it was pointed at into the environment; take it out again."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        yield
    finally:
        nowhere: Any = None
        mlflow.set_tracking_uri(nowhere)
        mlflow.set_registry_uri(nowhere)
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small fits are many times slower with threads that compete for busy cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def clean_mlflow() -> Iterator[None]:
    with untouched_mlflow():
        yield


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    """Settings every shared fit on the simulated profile uses."""
    return TrainConfig(horizon_days=HORIZON_DAYS, stability_cutoffs=1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, simulated: Profile, config: TrainConfig) -> Store:
    """All tasks trained on the simulated profile, tracked and promoted. Tests only read it."""
    with untouched_mlflow(), threadpool_limits(1):
        made = store_in(tmp_path_factory.mktemp("store"))
        for task in TASKS:
            settings = config if task != "segments" else config.model_copy(update={"refit": False})
            if task == "propensity":
                settings = config.model_copy(update=PROPENSITY | {"refit": False, "stability_cutoffs": 0})
            quick = QUICK.get(task)  # the others have tests of their own
            made.trained[task] = train(task, simulated, settings, made.tracker, quick)
            made.decisions[task] = promote(task, made.uri)
        return made


@pytest.fixture(scope="session")
def make_store() -> Callable[[Path], Store]:
    """Open or make the store in a folder."""
    return store_in


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with untouched_mlflow():
        folder = tmp_path_factory.mktemp("empty_store")
        store_in(folder)
        return folder / "mlflow.db"


@pytest.fixture
def empty_store(tmp_path: Path, empty_database: Path) -> Store:
    """A store of its own for each test."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return store_in(tmp_path)


@pytest.fixture(scope="session")
def clv_result(simulated: Profile, config: TrainConfig) -> FitResult:
    """A lifetime value model that beats its baseline on the simulated profile; what it was fitted on ends early."""
    settings = config.model_copy(update={"refit": False})
    with threadpool_limits(1):
        return fit("clv", simulated, settings, "clv_bgnbd")[0]


@pytest.fixture(scope="session")
def utc() -> Callable[..., datetime]:
    """Make midnight UTC of year, month, day."""
    return lambda year, month, day: datetime(year, month, day, tzinfo=UTC)
