import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import integrate

from models.clv.histories import Histories
from models.clv.orders.pareto import ParetoNbd, _log_gone, fit_pareto_nbd

Array = npt.NDArray[np.float64]
WEEK = 7.0
CDNOW = ParetoNbd(r=0.553, alpha=10.578 * WEEK, s=0.606, beta=11.669 * WEEK)


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


@pytest.mark.parametrize("s", [1.0, 1 - 1e-12, 1 + 1e-12])
def test_expected_orders_at_s_of_1_are_the_limit(s: float) -> None:
    # (r + x) / (alpha + T) * (beta + T) * log(1 + h / (beta + T)), times the probability of being active.
    model, history = ParetoNbd(0.6, 80.0, s, 60.0), histories((2, 150, 200))
    limit = 2.6 / 280 * 260 * np.log1p(365 / 260) * model.probability_active(history)[0]
    assert model.expected_orders(history, 365.0)[0] == pytest.approx(limit, rel=1e-9)
