import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from models.clv.histories import Histories
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.mbgnbd import MbgNbd, fit_mbgnbd

Array = npt.NDArray[np.float64]
WEEK = 7.0
CDNOW = MbgNbd(r=0.525, alpha=6.183 * WEEK, a=0.891, b=1.614)


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


def test_a_customer_with_one_order_is_less_likely_active_the_longer_the_silence() -> None:
    # 1 / (1 + a / b * ((alpha + T) / alpha) ** r); at T = 0 that is b / (a + b).
    now, later, much_later = CDNOW.probability_active(histories((0, 0, 0), (0, 0, 600), (0, 0, 6_000)))
    assert now == pytest.approx(1.614 / (0.891 + 1.614))
    assert later == pytest.approx(1 / (1 + 0.891 / 1.614 * ((43.281 + 600) / 43.281) ** 0.525))
    assert much_later < later < now


@pytest.mark.parametrize("a", [1.0, 1 - 1e-12, 1 + 1e-12])
def test_expected_orders_at_a_of_1_lie_between_those_beside_it(a: float) -> None:
    history = histories((2, 150, 200))
    below, at, above = (MbgNbd(0.25, 30.9, v, 2.4).expected_orders(history, 365.0)[0] for v in (0.999, a, 1.001))
    assert above < at < below
