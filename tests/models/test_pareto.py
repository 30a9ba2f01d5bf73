import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from models.clv.histories import Histories
from models.clv.pareto import ParetoNbd, _log_gone, _mean_log_likelihood, _Prepared, fit_pareto_nbd

Array = npt.NDArray[np.float64]
WEEK = 7.0
CDNOW = ParetoNbd(r=0.553, alpha=10.578 * WEEK, s=0.606, beta=11.669 * WEEK)
CUSTOMERS = ((0, 0, 0), (0, 0, 200), (1, 1, 200), (2, 150, 200), (12, 190, 200), (60, 198, 200))


def histories(*customers: tuple[float, float, float]) -> Histories:
    x, recency, age = np.array(customers, dtype=np.float64).T.copy()
    return Histories(x, recency, age, np.ones(len(x)))


def parameters(model: ParetoNbd) -> Array:
    return np.array([*model.parameters.values()])


def in_lifetimes(model: ParetoNbd) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ParetoNBDFitter
    fitter = ParetoNBDFitter()
    fitter.params_ = pd.Series(model.parameters)
    return fitter


@pytest.fixture(scope="module")
def sample(cdnow_sample_rows: pd.DataFrame) -> Histories:
    return Histories.of(cdnow_sample_rows)


@pytest.fixture(scope="module")
def sample_model(sample: Histories) -> ParetoNbd:
    return fit_pareto_nbd(sample)[0]


def test_fit_to_the_cdnow_sample_gives_the_parameters_of_fader_hardie_lee_2005(sample_model: ParetoNbd) -> None:
    assert sample_model.r == pytest.approx(0.553, abs=1e-3)
    assert sample_model.alpha / WEEK == pytest.approx(10.578, abs=5e-3)
    assert sample_model.s == pytest.approx(0.606, abs=1e-3)
    assert sample_model.beta / WEEK == pytest.approx(11.669, abs=2e-2)


def test_log_likelihood_of_the_cdnow_sample_in_weeks_is_that_of_fader_hardie_lee_2005(
    sample: Histories, sample_model: ParetoNbd
) -> None:
    in_weeks = sample_model.log_likelihood(sample) + sample.frequency.sum() * np.log(WEEK)
    assert in_weeks == pytest.approx(-9595.0, abs=0.05)


def test_likelihood_and_predictions_equal_lifetimes(sample: Histories, sample_model: ParetoNbd) -> None:
    fitter, triple = in_lifetimes(sample_model), (sample.frequency, sample.recency_days, sample.T_days)
    theirs = fitter._conditional_log_likelihood(parameters(sample_model), *triple).sum()
    assert sample_model.log_likelihood(sample) == pytest.approx(float(theirs), rel=1e-10)
    np.testing.assert_allclose(
        sample_model.expected_orders(sample, 273.0),
        fitter.conditional_expected_number_of_purchases_up_to_time(273.0, *triple),
        rtol=1e-8,
    )
    np.testing.assert_allclose(
        sample_model.probability_active(sample), fitter.conditional_probability_alive(*triple), rtol=1e-8
    )
    none = fitter.conditional_probability_of_n_purchases_up_to_time(0, 90.0, *triple)
    np.testing.assert_allclose(sample_model.probability_no_order(sample, 90.0), none, atol=1e-8)
    new = sample_model.expected_orders(Histories.of_new(), 273.0)[0]
    assert new == pytest.approx(float(fitter.expected_number_of_purchases_up_to_time(273.0)), rel=1e-9)


@pytest.mark.parametrize("at", [(0.55, 10.6, 0.61, 11.7), (3.0, 0.2, 0.01, 60.0), (0.01, 50.0, 20.0, 0.05)])
def test_gradient_of_the_likelihood_is_its_numerical_gradient(
    sample: Histories, at: tuple[float, float, float, float]
) -> None:
    data = _Prepared(sample.patterns(), 1 / WEEK)
    logs = np.log(at)
    steps = 1e-5 * np.eye(4)
    up, down = ([_mean_log_likelihood(logs + sign * step, data)[0] for step in steps] for sign in (1, -1))
    numerical = (np.array(up) - np.array(down)) / 2e-5
    np.testing.assert_allclose(_mean_log_likelihood(logs, data)[1], numerical, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [0.01, 30.0, 5_000.0])
@pytest.mark.parametrize("s", [0.01, 0.6, 50.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1e-4, 1e-4), (1e-4, 1e3), (1e3, 1e-4), (10.0, 10.0), (1e4, 1e4)])
@pytest.mark.parametrize(("start", "end"), [(0.0, 10.0), (0.0, 20_000.0), (300.0, 301.0), (300.0, 5_000.0)])
def test_integral_over_the_moment_of_leaving_holds_for_any_parameters(
    shape: float, s: float, alpha: float, beta: float, start: float, end: float
) -> None:
    # Against adaptive quadrature, in pieces on the log scale of time.
    def relative(log_ahead: float) -> float:
        ahead = np.exp(log_ahead)
        order, leave = np.log1p(ahead / (alpha + start)), np.log1p(ahead / (beta + start))
        return float(np.exp(log_ahead - shape * order - (s + 1) * leave))

    edges = np.linspace(np.log(1e-16), np.log(end - start), 21)
    pieces = [integrate.quad(relative, a, b, epsabs=0, epsrel=1e-10)[0] for a, b in pairwise(edges)]
    expected = np.log(s) - shape * np.log(alpha + start) - (s + 1) * np.log(beta + start) + np.log(sum(pieces))
    found = _log_gone(np.array([shape]), alpha, s, beta, np.array([start]), np.array([end]))[0]
    assert found == pytest.approx(expected, abs=1e-4)  # of a logarithm; ordinary parameters agree to 1e-9


