"""A state folder with three champions and one batch run, made once; and ways to damage copies of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.instants import read_instant
from features.profile import Profile
from models.families import TASKS, Task
from serving.batch import score_profile
from serving.loader import load_champions
from serving.manifest import Manifest
from serving.scorer import Scorer
from serving.settings import Settings

AT = read_instant("2024-12-31")
SERVED: dict[Task, str] = {"churn": "churn_lightgbm", "clv": "clv_hybrid", "propensity": "propensity_logistic"}
"""Which families compete and win is what tests of training are about; these ask for the most features."""
ASKED: dict[Task, dict[str, Any]] = {
    "clv": {"model": {"trees": 30}},
    "propensity": {"event": "kind = 'loyalty_earn'", "eligible": "ordered"},
}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, simulated: Profile) -> Path:
    """State folder with a champion of every task, trained on the simulated profile."""
    from training.config import TrainConfig
    from training.job import train
    from training.promote import promote
    from training.tracking import Tracker

    folder = tmp_path_factory.mktemp("home")
    settings = Settings(PATRON_HOME=folder, MLFLOW_TRACKING_URI=None)
    tracker = Tracker(settings.tracking_uri, settings.artifacts)
    for task in TASKS:
        config = TrainConfig.model_validate({"horizon_days": 90, "stability_cutoffs": 0, **ASKED.get(task, {})})
        trained = train(task, simulated, config, tracker, SERVED.get(task))
        assert promote(task, tracker.uri, trained[0].tracked.model_version).promoted
    return folder


@pytest.fixture(scope="session")
def settings(home: Path) -> Settings:
    """Settings of that folder."""
    return Settings(PATRON_HOME=home, MLFLOW_TRACKING_URI=None)


@pytest.fixture(scope="session")
def scorer(settings: Settings) -> Scorer:
    """The champions."""
    return Scorer(load_champions(settings.tracking_uri, settings.cache))


@pytest.fixture(scope="session")
def batch(settings: Settings, simulated: Profile, scorer: Scorer) -> Manifest:
    """One batch run into the state folder, with its online store."""
    return score_profile(simulated, AT, settings.scores, scorer, settings.online_store)


@pytest.fixture(scope="session")
def request_of(simulated: Profile) -> Callable[..., dict[str, Any]]:
    """Makes a request of some customers' facts, as an application would send them."""
    from serving.probe import facts_of

    def make(*customer_ids: str) -> dict[str, Any]:
        profiles = facts_of(simulated, list(customer_ids))
        return {"prediction_time": AT.isoformat(), "profiles": profiles}

    return make


@pytest.fixture
def copied_home(home: Path, tmp_path: Path) -> Settings:
    """A copy of the state folder that a test may change."""
    shutil.copytree(home, tmp_path / "home")
    return Settings(PATRON_HOME=tmp_path / "home", MLFLOW_TRACKING_URI=None)


@pytest.fixture(scope="session")
def cdnow_scorer(tmp_path_factory: pytest.TempPathFactory, cdnow_sample: Profile) -> Scorer:
    """A lifetime-value champion that needs orders only."""
    from serving.champion import Champion
    from training.config import TrainConfig
    from training.fit import fit

    config = TrainConfig(cutoff=read_instant("1997-10-01"), horizon_days=273)
    return Scorer({"clv": Champion("1", fit("clv", cdnow_sample, config)[0].final)})
