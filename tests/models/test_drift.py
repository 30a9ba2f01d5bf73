from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from models.base import State
from models.clv.ahead import Ahead
from models.clv.btyd import ClvBgNbd
from models.clv.drift import Drift
from models.clv.histories import Histories
from models.clv.hybrid import ClvHybrid
from models.clv.intervals import LEVELS
from models.clv.orders.base import OrderModel
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.orders.tails import stretched_tail
from models.clv.past import Past
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.spread import spend_shapes
from training.evaluation.metrics import coverage, value_coverage

Array = npt.NDArray[np.float64]

CUSTOMERS, DAYS = 20_000, 90.0
LOYAL, SPEND = ConstantRate(2.0, 40.0), GammaGamma(2.0, 5.0, 60.0)


@pytest.fixture(scope="module")
def histories() -> Histories:
    """Customers who came 0 to 60 times in a year."""
    generator = np.random.default_rng(2)
    x = np.floor(60 * generator.random(CUSTOMERS) ** 2)
    return Histories(x, np.where(x > 0, 350.0, 0.0), np.full(CUSTOMERS, 365.0), np.ones(CUSTOMERS))


def went_on(histories: Histories, drift: Drift) -> tuple[Array, Array]:
    """Orders of the horizon and their value in expected order values, drawn with a drift."""
    generator = np.random.default_rng(3)
    x, rows = histories.frequency, len(histories)

    moved = generator.gamma(1 / drift.rate, drift.rate, rows) if drift.rate else 1.0
    rate = generator.gamma(LOYAL.r + x) / (LOYAL.alpha + histories.T_days) * moved
    orders = generator.poisson(rate * DAYS).astype(np.float64)
    known = SPEND.q + SPEND.p * x - 1
    shape, own = SPEND.p / drift.spread, 1 + 1 / (1 / known + drift.order_value)
    scale = (own - 1) / generator.gamma(own)
    return orders, np.where(orders > 0, generator.gamma(np.maximum(shape * orders, 1e-9)) / shape * scale, 0.0)


def estimated(histories: Histories, orders: Array, relative: Array) -> Drift:
    ahead = Ahead.of(LOYAL, histories)
    shapes = spend_shapes(SPEND, histories.frequency)
    return Drift.estimate(lambda rate: ahead.tail(DAYS, rate), orders, relative, *shapes)


DRIFTS = [
    Drift(rate=0.3, order_value=0.0, spread=1.0),
    Drift(rate=0.05, order_value=0.1, spread=0.5),
    Drift(rate=0.0, order_value=0.2, spread=2.0),
]


@pytest.mark.parametrize("truth", DRIFTS, ids=str)
def test_drift_is_recovered_from_what_customers_went_on_to_do(histories: Histories, truth: Drift) -> None:
    # From 20,000 customers each is known to a few per cent.
    found = estimated(histories, *went_on(histories, truth))
    assert found.rate == pytest.approx(truth.rate, abs=0.003 + 0.1 * truth.rate)
    assert found.order_value == pytest.approx(truth.order_value, abs=0.01 + 0.1 * truth.order_value)
    assert found.spread == pytest.approx(truth.spread, rel=0.1)


def test_customers_who_stay_as_they_were_have_no_drift(histories: Histories) -> None:
    assert estimated(histories, *went_on(histories, Drift())) == Drift()


def test_drift_of_order_values_adds_to_what_is_not_known_of_them() -> None:
    shape, own = Drift(order_value=0.1, spread=2.0).shapes(6.0, np.array([11.0, 1.5]))  # 1 / (1/10 + 1/10) = 5
    assert shape == 3.0
    np.testing.assert_allclose(own, [6.0, 1 + 1 / 2.1])


def test_a_handful_of_customers_does_not_tell_drift_from_chance(histories: Histories) -> None:
    few = histories.take(slice(0, 20))
    orders, relative = (values[:20] for values in went_on(histories, DRIFTS[1]))
    assert estimated(few, orders, relative).rate == 0


def test_nobody_to_learn_from_and_nothing_spent_are_no_drift(histories: Histories) -> None:
    nobody = histories.take(slice(0, 0))
    assert estimated(nobody, np.empty(0), np.empty(0)) == Drift()
    orders, _ = went_on(histories, Drift())
    assert estimated(histories, orders, np.zeros(CUSTOMERS)) == Drift()


def test_values_that_never_differ_have_no_drift(histories: Histories) -> None:
    orders, _ = went_on(histories, Drift())
    known = Drift.estimate(
        lambda rate: Ahead.of(LOYAL, histories).tail(DAYS, rate), orders, orders, 1e12, np.full(CUSTOMERS, 1e12)
    )
    assert known == Drift()


@pytest.mark.parametrize("truth", DRIFTS[:2], ids=str)
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_that_know_the_drift_cover_as_they_say(histories: Histories, truth: Drift, level: float) -> None:
    orders, relative = went_on(histories, truth)
    ahead, found = Ahead.of(LOYAL, histories), estimated(histories, orders, relative)
    covered, covered_value = {}, {}
    for name, drift in {"without": Drift(), "with": found}.items():
        tail, within = ahead.tail(DAYS, drift.rate), ahead.bounds(SPEND, DAYS, drift).value
        none = 1 - tail(np.arange(CUSTOMERS), 1)
        low, high = (within[f"{side}_{round(100 * level)}"] for side in ("low", "high"))
        covered[name] = coverage(orders, tail, level, np.random.default_rng(0))
        covered_value[name] = value_coverage(relative, low, high, none, level, np.random.default_rng(0))
    assert covered["with"] == pytest.approx(level, abs=0.015)
    assert covered_value["with"] == pytest.approx(level, abs=0.02)
    assert covered["without"] < level - 0.02


