"""Data without signal: the simplest model is taken, graded D in plain words, and not promoted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.flat import FlatTable, open_flat
from training.config import TrainConfig
from training.job import Trained, train
from training.promote import promote


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> FlatTable:
    generator = np.random.default_rng(8)
    table = pd.DataFrame({f"x{i}": generator.normal(size=900) for i in range(5)})
    table.insert(0, "customer_id", [f"c{i}" for i in range(900)])
    table["left"] = np.where(generator.random(900) < 0.3, "yes", "no")
    file = tmp_path_factory.mktemp("noise") / "noise.csv"
    table.to_csv(file, index=False)
    return open_flat(str(file), "customer_id", "left")


@pytest.fixture
def trained(noise: FlatTable, empty_store: Any) -> list[Trained]:
    return train("churn", noise, TrainConfig(label="left"), empty_store.tracker)


def test_noise_is_graded_d_in_plain_words_and_not_promoted(trained: list[Trained], empty_store: Any) -> None:
    """900 rows, 270 of the outcome: the standard error of AUC is 0.02, of which 0.06 is three."""
    results = [each.result for each in trained]
    assert results[0].family.name == "churn_rule"
    assert {result.family.name for result in results} == {"churn_rule", "churn_logistic", "churn_lightgbm"}
    for result in results:
        assert abs(result.metrics["cv/roc_auc"] - 0.5) < 0.06
        assert result.grade == "D"
        assert f"{result.family.name} does not beat its baseline: do not use its scores" in result.warnings
    assert any("the simpler churn_rule is used" in warning for warning in results[0].warnings)
    assert not any("unstable" in warning for warning in results[0].warnings)  # there is no skill that could be lost
    decision = promote("churn", empty_store.uri)
    assert not decision.promoted
    assert any("beats its baseline" in failed for failed in decision.failed)


def test_card_of_a_useless_model_lies_with_its_run(trained: list[Trained], empty_store: Any, tmp_path: Path) -> None:
    file = empty_store.client.download_artifacts(trained[0].tracked.run_id, "model_card.md", str(tmp_path))
    text = Path(file).read_text()
    assert "Grade **D**" in text
    assert "do not use its scores" in text
