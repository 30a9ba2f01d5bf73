"""The demonstration: the whole way once, on bundled real data or on a simulated profile."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.instants import read_instant, write_instant
from features.profile import Profile, open_profile
from models.families import Task
from serving.batch import score_profile
from serving.loader import load_champions
from serving.manifest import Manifest
from serving.probe import differences, facts_of, post, running_service, some_customers
from serving.scorer import Scorer
from serving.settings import Settings
from training.config import TrainConfig
from training.job import train
from training.promote import champion_runs, promote
from training.reporting.report import write_report
from training.result import FitResult
from training.simulation.simulate import simulate
from training.tracking import Tracker

BUNDLED = Path(__file__).parent / "features" / "data" / "cdnow"
CUTOFF, HORIZON_DAYS = "1997-10-01", 273
SIMULATED_CUSTOMERS, SIMULATED_HORIZON_DAYS = 4_000, 90
SHOWN: tuple[Task, ...] = ("churn", "clv", "segments")
"""Propensity is to an event of somebody's choosing."""
ASKED = 3


@dataclass(frozen=True)
class Demo:
    """What was done and found."""

    profile: str
    is_simulated: bool
    results: Mapping[Task, FitResult]
    promoted: Mapping[Task, bool]
    manifest: Manifest
    differences: tuple[str, ...]
    scores: Path
    report: Path
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether every task has a champion and the service answered as the batch run wrote."""
        return all(self.promoted.values()) and not self.differences

    def document(self) -> dict[str, Any]:
        """What `patron demo --json` prints."""
        return {
            "profile": self.profile,
            "is_simulated": self.is_simulated,
            "prediction_time": self.manifest.prediction_time,
            "scored": self.manifest.scored,
            "grades": {task: result.grade for task, result in self.results.items()},
            "promoted": dict(self.promoted),
            "online_equals_batch": not self.differences,
            "scores": str(self.scores),
            "report": str(self.report),
            "seconds": round(self.seconds, 1),
        }


def run_demo(simulated: bool, settings: Settings, tracker: Tracker, step: Callable[[str], None]) -> Demo:
    """Check, train, promote, score, serve and report.

    Parameters
    ----------
    simulated : bool
        On a simulated full profile instead of the bundled purchase log.
    settings : Settings
        Places; everything is written into the state folder.
    tracker : Tracker
        Where runs are written.
    step : callable
        Told what is being done.
    """
    begun = time.monotonic()
    config = TrainConfig(cutoff=read_instant(CUTOFF), horizon_days=HORIZON_DAYS)
    source = str(BUNDLED)
    if simulated:
        step(f"simulating {SIMULATED_CUSTOMERS:,} customers")
        source = str(simulate(settings.home / "simulated", SIMULATED_CUSTOMERS))
        config = TrainConfig(horizon_days=SIMULATED_HORIZON_DAYS)
    step("checking the profile")
    profile = open_profile(source)
    results: dict[Task, FitResult] = {}
    promoted: dict[Task, bool] = {}
    for task in SHOWN:
        best = train(task, profile, config, tracker, progress=_prefixed(step, task))[0]
        results[task] = best.result
        promoted[task] = promote(task, tracker.uri, best.tracked.model_version).promoted
    until = results[SHOWN[0]].final.contract.cutoff
    step("scoring every customer")
    scorer = Scorer(load_champions(settings.tracking_uri, settings.cache))
    manifest = score_profile(profile, until, settings.scores, scorer, settings.online_store, "all", settings.language)
    step("starting the service once")
    found = _ask_service(profile, until, settings)
    step("writing the report")
    page = write_report(profile, champion_runs(tracker.uri), settings.home / "report.html", settings.scores)
    seconds = time.monotonic() - begun
    return Demo(source, simulated, results, promoted, manifest, found, settings.scores, page, seconds)


def _prefixed(step: Callable[[str], None], task: str) -> Callable[[str], None]:
    return lambda words: step(f"{task}, {words}")


def _ask_service(profile: Profile, at: datetime, settings: Settings) -> tuple[str, ...]:
    """Ask the service for a few customers in both request forms; where it answers other than the batch run wrote."""
    ids = some_customers(settings.scores, count=ASKED)
    with running_service(settings, settings.home / "serve.log") as address:
        by_id = post(address, "/v1/score", {"customer_ids": ids})
        facts = {"prediction_time": write_instant(at), "profiles": facts_of(profile, ids)}
        by_facts = post(address, "/v1/score", facts)
    found = differences(by_id, settings.scores) + differences(by_facts, settings.scores)
    for name, answer in (("by id", by_id), ("with facts", by_facts)):
        if len(answer["rows"]) != len(ids):
            found.append(f"asked {name} for {len(ids)} customers, the service answered for {len(answer['rows'])}")
    return tuple(found)
