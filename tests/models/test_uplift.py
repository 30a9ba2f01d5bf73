"""Uplift learners and their figures, held to hand-computed curves and to effects that are known."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Array, State
from models.decision.qini import Estimate, uplift_curves, uplift_estimates
from models.decision.uplift import LEARNERS, XLearner
from models.errors import OneClassOnly, WrongColumns


def experiment(rows: int, seed: int, share: float = 0.5) -> tuple[pd.DataFrame, Array, Array, Array]:
    """Features, outcome, treatment and the true effect: 0.4 where x > 0, else 0."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": generator.normal(size=rows), "noise": generator.normal(size=rows)})
    frame["kind"] = pd.Series(generator.choice(["a", "b"], rows), dtype=object)
    effect = np.where(frame["x"] > 0, 0.4, 0.0)
    treated = (generator.random(rows) < share).astype(np.float64)
    outcome = (generator.random(rows) < 0.3 + effect * treated).astype(np.float64)
    return frame, outcome, treated, effect


def test_curves_by_hand() -> None:
    # ordered: treated who bought, control who did not, treated who did not, control who bought
    uplift, outcome = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    treated = np.array([1.0, 0.0, 1.0, 0.0])
    curves = uplift_curves(uplift, outcome, treated)
    assert curves.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curves.qini.tolist() == [0, 0.5, 0.5, 0.5, 0]  # last: (1 - 1 / 2 * 2) / 2
    assert curves.gain.tolist() == [0, 0.25, 0.5, 0.375, 0]
    assert curves.qini_coefficient == pytest.approx(0.375)
    assert curves.auuc == pytest.approx(0.28125)


def test_customers_alike_come_together() -> None:
    curves = uplift_curves(np.zeros(4), np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert curves.share.tolist() == [0, 1]
    assert curves.qini_coefficient == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 60))
def test_order_alone_counts_and_weights_are_repeats(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    uplift, outcome = generator.normal(size=rows).round(1), generator.random(rows)
    treated = generator.permutation(np.arange(rows) % 2).astype(np.float64)
    weight = generator.integers(0, 3, rows)
    weight[:4] = 1
    curves = uplift_curves(uplift, outcome, treated, weight.astype(np.float64))
    repeated = [np.repeat(each, weight) for each in (np.exp(uplift), outcome, treated)]
    again = uplift_curves(*repeated)
    assert curves.qini_coefficient == pytest.approx(again.qini_coefficient, abs=1e-9)
    assert curves.auuc == pytest.approx(again.auuc, abs=1e-9)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_find_whom_the_action_changes(name: str) -> None:
    model = LEARNERS[name]().fit(*experiment(3_000, 0)[:3])
    frame, outcome, treated, effect = experiment(3_000, 1)
    uplift = model.score(frame)
    assert np.corrcoef(uplift, effect)[0, 1] > 0.8
    assert uplift[effect > 0].mean() == pytest.approx(0.4, abs=0.12)
    assert abs(uplift[effect == 0].mean()) < 0.12
    found = uplift_estimates(uplift, outcome, treated, np.arange(3_000))
    assert found["qini"].low_90 > 0
    assert found["effect"].low_90 < effect.mean() < found["effect"].high_90
    # a perfect order: the first half carries all of the effect, 0.2 on average, the triangle above the line is 0.05
    assert found["qini"].value == pytest.approx(0.05, abs=0.02)


def test_an_x_learner_bears_a_small_control_group() -> None:
    model = XLearner().fit(*experiment(4_000, 2, share=0.9)[:3])
    frame, _, _, effect = experiment(2_000, 3)
    assert model.treated_share_ == pytest.approx(0.9, abs=0.02)
    assert np.corrcoef(model.score(frame), effect)[0, 1] > 0.6


@pytest.mark.parametrize("name", LEARNERS)
def test_without_any_difference_the_qini_interval_holds_zero(name: str) -> None:
    frame, _, treated, _ = experiment(2_000, 4)
    outcome = (np.random.default_rng(5).random(2_000) < 0.3 + 0.1 * treated).astype(np.float64)
    half = np.arange(2_000) < 1_000
    model = LEARNERS[name]().fit(frame[half], outcome[half], treated[half])
    found = uplift_estimates(model.score(frame[~half]), outcome[~half], treated[~half], np.arange(1_000))
    assert not found["qini"].excludes_zero


def test_intervals_are_wider_when_customers_repeat() -> None:
    frame, outcome, treated, _ = experiment(400, 6)
    uplift = frame["x"].to_numpy()
    twice = [np.tile(each, 4) for each in (uplift, outcome, treated)]
    apart = uplift_estimates(twice[0], twice[1], twice[2], np.arange(1_600))["qini"]
    together = uplift_estimates(twice[0], twice[1], twice[2], np.tile(np.arange(400), 4))["qini"]
    assert together.high_90 - together.low_90 > 1.5 * (apart.high_90 - apart.low_90)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_kept_as_text_score_the_same_bits(name: str) -> None:
    frame, outcome, treated, _ = experiment(400, 7)
    model = LEARNERS[name]().fit(frame, outcome, treated)
    state = model.state()
    again = LEARNERS[name].from_state(State(json.loads(json.dumps(state.parameters)), state.texts))
    assert again.score(frame).tolist() == model.score(frame).tolist()
    assert np.concatenate([model.score(frame[i : i + 1]) for i in range(5)]).tolist() == model.score(frame)[:5].tolist()
    assert model.score(frame[:0]).tolist() == []
    with pytest.raises(WrongColumns):
        model.score(frame[["noise", "x", "kind"]])


def test_one_group_alone_teaches_nothing() -> None:
    frame, outcome, _, _ = experiment(50, 8)
    with pytest.raises(OneClassOnly):
        XLearner().fit(frame, outcome, np.ones(50))


def test_an_interval_says_whether_it_holds_zero() -> None:
    assert [Estimate(1, *each).excludes_zero for each in ((0.1, 2), (-1, 2), (-2, -0.1))] == [True, False, True]
