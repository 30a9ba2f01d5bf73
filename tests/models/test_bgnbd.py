import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import beta

from models.clv.btyd import ClvBgNbd
from models.clv.errors import InvalidHistory, NoRepeatOrders
from models.clv.lifetimes_adapter import to_lifetimes
from models.clv.orders.bgnbd import BgNbd, Histories, fit_bgnbd
from models.errors import ParameterOutOfRange

Array = npt.NDArray[np.float64]
WEEK = 7.0
PRINTED = BgNbd(r=0.243, alpha=4.414 * WEEK, a=0.793, b=2.426)


def histories(*customers: tuple[float, float, float], weight: Array | None = None) -> Histories:
    x, recency, age = np.array(customers, dtype=np.float64).T.copy()
    return Histories(x, recency, age, np.ones(len(x)) if weight is None else weight)


def new(age_days: float = 0.0) -> Histories:
    return histories((0, 0, age_days))


def parameters(model: BgNbd) -> Array:
    return np.array([model.r, model.alpha, model.a, model.b])


def lifetimes_fit(x: Array, recency: Array, age: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter

        fitter = BetaGeoFitter()
        fitter.fit(pd.Series(x), pd.Series(recency), pd.Series(age))
    return fitter


def simulate(
    customers: int, truth: BgNbd, ages: tuple[float, float], seed: int, dropout: float | None = None
) -> Histories:
    """Purchase histories in continuous time by the story of BG/NBD, written as its authors tell it."""
    generator = np.random.default_rng(seed)
    rate = generator.gamma(truth.r, 1 / truth.alpha, customers)
    leaves = generator.beta(truth.a, truth.b, customers) if dropout is None else np.full(customers, dropout)
    age = generator.uniform(*ages, customers)
    time, x, recency = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    active = np.ones(customers, dtype=bool)
    while active.any():
        time += generator.exponential(1.0, customers) / np.maximum(rate, 1e-300)
        active &= time <= age
        x[active] += 1
        recency[active] = time[active]
        active &= generator.random(customers) >= leaves
    return Histories(x, recency, age, np.ones(customers))


@pytest.fixture(scope="module")
def sample(cdnow_sample_rows: pd.DataFrame) -> Histories:
    return Histories.of(cdnow_sample_rows)


@pytest.fixture(scope="module")
def sample_model(sample: Histories) -> BgNbd:
    return fit_bgnbd(sample)[0]


def test_fit_to_the_cdnow_sample_gives_the_parameters_of_fader_hardie_lee_2005(
    sample: Histories, sample_model: BgNbd
) -> None:
    assert len(sample) == 2_357
    assert sample_model.r == pytest.approx(0.2426, abs=5e-5)
    assert sample_model.alpha == pytest.approx(30.895, abs=5e-4)
    assert sample_model.alpha / WEEK == pytest.approx(4.4136, abs=5e-5)
    assert sample_model.a == pytest.approx(0.7929, abs=5e-5)
    assert sample_model.b == pytest.approx(2.4259, abs=5e-5)


def test_log_likelihood_of_the_cdnow_sample_in_weeks_is_that_of_fader_hardie_lee_2005(
    sample: Histories, sample_model: BgNbd
) -> None:
    in_weeks = sample_model.log_likelihood(sample) + sample.frequency.sum() * np.log(WEEK)
    assert in_weeks == pytest.approx(-9582.43, abs=5e-3)


def test_fit_to_the_cdnow_master_log_gives_the_reference_parameters(cdnow_rows: pd.DataFrame) -> None:
    everyone = Histories.of(cdnow_rows)
    model, said = fit_bgnbd(everyone)
    assert len(everyone) == 23_570
    assert said == ()
    assert [model.r, model.alpha / WEEK, model.a, model.b] == pytest.approx(
        [0.25162, 4.78894, 0.72343, 2.16109], abs=1e-5
    )
    in_weeks = model.log_likelihood(everyone) + everyone.frequency.sum() * np.log(WEEK)
    assert in_weeks == pytest.approx(-95_368.44, abs=5e-3)


def test_expected_orders_of_customer_0001_match_fader_hardie_lee_2005() -> None:
    customer = histories((2, 30.43 * WEEK, 38.86 * WEEK))
    assert PRINTED.expected_orders(customer, 39 * WEEK)[0] == pytest.approx(1.226, abs=5e-4)


def test_probability_active_of_customer_0001_matches_fader_hardie_lee_2008() -> None:
    customer = histories((2, 30.43 * WEEK, 38.86 * WEEK))
    assert PRINTED.probability_active(customer)[0] == pytest.approx(0.7266, abs=5e-5)


@pytest.mark.parametrize(
    ("weeks", "orders"),
    [(1 / 7, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (32, 1.0437), (78, 1.8576)],
)
def test_expected_orders_of_a_new_customer_match_the_table_of_hardie(
    sample_model: BgNbd, weeks: float, orders: float
) -> None:
    assert sample_model.expected_orders_of_new(weeks * WEEK) == pytest.approx(orders, abs=5e-4)


def test_probability_that_a_new_customer_orders_nothing_in_39_weeks_matches_the_reference() -> None:
    assert PRINTED.probability_no_order(new(), 39 * WEEK)[0] == pytest.approx(0.5737864, abs=5e-8)


def test_fit_equals_lifetimes(sample: Histories, sample_model: BgNbd) -> None:
    fitter = lifetimes_fit(sample.frequency, sample.recency_days / WEEK, sample.T_days / WEEK)
    ours = [sample_model.r, sample_model.alpha / WEEK, sample_model.a, sample_model.b]
    assert [float(fitter.params_[name]) for name in ("r", "alpha", "a", "b")] == pytest.approx(ours, rel=1e-4)


def test_predictions_equal_lifetimes(cdnow_sample_rows: pd.DataFrame) -> None:
    model = ClvBgNbd().fit(cdnow_sample_rows)
    fitter, _ = to_lifetimes(model)
    sample = Histories.of(cdnow_sample_rows)
    triple = (sample.frequency, sample.recency_days, sample.T_days)
    np.testing.assert_allclose(
        model.orders_.expected_orders(sample, 273.0),
        fitter.conditional_expected_number_of_purchases_up_to_time(273.0, *triple),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        model.orders_.probability_active(sample), fitter.conditional_probability_alive(*triple), rtol=1e-9
    )
    assert model.orders_.expected_orders(new(), 273.0)[0] == pytest.approx(
        float(fitter.expected_number_of_purchases_up_to_time(273.0)), rel=1e-9
    )


def test_weights_count_as_repeated_customers() -> None:
    pattern = ((0, 0, 90), (2, 40, 80), (1, 5, 70), (4, 60, 61))
    weighted = histories(*pattern, weight=np.array([3.0, 2.0, 1.0, 1.0]))
    repeated = histories(pattern[1], pattern[0], *pattern, pattern[0])
    assert PRINTED.log_likelihood(weighted) == pytest.approx(PRINTED.log_likelihood(repeated), rel=1e-12)
    assert fit_bgnbd(weighted) == fit_bgnbd(repeated)


def test_patterns_count_the_customers_of_each_distinct_history() -> None:
    found = histories((1, 5, 9), (0, 0, 9), (1, 5, 9), (1, 5, 8)).patterns()
    counted = set(zip(found.frequency, found.recency_days, found.T_days, found.weight, strict=True))
    assert counted == {(0, 0, 9, 1), (1, 5, 8, 1), (1, 5, 9, 2)}


def test_fit_recovers_the_parameters_of_20000_simulated_customers() -> None:
    # Standard errors at this size are 1.4 %, 1.7 %, 3.4 % and 4.7 %; four and a half of them are allowed.
    truth = BgNbd(r=0.5, alpha=20.0, a=0.8, b=2.5)
    model, said = fit_bgnbd(simulate(20_000, truth, (200, 400), seed=1))
    assert said == ()
    assert np.all(np.abs(parameters(model) / parameters(truth) - 1) < [0.063, 0.077, 0.153, 0.212])


CUSTOMERS = ((0, 0, 0), (0, 0, 200), (1, 1, 200), (2, 150, 200), (12, 190, 200), (60, 198, 200))


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda power: float(np.exp(power)))


MODELS = st.builds(BgNbd, r=powers(1e-3, 400), alpha=powers(0.1, 1e4), a=powers(1e-5, 250), b=powers(1e-5, 250))


@st.composite
def customers(draw: st.DrawFn, least_orders: int = 0) -> tuple[float, float, float]:
    age = float(draw(st.integers(1 if least_orders else 0, 20_000)))
    x = draw(st.integers(least_orders, 5_000)) if age else 0
    recency = float(draw(st.integers(1, int(age)))) if x else 0.0
    return float(x), recency, age


@settings(max_examples=50, deadline=None)
@given(model=MODELS, customer=customers(), horizon=powers(0.01, 36_500))
def test_forecasts_are_finite_and_in_range_for_any_parameters_and_history(
    model: BgNbd, customer: tuple[float, float, float], horizon: float
) -> None:
    history = histories(customer)
    orders = model.expected_orders(history, horizon)[0]
    assert np.isfinite(orders)
    assert orders >= 0
    assert 0 <= model.probability_active(history)[0] <= 1
    assert 0 <= model.probability_no_order(history, horizon)[0] <= 1


@settings(max_examples=50, deadline=None)
@given(model=MODELS, customer=customers(), horizon=powers(1, 5_000), longer=st.floats(1.01, 5))
def test_expected_orders_rise_with_the_horizon(
    model: BgNbd, customer: tuple[float, float, float], horizon: float, longer: float
) -> None:
    history = histories(customer)
    near, far = (model.expected_orders(history, days)[0] for days in (horizon, horizon * longer))
    assert far >= near * (1 - 1e-6) - 1e-6


@settings(max_examples=50, deadline=None)
@given(model=MODELS, customer=customers(least_orders=1), silence=st.integers(1, 1_000), horizon=powers(1, 3_650))
def test_expected_orders_of_a_repeat_buyer_fall_with_silence(
    model: BgNbd, customer: tuple[float, float, float], silence: int, horizon: float
) -> None:
    x, recency, age = customer
    now, later = model.expected_orders(histories(customer, (x, recency, age + silence)), horizon)
    assert later <= now * (1 + 1e-6) + 1e-6


@settings(max_examples=50, deadline=None)
@given(model=MODELS, customer=customers(least_orders=1), silence=st.integers(1, 1_000))
def test_probability_active_of_a_repeat_buyer_falls_with_silence(
    model: BgNbd, customer: tuple[float, float, float], silence: int
) -> None:
    x, recency, age = customer
    now, later = model.probability_active(histories(customer, (x, recency, age + silence)))
    assert later <= now


def test_probability_active_is_1_without_a_repeat_order() -> None:
    assert PRINTED.probability_active(new(20_000)) == [1.0]


# Computed from equation (10) with mpmath, 60 digits.
CORNERS = [
    (BgNbd(0.25, 30, 250, 30), (0, 0, 100), 3_650, 0.624521358864552),
    (BgNbd(0.05, 1, 0.01, 499), (0, 0, 0), 3_650, 180.297455831128),
    (BgNbd(0.05, 30, 0.5, 250), (0, 0, 0), 36_500, 39.442445493636),
    (BgNbd(0.25, 1_000, 499, 0.01), (0, 0, 100), 3_650, 0.306298561164565),
    (BgNbd(30, 1_000, 499, 0.01), (0, 0, 100), 36_500, 1.00002008032129),
    (BgNbd(1, 0.1, 0.5, 499), (0, 0, 0), 365, 1648.27935354673),
    (BgNbd(0.25, 30.9, 0.8, 2.4), (0, 0, 20_000), 3_650, 0.0443280340032425),
    (BgNbd(0.25, 30.9, 0.8, 2.4), (0, 0, 0), 36_500, 12.0924377098659),
    (BgNbd(0.25, 30.9, 0.8, 2.4), (5_000, 5_000, 5_000), 365, 352.688291774059),
]


@pytest.mark.parametrize(("model", "customer", "horizon", "exact"), CORNERS)
def test_expected_orders_in_far_corners_match_fifty_digit_arithmetic(
    model: BgNbd, customer: tuple[float, float, float], horizon: float, exact: float
) -> None:
    history = histories(customer)
    if_active = model.expected_orders(history, horizon)[0] / model.probability_active(history)[0]
    assert if_active == pytest.approx(exact, rel=1e-7)


def test_a_forecast_too_small_for_the_series_is_not_rounded_to_zero() -> None:
    # Over one day hardly anything changes: the expected rate (r + x) / (alpha + T) times one day.
    tiny = BgNbd(0.001, 1.0, 1.0, 250.0).expected_orders(new(20_000), 1.0)[0]
    assert tiny == pytest.approx(0.001 / 20_001, rel=1e-3)


@pytest.mark.parametrize("customer", CUSTOMERS)
def test_expected_orders_equal_the_integral_over_the_dropout_probability(customer: tuple[float, float, float]) -> None:
    x, _, age = customer
    shape, ahead = PRINTED.r + x, 273.0 / (PRINTED.alpha + age)
    dropout = beta(PRINTED.a, PRINTED.b + x)
    integral, _ = integrate.quad(
        lambda p: dropout.pdf(p) * (1 - (1 + p * ahead) ** -shape) / p, 0, 1, epsabs=1e-10, limit=200
    )
    history = histories(customer)
    expected = integral * PRINTED.probability_active(history)[0]
    assert PRINTED.expected_orders(history, 273.0)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("a", [1.0, 1 - 1e-12, 1 + 1e-12])
def test_expected_orders_at_a_of_1_are_the_limit(a: float) -> None:
    # The limit at a = 1 was computed with mpmath, 60 digits.
    history = histories((2, 150, 200))
    model = BgNbd(0.25, 30.9, a, 2.4)
    if_active = model.expected_orders(history, 365.0)[0] / model.probability_active(history)[0]
    assert if_active == pytest.approx(2.52522780585, rel=1e-6)


def test_expected_orders_where_a_plus_b_plus_x_is_1_are_the_limit() -> None:
    at, beside = (BgNbd(0.25, 30.9, 0.5, b).expected_orders(new(100), 365.0)[0] for b in (0.5, 0.5001))
    assert at == pytest.approx(beside, rel=1e-3)


def test_a_customer_who_ordered_today_is_forecast_as_new() -> None:
    assert PRINTED.expected_orders(new(), 90.0)[0] == PRINTED.expected_orders_of_new(90.0) > 0


def test_customers_who_all_ordered_once_are_refused() -> None:
    with pytest.raises(NoRepeatOrders, match=r"no repeat buyer among 40 customers"):
        fit_bgnbd(histories(*[(0, 0, age) for age in range(40)]))


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ParameterOutOfRange, match=r"penalty is -1\.0\. Allowed: 0 or more"):
        fit_bgnbd(histories(*CUSTOMERS), penalty=-1.0)


