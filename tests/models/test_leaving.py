"""What holds alike for the models of customers who order and leave: BG/NBD, MBG/NBD and Pareto/NBD."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clv.histories import Histories
from models.clv.orders import bgnbd, pareto
from models.clv.orders.bgnbd import BgNbd, fit_bgnbd
from models.clv.orders.mbgnbd import MbgNbd, fit_mbgnbd
from models.clv.orders.pareto import ParetoNbd, fit_pareto_nbd

Array = npt.NDArray[np.float64]
Parameters = tuple[float, float, float, float]
WEEK = 7.0
CUSTOMERS = ((0, 0, 0), (0, 0, 200), (1, 1, 200), (2, 150, 200), (12, 190, 200), (60, 198, 200))


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda power: float(np.exp(power)))


@dataclass(frozen=True)
class Kind:
    """An orders model as the literature fits it to CDNOW, and how it is tried."""

    cdnow: Any
    fit: Callable[[Histories], tuple[Any, tuple[str, ...]]]
    likelihood: Callable[[Array, Any], tuple[float, Array]]
    prepared: Callable[[Histories, float], Any]
    scaled: Parameters
    """What each parameter is multiplied with where time is counted in hours."""
    near: Parameters
    """About the maximum for CDNOW, in weeks."""
    any_model: st.SearchStrategy[Any]


KINDS = {
    "bgnbd": Kind(
        BgNbd(r=0.243, alpha=4.414 * WEEK, a=0.793, b=2.426),
        fit_bgnbd,
        bgnbd._mean_log_likelihood,
        bgnbd._Prepared,
        (1, 24, 1, 1),
        (0.25, 4.4, 0.8, 2.4),
        st.builds(BgNbd, r=powers(1e-3, 400), alpha=powers(0.1, 1e4), a=powers(1e-5, 250), b=powers(1e-5, 250)),
    ),
    "mbgnbd": Kind(
        MbgNbd(r=0.525, alpha=6.183 * WEEK, a=0.891, b=1.614),
        fit_mbgnbd,
        bgnbd._mean_log_likelihood,
        partial(bgnbd._Prepared, early=MbgNbd.early),
        (1, 24, 1, 1),
        (0.5, 6.2, 0.9, 1.6),
        st.builds(MbgNbd, r=powers(0.01, 50), alpha=powers(0.1, 5_000), a=powers(0.01, 300), b=powers(0.01, 300)),
    ),
    "pareto_nbd": Kind(
        ParetoNbd(r=0.553, alpha=10.578 * WEEK, s=0.606, beta=11.669 * WEEK),
        fit_pareto_nbd,
        pareto._mean_log_likelihood,
        pareto._Prepared,
        (1, 24, 1, 24),
        (0.55, 10.6, 0.61, 11.7),
        st.builds(
            ParetoNbd, r=powers(0.01, 50), alpha=powers(1e-3, 5_000), s=powers(0.01, 50), beta=powers(1e-3, 5_000)
        ),
    ),
}
EACH = pytest.mark.parametrize("name", KINDS)


def histories(*customers: tuple[float, float, float]) -> Histories:
    x, recency, age = np.array(customers, dtype=np.float64).T.copy()
    return Histories(x, recency, age, np.ones(len(x)))


def parameters(model: Any) -> Array:
    return np.array([*model.parameters.values()])


@pytest.fixture(scope="module")
def sample(cdnow_sample_rows: pd.DataFrame) -> Histories:
    return Histories.of(cdnow_sample_rows)


@EACH
@pytest.mark.parametrize("at", ["near", (3.0, 0.2, 0.01, 60.0), (0.01, 50.0, 20.0, 0.05)])
def test_gradient_of_the_likelihood_is_its_numerical_gradient(
    sample: Histories, name: str, at: str | Parameters
) -> None:
    kind = KINDS[name]
    data = kind.prepared(sample.patterns(), 1 / WEEK)
    logs = np.log(kind.near if at == "near" else at)
    steps = 1e-5 * np.eye(4)
    up, down = ([kind.likelihood(logs + sign * step, data)[0] for step in steps] for sign in (1, -1))
    numerical = (np.array(up) - np.array(down)) / 2e-5
    np.testing.assert_allclose(kind.likelihood(logs, data)[1], numerical, rtol=1e-6, atol=1e-8)


@EACH
def test_another_unit_of_time_changes_only_the_parameters_of_time(sample: Histories, name: str) -> None:
    kind = KINDS[name]
    hours = Histories(sample.frequency, sample.recency_days * 24, sample.T_days * 24, sample.weight)
    expected = parameters(kind.fit(sample)[0]) * kind.scaled
    assert parameters(kind.fit(hours)[0]) == pytest.approx(expected, rel=1e-6)


@EACH
@pytest.mark.parametrize("horizon", [90.0, 273.0])
@pytest.mark.parametrize("customer", CUSTOMERS)
def test_predictive_draws_average_to_the_expected_orders_and_to_the_probability_of_none(
    name: str, customer: tuple[float, float, float], horizon: float
) -> None:
    # 100,000 draws, five standard errors: a false alarm in 6 of 10 million.
    model, one = KINDS[name].cdnow, histories(customer)
    draws = model.draw_orders(histories(*[customer] * 100_000), horizon, np.random.default_rng(3))
    assert abs(draws.mean() - model.expected_orders(one, horizon)[0]) < 5 * draws.std() / np.sqrt(len(draws))
    expected = model.probability_no_order(one, horizon)[0]
    assert abs((draws == 0).mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / len(draws))


@EACH
def test_predictive_draws_are_whole_and_repeatable(name: str) -> None:
    model = KINDS[name].cdnow
    draws, again = (model.draw_orders(histories(*CUSTOMERS), 273.0, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(draws, again)
    assert np.array_equal(draws, np.floor(draws))
    assert np.min(draws) >= 0


def mbgnbd_story(customers: int, truth: MbgNbd, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Histories in continuous time: a chance to leave after every order, the first among them."""
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
    return x, recency, age


