"""Evaluation out of customer at the cutoff itself, beside the one out of time."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

import training.evaluation.out_of_customer
from features.catalogue import CHURN
from features.profile import Profile
from models.base import Model
from models.churn.logistic import ChurnLogistic
from models.families import family
from training.churn import ChurnJob
from training.config import TrainConfig
from training.evaluation.metrics import churn_loss
from training.evaluation.out_of_customer import out_of_customer
from training.fit import fit
from training.rows.folds import folds_of, out_of_fold
from training.rows.splits import PERSON, Split
from training.task import Measured, Prepared

JOB, CONFIG, RECIPE = ChurnJob(), TrainConfig(), family("churn_logistic")
CUTOFF = datetime(2024, 7, 1, tzinfo=UTC)


def holdout_of(customers: int, share: float = 0.5) -> Split:
    """Customers who leave the more likely the greater x is."""
    generator = np.random.default_rng(3)
    ids = [f"c{i}" for i in range(customers)]
    x = generator.normal(size=customers)
    churned = (x + generator.normal(size=customers) > np.quantile(x, 1 - share)).astype(np.float64)
    keys = pd.DataFrame({"customer_id": ids, "prediction_time": pd.Timestamp(CUTOFF)})
    return Split("holdout", keys, pd.DataFrame({"x": x}), pd.DataFrame({"churned": churned, PERSON: ids}), "")


def prepared_of(split: Split) -> Prepared:
    return Prepared(CUTOFF, CHURN, {}, {"holdout": split}, "no order")


def at_random(split: Split) -> Measured:
    """What a model measures that gives everyone the same probability."""
    return JOB.measured(pd.DataFrame({"probability_churned": np.full(len(split.rows), 0.5)}), split)


def test_what_changed_since_the_windows_learned_from_is_the_loss_taken_away() -> None:
    split = holdout_of(600)
    found = out_of_customer(JOB, RECIPE, CONFIG, prepared_of(split), at_random(split))
    share = 1 - found["out_of_customer/log_loss"] / np.log(2)
    assert found["out_of_customer/skill_over_out_of_time"] == pytest.approx(share)
    assert 0.1 < found["out_of_customer/skill_over_out_of_time_low"] < share
    assert found["out_of_customer/roc_auc_low"] < found["out_of_customer/roc_auc"]
    assert (found["out_of_customer/customers"], found["out_of_customer/folds"]) == (600, 5)


def test_nobody_is_predicted_by_a_model_that_learned_from_them_under_any_id() -> None:
    split = holdout_of(200)
    split.outcome[PERSON] = [f"p{i // 2}" for i in range(200)]  # everyone has two ids
    owner = dict(zip(split.rows["x"], split.outcome[PERSON], strict=True))
    learned: list[set[Any]] = []
    predicted: list[set[Any]] = []

    class Spy(ChurnLogistic):
        def score(self, rows: pd.DataFrame) -> pd.DataFrame:
            predicted.append({owner[x] for x in rows["x"]})
            return super().score(rows)

    def learn(part: Prepared) -> Model:
        learned.append(set(part.splits["train"].people))
        return Spy().fit(part.splits["train"].rows, part.splits["train"].outcome["churned"].to_numpy())

    scores = out_of_fold(JOB, split, folds_of(split, CONFIG), prepared_of(split), learn)
    assert len(predicted) == 5
    assert [len(known & told) for known, told in zip(learned, predicted, strict=True)] == [0] * 5
    assert [len(known | told) for known, told in zip(learned, predicted, strict=True)] == [100] * 5
    assert (scores["probability_churned"] > 0).all()


def test_of_many_customers_some_are_drawn_and_compared_with_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.evaluation.out_of_customer, "MOST_CUSTOMERS", 300)
    split = holdout_of(1_000)
    # whoever is compared out of time has a loss of their own number: its mean tells who was
    out_of_time = Measured({}, np.arange(1_000.0), pd.DataFrame({"probability_churned": np.full(1_000, 0.5)}))
    found = out_of_customer(JOB, RECIPE, CONFIG, prepared_of(split), out_of_time)
    assert 230 < found["out_of_customer/customers"] < 370
    mean = found["out_of_customer/log_loss"] / (1 - found["out_of_customer/skill_over_out_of_time"])
    count = found["out_of_customer/customers"]
    assert mean * count == pytest.approx(round(mean * count), abs=1e-6)
    again = out_of_customer(JOB, RECIPE, CONFIG, prepared_of(split), out_of_time)
    assert again == found


def test_too_few_of_an_outcome_are_not_cross_validated() -> None:
    split = holdout_of(200)
    split.outcome["churned"] = np.r_[np.ones(19), np.zeros(181)]
    assert out_of_customer(JOB, RECIPE, CONFIG, prepared_of(split), at_random(split)) == {}
    split.outcome["churned"] = np.r_[np.ones(20), np.zeros(180)]
    assert out_of_customer(JOB, RECIPE, CONFIG, prepared_of(split), at_random(split))


@pytest.mark.parametrize(
    ("task", "settings"), [("churn", {}), ("propensity", {"event": "kind = 'loyalty_earn'", "eligible": "ordered"})]
)
def test_every_dated_classifier_is_evaluated_out_of_customer(
    task: Any, settings: dict[str, Any], small_simulated: Profile
) -> None:
    config = TrainConfig(refit=False, stability_cutoffs=0, **settings)
    result = fit(task, small_simulated, config, f"{task}_logistic")[0]
    metrics = result.metrics
    assert metrics["out_of_customer/customers"] == metrics["data/holdout_rows"]
    assert metrics["out_of_customer/brier"] != metrics["holdout/brier"]
    churned = result.holdout["churned" if task == "churn" else "event"].to_numpy()
    losses = churn_loss(churned, np.full(len(churned), metrics["data/positive_rate"]))
    assert metrics["out_of_customer/log_loss"] < losses.mean()  # the rate of all, known only afterwards
