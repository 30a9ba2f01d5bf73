"""What a churn model would earn on customers whose outcome is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile
from training.config import TrainConfig, make_config
from training.errors import ConfigInvalid
from training.evaluation.offer import OfferTerms
from training.evaluation.profit import profit_metrics
from training.fit import fit
from training.reporting.card import write_card
from training.reporting.plots import draw
from training.result import FitResult

CONFIG = TrainConfig()
CHURNED, PROBABILITY, WHO = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.6, 0.1]), np.arange(4)
ASSIGNMENTS = {
    "offer.contact_cost": "0.5",
    "offer.offer_cost": "{mean: 5, deviation: 1}",
    "offer.success_rate": "{mean: 0.2, sample_size: 50}",
    "offer.margin": "{mean: 80, deviation: 8}",
}


def test_best_threshold_of_the_literatures_terms_by_hand() -> None:
    """A leaver brings 0.3 (200 - 10) - 1 = 56, who stays costs 11: the totals are 0, 56, 45, 101, 90."""
    found = profit_metrics(CHURNED, PROBABILITY, WHO, CONFIG)
    assert found["profit/best"] == pytest.approx(101 / 4)
    assert (found["profit/best_share"], found["profit/threshold"]) == (0.75, 0.6)
    assert found["profit/break_even"] == pytest.approx(11 / (0.3 * 190 + 10))
    assert found["profit/best_low"] < found["profit/best"] < found["profit/best_high"]
    assert found["profit/is_assumed"] == 1


def test_declared_terms_are_taken_by_hand() -> None:
    """A leaver brings 0.2 (80 - 5) - 0.5 = 14.5, who stays costs 5.5: the totals are 0, 14.5, 9, 23.5, 18."""
    found = profit_metrics(CHURNED, PROBABILITY, WHO, make_config(assignments=ASSIGNMENTS))
    assert found["profit/best"] == pytest.approx(23.5 / 4)
    assert found["profit/is_assumed"] == 0
    assert (found["profit/contact_cost"], found["profit/margin"]) == (0.5, 80)


def test_where_no_contact_pays_there_is_no_threshold() -> None:
    terms = {"contact_cost": 90, "success_rate": {"mean": 0.1, "sample_size": 10}, "margin": 100}
    found = profit_metrics(CHURNED, PROBABILITY, WHO, TrainConfig(offer=OfferTerms.model_validate(terms)))
    assert (found["profit/best"], found["profit/best_share"]) == (0, 0)
    assert not {"profit/threshold", "profit/break_even"} & set(found)


def test_of_one_class_nothing_is_earned() -> None:
    assert profit_metrics(np.ones(4), PROBABILITY, WHO, CONFIG) == {}


def test_interval_is_of_people_not_of_rows_and_narrows_with_them() -> None:
    generator = np.random.default_rng(2)
    probability = generator.random(3_000)
    churned = (generator.random(3_000) < probability).astype(np.float64)

    def width(rows: Any, who: Any) -> tuple[float, float]:
        found = profit_metrics(churned[rows], probability[rows], who, CONFIG)
        assert found["profit/empc_low"] < found["profit/empc"] < found["profit/empc_high"]
        return found["profit/empc"], found["profit/empc_high"] - found["profit/empc_low"]

    few, twice = np.arange(300), np.repeat(np.arange(300), 2)
    assert width(twice, twice) == pytest.approx(width(few, few))
    assert width(twice, np.arange(600))[1] < 0.85 * width(few, few)[1]
    assert width(np.arange(3_000), np.arange(3_000))[1] < 0.45 * width(few, few)[1]


@pytest.fixture(scope="module")
def result(small_simulated: Profile) -> FitResult:
    config = make_config(assignments={**ASSIGNMENTS, "stability_cutoffs": "0", "refit": "no"})
    return fit("churn", small_simulated, config, "churn_logistic")[0]


def test_the_card_tells_terms_threshold_and_profit(result: FitResult, tmp_path: Path) -> None:
    text = write_card(result, tmp_path)[0].read_text()
    told = text.split("## What contacting would earn")[1].split("\n## ")[0]
    assert "Terms, as declared: a contact costs 0.5, an offer taken 5, a customer kept brings 80, and 20%" in told
    assert f"| best threshold | {result.metrics['profit/threshold']:.3f} |" in told
    assert f"| share to contact for it | {result.metrics['profit/best_share']:.1%} |" in told


def test_terms_that_nobody_declared_are_named(result: FitResult, tmp_path: Path) -> None:
    assumed = replace(result, metrics={**result.metrics, "profit/is_assumed": 1.0})
    assert "assumed as in Verbraken, Verbeke and Baesens (2013)" in write_card(assumed, tmp_path)[0].read_text()


def test_the_curve_is_drawn_with_its_best_place(result: FitResult, tmp_path: Path) -> None:
    assert tmp_path / "profit.png" in draw(result, tmp_path)
    drawn = pd.read_csv(tmp_path / "profit.csv")
    assert drawn["profit"].max() == pytest.approx(result.metrics["profit/best"])
    assert (drawn["share"].iloc[0], drawn["share"].iloc[-1]) == (0, 1)


def test_an_offer_is_for_churn_alone(small_simulated: Profile) -> None:
    config = make_config(assignments=ASSIGNMENTS, event="kind = 'loyalty_earn'")
    with pytest.raises(ConfigInvalid, match=r"offer.*none for propensity: an offer keeps customers who would leave"):
        fit("propensity", small_simulated, config, "propensity_logistic")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("offer.margin", "5", "a margin above the offer_cost of 5; 5 would never pay"),
        ("offer.success_rate", "0.3", "offer.success_rate"),
        ("offer.discount", "3", "offer.discount"),
        ("offer.contact_cost", "-1", "offer.contact_cost.mean"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_name(name: str, text: str, problem: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(assignments={**ASSIGNMENTS, name: text})
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)
