"""The same people under different ids, and that they inflate no figure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.flat import open_flat
from training.config import TrainConfig
from training.fit import fit
from training.rows.duplicates import people_of, said_of_copies


def keys_of(ids: list[str], times: list[str] | None = None) -> pd.DataFrame:
    when = pd.to_datetime(times or ["2024-01-01"] * len(ids), utc=True)
    return pd.DataFrame({"customer_id": ids, "prediction_time": when})


def rows_of(*values: float, columns: int = 6) -> pd.DataFrame:
    return pd.DataFrame({f"f{i}": np.array(values) * (i + 1) for i in range(columns)})


def test_equal_rows_under_other_ids_are_one_person_named_by_the_smallest_id() -> None:
    keys = keys_of(["c", "b", "a", "d"])
    assert people_of(keys, rows_of(1, 2, 1, 3)).tolist() == ["a", "b", "a", "d"]


def test_customers_equal_at_one_time_are_one_person_at_all_times() -> None:
    keys = keys_of(["a", "b", "a", "b"], ["2024-01-01", "2024-01-01", "2024-02-01", "2024-02-01"])
    assert people_of(keys, rows_of(1, 1, 2, 3)).tolist() == ["a"] * 4


def test_equal_rows_at_different_times_are_different_people() -> None:
    keys = keys_of(["a", "b"], ["2024-01-01", "2024-02-01"])
    assert people_of(keys, rows_of(1, 1)).tolist() == ["a", "b"]


def test_rows_that_say_little_may_be_equal_by_chance() -> None:
    assert people_of(keys_of(["a", "b", "c"]), rows_of(1, 1, 2, columns=2)).tolist() == ["a", "b", "c"]
    empty = pd.DataFrame({f"f{i}": [np.nan, np.nan, 1.0] for i in range(9)})
    assert people_of(keys_of(["a", "b", "c"]), empty).tolist() == ["a", "b", "c"]


def test_customers_who_ordered_once_on_one_day_may_be_two() -> None:
    once = {"days_since": 30.0, "T_days": 29.0, "value_90d": 11.77, "value_365d": 11.77, "orders": 1.0}
    rows = pd.DataFrame([once, once, {name: value + 1 for name, value in once.items()}])
    assert people_of(keys_of(["a", "b", "c"]), rows).tolist() == ["a", "b", "c"]


def test_copies_are_counted() -> None:
    keys = keys_of(["a", "b", "c", "a"])
    assert said_of_copies(keys, np.array(["a", "a", "c", "a"], dtype=object))[0].startswith("1 customers are equal")
    assert said_of_copies(keys, keys["customer_id"].to_numpy()) == []


@pytest.mark.parametrize("family", ["churn_lightgbm", "churn_logistic"])
def test_planted_duplicates_of_noise_are_not_predicted(family: str, tmp_path: Path) -> None:
    """1,500 rows of noise twice: the standard error of AUC is 0.015; a copy in another fold would give 0.6 and more."""
    generator = np.random.default_rng(5)
    table = pd.DataFrame({f"x{i}": generator.normal(size=1_500).round(6) for i in range(8)})
    table["left"] = np.where(generator.random(1_500) < 0.5, "yes", "no")
    table.insert(0, "customer_id", [f"c{i}" for i in range(1_500)])
    copies = table.assign(customer_id="copy-" + table["customer_id"])
    pd.concat([table, copies]).sample(frac=1, random_state=1).to_csv(tmp_path / "t.csv", index=False)
    profile = open_flat(str(tmp_path / "t.csv"), "customer_id", "left")
    greedy = {"num_leaves": 63, "minimum_leaf_rows": 1, "lambda_l2": 0.0}
    config = TrainConfig(label="left", model=greedy if family == "churn_lightgbm" else {})
    result = fit("churn", profile, config, family)[0]
    assert abs(result.metrics["cv/roc_auc"] - 0.5) < 0.06
    assert result.grade == "D"
    assert any("1,500 customers are equal to another" in warning for warning in result.warnings)