def test_nobody_has_left_in_no_time() -> None:
    history = histories((3, 200, 200), (0, 0, 0))
    assert CDNOW.probability_active(history).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("customer", CUSTOMERS)
def test_predictive_draws_average_to_the_expected_orders(customer: tuple[float, float, float]) -> None:
    # 100,000 draws, five standard errors: a false alarm in 6 of 10 million.
    many = histories(*[customer] * 100_000)
    draws = CDNOW.draw_orders(many, 273.0, np.random.default_rng(3))
    one = histories(customer)
    assert abs(draws.mean() - CDNOW.expected_orders(one, 273.0)[0]) < 5 * draws.std() / np.sqrt(len(draws))
    expected = CDNOW.probability_no_order(one, 273.0)[0]
    assert abs((draws == 0).mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / len(draws))


def simulate(customers: int, truth: ParetoNbd, seed: int) -> Histories:
    """Purchase histories in continuous time by the story of Pareto/NBD."""
    generator = np.random.default_rng(seed)
    rate = generator.gamma(truth.r, 1 / truth.alpha, customers)
    leaves = generator.exponential(1.0, customers) / generator.gamma(truth.s, 1 / truth.beta, customers)
    age = generator.uniform(200, 400, customers)
    active_days = np.minimum(age, leaves)
    x = generator.poisson(rate * active_days).astype(np.float64)
    # the last of x uniform moments
    recency = np.where(x > 0, active_days * generator.random(customers) ** (1 / np.maximum(x, 1)), 0.0)
    return Histories(x, recency, age, np.ones(customers))


def test_fit_recovers_the_parameters_of_20000_simulated_customers_as_sharply_as_the_curvature_says() -> None:
    # Four and a half standard errors of each log-parameter: a false alarm in 40,000.
    truth = ParetoNbd(r=0.6, alpha=20.0, s=0.7, beta=60.0)
    model, said = fit_pareto_nbd(simulate(20_000, truth, seed=1))
    assert said == ()
    assert model.log_covariance is not None
    errors = np.sqrt(np.diag(model.log_covariance))
    assert np.all(errors < 0.2)
    assert np.all(np.abs(np.log(parameters(model) / parameters(truth))) < 4.5 * errors)


def test_another_unit_of_time_changes_only_alpha_and_beta(sample: Histories, sample_model: ParetoNbd) -> None:
    hours = Histories(sample.frequency, sample.recency_days * 24, sample.T_days * 24, sample.weight)
    scaled = parameters(sample_model) * [1, 24, 1, 24]
    assert parameters(fit_pareto_nbd(hours)[0]) == pytest.approx(scaled, rel=1e-6)


@pytest.mark.parametrize("s", [1.0, 1 - 1e-12, 1 + 1e-12])
def test_expected_orders_at_s_of_1_are_the_limit(s: float) -> None:
    # (r + x) / (alpha + T) * (beta + T) * log(1 + h / (beta + T)), times the probability of being active.
    model, history = ParetoNbd(0.6, 80.0, s, 60.0), histories((2, 150, 200))
    limit = 2.6 / 280 * 260 * np.log1p(365 / 260) * model.probability_active(history)[0]
    assert model.expected_orders(history, 365.0)[0] == pytest.approx(limit, rel=1e-9)


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


MODELS = st.builds(
    ParetoNbd, r=powers(0.01, 50), alpha=powers(1e-3, 5_000), s=powers(0.01, 50), beta=powers(1e-3, 5_000)
)


@st.composite
def customers(draw: st.DrawFn) -> tuple[float, float, float]:
    age = draw(st.integers(0, 5_000))
    x = draw(st.integers(0, min(age, 500)))
    return float(x), float(draw(st.integers(1, age))) if x else 0.0, float(age)


@settings(max_examples=50, deadline=None)
@given(model=MODELS, customer=customers(), horizon=powers(1, 3_650), silence=st.integers(1, 1_000))
def test_forecasts_are_finite_not_negative_grow_with_horizon_and_fall_with_silence(
    model: ParetoNbd, customer: tuple[float, float, float], horizon: float, silence: int
) -> None:
    x, recency, age = customer
    both = histories(customer, (x, recency, age + silence))
    now, later = model.expected_orders(both, horizon)
    assert 0 <= later <= now * (1 + 1e-6) + 1e-6
    assert np.isfinite(now)
    assert np.all(model.expected_orders(both, 2 * horizon) >= np.array([now, later]) * (1 - 1e-6) - 1e-6)
    for probability in (model.probability_active(both), model.probability_no_order(both, horizon)):
        assert np.all((probability >= 0) & (probability <= 1))


@settings(max_examples=50, deadline=None)
@given(model=MODELS, age=st.integers(10, 3_000), x=st.integers(0, 200), horizon=powers(1, 3_650))
def test_expected_orders_rise_with_frequency_for_customers_who_have_just_ordered(
    model: ParetoNbd, age: int, x: int, horizon: float
) -> None:
    fewer, more = model.expected_orders(histories((x + 1, age, age), (x + 2, age, age)), horizon)
    assert more >= fewer * (1 - 1e-6)
