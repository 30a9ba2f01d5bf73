"""Deciding which version is served: gates as data, and the one place that moves aliases."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from models.contract import CHALLENGER, CHAMPION, PREVIOUS, Contract
from models.families import TASKS, Task
from models.persistence import Kept, load
from training.errors import NoSuchVersion, TrackingUnavailable
from training.evaluation.levels import LEVELS

WORSE_THAN_CHAMPION = -0.005
"""Lowest skill against the champion on the same holdout: a tie may be promoted, a loss may not."""
WORST_SLICE, LEAST_SLICE_ROWS = -0.05, 200
"""Lowest skill against the baseline in any slice of at least so many rows, where its interval is wholly below 0."""
MOST_BYTES, MOST_MILLISECONDS = 50_000_000, 50.0


@dataclass(frozen=True)
class Gate:
    """One condition of promotion.

    Parameters
    ----------
    name : str
        What is asked.
    passed : bool
        Whether it holds.
    found : str
        What was found, with the limit.
    """

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Decision:
    """What became of a version.

    Parameters
    ----------
    task, version : str
        Which one.
    promoted : bool
        Whether it is the champion now.
    gates : tuple of Gate
        Why.
    previous : str or None
        The champion before.
    """

    task: str
    version: str
    promoted: bool
    gates: tuple[Gate, ...]
    previous: str | None

    @property
    def failed(self) -> list[str]:
        """The gates that were not passed, in words."""
        return [f"{gate.name}: {gate.found}" for gate in self.gates if not gate.passed]

    def document(self) -> dict[str, Any]:
        """The decision as plain data."""
        return {**asdict(self), "gates": [asdict(gate) for gate in self.gates]}


def evaluated_on(metrics: Mapping[str, float]) -> str:
    """The split that a run's metrics are of: `holdout`, or `cv` where its data have no dates."""
    return "holdout" if "holdout/skill" in metrics else "cv"


@contextmanager
def _guarded(uri: str) -> Iterator[mlflow.MlflowClient]:
    try:
        yield mlflow.MlflowClient(uri)
    except (MlflowException, SQLAlchemyError) as error:
        raise TrackingUnavailable(uri, str(error).splitlines()[0]) from error


def champion(task: Task, uri: str) -> tuple[str, Kept] | None:
    """The champion's version, and the model its metrics are of: fitted before its own cutoff.

    Parameters
    ----------
    task : {"churn", "clv", "segments", "propensity"}
        What it predicts.
    uri : str
        The MLflow store.

    Returns
    -------
    tuple of str and Kept, or None
        None without a champion.
    """
    with _guarded(uri) as client, tempfile.TemporaryDirectory() as temporary:
        found = _alias(client, task, CHAMPION)
        if found is None:
            return None
        mlflow.set_tracking_uri(uri)
        address = f"models:/{task}/{found}/artifacts/evaluated"
        folder = mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=temporary)
        return found, load(Path(folder))


@dataclass(frozen=True)
class ChampionRun:
    """The run behind a champion, for a reader.

    Parameters
    ----------
    task, version, run_id : str
        Which.
    contract : Contract
        Of the served model.
    metrics : mapping of str to float
        As logged.
    grade : str
        A to D.
    warnings : tuple of str
        Of the evaluation.
    absent : mapping of str to str
        Features the profile could not give.
    splits : list of dict
        Periods and sizes.
    plots : mapping of str to bytes
        PNG by name.
    gates : list of dict
        Why it was promoted.
    fairness : pandas.DataFrame
        Its figures by declared group; empty where none was declared.
    backtest : mapping or None
        See `training.evaluation.standings.Backtest.document`; None where families did not compete in one.
    """

    task: Task
    version: str
    run_id: str
    contract: Contract
    metrics: Mapping[str, float]
    grade: str
    warnings: tuple[str, ...]
    absent: Mapping[str, str]
    splits: list[dict[str, Any]]
    plots: Mapping[str, bytes]
    gates: list[dict[str, Any]]
    fairness: pd.DataFrame = field(default_factory=pd.DataFrame)
    backtest: Mapping[str, Any] | None = None


def champion_runs(uri: str) -> list[ChampionRun]:
    """The runs of all champions, in the order of the tasks.

    Raises
    ------
    TrackingUnavailable
        If the store cannot be used.
    """
    with _guarded(uri) as client:
        found = [(task, _alias(client, task, CHAMPION)) for task in TASKS]
        return [_champion_run(client, task, version) for task, version in found if version is not None]


def _champion_run(client: mlflow.MlflowClient, task: Task, version: str) -> ChampionRun:
    run = client.get_run(_run_id(client, task, version))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(client.download_artifacts(run.info.run_id, "", temporary))

        def read(name: str) -> Any:
            return json.loads((folder / name).read_text())

        return ChampionRun(
            task,
            version,
            run.info.run_id,
            Contract.model_validate(read("contract.json")),
            run.data.metrics,
            run.data.tags["grade"],
            tuple(read("warnings.json")),
            read("absent_features.json"),
            read("split_log.json"),
            {path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))},
            read("promotion.json")["gates"],
            pd.read_csv(folder / "fairness.csv") if (folder / "fairness.csv").exists() else pd.DataFrame(),
            read("backtest.json") if (folder / "backtest.json").exists() else None,
        )


def _run_id(client: mlflow.MlflowClient, task: str, version: str) -> str:
    return str(client.get_model_version(task, version).run_id)