def test_a_penalty_given_by_the_caller_is_no_warning_and_keeps_parameters_smaller(
    sample: Histories, sample_model: BgNbd
) -> None:
    model, said = fit_bgnbd(sample, penalty=0.1)
    assert said == ()
    assert model.b < sample_model.b


def near_daily(seed: int) -> Histories:
    generator = np.random.default_rng(seed)
    age = generator.integers(100, 300, 500).astype(np.float64)
    return Histories(age - generator.integers(0, 3, 500), age - generator.integers(0, 2, 500), age, np.ones(500))


UNIDENTIFIED = {
    "no dropout": lambda: simulate(2_000, BgNbd(1.0, 20.0, 1.0, 1.0), (200, 400), seed=0, dropout=0.0),
    "thirty customers": lambda: simulate(30, BgNbd(0.5, 20.0, 0.8, 2.5), (200, 400), seed=2),
    "near-daily buyers": lambda: near_daily(0),
    "all the same": lambda: histories(*[(3, 90, 100)] * 50),
    "daily without a miss": lambda: histories(*[(100, 100, 100)] * 50),
    "one repeat buyer": lambda: histories(*[(0, 0, 100)] * 99, (1, 10, 100)),
    "a day of history": lambda: histories(*[(1, 1, 1)] * 30),
}


