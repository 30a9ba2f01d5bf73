import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelDamaged, ModelIncompatible
from models.families import TASKS, Task
from models.persistence import load, read_verified, write_verified
from serving import loader as module
from serving import online as background
from serving.champion import Champion
from serving.errors import NoChampion, NotReady
from serving.loader import LAST_GOOD, load_champions
from serving.scorer import Scorer
from serving.settings import Settings
from serving.store import OnlineStore


def test_aliases_are_resolved_to_versions(settings: Settings) -> None:
    champions = load_champions(settings.tracking_uri, settings.cache)
    assert {task: champion.version for task, champion in champions.items()} == {
        "churn": "1",
        "clv": "1",
        "segments": "1",
        "propensity": "1",
    }


def test_an_empty_registry_has_no_champion_and_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(NoChampion, match="patron train"):
        load_champions(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "cache")
    assert not (tmp_path / "mlflow.db").exists()


def test_last_good_versions_serve_when_the_registry_is_away(copied_home: Settings) -> None:
    before = load_champions(copied_home.tracking_uri, copied_home.cache)
    (copied_home.home / "mlflow.db").write_bytes(b"this is no database any more")
    after = load_champions(copied_home.tracking_uri, copied_home.cache)
    assert {t: c.version for t, c in after.items()} == {t: c.version for t, c in before.items()}


def test_without_registry_and_cache_the_reason_is_given(copied_home: Settings, tmp_path: Path) -> None:
    (copied_home.home / "mlflow.db").write_bytes(b"this is no database any more")
    with pytest.raises(NotReady, match="nothing is cached"):
        load_champions(copied_home.tracking_uri, tmp_path / "empty")


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
        lambda file: file.write_bytes(file.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1)),
        lambda file: file.unlink(),
        lambda file: shutil.copytree(file.parent, file.parent / "model"),
    ],
    ids=["truncated", "changed", "missing", "moved into"],
)
def test_a_damaged_booster_is_fetched_again_and_refused_before_lightgbm_sees_it_where_that_is_impossible(
    copied_home: Settings, damage: Callable[[Path], object]
) -> None:
    load_champions(copied_home.tracking_uri, copied_home.cache)
    (booster,) = copied_home.cache.glob("churn-*/booster_0.txt")
    whole = read_verified(booster.parent)
    damage(booster)
    assert load_champions(copied_home.tracking_uri, copied_home.cache).keys() == set(TASKS)
    assert read_verified(booster.parent) == whole
    assert {path.name.split("-")[0] for path in copied_home.cache.iterdir()} == {*TASKS, LAST_GOOD}
    damage(booster)
    (copied_home.home / "mlflow.db").write_bytes(b"this is no database any more")
    with pytest.raises(ModelDamaged, match="damaged"):
        load_champions(copied_home.tracking_uri, copied_home.cache)


def test_two_processes_may_fetch_the_same_model(copied_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(copied_home.cache, ignore_errors=True)

    def second(made: Path, folder: Path, *_: object) -> None:
        shutil.copytree(made, folder)  # what another process has fetched meanwhile
        made.rename(folder)

    monkeypatch.setattr(module, "swap_folder", second)
    assert load_champions(copied_home.tracking_uri, copied_home.cache).keys() == set(TASKS)
    (folder,) = copied_home.cache.glob("churn-*")
    assert load(folder).contract.task == "churn"


def test_the_last_good_versions_are_written_beside_those_of_another_process(copied_home: Settings) -> None:
    copied_home.cache.mkdir(exist_ok=True)
    copied_home.cache.joinpath("last_good.partial").mkdir()  # as if another one were writing
    load_champions(copied_home.tracking_uri, copied_home.cache)
    assert set(json.loads((copied_home.cache / LAST_GOOD).read_text())) == set(TASKS)


def test_champions_are_found_among_more_models_than_one_answer_lists(
    copied_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    listed = mlflow.MlflowClient.search_registered_models

    def one_at_a_time(client: Any, filter_string: str | None = None, **_: Any) -> Any:
        return listed(client, filter_string, max_results=1)

    monkeypatch.setattr(mlflow.MlflowClient, "search_registered_models", one_at_a_time)
    assert load_champions(copied_home.tracking_uri, copied_home.cache).keys() == set(TASKS)


def _of_tomorrow(text: str) -> str:
    return json.dumps(json.loads(text) | {"colour": "red"})


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("contract.json", _of_tomorrow, "ValidationError.*colour"),
        ("contract.json", lambda _: "{}", "ValidationError.*task"),
        ("state.json", lambda _: "{}", "KeyError"),
        ("state.json", lambda _: "[]", "TypeError"),
        ("prospects.json", lambda _: "", "JSONDecodeError"),
    ],
)
def test_a_model_that_another_version_kept_is_incompatible(
    file: str, change: Callable[[str], str], said: str, settings: Settings, tmp_path: Path
) -> None:
    load_champions(settings.tracking_uri, settings.cache)
    (folder,) = settings.cache.glob("clv-*")
    texts = read_verified(folder)
    write_verified(texts | {file: change(texts.get(file, ""))}, tmp_path)
    with pytest.raises(ModelIncompatible, match=f"kept by another version of Patron: found {said}") as refused:
        load(tmp_path)
    assert "\n" not in str(refused.value)


def test_whatever_keeps_the_champions_from_loading_is_said_and_tried_again(
    cdnow_scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.0)
    again, tried = threading.Event(), threading.Event()
    reports: list[str] = []

    def champions() -> dict[Task, Champion]:
        if not reports:
            raise RuntimeError("something\nnobody thought of")
        tried.set()
        again.wait(10)
        return cdnow_scorer.champions

    def make(scorer: Scorer) -> background.Online:
        return background.Online(scorer, OnlineStore(tmp_path))

    loading = background.BackgroundLoader(champions, make, reports.append).start()
    assert tried.wait(10)
    with pytest.raises(NotReady, match="not loaded: RuntimeError: something nobody thought of"):
        _ = loading.online
    again.set()
    for _ in range(200):
        if loading.is_ready:
            break
        threading.Event().wait(0.05)
    assert loading.online.scorer.champions == cdnow_scorer.champions
    assert reports[0] == "RuntimeError: something nobody thought of"
