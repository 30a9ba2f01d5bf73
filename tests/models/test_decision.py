"""Profit, thresholds, EMPC, sample sizes and allocations, held to published values and to brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from models.base import Array
from models.decision.allocate import NOBODY, SMALL, allocate
from models.decision.empc import expected_maximum_profit
from models.decision.offer import Amount, Effect, Offer, Rate
from models.decision.power import control_size, detectable_effect, power
from models.decision.profit import profit_curve
from models.errors import OneClassOnly, ParameterOutOfRange

TEN_CHURNED = np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 0.0])
TEN_SCORES = np.array(
    [0.6125478, 0.3642710, 0.4321361, 0.1402911, 0.3848959, 0.2444155, 0.9706413, 0.8901728, 0.7817814, 0.8687518]
)
OFFER, RATE = Offer(Amount(1.0), Amount(10.0)), Rate(0.3, 20.0)

few = settings(max_examples=30, deadline=None)
probabilities = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=40).map(np.array)


def brute_force(
    churned: Array, score: Array, success: Rate, value: float, offer_cost: float, contact_cost: float
) -> float:
    """EMPC by numerical integration of the best profit over every threshold, without any hull."""
    thresholds = np.append(np.inf, np.unique(score))

    def best(rate: float) -> float:
        gains = churned * (rate * (value - offer_cost) - contact_cost) - (1 - churned) * (offer_cost + contact_cost)
        most = max(float(gains[score >= threshold].sum()) for threshold in thresholds)
        return most / len(score) * float(beta.pdf(rate, success.alpha, success.beta))

    return float(quad(best, 0, 1, limit=500, points=np.linspace(0.02, 0.98, 49))[0])


# Published in the tests of proflogit (Stripling et al., 2018) and the documentation of empulse.
@pytest.mark.parametrize(
    ("churned", "score", "expected"),
    [
        (TEN_CHURNED, TEN_SCORES, 30.3003222629848),
        (TEN_CHURNED, np.append(0.287577520124614, TEN_SCORES[1:]), 30.3001182343737),
        (np.array([0.0, 1.0]), np.array([0.0, 1.0]), 28.0000000000391),
        (np.array([0.0, 1.0]), np.array([1.0, 0.0]), 22.5007912244511),
        (np.array([1.0, 0.0]), np.array([0.5, 0.5]), 22.5007912244511),
        (
            np.array([0.0, 1, 0, 1, 0, 1, 0, 1]),
            np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]),
            23.875593418348124,
        ),
    ],
)
def test_expected_maximum_profit_is_as_published(churned: Array, score: Array, expected: float) -> None:
    assert expected_maximum_profit(churned, score).profit == pytest.approx(expected, abs=1e-10)


def test_share_to_contact_is_as_published() -> None:
    churned, score = np.array([0.0, 1, 0, 1, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9])
    assert expected_maximum_profit(churned, score).share == pytest.approx(0.8743700763487141, abs=1e-10)


@pytest.mark.parametrize(
    ("success", "value", "offer_cost", "contact_cost"),
    [(Rate(2 / 16, 16.0), 200.0, 10.0, 1.0), (Rate(10 / 17, 17.0), 300.0, 50.0, 25.0), (Rate(0.3, 20.0), 50, 10, 1)],
)
def test_expected_maximum_profit_is_the_integral_over_the_success_rate(
    success: Rate, value: float, offer_cost: float, contact_cost: float
) -> None:
    generator = np.random.default_rng(3)
    churned = (generator.random(60) < 0.3).astype(np.float64)
    score = np.round(0.3 * churned + generator.random(60), 1)
    expected = brute_force(churned, score, success, value, offer_cost, contact_cost)
    found = expected_maximum_profit(
        churned, score, success=success, value=value, offer_cost=offer_cost, contact_cost=contact_cost
    )
    assert found.profit == pytest.approx(expected, rel=1e-6)


@few
@given(probabilities, st.integers(0, 2**32 - 1))
def test_expected_maximum_profit_is_no_loss_and_asks_for_order_only(score: Array, seed: int) -> None:
    churned = np.random.default_rng(seed).permutation(np.arange(len(score)) % 2).astype(np.float64)
    found = expected_maximum_profit(churned, score)
    assert found.profit >= 0
    assert 0 <= found.share <= 1
    levels = np.unique(score)
    ranks = np.searchsorted(levels, score).astype(np.float64)
    assert expected_maximum_profit(churned, ranks) == found
    perfect = expected_maximum_profit(churned, churned).profit
    assert found.profit <= perfect + 1e-9


def test_expected_maximum_profit_of_one_class_is_refused() -> None:
    with pytest.raises(OneClassOnly):
        expected_maximum_profit(np.ones(4), np.arange(4.0))


def test_an_offer_worth_more_than_the_customer_is_refused() -> None:
    with pytest.raises(ParameterOutOfRange, match="offer_cost is 200"):
        expected_maximum_profit(np.array([0.0, 1.0]), np.array([0.0, 1.0]), offer_cost=200.0)


def test_profit_of_a_contact_by_hand() -> None:
    # who would leave: 0.3 * (200 - 10) - 1 = 56; who would stay: -11
    probability = np.array([1.0, 0.0, 0.5])
    effect = Effect.of_rate(RATE, probability)
    assert OFFER.profit(probability, np.full(3, 200.0), effect) == pytest.approx([56.0, -11.0, 22.5])


def test_break_even_is_where_the_expected_profit_is_nothing() -> None:
    value = np.array([200.0, 1000.0, 13.0])
    least = OFFER.break_even(value, RATE)
    assert least[:2] == pytest.approx([11 / 67, 11 / 307])
    assert OFFER.profit(least[:2], value[:2], Effect.of_rate(RATE, least[:2])) == pytest.approx([0, 0], abs=1e-12)
    assert math.isinf(least[2])  # 0.3 * 3 - 1 is a loss even on those who leave for certain


@few
@given(st.floats(0.01, 0.99), st.floats(0, 1000), st.floats(0, 50), st.floats(0, 50))
def test_a_contact_pays_exactly_above_its_break_even(
    rate: float, value: float, offer_cost: float, contact_cost: float
) -> None:
    offer, success = Offer(Amount(contact_cost), Amount(offer_cost)), Rate(rate, 10)
    least = float(offer.break_even(np.array([value]), success)[0])
    grid = np.linspace(0, 1, 21)
    profit = offer.profit(grid, np.full(21, value), Effect.of_rate(success, grid))
    assert (profit[grid > least + 1e-9] > 0).all()
    assert (profit[grid < least - 1e-9] < 1e-9).all()


def test_variances_of_a_total_are_those_of_a_simulation() -> None:
    offer = Offer(Amount(1.0, 0.2), Amount(10.0, 2.0))
    probability, value, deviation = np.array([0.5, 0.9, 0.2]), np.array([200.0, 100.0, 300.0]), np.array([50.0, 20, 60])
    generator, draws = np.random.default_rng(0), 400_000
    effect = Effect.of_rate(RATE, probability)
    g = generator.beta(RATE.alpha, RATE.beta, (draws, 1))
    d, f = 10 + 2 * generator.standard_normal((draws, 1)), 1 + 0.2 * generator.standard_normal((draws, 1))
    level = 1 + 0.1 * generator.standard_normal((draws, 1))
    expected = (probability * (g * (value * level - d) - f) - (1 - probability) * (d + f)).sum(axis=1)
    found = offer.level_variance(probability, value, effect, 0.1)
    assert found[-1] == pytest.approx(expected.var(), rel=0.02)  # its own error: 0.3 %
    leaves, kept = generator.random((draws, 3)) < probability, generator.random((draws, 3)) < 0.3
    worth = value + deviation * generator.standard_normal((draws, 3))
    drawn = np.where(leaves, np.where(kept, worth - 10, 0) - 1, -11.0)
    assert offer.chance_variance(probability, value, deviation, effect) == pytest.approx(drawn.var(axis=0), rel=0.02)
    assert offer.profit(probability, value, effect) == pytest.approx(drawn.mean(axis=0), abs=0.5)


def test_profit_curve_by_hand() -> None:
    churned, probability = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.5, 0.5])
    curve = profit_curve(probability, churned, np.full(4, 200.0), OFFER, Effect.of_rate(RATE, churned))
    assert curve.share.tolist() == [0, 0.25, 0.75, 1]
    assert curve.profit == pytest.approx([0, 56, 56 + 56 - 11, 90])
    assert (curve.best, curve.threshold[curve.best]) == (2, 0.5)
    # only the success rate is open: sd = worth of the leavers beyond the offer * sd of Beta(6, 14)
    spread = 2 * 190 * math.sqrt(0.3 * 0.7 / 21)
    assert curve.high_90[2] - curve.profit[2] == pytest.approx(1.6448536 * spread)


@few
@given(probabilities, st.floats(1, 500))
def test_the_best_threshold_of_calibrated_probabilities_is_the_break_even(probability: Array, value: float) -> None:
    values = np.full(len(probability), value)
    effect = Effect.of_rate(RATE, probability)
    curve = profit_curve(probability, probability, values, OFFER, effect)
    pays = probability > OFFER.break_even(values, RATE)
    assert curve.profit[curve.best] == pytest.approx(OFFER.profit(probability, values, effect)[pays].sum(), abs=1e-9)
    assert curve.profit[0] == 0


@pytest.mark.parametrize(("mean", "size"), [(0, 10), (1, 10), (0.5, 0), (math.nan, 1), (0.5, math.inf)])
def test_what_is_no_rate_is_refused(mean: float, size: float) -> None:
    with pytest.raises(ParameterOutOfRange):
        Rate(mean, size)


@pytest.mark.parametrize(("mean", "deviation"), [(-1, 0), (1, -1), (math.inf, 0)])
def test_what_is_no_amount_is_refused(mean: float, deviation: float) -> None:
    with pytest.raises(ParameterOutOfRange):
        Amount(mean, deviation)


def test_power_is_that_of_rs_power_prop_test() -> None:
    assert power(0.50, 0.75, 50, 50) == pytest.approx(0.7401659, abs=1e-6)  # power.prop.test(n = 50, p1 = .5, p2 = .75)
    # power.prop.test(p1 = .5, p2 = .75, power = .9): n = 76.7
    assert power(0.50, 0.75, 77, 77) >= 0.9 > power(0.50, 0.75, 76, 76)


def test_a_control_group_is_the_smallest_that_suffices() -> None:
    size = control_size(10_000, 0.4, 0.35)
    assert size is not None
    assert power(0.4, 0.35, size, 10_000 - size) >= 0.8 > power(0.4, 0.35, size - 1, 10_000 - size + 1)
    simulated = np.random.default_rng(1)
    control, treated = (simulated.binomial(n, p, 20_000) / n for n, p in ((size, 0.4), (10_000 - size, 0.35)))
    pooled = (control * size + treated * (10_000 - size)) / 10_000
    z = (control - treated) / np.sqrt(pooled * (1 - pooled) * (1 / size + 1 / (10_000 - size)))
    assert np.mean(z > 1.96) == pytest.approx(0.8, abs=0.015)  # its own error: 0.3 %


def test_the_detectable_effect_is_seen_with_the_wanted_power() -> None:
    effect = detectable_effect(0.4, 300, 2_000)
    assert effect is not None
    assert power(0.4, 0.4 - effect, 300, 2_000) == pytest.approx(0.8, abs=1e-6)
    assert detectable_effect(0.4, 0, 2_000) is None
    assert detectable_effect(0.01, 5, 5) is None


def by_trying(profit: Array, use: Array, limits: Array) -> float:
    """The best allocation of a few customers."""
    customers, actions = profit.shape
    best = 0.0
    for choice in itertools.product(range(-1, actions), repeat=customers):
        served = [(i, a) for i, a in enumerate(choice) if a >= 0]
        rows, columns = [i for i, _ in served], [a for _, a in served]
        if (use[:, rows, columns].sum(axis=1) <= limits).all():
            best = max(best, float(profit[rows, columns].sum()))
    return best


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2))
def test_small_allocations_are_the_best_there_are(seed: int, customers: int, actions: int, limits: int) -> None:
    generator = np.random.default_rng(seed)
    profit = generator.normal(5, 5, (customers, actions))
    profit[generator.random(profit.shape) < 0.2] = -np.inf
    use = generator.integers(0, 4, (limits, customers, actions)).astype(np.float64)
    room = generator.integers(0, 8, limits).astype(np.float64)
    found = allocate(profit, use, room)
    best = by_trying(profit, use, room)
    assert found.profit == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert found.bound >= best - 1e-6


def large(seed: int) -> tuple[Array, Array, Array]:
    generator = np.random.default_rng(seed)
    profit = generator.gamma(2, 10, (6_000, 3)) - 5
    profit[generator.random(profit.shape) < 0.3] = -np.inf
    cost = np.broadcast_to(np.array([0.5, 4.0, 11.0]), profit.shape) + generator.random(profit.shape)
    channel = np.broadcast_to(np.array([0.0, 1.0, 1.0]), profit.shape)
    return profit, np.stack([cost, channel]), np.array([9_000.0, 900.0])


def test_large_allocations_keep_the_limits_and_come_close_to_their_bound() -> None:
    profit, use, limits = large(0)
    found = allocate(profit, use, limits)
    served = np.flatnonzero(found.choice != NOBODY)
    assert (profit > 0).sum() > SMALL
    assert (use[:, served, found.choice[served]].sum(axis=1) <= limits).all()
    assert found.profit == pytest.approx(profit[served, found.choice[served]].sum())
    assert 0 <= found.gap < 0.001


def test_nothing_is_done_at_a_loss_and_everything_that_pays_without_limits() -> None:
    profit = np.array([[1.0, 2.0], [-1.0, -np.inf], [3.0, 2.0]])
    found = allocate(profit, np.empty((0, 3, 2)), np.empty(0))
    assert found.choice.tolist() == [1, NOBODY, 0]
    assert (found.profit, found.bound) == (5.0, 5.0)
    nothing = allocate(-np.ones((2, 1)), np.empty((0, 2, 1)), np.empty(0))
    assert (nothing.choice.tolist(), nothing.gap) == ([NOBODY, NOBODY], 0.0)
