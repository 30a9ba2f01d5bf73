import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clv.btyd import repeat_value
from models.clv.errors import NoRepeatOrders
from models.clv.spend.gamma_gamma import GammaGamma, _mean_log_likelihood, _Prepared, fit_gamma_gamma

Array = npt.NDArray[np.float64]
PRINTED = GammaGamma(p=6.25, q=3.74, v=15.44)


def repeaters(rows: pd.DataFrame) -> tuple[Array, Array]:
    x, z = rows["frequency"].to_numpy(), repeat_value(rows)
    return x[z > 0], z[z > 0]


def simulate(customers: int, truth: GammaGamma, seed: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    x = generator.integers(1, 8, customers).astype(np.float64)
    rate = generator.gamma(truth.q, 1 / truth.v, customers)
    return x, generator.gamma(truth.p * x, 1 / rate) / x


def lifetimes_fit(x: Array, z: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import GammaGammaFitter

        fitter = GammaGammaFitter()
        fitter.fit(pd.Series(x), pd.Series(z))
    return fitter


@pytest.fixture(scope="module")
def sample(cdnow_sample_rows: pd.DataFrame) -> tuple[Array, Array]:
    return repeaters(cdnow_sample_rows)


def test_fit_to_the_cdnow_sample_gives_the_parameters_of_fader_hardie_2013(sample: tuple[Array, Array]) -> None:
    model, said = fit_gamma_gamma(*sample)
    assert len(sample[0]) == 946
    assert said == ()
    assert [model.p, model.q, model.v] == pytest.approx([6.25, 3.74, 15.44], abs=5e-3)


def test_log_likelihood_of_the_cdnow_sample_is_that_of_fader_hardie_2013(sample: tuple[Array, Array]) -> None:
    model, _ = fit_gamma_gamma(*sample)
    assert model.log_likelihood(*sample) == pytest.approx(-4055.92, abs=5e-3)


def test_population_mean_spend_of_the_cdnow_sample_is_that_of_fader_hardie_2013(sample: tuple[Array, Array]) -> None:
    assert fit_gamma_gamma(*sample)[0].population_mean == pytest.approx(35.17, abs=5e-3)


def test_conditional_mean_spend_of_the_first_ten_customers_matches_fader_hardie_2013() -> None:
    x = np.array([2, 1, 0, 0, 0, 7, 1, 0, 2, 0], dtype=np.float64)
    z = np.array([22.35, 11.77, 0, 0, 0, 73.74, 11.77, 0, 25.55, 0])
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    np.testing.assert_allclose(PRINTED.expected_order_value(x, z), published, atol=0.1)


def test_fit_to_the_cdnow_master_log_gives_the_reference_parameters(cdnow_rows: pd.DataFrame) -> None:
    x, z = repeaters(cdnow_rows)
    model, said = fit_gamma_gamma(x, z)
    assert len(x) == 9_450
    assert said == ()
    assert [model.p, model.q, model.v] == pytest.approx([6.2754, 3.6245, 14.9837], abs=1e-4)


def test_fit_equals_lifetimes(sample: tuple[Array, Array]) -> None:
    fitter = lifetimes_fit(*sample)
    model, _ = fit_gamma_gamma(*sample)
    assert [float(fitter.params_[name]) for name in ("p", "q", "v")] == pytest.approx(
        [model.p, model.q, model.v], rel=1e-4
    )


@pytest.mark.parametrize("at", [(6.25, 3.74, 15.44), (0.3, 0.5, 2.0), (40.0, 80.0, 100.0)])
def test_gradient_of_the_likelihood_is_its_numerical_gradient(
    sample: tuple[Array, Array], at: tuple[float, float, float]
) -> None:
    data = _Prepared(*sample)
    logs = np.log(at)
    steps = 1e-5 * np.eye(3)
    up, down = ([_mean_log_likelihood(logs + sign * step, data)[0] for step in steps] for sign in (1, -1))
    numerical = (np.array(up) - np.array(down)) / 2e-5
    np.testing.assert_allclose(_mean_log_likelihood(logs, data)[1], numerical, rtol=1e-6, atol=1e-7)


def test_customers_without_a_repeat_order_or_without_spend_change_nothing(sample: tuple[Array, Array]) -> None:
    x, z = sample
    more = (np.r_[x, 0.0, 0.0, 3.0], np.r_[z, np.nan, 5.0, 0.0])
    assert fit_gamma_gamma(*more) == fit_gamma_gamma(x, z)


def test_fit_recovers_the_parameters_of_20000_simulated_customers() -> None:
    # Standard errors at this size are 4.4 %, 1.3 %, 5.5 % and 0.5 %; four and a half of them are allowed.
    truth = GammaGamma(p=6.0, q=4.0, v=15.0)
    model, said = fit_gamma_gamma(*simulate(20_000, truth, seed=1))
    assert said == ()
    assert model.p == pytest.approx(truth.p, rel=0.2)
    assert model.q == pytest.approx(truth.q, rel=0.06)
    assert model.v == pytest.approx(truth.v, rel=0.25)
    assert model.population_mean == pytest.approx(truth.population_mean, rel=0.023)


def test_another_currency_scales_v_only(sample: tuple[Array, Array]) -> None:
    x, z = sample
    model, scaled = fit_gamma_gamma(x, z)[0], fit_gamma_gamma(x, 110 * z)[0]
    assert [scaled.p, scaled.q, scaled.v / 110] == pytest.approx([model.p, model.q, model.v], rel=1e-6)


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_heavy_tailed_spend_is_said_and_never_valued_below_zero(q: float) -> None:
    x, z = simulate(3_000, GammaGamma(p=4.0, q=q, v=15.0), seed=0)
    model, said = fit_gamma_gamma(x, z)
    assert len(said) == 1
    assert said[0].startswith("low evidence: spend is so heavy-tailed")
    assert model.q >= 1.5
    assert model.population_mean > 0
    assert np.min(model.expected_order_value(x, z)) > 0
    assert model.expected_order_value(np.zeros(1), np.zeros(1))[0] > 0


def test_constant_spend_is_expected_again() -> None:
    x, z = np.array([1.0, 2.0, 3.0] * 40), np.full(120, 25.0)
    model, _ = fit_gamma_gamma(x, z)
    assert np.isfinite([model.p, model.q, model.v]).all()
    np.testing.assert_allclose(model.expected_order_value(x, z), 25.0, rtol=1e-3)


def test_one_repeat_buyer_is_enough_for_a_finite_fit() -> None:
    model, _ = fit_gamma_gamma(np.array([2.0, 0.0]), np.array([10.0, np.nan]))
    assert model.population_mean == pytest.approx(10.0, rel=1e-3)


def test_customers_who_all_ordered_once_are_refused() -> None:
    with pytest.raises(NoRepeatOrders, match="no repeat buyer among 3 customers"):
        fit_gamma_gamma(np.zeros(3), np.full(3, np.nan))


def test_expected_value_lies_between_own_and_population_mean_and_nears_the_own_with_orders() -> None:
    x = np.array([1.0, 2, 10, 1_000])
    values = PRINTED.expected_order_value(x, np.full(4, 80.0))
    assert np.all(np.diff(values) > 0)
    assert PRINTED.population_mean < values[0]
    assert 79.9 < values[-1] < 80.0


def test_a_customer_without_a_repeat_order_is_expected_to_spend_the_population_mean() -> None:
    for anything in (0.0, 500.0):
        value = PRINTED.expected_order_value(np.zeros(1), np.array([anything]))
        assert value[0] == pytest.approx(6.25 * 15.44 / 2.74)


@settings(max_examples=30, deadline=None)
@given(
    spend=st.lists(st.tuples(st.integers(1, 5_000), st.floats(0.01, 1e9)), min_size=1, max_size=40),
)
def test_fit_to_any_positive_spend_is_finite_and_values_everyone_above_zero(spend: list[tuple[int, float]]) -> None:
    x, z = np.array(spend, dtype=np.float64).T.copy()
    model, _ = fit_gamma_gamma(x, z)
    values = model.expected_order_value(x, z)
    assert np.isfinite([model.p, model.q, model.v]).all()
    assert np.isfinite(values).all()
    assert np.min(values) > 0
