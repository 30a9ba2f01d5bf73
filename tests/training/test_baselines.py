"""What a model is held to, the choice of the simpler one in doubt, and what it takes to settle a doubt."""

import numpy as np
import pytest

from models.base import Array
from training.evaluation.baselines import compare, said_of_choice, simpler_of, within_noise
from training.evaluation.evidence import evidence_warnings
from training.evaluation.grade import Skill
from training.task import Measured


def measured(losses: Array) -> Measured:
    import pandas as pd

    return Measured({}, losses, pd.DataFrame())


def losses(mean: float, rows: int = 400, seed: int = 0) -> Array:
    return mean + np.random.default_rng(seed).normal(0, 0.01, rows)


def test_a_model_is_held_to_the_best_of_its_baselines() -> None:
    found = compare("new", measured(losses(0.4)), {"rule": measured(losses(0.5)), "rate": measured(losses(0.6))}, 0.0)
    assert found.name == "rule"
    assert found.skill.value == pytest.approx(0.2, abs=0.01)
    assert found.over["rate"].value == pytest.approx(1 / 3, abs=0.01)
    assert found.metrics()["skill_over_rate_low"] == found.over["rate"].low


def test_a_baseline_is_held_to_the_others_and_alone_to_itself() -> None:
    rule = measured(losses(0.5))
    assert compare("rule", rule, {"rule": rule, "rate": measured(losses(0.6))}, 0.0).name == "rate"
    assert compare("rule", rule, {"rule": rule}, 0.0).skill == Skill(0.0, 0.0, 0.0)


@pytest.mark.parametrize(("simpler", "outdone"), [(0.35, True), (0.4, False), (0.45, False)])
def test_a_model_clearly_worse_than_the_simpler_one_is_outdone(simpler: float, outdone: bool) -> None:
    baselines = {"rule": measured(losses(0.5))}
    model = measured(losses(0.4))
    assert compare("new", model, baselines, 0.0, {"old": measured(losses(simpler, seed=1))}).outdone is outdone


@pytest.mark.parametrize(("gain", "in_doubt"), [(0.0, True), (0.0005, True), (0.01, False), (-0.01, True)])
def test_a_gain_within_noise_takes_the_simpler_model(gain: float, in_doubt: bool) -> None:
    found = within_noise(measured(losses(0.4 - gain)), measured(losses(0.4, seed=1)))
    assert (found is not None) is in_doubt


def test_snapshots_of_one_customer_are_no_further_evidence_of_a_gain() -> None:
    """40 customers differ by 0.004 with a standard error of 0.003; taken five times each they would seem certain."""
    noise = np.random.default_rng(2).normal(0, 0.019, 40)
    model = np.tile(0.5 + noise - noise.mean() - 0.004, 5)
    rival = np.full(200, 0.5)
    people = np.tile(np.arange(40), 5)
    together = Measured({}, model, measured(model).scores, people)
    assert within_noise(together, measured(rival)) is not None
    assert within_noise(measured(model), measured(rival)) is None


def test_nothing_is_in_doubt_where_nothing_was_validated() -> None:
    assert within_noise(None, measured(losses(0.4))) is None


def test_trees_stand_beside_logistic_regression_in_every_run() -> None:
    assert simpler_of("churn_lightgbm") == "churn_logistic"
    assert simpler_of("propensity_lightgbm") == "propensity_logistic"
    assert simpler_of("churn_logistic") == simpler_of("clv_bgnbd") == ""


def test_choice_is_said_with_its_interval() -> None:
    words = said_of_choice("a", "b", Skill(0.01, -0.02, 0.04))
    assert words.startswith("the simpler b is used: what a gains")
    assert "-0.020 to 0.040" in words


def test_enough_evidence_leaves_nothing_to_say() -> None:
    assert evidence_warnings(500, 100, Skill(0.2, 0.1, 0.3), 365) == []


def test_low_evidence_says_how_many_customers_and_days_are_missing() -> None:
    (words,) = evidence_warnings(100, 50, Skill(0.2, 0.1, 0.3), 50)
    assert "low evidence: 100 holdout customers, 50 of the rarer outcome; 400 more customers and 50 more" in words
    assert "about 200 days" in words  # 400 more at 2 a day


def test_an_open_question_says_what_would_settle_it() -> None:
    # half the interval is twice the skill: four times the rows bring its end to 0, one more above
    (words,) = evidence_warnings(1_000, 200, Skill(0.1, -0.1, 0.3), 0)
    assert "about 3,001 more customers would settle it" in words
    assert "days" not in words


def test_a_model_that_is_worse_is_no_open_question() -> None:
    assert evidence_warnings(1_000, 200, Skill(-0.1, -0.2, 0.0), 0) == []