MODELS = [LOYAL, MbgNbd(0.9, 22.0, 0.8, 3.2), ParetoNbd(0.9, 22.0, 0.6, 90.0)]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.kind)
def test_drift_widens_every_interval_about_the_same_forecast(model: OrderModel) -> None:
    x = np.array([3.0, 20.0, 60.0])
    some = Histories(x, np.full(3, 290.0), np.full(3, 300.0), np.ones(3))
    ahead, drift, rows = Ahead.of(model, some), Drift(0.2, 0.1, 1.5), np.arange(3)
    total = sum(ahead.tail(DAYS, drift.rate)(rows, k) for k in range(1, 400))
    np.testing.assert_allclose(total, model.expected_orders(some, DAYS), rtol=0.04)
    wide, narrow = ahead.bounds(SPEND, DAYS, drift), ahead.bounds(SPEND, DAYS, Drift())
    for of in ("orders", "value"):
        bound = getattr(wide, of)
        assert all((bound[a] <= bound[b]).all() for a, b in zip(list(LEVELS), list(LEVELS)[1:], strict=False))
        width = [b["high_90"] - b["low_90"] for b in (getattr(wide, of), getattr(narrow, of))]
        assert (width[0] >= width[1]).all()
        assert width[0][-1] > 1.2 * width[1][-1]  # who is known best is foreseen worst
    assert (wide.deviation > narrow.deviation).all()


def test_less_evidence_is_wider_under_drift_too() -> None:
    x = np.array([1.0, 30.0])
    known = Histories(x, 19 + 20 * (x - 1), 20 * x, np.ones(2))
    ahead = Ahead.of(ConstantRate(0.05, 1.0), known)
    within = ahead.bounds(SPEND, 60.0, Drift(rate=0.1)).value
    width = within["high_90"] - within["low_90"]
    assert width[0] > 1.3 * width[1]


def test_better_forecast_keeps_its_mean_and_its_silence_under_drift() -> None:
    x = np.array([3.0, 20.0, 60.0])
    some = Histories(x, np.full(3, 290.0), np.full(3, 300.0), np.ones(3))
    expected, none = 1.2 * LOYAL.expected_orders(some, DAYS), 0.8 * LOYAL.probability_no_order(some, DAYS)
    rows, tail = np.arange(3), stretched_tail(LOYAL, some, DAYS, expected, none, 0.2)
    np.testing.assert_allclose(1 - tail(rows, 1), none, rtol=1e-9)
    np.testing.assert_allclose(sum(tail(rows, k) for k in range(1, 400)), expected, rtol=0.04)


# in the families


def past_of(histories: Histories, orders: Array, ages: Array | None = None) -> Past:
    columns = {name: getattr(histories, name) for name in ("frequency", "recency_days", "T_days")}
    value = np.where(histories.frequency > 0, 10.0, np.nan)
    return Past(pd.DataFrame(columns | {"monetary_value": value}), DAYS, orders, 10 * orders, ages)


def test_only_the_latest_window_that_was_over_by_the_cutoff_tells_the_drift(histories: Histories) -> None:
    steady, moved = (went_on(histories, drift)[0] for drift in (Drift(), DRIFTS[0]))
    twice = histories.take(np.tile(np.arange(CUSTOMERS), 2))
    ages = np.repeat([DAYS, 2 * DAYS], CUSTOMERS)
    rows = past_of(histories, steady).rows
    lately = ClvBgNbd(90).fit(rows, past=past_of(twice, np.concatenate([moved, steady]), ages))
    alone = ClvBgNbd(90).fit(rows, past=past_of(histories, moved))
    assert lately.drift_ == alone.drift_
    assert lately.drift_.rate > 0.1


def test_windows_over_by_the_latest_are_told_apart() -> None:
    some = Histories(np.zeros(4), np.zeros(4), np.full(4, 300.0), np.ones(4))
    past = past_of(some, np.arange(4.0), np.array([90.0, 120.0, 180.0, 210.0]))
    assert past.latest().order_days.tolist() == [0]
    assert past.over_by_latest().order_days.tolist() == [2, 3]
    assert len(past_of(some, np.arange(4.0)).over_by_latest().rows) == 0


@pytest.mark.parametrize("kind", [ClvBgNbd, ClvHybrid])
def test_drift_is_kept_with_the_model(
    kind: type[ClvBgNbd] | type[ClvHybrid],
    simulated_rows: dict[str, pd.DataFrame],
    simulated_past: Callable[[int | None], Past],
) -> None:
    rows = simulated_rows["clv_hybrid" if kind is ClvHybrid else "clv"].dropna(subset=["frequency"])
    past = simulated_past(None)
    past = Past(past.rows[rows.columns], past.window_days, past.order_days**2, past.order_value)  # far from a history
    model = kind(90).fit(rows, past=past)
    assert model.drift_.rate > 0
    again = kind.from_state(model.state())
    assert again.drift_ == model.drift_
    pd.testing.assert_frame_equal(again.score(rows), model.score(rows))


def test_a_model_kept_before_there_was_a_drift_has_none(simulated_rows: dict[str, pd.DataFrame]) -> None:
    state = ClvBgNbd(90).fit(simulated_rows["clv"].dropna(subset=["frequency"])).state()
    older = State({name: value for name, value in state.parameters.items() if name != "drift"})
    assert ClvBgNbd.from_state(older).drift_ == Drift()
