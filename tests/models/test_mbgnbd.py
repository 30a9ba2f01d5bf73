import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clv.bgnbd import BgNbd, _mean_log_likelihood, _Prepared
from models.clv.histories import Histories
from models.clv.mbgnbd import MbgNbd, fit_mbgnbd

Array = npt.NDArray[np.float64]
WEEK = 7.0
CDNOW = MbgNbd(r=0.525, alpha=6.183 * WEEK, a=0.891, b=1.614)
CUSTOMERS = ((0, 0, 0), (0, 0, 200), (1, 1, 200), (2, 150, 200), (12, 190, 200), (60, 198, 200))


def histories(*customers: tuple[float, float, float]) -> Histories:
    x, recency, age = np.array(customers, dtype=np.float64).T.copy()
    return Histories(x, recency, age, np.ones(len(x)))


def parameters(model: BgNbd) -> Array:
    return np.array([*model.parameters.values()])


def lifetimes_fit(x: Array, recency: Array, age: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ModifiedBetaGeoFitter

        fitter = ModifiedBetaGeoFitter()
        fitter.fit(pd.Series(x), pd.Series(recency), pd.Series(age))
    return fitter


@pytest.fixture(scope="module")
def sample(cdnow_sample_rows: pd.DataFrame) -> Histories:
    return Histories.of(cdnow_sample_rows)


@pytest.fixture(scope="module")
def sample_model(sample: Histories) -> MbgNbd:
    return fit_mbgnbd(sample)[0]


def test_fit_to_the_cdnow_sample_gives_the_published_parameters(sample_model: MbgNbd) -> None:
    assert sample_model.r == pytest.approx(0.525, abs=5e-4)
    assert sample_model.alpha / WEEK == pytest.approx(6.183, abs=5e-4)
    assert sample_model.a == pytest.approx(0.891, abs=5e-4)
    assert sample_model.b == pytest.approx(1.614, abs=5e-4)


def test_fit_and_predictions_equal_lifetimes(sample: Histories, sample_model: MbgNbd) -> None:
    triple = (sample.frequency, sample.recency_days / WEEK, sample.T_days / WEEK)
    fitter = lifetimes_fit(*triple)
    ours = parameters(sample_model) / [1, WEEK, 1, 1]
    assert [float(fitter.params_[name]) for name in ("r", "alpha", "a", "b")] == pytest.approx(ours, rel=1e-4)
    fitter.params_ = pd.Series(dict(zip(("r", "alpha", "a", "b"), ours, strict=True)))
    np.testing.assert_allclose(
        sample_model.expected_orders(sample, 273.0),
        fitter.conditional_expected_number_of_purchases_up_to_time(39.0, *triple),
        rtol=1e-8,
    )
    np.testing.assert_allclose(
        sample_model.probability_active(sample), fitter.conditional_probability_alive(*triple), rtol=1e-9
    )
    expected = float(fitter.expected_number_of_purchases_up_to_time(39.0))
    assert sample_model.expected_orders_of_new(273.0) == pytest.approx(expected, rel=1e-8)


def test_log_likelihood_equals_lifetimes(sample: Histories, sample_model: MbgNbd) -> None:
    fitter = lifetimes_fit(sample.frequency, sample.recency_days / WEEK, sample.T_days / WEEK)
    in_weeks = sample_model.log_likelihood(sample) + sample.frequency.sum() * np.log(WEEK)
    scaled = sample.frequency.sum() * np.log(fitter._scale)  # its own unit of time
    assert in_weeks == pytest.approx(-fitter._negative_log_likelihood_ * len(sample) + scaled, rel=1e-6)


@pytest.mark.parametrize("at", [(0.5, 6.2, 0.9, 1.6), (3.0, 0.2, 0.01, 60.0), (0.01, 50.0, 20.0, 0.05)])
def test_gradient_of_the_likelihood_is_its_numerical_gradient(
    sample: Histories, at: tuple[float, float, float, float]
) -> None:
    data = _Prepared(sample.patterns(), 1 / WEEK, MbgNbd.early)
    logs = np.log(at)
    steps = 1e-5 * np.eye(4)
    up, down = ([_mean_log_likelihood(logs + sign * step, data)[0] for step in steps] for sign in (1, -1))
    numerical = (np.array(up) - np.array(down)) / 2e-5
    np.testing.assert_allclose(_mean_log_likelihood(logs, data)[1], numerical, rtol=1e-6, atol=1e-8)


def test_a_customer_with_one_order_is_less_likely_active_the_longer_the_silence() -> None:
    # 1 / (1 + a / b * ((alpha + T) / alpha) ** r); at T = 0 that is b / (a + b).
    now, later, much_later = CDNOW.probability_active(histories((0, 0, 0), (0, 0, 600), (0, 0, 6_000)))
    assert now == pytest.approx(1.614 / (0.891 + 1.614))
    assert later == pytest.approx(1 / (1 + 0.891 / 1.614 * ((43.281 + 600) / 43.281) ** 0.525))
    assert much_later < later < now


@pytest.mark.parametrize("customer", CUSTOMERS)
def test_predictive_draws_average_to_the_expected_orders(customer: tuple[float, float, float]) -> None:
    # 100,000 draws, five standard errors: a false alarm in 6 of 10 million.
    many = histories(*[customer] * 100_000)
    draws = CDNOW.draw_orders(many, 273.0, np.random.default_rng(3))
    assert abs(draws.mean() - CDNOW.expected_orders(many, 273.0)[0]) < 5 * draws.std() / np.sqrt(len(draws))
    expected = CDNOW.probability_no_order(many, 273.0)[0]
    assert abs((draws == 0).mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / len(draws))


def simulate(customers: int, truth: MbgNbd, seed: int) -> Histories:
    """Purchase histories in continuous time by the story of MBG/NBD: a chance to leave after every order."""
    generator = np.random.default_rng(seed)
    rate = generator.gamma(truth.r, 1 / truth.alpha, customers)
    leaves = generator.beta(truth.a, truth.b, customers)
    age = generator.uniform(200, 400, customers)
    time, x, recency = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    active = generator.random(customers) >= leaves
    while active.any():
        time += generator.exponential(1.0, customers) / np.maximum(rate, 1e-300)
        active &= time <= age
        x[active] += 1
        recency[active] = time[active]
        active &= generator.random(customers) >= leaves
    return Histories(x, recency, age, np.ones(customers))


def test_fit_recovers_the_parameters_of_20000_simulated_customers_as_sharply_as_the_curvature_says() -> None:
    # Four and a half standard errors of each log-parameter: a false alarm in 40,000.
    truth = MbgNbd(r=0.5, alpha=20.0, a=0.8, b=2.5)
    model, said = fit_mbgnbd(simulate(20_000, truth, seed=1))
    assert said == ()
    assert model.log_covariance is not None
    errors = np.sqrt(np.diag(model.log_covariance))
    assert np.all(errors < 0.1)
    assert np.all(np.abs(np.log(parameters(model) / parameters(truth))) < 4.5 * errors)


def test_another_unit_of_time_changes_only_alpha(sample: Histories, sample_model: MbgNbd) -> None:
    hours = Histories(sample.frequency, sample.recency_days * 24, sample.T_days * 24, sample.weight)
    assert parameters(fit_mbgnbd(hours)[0]) == pytest.approx(parameters(sample_model) * [1, 24, 1, 1], rel=1e-6)


@pytest.mark.parametrize("a", [1.0, 1 - 1e-12, 1 + 1e-12])
def test_expected_orders_at_a_of_1_lie_between_those_beside_it(a: float) -> None:
    history = histories((2, 150, 200))
    below, at, above = (MbgNbd(0.25, 30.9, v, 2.4).expected_orders(history, 365.0)[0] for v in (0.999, a, 1.001))
    assert above < at < below


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


MODELS = st.builds(MbgNbd, r=powers(0.01, 50), alpha=powers(0.1, 5_000), a=powers(0.01, 300), b=powers(0.01, 300))


@st.composite
def customers(draw: st.DrawFn) -> tuple[float, float, float]:
    age = draw(st.integers(0, 5_000))
    x = draw(st.integers(0, min(age, 500)))
    return float(x), float(draw(st.integers(1, age))) if x else 0.0, float(age)


@settings(max_examples=50, deadline=None)
@given(model=MODELS, customer=customers(), horizon=powers(1, 3_650), silence=st.integers(1, 1_000))
def test_forecasts_are_finite_not_negative_grow_with_horizon_and_fall_with_silence(
    model: MbgNbd, customer: tuple[float, float, float], horizon: float, silence: int
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
    model: MbgNbd, age: int, x: int, horizon: float
) -> None:
    fewer, more = model.expected_orders(histories((x + 1, age, age), (x + 2, age, age)), horizon)
    assert more >= fewer * (1 - 1e-6)
