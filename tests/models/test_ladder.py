"""The failure gallery: data on which lifetime value models stumble, each of which must end in a sensible forecast."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from models.clv.btyd import ClvBgNbd, ClvMbgNbd, ClvParetoNbd
from models.clv.curvature import WIDEST, maximise
from models.clv.histories import Histories
from models.clv.kinds import SPEND, keep_orders, keep_spend, read_orders, read_spend
from models.clv.ladder import fit_orders, fit_spend
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.log_normal import LogNormal
from models.clv.spend.shrunken_mean import ShrunkenMean

Array = npt.NDArray[np.float64]
Frame = Callable[[], pd.DataFrame]
FAMILIES = pytest.mark.parametrize("family", [ClvBgNbd, ClvMbgNbd, ClvParetoNbd])


def shop(
    customers: int,
    seed: int = 0,
    truth: BgNbd = BgNbd(0.5, 20.0, 0.8, 2.5),  # noqa: B008 - frozen
    *,
    leaving: bool = True,
    values: Callable[[np.random.Generator, Array], Array] | None = None,
) -> pd.DataFrame:
    """The four columns, in whole days, by the story of BG/NBD and Gamma-Gamma."""
    generator = np.random.default_rng(seed)
    rate = np.maximum(generator.gamma(truth.r, 1 / truth.alpha, customers), 1e-300)
    leaves = generator.beta(truth.a, truth.b, customers) * leaving
    age = np.floor(generator.uniform(100, 400, customers))
    time, x, recency = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    active = np.ones(customers, dtype=bool)
    while active.any():
        time += generator.exponential(1.0, customers) / rate
        active &= time <= age
        x[active] += 1
        recency[active] = np.ceil(time[active])
        active &= generator.random(customers) >= leaves
    often = np.maximum(x, 1)
    spend = values or (lambda g, n: g.gamma(6.0 * n) / g.gamma(4.0, 1 / 15, len(n)) / n)
    value = np.where(x > 0, spend(generator, often), np.nan)
    columns = {"frequency": x, "recency_days": np.minimum(recency, age), "T_days": age, "monetary_value": value}
    return pd.DataFrame(columns)


def once(ages: Array) -> pd.DataFrame:
    return pd.DataFrame({"frequency": 0.0, "recency_days": 0.0, "T_days": ages, "monetary_value": np.nan})


def near_daily() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    age = generator.integers(100, 300, 200).astype(np.float64)
    x, recency = age - generator.integers(0, 3, 200), age - generator.integers(0, 2, 200)
    return pd.DataFrame({"frequency": x, "recency_days": recency, "T_days": age, "monetary_value": 20.0 + x % 7})


def with_a_huge_buyer() -> pd.DataFrame:
    rows = shop(500)
    rows.loc[0] = [300.0, 399.0, 400.0, 1e7]
    return rows


GALLERY: dict[str, Frame] = {
    "30 customers": lambda: shop(30, seed=2),
    "100 customers": lambda: shop(100, seed=1),
    "all one-time buyers": lambda: once(np.arange(300.0)),
    "daily buyers": near_daily,
    "no dropout": lambda: shop(600, truth=BgNbd(1.0, 20.0, 1.0, 1.0), leaving=False),
    "constant spend": lambda: shop(1_000, values=lambda _, n: np.full(len(n), 25.0)),
    "log-normal tail": lambda: shop(1_000, values=lambda g, n: np.exp(g.normal(3.0, 2.5, len(n)))),
    "q below 1": lambda: shop(3_000, values=lambda g, n: g.gamma(4.0 * n) / g.gamma(0.6, 1 / 15, len(n)) / n),
    "nobody older than today": lambda: once(np.zeros(50)),
    "one huge buyer": with_a_huge_buyer,
    "one repeat buyer": lambda: pd.concat([shop(1, seed=2), once(np.arange(60.0))], ignore_index=True),
    "one customer": lambda: pd.DataFrame(
        {"frequency": [3.0], "recency_days": 50.0, "T_days": 60.0, "monetary_value": 10.0}
    ),
    "all the same": lambda: pd.concat([shop(1, seed=2)] * 80, ignore_index=True),
}
FAINT = pytest.mark.parametrize("data", GALLERY)


@cache
def fitted(family: type[ClvBgNbd], data: str) -> tuple[ClvBgNbd, pd.DataFrame]:
    rows = GALLERY[data]()
    return family(horizon_days=365.0).fit(rows), rows


@FAINT
@FAMILIES
def test_gallery_ends_in_a_finite_flagged_forecast_never_below_zero(family: type[ClvBgNbd], data: str) -> None:
    model, rows = fitted(family, data)
    scores = model.score(rows).select_dtypes("number")
    steps = scores.columns.str.contains("_from_")  # money against an average customer, of either sign
    assert np.isfinite(scores.to_numpy()).all()
    assert (scores.loc[:, ~steps] >= 0).all(axis=None)
    assert any(said.startswith("low evidence: ") for said in model.warnings_)
    assert np.isfinite(model.explain(rows).to_numpy()).all()


@FAINT
@FAMILIES
def test_gallery_forecasts_stay_below_the_fastest_rate_and_the_highest_value_seen(
    family: type[ClvBgNbd], data: str
) -> None:
    model, rows = fitted(family, data)
    scores = model.score(rows)
    fastest = ((rows["frequency"] + 1) / rows["T_days"].clip(lower=1.0)).max()
    assert scores["expected_orders"].max() <= 365 * fastest
    assert scores["expected_order_value"].max() <= max(rows["monetary_value"].max() * 1.5, 0.0) or (
        rows["monetary_value"].isna().all()
    )


@FAINT
@FAMILIES
def test_a_model_of_the_gallery_made_again_from_its_state_scores_the_same(family: type[ClvBgNbd], data: str) -> None:
    model, rows = fitted(family, data)
    again = family.from_state(model.state())
    assert again.score(rows).equals(model.score(rows))
    assert again.warnings_ == model.warnings_


@FAMILIES
def test_dropout_certain_for_a_equal_to_1_is_no_trouble(family: type[ClvBgNbd]) -> None:
    rows = shop(3_000, truth=BgNbd(0.5, 20.0, 1.0, 2.0))
    scores = family().fit(rows).score(rows).select_dtypes("number")
    assert np.isfinite(scores.to_numpy()).all()


def histories(rows: pd.DataFrame) -> Histories:
    return Histories.of(rows)


def test_without_a_repeat_buyer_the_ladder_ends_at_the_constant_rate_at_once() -> None:
    model, said = fit_orders(BgNbd, histories(once(np.array([100.0, 335.0]))))
    assert model == ConstantRate(r=0.5, alpha=800.0)
    assert len(said) == 1
    assert "no repeat buyer among 2 customers" in said[0]


def test_the_first_step_is_a_weak_penalty_and_names_it() -> None:
    model, said = fit_orders(BgNbd, histories(GALLERY["no dropout"]()))
    assert isinstance(model, BgNbd)
    assert len(said) == 1
    assert "BG/NBD is fitted with a weak penalty (0.001) instead" in said[0]


def test_the_last_step_is_the_constant_rate_and_every_step_before_it_is_named() -> None:
    # With one repeat buyer one half has none, so nothing can be held out.
    model, said = fit_orders(BgNbd, histories(GALLERY["one repeat buyer"]()))
    assert isinstance(model, ConstantRate)
    assert [words.split(" ")[2] for words in said[:2]] == ["BG/NBD", "MBG/NBD"]
    assert "constant rate" in said[2]


def test_a_penalty_wished_for_is_used_without_a_ladder() -> None:
    few = histories(shop(30, seed=2))
    model, said = fit_orders(BgNbd, few, penalty=0.5)
    assert said == ()
    assert model == BgNbd.estimate(few, 0.5)[0]


def test_the_ladder_does_not_depend_on_the_order_of_customers() -> None:
    rows = shop(30, seed=2)
    there, back = (fit_orders(BgNbd, histories(frame)) for frame in (rows, rows.iloc[::-1]))
    assert there == back


def test_the_constant_rate_shrinks_each_rate_towards_everyones() -> None:
    # (r + x) / (alpha + T) * h; nobody leaves.
    model = ConstantRate(r=1.0, alpha=50.0)
    two = Histories(np.array([0.0, 9.0]), np.array([0.0, 90.0]), np.array([50.0, 150.0]), np.ones(2))
    assert model.expected_orders(two, 10.0).tolist() == pytest.approx([0.1, 0.5])
    assert model.probability_active(two).tolist() == [1.0, 1.0]
    assert model.probability_no_order(two, 10.0)[0] == pytest.approx(100 / 110)
    assert model.probability_no_order(two, 10.0)[1] == pytest.approx((200 / 210) ** 10)


def test_constant_rate_draws_average_to_the_expected_orders() -> None:
    # 100,000 draws, five standard errors: a false alarm in 6 of 10 million.
    many = Histories(np.full(100_000, 2.0), np.full(100_000, 90.0), np.full(100_000, 150.0), np.ones(100_000))
    model = ConstantRate(r=1.0, alpha=50.0)
    draws = model.draw_orders(many, 100.0, np.random.default_rng(0))
    assert abs(draws.mean() - 1.5) < 5 * draws.std() / np.sqrt(len(draws))


def test_the_constant_rate_recovers_rates_of_customers_who_never_leave() -> None:
    # Standard errors at this size are below 3 %; four and a half of them are allowed.
    model, determined = ConstantRate.estimate(histories(shop(4_000, truth=BgNbd(1.0, 20.0, 1.0, 1.0), leaving=False)))
    assert determined
    assert [model.r, model.alpha] == pytest.approx([1.0, 20.0], rel=0.13)


def test_spend_that_gamma_gamma_describes_stays_with_gamma_gamma() -> None:
    rows = shop(2_000)
    model, said = fit_spend(rows["frequency"].to_numpy(), rows["monetary_value"].to_numpy())
    assert isinstance(model, GammaGamma)
    assert said == ()


def test_log_normal_spend_with_a_heavy_tail_is_described_by_a_log_normal() -> None:
    rows = GALLERY["log-normal tail"]()
    model, said = fit_spend(rows["frequency"].to_numpy(), rows["monetary_value"].to_numpy())
    assert isinstance(model, LogNormal)
    assert model.median == pytest.approx(np.exp(3.0), rel=0.4)
    assert "log-normal distribution describes it better" in said[0]


@pytest.mark.parametrize("data", ["100 customers", "log-normal tail", "constant spend", "q below 1"])
def test_another_currency_changes_nothing_but_the_unit(data: str) -> None:
    rows = GALLERY[data]()
    x, z = rows["frequency"].to_numpy(), rows["monetary_value"].to_numpy()
    (model, said), (scaled, said_too) = fit_spend(x, z), fit_spend(x, 110 * z)
    assert said_too == said
    np.testing.assert_allclose(
        scaled.expected_order_value(x, 110 * z) / 110, model.expected_order_value(x, z), rtol=1e-4
    )


def test_another_unit_of_time_changes_nothing_but_the_unit() -> None:
    few = histories(shop(30, seed=2))
    hours = Histories(few.frequency, few.recency_days * 24, few.T_days * 24, few.weight)
    (model, said), (scaled, said_too) = fit_orders(BgNbd, few), fit_orders(BgNbd, hours)
    assert said_too == said
    np.testing.assert_allclose(scaled.expected_orders(hours, 90.0 * 24), model.expected_orders(few, 90.0), rtol=1e-4)


def test_log_normal_expectation_of_a_new_customer_is_the_mean_of_the_population() -> None:
    model = LogNormal(median=20.0, tau=0.5, sigma=1.0)
    new, known = model.expected_order_value(np.array([0.0, 4.0]), np.array([np.nan, 40.0]))
    assert new == pytest.approx(20 * np.exp(0.125))
    # Half the weight is the customer's own: 4 orders of variance 1 against a variance of 1/4.
    assert known == pytest.approx(20 * np.exp(np.log(2) / 2 + 0.25 / 4))


def test_gradient_of_the_log_normal_likelihood_leads_to_its_maximum() -> None:
    generator = np.random.default_rng(3)
    x = generator.integers(1, 9, 5_000).astype(np.float64)
    z = np.exp(generator.normal(2.0, np.sqrt(0.8**2 + 0.6**2 / x)))
    model = LogNormal.estimate(x, z)
    assert list(model.parameters.values()) == pytest.approx([np.exp(2.0), 0.8, 0.6], rel=0.12)
    best = model.log_likelihood(x, z)
    for changed in (LogNormal(model.median * 1.05, model.tau, model.sigma), LogNormal(model.median, 0.9, model.sigma)):
        assert changed.log_likelihood(x, z) < best


def test_shrunken_mean_weighs_own_and_everyones_mean_by_orders() -> None:
    model = ShrunkenMean(mean=30.0, orders=2.0, deviation=5.0)
    values = model.expected_order_value(np.array([0.0, 2.0, 18.0]), np.array([np.nan, 10.0, 10.0]))
    assert values.tolist() == pytest.approx([30.0, 20.0, 12.0])


def test_shrunken_mean_recovers_how_far_customers_differ() -> None:
    # Variance 4 between customers, 16 within: an own order weighs as much as 4 of everyone's.
    generator = np.random.default_rng(0)
    x = generator.integers(1, 12, 40_000).astype(np.float64)
    z = generator.normal(30.0, np.sqrt(4 + 16 / x))
    model = ShrunkenMean.estimate(x, z)
    assert model.mean == pytest.approx(30.0, rel=0.01)
    assert model.orders == pytest.approx(4.0, rel=0.1)


def test_orders_of_those_who_came_once_do_not_say_what_those_of_regulars_are_worth() -> None:
    generator = np.random.default_rng(0)
    x = np.repeat([1.0, 20.0], [3_000, 500])
    z = np.where(x > 1, generator.normal(15.0, 1.0, len(x)), generator.gamma(0.5, 60.0, len(x)))
    model = ShrunkenMean.estimate(x, z)
    an_order, a_customer = float(np.average(z, weights=x)), float(z.mean())
    assert an_order == pytest.approx(18.5, abs=0.5)
    assert a_customer == pytest.approx(28.0, abs=1.0)
    assert model.mean == pytest.approx(an_order, rel=0.05)
    expected = model.expected_order_value(x, z)
    assert float(np.average(expected, weights=x)) == pytest.approx(an_order, rel=0.05)


@pytest.mark.parametrize("spend", [GammaGamma(6.0, 4.0, 15.0), LogNormal(20.0, 0.5, 1.0), ShrunkenMean(30.0, 2.0, 5.0)])
def test_spend_models_survive_being_kept(spend: GammaGamma | LogNormal | ShrunkenMean) -> None:
    assert SPEND[spend.kind] is type(spend)
    assert read_spend(keep_spend(spend)) == spend


def test_orders_models_survive_being_kept_with_their_covariance() -> None:
    for kind in (BgNbd, MbgNbd, ParetoNbd, ConstantRate):
        model, _ = kind.estimate(histories(shop(300)))
        again = read_orders(keep_orders(model))
        assert again == model
        assert model.log_covariance is not None
        assert again.log_covariance is not None
        assert np.array_equal(again.log_covariance, model.log_covariance)


def test_a_likelihood_that_is_flat_in_one_direction_is_not_determined() -> None:
    def only_the_sum(logs: Array) -> tuple[float, Array]:
        off = logs.sum() - 1.0
        return float(-(off**2)), np.full(2, -2 * off)

    found = maximise(only_the_sum, (1.0, 1.0), customers=1_000)
    assert not found.determined
    assert found.covariance is not None
    assert np.linalg.eigvalsh(found.covariance)[-1] == pytest.approx(WIDEST**2)


def test_covariance_of_a_normal_likelihood_is_its_own() -> None:
    precision = np.array([[4.0, 1.0], [1.0, 3.0]])
    found = maximise(lambda logs: (float(-logs @ precision @ logs / 2), -precision @ logs), (2.0, 0.5), customers=50)
    assert found.determined
    assert found.covariance is not None
    np.testing.assert_allclose(found.covariance, np.linalg.inv(precision) / 50, rtol=1e-6)
