"""The one reader of the registry: champions by alias, resolved once to a version, kept in a local cache."""

import json
import shutil
import tempfile
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from models.families import TASKS, Task
from models.persistence import load
from serving.champion import Champion
from serving.errors import NoChampion, NotReady

ALIAS = "champion"
LAST_GOOD = "last_good.json"
REGISTRY_ERRORS = (MlflowException, SQLAlchemyError, OSError)


def load_champions(tracking_uri: str, cache: Path) -> dict[Task, Champion]:
    """Load the champion of every task that has one.

    When the registry cannot be reached, the versions it last named are taken from the cache.

    Parameters
    ----------
    tracking_uri : str
        The MLflow store.
    cache : Path
        Where model folders are kept, by task and version.

    Returns
    -------
    dict of task to Champion
        At least one.

    Raises
    ------
    NoChampion
        If no task has a champion.
    NotReady
        If the registry cannot be reached and nothing is cached.
    ModelDamaged, ModelIncompatible
        If a model is not what its manifest says or was made for other features.
    """
    cache.mkdir(parents=True, exist_ok=True)
    try:
        places = _fetch(tracking_uri, cache)
    except REGISTRY_ERRORS as error:
        places = _last_good(cache, str(error).splitlines()[0])
    else:
        _write_whole(cache / LAST_GOOD, json.dumps({task: list(place) for task, place in places.items()}))
    if not places:
        raise NoChampion("any task", ())
    champions: dict[Task, Champion] = {}
    for task in TASKS:
        if task in places:
            version, folder = places[task]
            champions[task] = Champion(version, load(cache / folder))
            champions[task].features  # noqa: B018 - refuses a model made for other feature definitions
    return champions


def _fetch(tracking_uri: str, cache: Path) -> dict[str, tuple[str, str]]:
    """Bring every champion into the cache; return version and folder by task."""
    if tracking_uri.startswith("sqlite:///") and not Path(tracking_uri.removeprefix("sqlite:///")).exists():
        return {}  # MLflow would make an empty store, which is not ours to make
    mlflow.set_tracking_uri(tracking_uri)
    client = mlflow.MlflowClient(tracking_uri)
    places: dict[str, tuple[str, str]] = {}
    for registered in client.search_registered_models():
        version = registered.aliases.get(ALIAS)
        if registered.name not in TASKS or version is None:
            continue
        run_id = client.get_model_version(registered.name, str(version)).run_id
        folder = f"{registered.name}-{version}-{run_id}"
        if not (cache / folder).exists():
            _download(f"models:/{registered.name}/{version}/artifacts/model", cache / folder)
        places[registered.name] = (str(version), folder)
    return places


def _download(address: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        found = mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=temporary)
        load(Path(found))  # only what is whole enters the cache
        shutil.move(found, folder)


def _last_good(cache: Path, reason: str) -> dict[str, tuple[str, str]]:
    try:
        kept = json.loads((cache / LAST_GOOD).read_text())
    except FileNotFoundError:
        raise NotReady(f"the registry cannot be reached ({reason}) and nothing is cached") from None
    return {task: (version, folder) for task, (version, folder) in kept.items()}


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)
