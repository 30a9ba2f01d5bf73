import math

import numpy as np
import pandas as pd
import pytest

from models.clv.equity import ALL
from models.decision.at_risk import COLUMNS, VALUES, total_at_risk, value_at_risk

SCORES = pd.DataFrame(
    {
        "probability_churned": [0.5, 1.0, 0.0],
        "clv": [100.0, 50.0, 80.0],
        "clv_standard_deviation": [40.0, 10.0, 30.0],
        "segment": ["new", "new", "loyal"],
    }
)

NEVER_WRONG = (0.0,) * 10_000  # errors of totals that leave the customers' own


def test_a_customer_risks_the_share_of_each_bound() -> None:
    values = {name: np.array([10.0 * place, -4.0]) for place, name in enumerate(VALUES)}
    found = value_at_risk(np.array([0.25, 0.5]), values)
    assert tuple(found) == COLUMNS
    assert [found[name].tolist() for name in COLUMNS] == [[2.5 * place, -2.0] for place in range(5)]


def test_totals_and_their_intervals_by_hand() -> None:
    # variances: 0.5 * 1600 + 0.25 * 10000 = 3300; 1 * 100 + 0 = 100; 0
    total, new, loyal = total_at_risk([SCORES], NEVER_WRONG)
    assert (total.group, total.customers, total.value) == (ALL, 3, 100)
    assert total.high_90 - 100 == pytest.approx(1.6448536 * math.sqrt(3400), abs=0.01)
    assert (new.group, new.value, new.low_50) == ("new", 100, total.low_50)
    assert (loyal.value, loyal.low_90, loyal.high_90) == (0, 0, 0)


def test_totals_do_not_depend_on_the_parts() -> None:
    assert total_at_risk([SCORES[:1], SCORES[1:]], (0.1,)) == total_at_risk([SCORES], (0.1,))


def test_the_interval_holds_what_is_lost() -> None:
    generator, many = np.random.default_rng(0), 400
    p, v, s = generator.random(many), generator.gamma(2, 50, many), generator.gamma(2, 10, many)
    frame = pd.DataFrame({"probability_churned": p, "clv": v, "clv_standard_deviation": s})
    total = total_at_risk([frame], NEVER_WRONG)[0]
    leaves = generator.random((4_000, many)) < p
    lost = np.where(leaves, v + s * generator.standard_normal((4_000, many)), 0.0).sum(axis=1)
    inside = np.mean((total.low_90 <= lost) & (lost <= total.high_90))
    assert inside == pytest.approx(0.9, abs=0.02)  # four standard errors


def test_scores_of_one_champion_have_no_total() -> None:
    assert total_at_risk([SCORES.drop(columns="probability_churned")], ()) == []
