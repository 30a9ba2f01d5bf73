"""Platt, beta and isotonic calibration, and the choice among them."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from models.churn.calibration import KINDS, Beta, Calibration, Isotonic, Platt, choose_calibration, read_calibration

Array = npt.NDArray[np.float64]
ALL = pytest.mark.parametrize("kind", list(KINDS.values()))


def raw_scores(rows: int) -> Array:
    return np.random.default_rng(0).normal(0, 1.5, rows)


def happened(probability: Array) -> Array:
    return (np.random.default_rng(1).random(len(probability)) < probability).astype(np.float64)


def choice(raw: Array, target: Array) -> str:
    return choose_calibration(raw, target, np.arange(len(raw))).calibration.kind


def test_beta_recovers_its_own_distortion() -> None:
    raw = raw_scores(20_000)
    truth = Beta(0.3, 2.5, 0.4)
    found = Beta.fit(raw, truth.apply(raw))
    assert [found.a, found.b, found.c] == pytest.approx([0.3, 2.5, 0.4], rel=0.02)


def test_beta_with_one_parameter_for_both_ends_is_platt_as_kull_2017() -> None:
    raw = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(Beta(0.7, 0.7, -0.2).apply(raw), Platt(0.7, -0.2).apply(raw), rtol=1e-12)


def test_beta_by_hand() -> None:
    # s = 0.8: 2 log 0.8 - 0.5 log 0.2 + 0.1
    expected = expit(2 * np.log(0.8) - 0.5 * np.log(0.2) + 0.1)
    assert Beta(2.0, 0.5, 0.1).apply(np.array([logit(0.8)]))[0] == pytest.approx(expected, rel=1e-12)


def test_isotonic_pools_groups_that_do_not_rise() -> None:
    # groups of 50 rows with rates 0.2, 0.6, 0.4, 0.8 at raw 0, 1, 2, 3: the middle two become one point at 1.5
    raw = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    target = np.concatenate([np.repeat([1.0, 0.0], [n, 50 - n]) for n in (10, 30, 20, 40)])
    found = Isotonic.fit(raw, target)
    assert found.points == pytest.approx([0.0, 1.5, 3.0])
    assert expit(np.array(found.values)) == pytest.approx([10.5 / 51, 0.5, 40.5 / 51])


@ALL
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 1)), min_size=1, max_size=120))
def test_order_is_kept_and_every_answer_is_a_probability(
    kind: type[Calibration], rows: list[tuple[float, float]]
) -> None:
    raw, target = np.array(rows).T.copy()
    calibrated = kind.fit(raw, target).apply(np.sort(raw))
    assert (np.diff(calibrated) >= -1e-12).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


@ALL
def test_calibration_kept_as_json_is_the_same(kind: type[Calibration]) -> None:
    raw = raw_scores(2_000)
    fitted = kind.fit(raw, happened(expit(raw)))
    assert read_calibration(json.loads(json.dumps(fitted.state()))) == fitted


@ALL
def test_scaled_contributions_add_up_and_keep_their_direction(kind: type[Calibration]) -> None:
    raw = raw_scores(2_000)
    fitted = kind.fit(raw, happened(expit(0.5 * raw)))
    base = np.full(len(raw), 0.3)
    scale = fitted.scale(raw, base)
    assert (scale >= 0).all()
    np.testing.assert_allclose(fitted.log_odds(base) + scale * (raw - base), fitted.log_odds(raw), atol=1e-9)


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (Platt(0.5, 0.3), "platt"),
        (Beta(0.2, 3.0, 0.0), "beta"),
        (Isotonic((-1.0, -0.9, 0.9, 1.0), (-3.0, 0.0, 0.1, 3.0)), "isotonic"),
    ],
)
def test_the_kind_that_made_the_distortion_is_chosen(truth: Calibration, kind: str) -> None:
    raw = raw_scores(20_000)
    assert choice(raw, truth.apply(raw)) == kind


def test_choice_has_no_greater_log_loss_on_new_rows_than_platt() -> None:
    truth, raw = Beta(0.2, 3.0, 0.0), raw_scores(8_000)
    chosen = choose_calibration(raw[:4_000], happened(truth.apply(raw))[:4_000], np.arange(4_000)).calibration
    unseen, outcome = raw[4_000:], happened(truth.apply(raw))[4_000:]
    platt = Platt.fit(raw[:4_000], happened(truth.apply(raw))[:4_000])
    assert log_loss(outcome, chosen.apply(unseen)) < log_loss(outcome, platt.apply(unseen))


@pytest.mark.parametrize(("rare", "tried"), [(49, 0), (50, 2), (499, 2), (500, 3)])
def test_small_data_try_fewer_kinds(rare: int, tried: int) -> None:
    target = np.repeat([1.0, 0.0], [rare, 2_000])
    chosen = choose_calibration(raw_scores(len(target)), target, np.arange(len(target)))
    assert len(chosen.losses) == tried
    assert tried or chosen.calibration.kind == "platt"


def test_rows_of_one_customer_are_in_one_fold() -> None:
    """Twenty snapshots of each customer agree: were they dealt apart, the freest kind would know its own rows."""
    raw = np.repeat(raw_scores(100), 20)
    target = np.repeat((np.random.default_rng(5).random(100) < 0.5).astype(np.float64), 20)
    apart = choose_calibration(raw, target, np.arange(2_000)).losses
    together = choose_calibration(raw, target, np.repeat(np.arange(100), 20)).losses
    assert together["isotonic"] > together["platt"]
    assert apart["isotonic"] < together["isotonic"]
