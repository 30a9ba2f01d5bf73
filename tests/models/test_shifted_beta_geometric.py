import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clv.errors import InvalidSurvivors
from models.clv.renewals.shifted_beta_geometric import ShiftedBetaGeometric, fit_shifted_beta_geometric
from models.errors import ParameterOutOfRange

HIGH_END = (1_000, 869, 743, 653, 593, 551, 517, 491)
REGULAR = (1_000, 631, 468, 382, 326, 289, 262, 241)


def test_fit_to_the_high_end_cohort_gives_the_parameters_of_fader_hardie_2007() -> None:
    model, said = fit_shifted_beta_geometric(HIGH_END)
    assert said == ()
    assert [model.alpha, model.beta] == pytest.approx([0.668, 3.806], abs=5e-4)
    assert model.log_likelihood(HIGH_END) == pytest.approx(-1_611.2, abs=0.05)


def test_fit_to_the_regular_cohort_gives_the_parameters_of_fader_hardie_2007() -> None:
    model, _ = fit_shifted_beta_geometric(REGULAR)
    assert [model.alpha, model.beta] == pytest.approx([0.704, 1.182], abs=5e-4)


def test_projection_of_the_high_end_cohort_meets_the_later_survivors_of_fader_hardie_2007() -> None:
    # Fitted to seven renewals; these five came after and are projected within two points.
    model, _ = fit_shifted_beta_geometric(HIGH_END)
    assert model.survival(np.array([0.0, 1.0])).tolist() == pytest.approx([1.0, 3.806 / 4.474], abs=1e-3)
    later = model.survival(np.arange(8.0, 13.0))
    np.testing.assert_allclose(later, [0.468, 0.445, 0.427, 0.409, 0.394], atol=0.02)


def test_survival_is_the_product_of_retention_and_retention_rises() -> None:
    model, renewals = ShiftedBetaGeometric(0.668, 3.806), np.arange(1.0, 30.0)
    np.testing.assert_allclose(np.cumprod(model.retention(renewals)), model.survival(renewals), rtol=1e-12)
    assert np.all(np.diff(model.retention(renewals)) > 0)


def test_residual_lifetime_is_the_discounted_sum_of_conditional_survival() -> None:
    model = ShiftedBetaGeometric(0.668, 3.806)
    terms = [model.survival(np.array([2.0 + k]))[0] / model.survival(np.array([1.0]))[0] for k in range(3)]
    expected = terms[0] + terms[1] / 1.1 + terms[2] / 1.21
    assert model.residual_lifetime(np.array([1.0]), 0.1, within=3)[0] == pytest.approx(expected, rel=1e-12)
    assert model.residual_lifetime(np.array([1.0]), 0.0, within=3)[0] == pytest.approx(sum(terms), rel=1e-12)


def test_residual_lifetime_without_an_end_equals_fader_hardie_2010_by_the_hypergeometric_function() -> None:
    from scipy.special import hyp2f1

    alpha, beta, rate, made = 0.764, 1.296, 0.1, np.array([0.0, 1.0, 4.0, 30.0])
    closed = (beta + made) / (alpha + beta + made)
    closed *= hyp2f1(1, beta + made + 1, alpha + beta + made + 1, 1 / (1 + rate))
    np.testing.assert_allclose(ShiftedBetaGeometric(alpha, beta).residual_lifetime(made, rate), closed, rtol=1e-9)


def test_who_has_stayed_longer_is_worth_more() -> None:
    lifetimes = ShiftedBetaGeometric(0.668, 3.806).residual_lifetime(np.arange(20.0), 0.1)
    assert np.all(np.diff(lifetimes) > 0)


@pytest.mark.parametrize(("rate", "within"), [(-0.1, 3.0), (0.0, np.inf)])
def test_a_discount_rate_that_makes_no_sum_is_refused(rate: float, within: float) -> None:
    with pytest.raises(ParameterOutOfRange, match="discount_rate is"):
        ShiftedBetaGeometric(0.7, 3.8).residual_lifetime(np.zeros(1), rate, within)


@pytest.mark.parametrize("survivors", [(100,), (), (0, 0), (100, 101), (100, 50, 60), (100, -1), (100, float("nan"))])
def test_numbers_that_are_no_cohort_are_refused(survivors: tuple[float, ...]) -> None:
    with pytest.raises(InvalidSurvivors, match="none below 0 or above the one before it"):
        fit_shifted_beta_geometric(survivors)


@pytest.mark.parametrize("survivors", [(50, 50, 50), (50, 0), (50, 25, 12, 6), (1, 1), (100, 90)])
def test_cohorts_that_determine_too_little_end_finite_and_say_low_evidence(survivors: tuple[float, ...]) -> None:
    model, said = fit_shifted_beta_geometric(survivors)
    assert np.isfinite([model.alpha, model.beta]).all()
    assert said[0].startswith("low evidence: ")
    assert np.isfinite(model.residual_lifetime(np.zeros(1), 0.1)).all()


def test_fit_recovers_the_parameters_of_100000_simulated_subscribers() -> None:
    # Four and a half standard errors of each log-parameter, by its own curvature: a false alarm in 100,000.
    generator = np.random.default_rng(0)
    stay = generator.geometric(generator.beta(0.7, 2.0, 100_000))
    model, _ = fit_shifted_beta_geometric([float((stay > renewal).sum()) for renewal in range(9)])
    assert model.log_covariance is not None
    errors = np.sqrt(np.diag(model.log_covariance))
    assert np.all(errors < 0.03)
    assert np.all(np.abs(np.log([model.alpha / 0.7, model.beta / 2.0])) < 4.5 * errors)


@settings(max_examples=40, deadline=None)
@given(
    drops=st.lists(st.floats(0, 0.9), min_size=1, max_size=12),
    size=st.integers(1, 100_000),
    rate=st.floats(0.001, 2.0),
)
def test_any_cohort_ends_in_finite_falling_survival(drops: list[float], size: int, rate: float) -> None:
    survivors = [float(size), *(size * np.cumprod(1 - np.array(drops)))]
    model, _ = fit_shifted_beta_geometric(survivors)
    survival = model.survival(np.arange(40.0))
    assert np.isfinite(survival).all()
    assert np.all(np.diff(survival) <= 0)
    lifetime = model.residual_lifetime(np.arange(5.0), rate)
    assert np.all((lifetime >= 0) & np.isfinite(lifetime))