@pytest.mark.parametrize("data", UNIDENTIFIED)
def test_fit_to_data_that_determine_too_little_is_finite_and_says_low_evidence(data: str) -> None:
    model, said = fit_bgnbd(UNIDENTIFIED[data]())
    assert np.isfinite(parameters(model)).all()
    assert (parameters(model) > 0).all()
    assert len(said) == 1
    assert said[0].startswith("low evidence: ")


@pytest.mark.parametrize("data", UNIDENTIFIED)
def test_forecasts_from_data_that_determine_too_little_stay_below_the_fastest_rate_seen(data: str) -> None:
    everyone = UNIDENTIFIED[data]()
    model, _ = fit_bgnbd(everyone)
    fastest = np.max((everyone.frequency + 1) / np.maximum(everyone.T_days, 1.0))
    orders = model.expected_orders(everyone, 365.0)
    assert np.isfinite(orders).all()
    assert np.max(orders) <= 365 * fastest


def test_fit_to_thirty_customers_is_always_finite() -> None:
    for seed in range(12):
        few = simulate(30, BgNbd(0.5, 20.0, 0.8, 2.5), (200, 400), seed)
        assert np.isfinite(parameters(fit_bgnbd(few)[0])).all()


def test_fit_to_well_determined_data_says_nothing(sample: Histories) -> None:
    assert fit_bgnbd(sample)[1] == ()


@pytest.mark.parametrize(
    ("customer", "rule"),
    [
        ((np.nan, np.nan, np.nan), "every history is known"),
        ((-1, 5, 10), "frequency >= 0"),
        ((1, 11, 10), "0 <= recency_days <= T_days"),
        ((1, -1, 10), "0 <= recency_days <= T_days"),
        ((1, 0, 10), "recency_days is 0 exactly at frequency 0"),
        ((0, 5, 10), "recency_days is 0 exactly at frequency 0"),
    ],
)
def test_a_history_that_contradicts_itself_is_refused_with_rule_count_and_example(
    customer: tuple[float, float, float], rule: str
) -> None:
    with pytest.raises(InvalidHistory) as refused:
        fit_bgnbd(histories((2, 5, 10), customer, (0, 0, 3)))
    assert rule in str(refused.value)
    assert "1 row(s)" in str(refused.value)
    assert f"frequency {float(customer[0])}" in str(refused.value)
