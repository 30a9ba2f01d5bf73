from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import ModelDamaged
from serving.errors import NoChampion, NotReady
from serving.loader import load_champions
from serving.settings import Settings


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
    ],
    ids=["truncated", "changed", "missing"],
)
def test_a_damaged_booster_is_refused_before_lightgbm_sees_it(
    copied_home: Settings, damage: Callable[[Path], object]
) -> None:
    load_champions(copied_home.tracking_uri, copied_home.cache)
    booster = next(copied_home.cache.glob("churn-*/booster_0.txt"), None)
    damage(booster if booster is not None else next(copied_home.cache.glob("churn-*/state.json")))
    with pytest.raises(ModelDamaged, match="damaged"):
        load_champions(copied_home.tracking_uri, copied_home.cache)
