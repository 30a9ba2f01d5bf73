"""What is looked at of a winner: earlier cutoffs, surveys, factors and groups; and what becomes of noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile
from models.churn.logistic import ChurnLogistic
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.evaluation.examine import Examined, earlier_cutoffs
from training.evaluation.factors import global_factors
from training.evaluation.fairness import fairness_warnings, measure_fairness
from training.evaluation.grade import Skill
from training.fit import fit
from training.result import FitResult
from training.rows.groups import PREFIX, groups_in
from training.rows.splits import Split


@pytest.fixture(scope="module")
def result(simulated: Profile) -> FitResult:
    settings = TrainConfig(refit=False, fairness_groups=("region",), stability_cutoffs=1)
    return fit("churn", simulated, settings, "churn_logistic")[0]


def test_recipe_is_measured_again_at_an_earlier_cutoff(result: FitResult) -> None:
    assert list(result.examined.stability) == ["2024-07-04"]
    found = result.examined.stability["2024-07-04"]
    assert result.metrics["stability/2024_07_04"] == found.value
    assert found.low > 0
    assert result.examined.is_stable


def test_earlier_cutoffs_have_a_horizon_of_history_before_them(simulated: Profile, utc: Any) -> None:
    config = TrainConfig(horizon_days=90, gap_days=10, stability_cutoffs=6)
    found = earlier_cutoffs(config, simulated, utc(2023, 10, 18))
    assert found == [utc(2023, 7, 10), utc(2023, 4, 1)]


@pytest.mark.parametrize(("values", "stable"), [([0.1, 0.2], True), ([0.1, 0.0], False), ([], False)])
def test_stable_is_skill_everywhere_it_was_looked_for(values: list[float], stable: bool) -> None:
    assert Examined(stability={str(i): Skill(v, v, v) for i, v in enumerate(values)}).is_stable is stable


def test_best_grade_asks_for_stability(simulated: Profile) -> None:
    settings = TrainConfig(refit=False, stability_cutoffs=0, horizon_days=60)
    assert fit("churn", simulated, settings, "churn_logistic")[0].grade != "A"


def test_surveys_are_left_out_once_for_responders_and_silent_apart(result: FitResult) -> None:
    metrics = result.metrics
    assert metrics["without_surveys/log_loss"] != metrics["holdout/log_loss"]
    share = 1 - metrics["holdout/log_loss"] / metrics["without_surveys/log_loss"]
    assert metrics["surveys/skill"] == pytest.approx(share)
    slices = result.slices[result.slices["slice"] == "survey"].set_index("level")["rows"]
    for level in ("responder", "silent"):
        assert metrics[f"surveys/rows_{level}"] == slices[level]
        assert metrics[f"surveys/skill_{level}_low"] < metrics[f"surveys/skill_{level}_high"]


def test_slices_have_figures_with_intervals_and_mark_low_evidence(result: FitResult) -> None:
    assert {"frequency", "tenure", "channel", "survey", "customer"} == set(result.slices["slice"])
    (here,) = result.slices[result.slices["level"] == "silent"].to_dict("records")
    assert here["roc_auc_low"] < here["roc_auc"] < here["roc_auc_high"]
    assert not here["low_evidence"]


def test_groups_declared_are_measured_apart(result: FitResult) -> None:
    table = result.examined.fairness
    assert set(table["group"]) == {"region"}
    assert table["rows"].sum() == 1_500
    assert (table["observed_rate_low"] < table["observed_rate"]).all()
    assert "group_region" not in result.evaluated.model.columns_


def test_group_that_is_no_column_of_customers_is_refused(simulated: Profile) -> None:
    with pytest.raises(
        ConfigInvalid, match=r"'shoe_size'.*columns of customers: acquisition_channel, acquisition_cost"
    ):
        fit("churn", simulated, TrainConfig(fairness_groups=("shoe_size",)), "churn_rule")


def test_groups_are_refused_where_they_would_not_be_measured(simulated: Profile) -> None:
    with pytest.raises(ConfigInvalid, match=r"'region'\. Allowed: none for clv"):
        fit("clv", simulated, TrainConfig(fairness_groups=("region",)))


def split_of(groups: Sequence[str | None]) -> Split:
    keys = pd.DataFrame({"customer_id": [f"c{i}" for i in range(len(groups))]})
    outcome = pd.DataFrame({PREFIX + "region": pd.Series(list(groups), dtype=object)})
    return Split("holdout", keys, pd.DataFrame(index=keys.index), outcome, "")


@pytest.mark.parametrize(("missed_more", "warned"), [(False, 0), (True, 2)])
def test_a_group_that_fares_worse_is_warned_of(missed_more: bool, warned: int) -> None:
    """800 customers: rates of 0.5 in both groups; those of the second are all given 0.3 where it fares worse."""
    happened = np.tile([1.0, 0.0], 400)
    probability = np.where(happened == 1, 0.6, 0.4)
    if missed_more:
        probability[400:] = 0.3 + 0.001 * happened[400:]
    split = split_of(["north"] * 400 + ["south"] * 400)
    table = measure_fairness(split, happened, probability, ("region",), 0.5)
    found = fairness_warnings(table)
    assert len(found) == warned
    if missed_more:
        assert "by region, one group is missed more often or less (false negative rate): south 1.000" in found[0]


def test_small_groups_are_marked_and_not_warned_of() -> None:
    happened = np.tile([1.0, 0.0], 30)
    probability = np.r_[np.full(30, 0.9), np.full(30, 0.1)]
    table = measure_fairness(split_of(["a"] * 30 + ["b"] * 30), happened, probability, ("region",), 0.5)
    assert table["low_evidence"].all()
    assert fairness_warnings(table) == []


def test_levels_that_are_few_are_taken_together_and_empty_is_a_level() -> None:
    levels = [f"r{i}" for i in range(13) for _ in range(20 - i)] + [None]
    found = groups_in(split_of(levels).outcome, ["region"])["region"]
    assert found.iloc[-1] == "other"
    assert found.nunique() == 13
    assert groups_in(split_of([None, "x"]).outcome, ["region"])["region"].tolist() == ["missing", "x"]


def test_factors_are_ordered_by_size_with_their_direction() -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({"up": generator.normal(size=800), "down": generator.normal(size=800)})
    rows["channel"] = pd.Series(generator.choice(["app", "web"], 800), dtype=object)
    odds = 3 * rows["up"] - rows["down"] + 2.0 * (rows["channel"] == "web")
    target = (generator.random(800) < 1 / (1 + np.exp(-odds))).astype(np.float64).to_numpy()
    found = global_factors(ChurnLogistic().fit(rows, target), rows).set_index("factor")
    assert next(iter(found.index)) == "up"
    assert found.loc["up", "direction"] == "more of it raises the probability"
    assert found.loc["down", "direction"] == "more of it lowers the probability"
    assert found.loc["channel", "direction"] == "highest for web, lowest for app"
    assert found["share"].sum() == pytest.approx(1)