def pareto_story(customers: int, truth: ParetoNbd, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Histories in continuous time: customers leave at a moment of their own."""
    rate = generator.gamma(truth.r, 1 / truth.alpha, customers)
    leaves = generator.exponential(1.0, customers) / generator.gamma(truth.s, 1 / truth.beta, customers)
    age = generator.uniform(200, 400, customers)
    active_days = np.minimum(age, leaves)
    x = generator.poisson(rate * active_days).astype(np.float64)
    # the last of x uniform moments
    recency = np.where(x > 0, active_days * generator.random(customers) ** (1 / np.maximum(x, 1)), 0.0)
    return x, recency, age


@pytest.mark.parametrize(
    ("truth", "story", "largest_error"),
    [
        (MbgNbd(r=0.5, alpha=20.0, a=0.8, b=2.5), mbgnbd_story, 0.1),
        (ParetoNbd(r=0.6, alpha=20.0, s=0.7, beta=60.0), pareto_story, 0.2),
    ],
)
def test_fit_recovers_the_parameters_of_20000_simulated_customers_as_sharply_as_the_curvature_says(
    truth: Any, story: Callable[..., tuple[Array, Array, Array]], largest_error: float
) -> None:
    # Four and a half standard errors of each log-parameter: a false alarm in 40,000.
    x, recency, age = story(20_000, truth, np.random.default_rng(1))
    model, said = KINDS[truth.kind].fit(Histories(x, recency, age, np.ones(len(x))))
    assert said == ()
    errors = np.sqrt(np.diag(model.log_covariance))
    assert np.all(errors < largest_error)
    assert np.all(np.abs(np.log(parameters(model) / parameters(truth))) < 4.5 * errors)


@st.composite
def some_customers(draw: st.DrawFn) -> tuple[float, float, float]:
    age = draw(st.integers(0, 5_000))
    x = draw(st.integers(0, min(age, 500)))
    return float(x), float(draw(st.integers(1, age))) if x else 0.0, float(age)


@pytest.mark.parametrize("name", ["mbgnbd", "pareto_nbd"])  # BG/NBD is held to more
@settings(max_examples=50, deadline=None)
@given(data=st.data(), customer=some_customers(), horizon=powers(1, 3_650), silence=st.integers(1, 1_000))
def test_forecasts_are_finite_not_negative_grow_with_horizon_and_fall_with_silence(
    name: str, data: st.DataObject, customer: tuple[float, float, float], horizon: float, silence: int
) -> None:
    model, (x, recency, age) = data.draw(KINDS[name].any_model), customer
    both = histories(customer, (x, recency, age + silence))
    now, later = model.expected_orders(both, horizon)
    assert 0 <= later <= now * (1 + 1e-6) + 1e-6
    assert np.isfinite(now)
    assert np.all(model.expected_orders(both, 2 * horizon) >= np.array([now, later]) * (1 - 1e-6) - 1e-6)
    for probability in (model.probability_active(both), model.probability_no_order(both, horizon)):
        assert np.all((probability >= 0) & (probability <= 1))


@EACH
@settings(max_examples=50, deadline=None)
@given(data=st.data(), age=st.integers(10, 3_000), x=st.integers(1, 201), horizon=powers(1, 3_650))
def test_expected_orders_rise_with_frequency_for_customers_who_have_just_ordered(
    name: str, data: st.DataObject, age: int, x: int, horizon: float
) -> None:
    model = data.draw(KINDS[name].any_model)
    fewer, more = model.expected_orders(histories((x, age, age), (x + 1, age, age)), horizon)
    assert more >= fewer * (1 - 1e-6)
