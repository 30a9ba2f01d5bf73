"""What satisfaction does to leaving in a simulated profile, where each customer's rate and dropout are known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from features.instants import read_instant
from features.profile import open_profile
from training.config import TrainConfig
from training.fit import fit
from training.simulation.simulate import START, simulate
from training.simulation.truth import Truth

Array = npt.NDArray[np.float64]
CUTOFF, HORIZON = read_instant("2024-07-01"), 120


@dataclass(frozen=True)
class Forecast:
    """Probabilities of the customers of the holdout to leave: by the model, and in truth."""

    rows: pd.DataFrame
    said: Array
    true: Array

    def effects(self, score: str) -> tuple[Array, Array]:
        """What a point of a score goes with among customers of the same history, in points; as said, and in truth."""
        known = self.rows[score].notna()
        rows = self.rows[known]
        often, silent = np.log1p(rows["frequency"]), np.log1p(rows["days_since_last_order"])
        history = [np.ones(len(rows)), often, silent, often * silent, np.log1p(rows["T_days"])]
        design = np.column_stack([*history, rows[score]])
        said, true = (100 * np.linalg.lstsq(design, of[known])[0][-1] for of in (self.said, self.true))
        return said, true


def forecast(folder: Path, dropout_on_satisfaction: float, family: str) -> Forecast:
    truth = Truth(dropout_on_satisfaction=dropout_on_satisfaction)
    profile = simulate(folder / "profile", 4_000, 3, truth)
    config = TrainConfig(cutoff=CUTOFF, horizon_days=HORIZON, refit=False)
    result = fit("churn", open_profile(profile), config, family)[0]
    holdout = result.prepared.splits["holdout"]
    said = result.evaluated.model.score(holdout.rows)["probability_churned"].to_numpy()
    people = pd.read_parquet(profile / "truth.parquet").set_index("customer_id").loc[holdout.keys["customer_id"]]
    return Forecast(holdout.rows, said, true_probability(people))


def true_probability(people: pd.DataFrame) -> Array:
    """No order in the horizon: certain of who has dropped out, else that of a Poisson process at the own rate."""
    active = ~(people["dropout_day"].to_numpy() < (CUTOFF - START).days)
    return np.where(active, np.exp(-people["rate_a_day"].to_numpy() * HORIZON), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["churn_logistic", pytest.param("churn_lightgbm", marks=pytest.mark.exhaustive)])
def test_the_true_effect_of_surveys_is_recovered_in_direction_and_size(family: str, tmp_path: Path) -> None:
    found = forecast(tmp_path, 0.95, family)
    for score in ("nps_last_score", "csat_last_score", "ces_last_score"):
        said, true = found.effects(score)
        assert true < -2  # points of probability
        assert true * 1.6 < said < true / 1.6
    assert found.said.mean() == pytest.approx(found.true.mean(), abs=0.02)
    assert np.corrcoef(found.said, found.true)[0, 1] > 0.8


@pytest.mark.exhaustive
def test_probabilities_are_those_of_the_truth_in_every_tenth(tmp_path: Path) -> None:
    found = forecast(tmp_path, 0.6, "churn_lightgbm")
    tenth = pd.qcut(found.said, 10, labels=False, duplicates="drop")
    by_tenth = pd.DataFrame({"said": found.said, "true": found.true}).groupby(tenth).mean()
    assert (by_tenth["said"] - by_tenth["true"]).abs().max() < 0.06


@pytest.mark.exhaustive
def test_no_effect_is_found_where_there_is_none(tmp_path: Path) -> None:
    said, true = forecast(tmp_path, 0.0, "churn_lightgbm").effects("nps_last_score")
    assert abs(true) < 0.5
    assert abs(said) < 0.8
