"""What is computed once a pair of frequency and T is what each customer's own history gives."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.clv.btyd
import models.clv.intervals
from models.clv.ahead import Ahead
from models.clv.btyd import ClvBgNbd, ClvMbgNbd, ClvParetoNbd
from models.clv.histories import Histories
from models.clv.intervals import bounds
from models.clv.next_order import days_to_next_order
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.orders.tails import Rows, Tail, part, tail_if_active
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.spread import spend_shapes
from models.clv.value import Terms

MODELS: list[OrderModel] = [
    BgNbd(0.6, 40.0, 0.8, 2.5),
    MbgNbd(0.9, 58.0, 1.5, 6.5),
    ParetoNbd(0.55, 74.0, 0.61, 81.0),
    ConstantRate(0.4, 90.0),
]
SPEND = GammaGamma(6.0, 4.0, 15.0)
TERMS = Terms(365.0, 0.1, 1.0)
KINDS = pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.kind))
FAMILIES = pytest.mark.parametrize("family", [ClvBgNbd, ClvMbgNbd, ClvParetoNbd])


def drawn(customers: int, seed: int = 0) -> pd.DataFrame:
    """Histories over two years, many with the same frequency and T."""
    generator = np.random.default_rng(seed)
    age = generator.choice([60.0, 200.0, 201.0, 700.0], customers)
    x = np.minimum(generator.negative_binomial(0.5, 0.2, customers), 30).astype(np.float64)
    recency = np.where(x > 0, np.maximum(np.ceil(age * generator.beta(3, 2, customers)), 1.0), 0.0)
    value = np.where(x > 0, np.round(generator.gamma(6, 5, customers) + 0.01, 2), np.nan)
    return pd.DataFrame({"frequency": x, "recency_days": recency, "T_days": age, "monetary_value": value})


def own_tail(model: OrderModel, histories: Histories) -> Tail:
    """The distribution of each customer's orders of a year, from its own history."""
    active, if_active = model.probability_active(histories), tail_if_active(model, histories, 365.0)

    def tail(rows: Rows, k: int) -> npt.NDArray[np.float64]:
        return np.asarray(active[rows] * if_active(rows, k))

    return tail


@KINDS
def test_expectations_by_pair_are_those_by_customer(model: OrderModel) -> None:
    histories = Histories.of(drawn(400))
    ahead = Ahead.of(model, histories)
    assert len(ahead.pairs) < 130
    orders = model.expected_orders(histories, 365.0)
    np.testing.assert_allclose(ahead.active * ahead.orders_if_active(365.0), orders, rtol=1e-12)
    discounted = TERMS.discounted_orders(lambda days: model.expected_orders(histories, days))
    np.testing.assert_allclose(ahead.active * ahead.discounted_if_active(TERMS), discounted, rtol=1e-12)


@KINDS
def test_waits_by_pair_are_those_by_customer(model: OrderModel) -> None:
    histories = Histories.of(drawn(200))
    waits = days_to_next_order(lambda some, days: model.probability_no_order(part(histories, some), days), 200)
    for name, found in Ahead.of(model, histories).waits().items():
        np.testing.assert_allclose(found, waits[name], rtol=1e-6)


def test_who_is_gone_for_certain_waits_as_long_as_can_be() -> None:
    certain = ParetoNbd(50.0, 1.0, 2.0, 1.0)
    gone = Histories(np.array([900.0]), np.array([100.0]), np.array([9_000.0]), np.ones(1))
    ahead = Ahead.of(certain, gone)
    assert ahead.active.tolist() == [0.0]
    assert {float(days[0]) for days in ahead.waits().values()} == {3_650.0}


@KINDS
def test_the_distribution_of_orders_by_pair_is_that_by_customer(model: OrderModel) -> None:
    histories = Histories.of(drawn(200))
    found, own = Ahead.of(model, histories).tail(365.0), own_tail(model, histories)
    for rows, k in ((np.arange(200), 1), (np.array([7, 3, 7, 199]), 4), (np.empty(0, dtype=np.intp), 2)):
        np.testing.assert_array_equal(found(rows, k), own(rows, k))


@KINDS
def test_intervals_by_pair_are_those_by_customer(model: OrderModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.clv.intervals, "CHUNK", 37)  # several chunks, of pairs here and of customers there
    histories = Histories.of(drawn(400))
    shared = Ahead.of(model, histories).bounds(SPEND, 365.0)
    own = bounds(lambda some: own_tail(model, part(histories, some)), *spend_shapes(SPEND, histories.frequency))
    for name, found in shared.orders.items():
        np.testing.assert_array_equal(found, own.orders[name])
    for name, found in shared.value.items():
        np.testing.assert_allclose(found, own.value[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shared.deviation, own.deviation, rtol=1e-9)


@FAMILIES
def test_scores_in_chunks_are_those_of_all_at_once(family: type[ClvBgNbd], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn(500)
    model = family().fit(rows)
    whole = model.score(rows)
    monkeypatch.setattr(models.clv.btyd, "CHUNK", 64)
    pd.testing.assert_frame_equal(model.score(rows), whole, check_exact=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 499), st.sampled_from([ClvBgNbd, ClvMbgNbd, ClvParetoNbd]))
def test_one_customer_scores_the_same_bits_as_in_the_batch(row: int, family: type[ClvBgNbd]) -> None:
    rows = drawn(500)
    model = family().fit(rows)
    alone = model.score(rows.iloc[[row]].reset_index(drop=True))
    batch = model.score(rows).iloc[[row]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, batch, check_exact=True)


@FAMILIES
def test_the_point_value_is_the_column_of_the_scores(family: Any) -> None:
    rows = drawn(300)
    model = family(annual_cost_to_serve=3.0, margin_rate=0.4).fit(rows)
    assert np.array_equal(model.point(rows), model.score(rows)["clv"])
    assert (model.point(rows) != model.point(rows)[0]).any()


@FAMILIES
def test_nobody_to_score_gives_the_columns_without_a_row(family: type[ClvBgNbd]) -> None:
    rows = drawn(300)
    model = family().fit(rows)
    nobody, somebody = model.score(rows.iloc[:0]), model.score(rows.iloc[:1])
    assert len(nobody) == 0
    assert nobody.dtypes.to_dict() == somebody.dtypes.to_dict()
