from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from models.clv.ahead import Ahead
from models.clv.btyd import ClvBgNbd
from models.clv.histories import Histories
from models.clv.intervals import CHUNK, LEVELS, Bounds, bounds
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.orders.tails import Tail, part, poisson_tail, stretched_tail
from models.clv.spend.base import SpendModel
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.log_normal import LogNormal
from models.clv.spend.shrunken_mean import ShrunkenMean
from models.clv.spend.spread import spend_shapes

Array = npt.NDArray[np.float64]

ORDERS, SPEND = BgNbd(0.9, 22.0, 0.8, 3.2), GammaGamma(6.0, 4.0, 15.0)
HORIZON = 365.0


def histories(*customers: tuple[float, float, float]) -> Histories:
    x, recency, age = np.array(customers, dtype=np.float64).T
    return Histories(x, recency, age, np.ones(len(x)))


def order_tail(model: OrderModel, customers: Histories, horizon_days: float) -> Tail:
    return Ahead.of(model, customers).tail(horizon_days)


def found(customers: Histories, orders: BgNbd = ORDERS, spend: GammaGamma = SPEND, horizon: float = HORIZON) -> Bounds:
    return bounds(
        lambda rows: order_tail(orders, part(customers, rows), horizon),
        spend.p,
        spend.q + spend.p * customers.frequency,
    )


