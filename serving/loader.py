"""The one reader of the registry: champions by alias, resolved once to a version, kept in a local cache."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from features.files import replacing
from features.folders import swap_folder
from models.contract import CHAMPION
from models.errors import ModelDamaged
from models.families import TASKS, Task
from models.persistence import load, read_verified
from serving.champion import Champion
from serving.errors import NoChampion, NotReady

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
        with replacing(cache / LAST_GOOD) as partial:
            partial.write_text(json.dumps({task: list(place) for task, place in places.items()}))
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
    for task in TASKS:  # by name: a server that others use as well has more models than one answer lists
        for registered in client.search_registered_models(filter_string=f"name = '{task}'"):
            version = registered.aliases.get(CHAMPION)
            if version is None:
                continue
            run_id = client.get_model_version(task, str(version)).run_id
            folder = f"{task}-{version}-{run_id}"
            _bring(f"models:/{task}/{version}/artifacts/model", cache / folder)
            places[task] = (str(version), folder)
    return places


def _bring(address: str, folder: Path) -> None:
    """Have a model in the cache, fetched unless it is there whole.

    Raises
    ------
    ModelDamaged, ModelIncompatible
        If what the registry has is damaged, or was made by another version of Patron.
    """
    with suppress(ModelDamaged):  # not there, or not as it was fetched
        read_verified(folder)
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        found = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=temporary))
        load(found)  # only what is whole enters the cache
        try:
            swap_folder(found, folder, Path(temporary) / "damaged", ("*",))
        except OSError:
            if not folder.exists():
                raise
            read_verified(folder)  # another process was first


def _last_good(cache: Path, reason: str) -> dict[str, tuple[str, str]]:
    try:
        kept = json.loads((cache / LAST_GOOD).read_text())
    except (FileNotFoundError, ValueError):
        raise NotReady(f"the registry cannot be reached ({reason}) and nothing is cached") from None
    return {task: (version, folder) for task, (version, folder) in kept.items()}