def _alias(client: mlflow.MlflowClient, task: str, alias: str) -> str | None:
    if not client.search_registered_models(f"name = '{task}'"):
        return None
    found = client.get_registered_model(task).aliases.get(alias)
    return None if found is None else str(found)


def promote(task: Task, uri: str, version: str | None = None) -> Decision:
    """Hold a version against the gates and make it the champion if it passes all.

    Parameters
    ----------
    task : {"churn", "clv", "segments", "propensity"}
        What it predicts.
    uri : str
        The MLflow store.
    version : str, optional
        Which version; by default the challenger.

    Returns
    -------
    Decision
        Logged with the version's run either way; when not promoted, nothing moves.

    Raises
    ------
    NoSuchVersion
        If there is no such version, or no challenger.
    """
    with _guarded(uri) as client:
        mlflow.set_tracking_uri(uri)
        wanted = version or _alias(client, task, CHALLENGER)
        known = sorted((str(v.version) for v in client.search_model_versions(f"name = '{task}'")), key=int)
        if wanted is None:
            raise NoSuchVersion(task, CHALLENGER, known)
        if wanted not in known:
            raise NoSuchVersion(task, f"version {wanted!r}", known)
        previous = _alias(client, task, CHAMPION)
        gates = tuple(_gates(client, task, wanted, previous))
        decision = Decision(task, wanted, all(gate.passed for gate in gates), gates, previous)
        _carry_out(client, decision)
        return decision


def _carry_out(client: mlflow.MlflowClient, decision: Decision) -> None:
    task, version = decision.task, decision.version
    run_id = _run_id(client, task, version)
    client.log_text(run_id, json.dumps(decision.document(), indent=1), "promotion.json")
    client.set_model_version_tag(task, version, "validation_status", "passed" if decision.promoted else "failed")
    if not decision.promoted:
        return
    if decision.previous is not None and decision.previous != version:
        client.set_registered_model_alias(task, PREVIOUS, decision.previous)
    client.set_registered_model_alias(task, CHAMPION, version)
    if _alias(client, task, CHALLENGER) == version:
        client.delete_registered_model_alias(task, CHALLENGER)


def _gates(client: mlflow.MlflowClient, task: Task, version: str, previous: str | None) -> Iterator[Gate]:
    run = client.get_run(_run_id(client, task, version))
    metrics, tags = run.data.metrics, run.data.tags
    on = evaluated_on(metrics)
    low, skill = metrics[f"{on}/skill_low"], metrics[f"{on}/skill"]
    yield Gate(
        "beats its baseline",
        low > 0,
        f"skill {skill:.3f}, its 90 % interval begins at {low:.3f}, must begin above 0",
    )
    name, (least, most) = LEVELS[task].metric, LEVELS[task].trusted
    found = metrics[f"{on}/{name}"]
    words = f"{on}/{name} {found:.3f}, must be {least:g} to {most:g}"
    yield Gate("level can be trusted", LEVELS[task].holds({name: found}), words)
    yield _champion_gate(metrics, tags, version, previous)
    yield _slice_gate(client, run.info.run_id)
    size = metrics["model/bytes"]
    yield Gate("small enough", size <= MOST_BYTES, f"{size / 1e6:.2f} MB, at most {MOST_BYTES / 1e6:.0f} MB")
    yield _speed_gate(metrics)


def _speed_gate(metrics: Mapping[str, float]) -> Gate:
    """Processor time does not depend on what else the machine does; a run that has none is held to the time it took."""
    milliseconds, of = metrics.get("model/cpu_milliseconds_a_row"), " of processor time"
    if milliseconds is None:
        milliseconds, of = metrics["model/milliseconds_a_row"], ""
    words = f"{milliseconds:.2f} ms{of} for one customer, at most {MOST_MILLISECONDS:.0f} ms"
    return Gate("fast enough", milliseconds <= MOST_MILLISECONDS, words)


def _champion_gate(metrics: Mapping[str, float], tags: Mapping[str, str], version: str, previous: str | None) -> Gate:
    name = "no worse than the champion"
    if previous is None or previous == version:
        return Gate(name, True, "there is no other champion")
    if tags.get("champion_version") != previous:
        seen = tags.get("champion_version", "none")
        return Gate(name, False, f"measured against version {seen}, the champion is version {previous}: train again")
    if "champion/skill" not in metrics:
        reason = tags.get("champion_not_comparable", "not measured")
        comparable_later = tags.get("champion_other_label") == "true"
        return Gate(name, comparable_later, reason)
    found = metrics["champion/skill"]
    return Gate(
        name,
        found >= WORSE_THAN_CHAMPION,
        f"skill {found:.4f} against version {previous}, at least {WORSE_THAN_CHAMPION}",
    )


def _slice_gate(client: mlflow.MlflowClient, run_id: str) -> Gate:
    with tempfile.TemporaryDirectory() as temporary:
        path = client.download_artifacts(run_id, "metrics_by_slice.parquet", temporary)
        slices = pd.read_parquet(path)
    name = "holds in every slice"
    if slices.empty:
        return Gate(name, True, "measured as a whole")
    large = slices[slices["rows"] >= LEAST_SLICE_ROWS]
    bad = large[(large["skill"] < WORST_SLICE) & (large["skill_high"] < 0)]
    if bad.empty:
        return Gate(
            name,
            True,
            f"{len(large)} slices of at least {LEAST_SLICE_ROWS} customers, none clearly worse than the baseline",
        )
    worst = bad.sort_values("skill").iloc[0]
    return Gate(name, False, f"{worst['slice']} = {worst['level']}: skill {worst['skill']:.3f}, at least {WORST_SLICE}")