class Drawn(NamedTuple):
    customers: Histories
    orders: Array
    value: Array
    order_value: Array
    active: Array


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Customers drawn from the model: what they did until today, and what they will do."""
    generator = np.random.default_rng(4)
    count = 20_000
    age = generator.integers(30, 730, count).astype(np.float64)
    rate, dropout = generator.gamma(ORDERS.r, 1 / ORDERS.alpha, count), generator.beta(ORDERS.a, ORDERS.b, count)
    scale = generator.gamma(SPEND.q, 1 / SPEND.v, count)
    x, recency, later, clock = (np.zeros(count) for _ in range(4))
    active, still = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    while active.any():
        clock = clock + generator.exponential(1 / rate)
        active &= clock <= age + HORIZON
        past = active & (clock <= age)
        x, recency, later = x + past, np.where(past, clock, recency), later + (active & ~past)
        stays = generator.random(count) >= dropout
        still = np.where(past, stays, still)
        active &= stays
    before, after = (np.where(n > 0, generator.gamma(np.maximum(SPEND.p * n, 1.0)) / scale, 0.0) for n in (x, later))
    expected = SPEND.expected_order_value(x, before / np.maximum(x, 1.0))
    return Drawn(Histories(x, recency, age, np.ones(count)), later, after, expected, still)


@pytest.mark.parametrize("level", [50, 90])
def test_value_intervals_cover_what_customers_drawn_from_the_model_go_on_to_spend(drawn: Drawn, level: int) -> None:
    # The standard error of a share of 20,000 customers is below 0.004; those who spend nothing take a random place.
    within = found(drawn.customers)
    low, high = (drawn.order_value * within.value[f"{side}_{level}"] for side in ("low", "high"))
    silent = ORDERS.probability_no_order(drawn.customers, HORIZON) * np.random.default_rng(0).random(len(low))
    inside = np.where(
        drawn.value == 0, np.abs(silent - 0.5) <= level / 200, (drawn.value > low) & (drawn.value <= high)
    )
    assert inside.mean() == pytest.approx(level / 100, abs=0.015)


@pytest.mark.parametrize("level", [50, 90])
def test_order_intervals_cover_what_customers_drawn_from_the_model_go_on_to_order(drawn: Drawn, level: int) -> None:
    # Counts between the bounds are all inside; a count at a bound is inside for its share of the nominal coverage.
    tail = order_tail(ORDERS, drawn.customers, HORIZON)
    rows = np.arange(len(drawn.orders))
    at_least, more = np.ones(len(rows)), np.zeros(len(rows))
    for k in range(int(drawn.orders.max()) + 2):
        reached = tail(rows, k) if k else np.ones(len(rows))
        at_least = np.where(drawn.orders == k, reached, at_least)
        more = np.where(drawn.orders + 1 == k, reached, more)
    place = 1 - at_least + np.random.default_rng(0).random(len(rows)) * (at_least - more)
    assert np.mean(np.abs(place - 0.5) <= level / 200) == pytest.approx(level / 100, abs=0.015)
    within = found(drawn.customers)
    inside = (drawn.orders >= within.orders[f"low_{level}"]) & (drawn.orders <= within.orders[f"high_{level}"])
    assert inside.mean() >= level / 100 - 0.015  # whole numbers cannot cover less


def test_standard_deviation_is_that_of_what_customers_go_on_to_spend(drawn: Drawn) -> None:
    deviation = drawn.order_value * found(drawn.customers).deviation
    errors = drawn.value - ORDERS.expected_orders(drawn.customers, HORIZON) * drawn.order_value
    assert np.sqrt(np.mean(deviation**2)) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.1)


@pytest.mark.parametrize("level", [50, 90])
def test_intervals_less_a_cost_cover_what_customers_drawn_from_the_model_go_on_to_bring(
    drawn: Drawn, level: int
) -> None:
    # Who is active costs 20, who is gone nothing: many lie at a bound, and count for their share of what is nominal.
    active, cost = ORDERS.probability_active(drawn.customers), 20.0
    within = Ahead.of(ORDERS, drawn.customers).bounds(SPEND, HORIZON, with_cost=True)
    bound = within.less_cost(drawn.order_value, cost)
    brought = np.where(drawn.active, drawn.value - cost, 0.0)
    low, high = bound[f"low_{level}"], bound[f"high_{level}"]
    assert ((brought >= low) & (brought <= high)).mean() >= level / 100 - 0.015
    assert ((brought > low) & (brought < high)).mean() <= level / 100 + 0.015
    undecided = (active > 0.05) & (active < 0.95)
    assert ((brought >= low) & (brought <= high))[undecided].mean() >= level / 100 - 0.03
    assert (low >= -cost).all()
    assert (low <= high).all()
    plain = Ahead.of(ORDERS, drawn.customers).bounds(SPEND, HORIZON).less_cost(drawn.order_value, 0.0)
    assert (plain["high_90"] >= bound["high_90"]).all()


def test_who_is_likely_gone_costs_nothing_at_the_median_and_who_is_silent_all_of_it() -> None:
    customers = histories((9, 90, 700), (9, 700, 700), (0, 0, 10))
    active = ORDERS.probability_active(customers)
    assert active[0] < 1e-3
    assert active[1] > 0.9
    bound = Ahead.of(ORDERS, customers).bounds(SPEND, 1.0, with_cost=True).less_cost(np.ones(3), 5.0)
    assert [bound[name][0] for name in LEVELS] == [0, 0, 0, 0]
    assert bound["low_50"][1] == -5
    assert bound["low_90"][1] == -5


def test_without_dropout_the_number_of_orders_is_negative_binomial() -> None:
    customer = histories((3, 80, 100))
    loyal = BgNbd(0.9, 22.0, 1e-9, 1e3)
    bound = found(customer, loyal).orders
    expected = nbinom(3.9, 122 / (122 + HORIZON)).ppf(list(LEVELS.values()))
    assert [bound[name][0] for name in LEVELS] == expected.tolist()


def test_certain_dropout_leaves_at_most_one_order() -> None:
    # One-time buyers are active for certain: one order or none, and then they are gone.
    leaving = BgNbd(5.0, 10.0, 1e6, 1e-3)
    bound = found(histories((0, 0, 50)), leaving).orders
    assert [bound[name][0] for name in ("low_90", "high_90")] == [1, 1]


def test_probability_of_any_order_is_the_models_own() -> None:
    customers = histories((0, 0, 100), (3, 60, 300), (9, 200, 210))
    at_least_one = order_tail(ORDERS, customers, 90.0)(np.arange(3), 1)
    np.testing.assert_allclose(1 - at_least_one, ORDERS.probability_no_order(customers, 90.0), rtol=1e-12)


def test_tail_adds_up_to_the_expected_orders_of_fader_hardie_lee_2005() -> None:
    customers = histories((0, 0, 100), (3, 60, 300), (9, 200, 210))
    tail = order_tail(ORDERS, customers, 90.0)
    total = sum(tail(np.arange(3), k) for k in range(1, 400))
    np.testing.assert_allclose(total, ORDERS.expected_orders(customers, 90.0), rtol=1e-9)


@pytest.mark.parametrize(
    "model",
    [MbgNbd(0.9, 22.0, 0.8, 3.2), ParetoNbd(0.9, 22.0, 0.6, 90.0), ConstantRate(0.9, 22.0)],
    ids=lambda m: m.kind,
)
def test_tail_of_every_orders_model_adds_up_to_its_expected_orders(model: OrderModel) -> None:
    customers = histories((0, 0, 100), (3, 60, 300), (9, 200, 210))
    rows, tail = np.arange(3), order_tail(model, customers, 90.0)
    np.testing.assert_allclose(1 - tail(rows, 1), model.probability_no_order(customers, 90.0), atol=1e-6)
    total = sum(tail(rows, k) for k in range(1, 400))
    np.testing.assert_allclose(total, model.expected_orders(customers, 90.0), rtol=1e-5)


@pytest.mark.parametrize("model", [MbgNbd(0.9, 22.0, 0.8, 3.2), ParetoNbd(0.9, 22.0, 0.6, 90.0)], ids=lambda m: m.kind)
def test_tail_of_every_orders_model_is_that_of_its_draws(model: OrderModel) -> None:
    # The standard error of a share of 20,000 draws is below 0.0036.
    customer = histories(*[(9, 200, 210)] * 20_000)
    draws = model.draw_orders(customer, 90.0, np.random.default_rng(0))
    tail = order_tail(model, part(customer, slice(0, 1)), 90.0)
    for k in (1, 2, 4, 8):
        assert tail(np.arange(1), k)[0] == pytest.approx((draws >= k).mean(), abs=0.015)


@pytest.mark.parametrize(
    "spend",
    [GammaGamma(6.0, 40.0, 15.0), LogNormal(30.0, 0.5, 0.4), ShrunkenMean(30.0, 2.0, 10.0)],
    ids=lambda m: m.kind,
)
def test_spread_of_every_spend_model_falls_with_evidence(spend: SpendModel) -> None:
    order, own = spend_shapes(spend, np.array([0.0, 1.0, 10.0]))
    assert 0 < order < np.inf
    assert (np.diff(own) > 0).all()
    assert own[0] > 1


def test_shrunken_mean_without_any_spend_has_no_spread() -> None:
    order, own = spend_shapes(ShrunkenMean(0.0, 1.0, 0.0), np.zeros(1))
    assert np.isfinite([order, own[0]]).all()


def test_forecast_of_a_model_over_another_horizon_is_given_the_intervals_of_that_horizon() -> None:
    customers = histories((0, 0, 100), (3, 60, 120), (9, 200, 210), (30, 360, 365))
    expected, none = ORDERS.expected_orders(customers, 200), ORDERS.probability_no_order(customers, 200)
    rows, tail = np.arange(4), stretched_tail(ORDERS, customers, 150, expected, none)
    truth = order_tail(ORDERS, customers, 200)
    np.testing.assert_allclose(tail(rows, 1), 1 - none, rtol=1e-9)
    for k in (2, 4, 8, 16):
        np.testing.assert_allclose(tail(rows, k), truth(rows, k), atol=0.02)


def test_higher_forecast_has_higher_bounds() -> None:
    customers = histories((9, 200, 210))
    expected, none = ORDERS.expected_orders(customers, 200), ORDERS.probability_no_order(customers, 200)

    def forecast(orders: Array) -> Bounds:
        return bounds(lambda _: stretched_tail(ORDERS, customers, 200, orders, none), 6.0, np.array([58.0]))

    high, low = forecast(1.5 * expected), forecast(expected)
    assert high.orders["high_90"][0] > low.orders["high_90"][0]
    assert high.value["high_50"][0] > low.value["high_50"][0]


def test_orders_of_known_rate_and_value_have_poisson_bounds_in_whole_order_values() -> None:
    known = bounds(lambda rows: poisson_tail(np.full(2, 4.0)[rows]), np.inf, np.full(2, np.inf))
    assert [known.orders[name][0] for name in LEVELS] == [1, 3, 5, 8]  # from a table of Poisson(4)
    assert [known.value[name][0] for name in LEVELS] == pytest.approx(
        [1, 3, 5, 8], abs=0.6
    )  # the nodes lie between 7 and 8
    assert known.deviation[0] == pytest.approx(2.0, rel=0.02)


def test_nothing_is_expected_of_who_is_gone() -> None:
    nothing = bounds(lambda rows: poisson_tail(np.zeros(1)[rows]), 6.0, np.array([4.0]))
    assert all(bound[0] == 0 for bound in [*nothing.orders.values(), *nothing.value.values(), nothing.deviation])


def test_less_evidence_makes_intervals_of_the_same_mean_wider() -> None:
    # The same rate (an order in 20 days) known from one order and from thirty, no dropout to speak of.
    little, much = histories((1, 19, 20)), histories((30, 599, 600))
    loyal = BgNbd(0.05, 1.0, 1e-6, 10.0)
    assert loyal.expected_orders(little, 60)[0] == pytest.approx(loyal.expected_orders(much, 60)[0], rel=0.02)
    spread = [
        within.value["high_90"][0] - within.value["low_90"][0]
        for within in (found(customer, loyal, horizon=60) for customer in (little, much))
    ]
    assert spread[0] > 1.5 * spread[1]


def test_rows_of_several_chunks_are_answered_as_alone() -> None:
    generator = np.random.default_rng(0)
    count = CHUNK + 50
    x = generator.poisson(2.0, count).astype(np.float64)
    age = generator.integers(10, 700, count).astype(np.float64)
    customers = Histories(x, np.where(x > 0, np.ceil(age * 0.7), 0.0), age, np.ones(count))
    together = found(customers)
    for row in (0, CHUNK - 1, CHUNK, count - 1):
        alone = found(part(customers, slice(row, row + 1)))
        for name in LEVELS:
            assert alone.orders[name][0] == together.orders[name][row]
            assert alone.value[name][0] == together.value[name][row]
        assert alone.deviation[0] == together.deviation[row]


@st.composite
def any_history(draw: Callable[..., int]) -> tuple[float, float, float]:
    age = draw(st.integers(0, 3_000))
    x = draw(st.integers(0, age))
    return float(x), float(draw(st.integers(x, age)) if x else 0), float(age)


@settings(max_examples=50, deadline=None)
@given(
    customer=any_history(),
    logs=st.tuples(*[st.floats(-9, 9)] * 4),
    spend=st.tuples(st.floats(-4, 6), st.floats(1.5, 400)),
    horizon=st.floats(1, 3_650),
)
def test_bounds_are_finite_ordered_and_not_negative(
    customer: tuple[float, float, float],
    logs: tuple[float, float, float, float],
    spend: tuple[float, float],
    horizon: float,
) -> None:
    r, alpha, a, b = map(float, np.exp(logs))
    within = found(
        histories(customer), BgNbd(r, alpha, a, b), GammaGamma(float(np.exp(spend[0])), spend[1], 1), horizon
    )
    for kind in (within.orders, within.value):
        values = [float(kind[name][0]) for name in LEVELS]  # low_90, low_50, high_50, high_90
        assert np.isfinite(values).all()
        assert values[0] >= 0
        assert values == sorted(values)
    assert np.isfinite(within.deviation[0])
    assert within.deviation[0] >= 0


def test_orders_by_the_million_are_bounded_without_counting_each() -> None:
    # 1e8 orders expected, known to within 1 / sqrt(8103): a normal distribution of 1.1 % deviation.
    hectic = BgNbd(8_103.0, 1e-3, 1e-12, 8_103.0)
    bound = found(histories((0, 0, 0)), hectic, horizon=12.34).orders
    assert bound["low_90"][0] == pytest.approx(1e8 * (1 - 1.645 / 90), rel=0.02)
    assert bound["high_90"][0] == pytest.approx(1e8 * (1 + 1.645 / 90), rel=0.02)


def test_value_intervals_scale_with_margin_and_currency(cdnow_sample_rows: pd.DataFrame) -> None:
    rows = cdnow_sample_rows.iloc[:500].reset_index(drop=True)
    one = ClvBgNbd(horizon_days=90).fit(rows).score(rows)
    cents = rows.assign(monetary_value=rows["monetary_value"] * 100)
    hundred = ClvBgNbd(horizon_days=90, margin_rate=0.5).fit(cents).score(cents)
    for name in LEVELS:
        np.testing.assert_allclose(hundred[f"clv_{name}"], 50 * one[f"clv_{name}"], rtol=1e-3, atol=1e-9)
        np.testing.assert_allclose(hundred[f"expected_orders_{name}"], one[f"expected_orders_{name}"])
