"""What holds for every orders model alike."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import models.clv.orders.base
from models.clv.histories import Histories
from models.clv.kinds import ORDERS
from models.clv.ladder import fit_orders
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.preflight import cohort_mix, preflight, silent_once
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.shrunken_mean import ShrunkenMean

GAMMA = GammaGamma(6.0, 4.0, 15.0)
LEAVING = pytest.mark.parametrize("kind", [BgNbd, MbgNbd, ParetoNbd])


@pytest.fixture(scope="module")
def many() -> Histories:
    """24,000 different histories: orders at a rate of one's own until a moment of one's own."""
    generator, customers = np.random.default_rng(5), 24_000
    age = generator.uniform(200, 400, customers)
    days = np.minimum(age, generator.exponential(1 / generator.gamma(0.7, 1 / 60, customers)))
    x = generator.poisson(generator.gamma(0.6, 1 / 20, customers) * days).astype(np.float64)
    last = days * generator.random(customers) ** (1 / np.maximum(x, 1))
    return Histories(x, np.where(x > 0, last, 0.0), age, np.ones(customers))


@LEAVING
def test_many_histories_are_fitted_from_a_part_of_them_to_the_same_maximum(
    kind: type[OrderModel], many: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, determined = kind.estimate(many)
    monkeypatch.setattr(models.clv.orders.base, "MANY", 10**9)
    plain, _ = kind.estimate(many)
    assert determined
    assert list(quick.parameters.values()) == pytest.approx(list(plain.parameters.values()), rel=1e-5)
    assert quick.log_covariance is not None
    assert plain.log_covariance is not None
    np.testing.assert_allclose(np.diag(quick.log_covariance), np.diag(plain.log_covariance), rtol=0.2)


def test_counted_patterns_come_in_the_order_of_frequency_recency_and_age() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 4, 500).astype(np.float64)
    recency = np.where(x > 0, generator.integers(1, 9, 500), 0).astype(np.float64)
    age = recency + generator.integers(0, 3, 500)
    counted = Histories(x, recency, age, np.ones(500)).patterns()
    frame = pd.DataFrame({"x": x, "recency": recency, "age": age}).value_counts().sort_index()
    assert counted.weight.tolist() == frame.to_list()
    assert list(zip(counted.frequency, counted.recency_days, counted.T_days, strict=True)) == list(frame.index)


@pytest.mark.parametrize("kind", ORDERS.values())
def test_parameters_make_the_same_model_again(kind: type[OrderModel], many: Histories) -> None:
    model, _ = kind.estimate(many.take(np.arange(len(many)) < 500))
    assert type(model)(**model.parameters) == model


def spend(many: Histories, exponent: float = 0.0) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(1)
    value = generator.gamma(6.0, 5.0, len(many)) * np.maximum(many.frequency, 1) ** exponent
    return np.where(many.frequency > 0, value, np.nan)


def test_ordinary_histories_pass_all_checks(many: Histories) -> None:
    assert preflight(many, many.frequency, spend(many), GAMMA) == ()
    assert cohort_mix(fit_orders(MbgNbd, many)[0], many) is None


def test_few_repeat_buyers_and_a_spike_of_first_orders_are_found(many: Histories) -> None:
    rare = many.take((many.frequency == 0) | (np.arange(len(many)) < 100))
    spike = Histories(rare.frequency, rare.recency_days, np.where(rare.T_days > 260, 400.0, rare.T_days), rare.weight)
    found = {finding.name: finding.words for finding in preflight(spike, spike.frequency, spend(spike), GAMMA)}
    assert list(found) == ["repeat_share", "left_truncation"]
    assert f"of {len(spike):,} customers ordered again" in found["repeat_share"]


def test_a_heavy_tail_of_spend_is_found(many: Histories) -> None:
    value = spend(many)
    value[np.argmax(many.frequency)] = 1e7
    assert [finding.name for finding in preflight(many, many.frequency, value, GAMMA)] == ["heavy_tail"]


@pytest.mark.parametrize(("exponent", "word"), [(1.0, "more"), (-1.0, "less")])
def test_spend_that_goes_with_frequency_is_found(many: Histories, exponent: float, word: str) -> None:
    value = spend(many, exponent)
    found = {finding.name: finding.words for finding in preflight(many, many.frequency, value, GAMMA)}
    assert f"customers who order more often spend {word} an order" in found["spend_frequency"]
    other = ShrunkenMean(50.0, 1.0, 1.0)  # which takes nothing to be unrelated
    assert "spend_frequency" not in {finding.name for finding in preflight(many, many.frequency, value, other)}


def test_customers_of_one_order_whom_a_model_cannot_let_go_are_told(many: Histories) -> None:
    found = silent_once(fit_orders(BgNbd, many)[0], many)
    assert found
    assert f"BG/NBD takes all {(many.frequency == 0).sum():,} customers of one order to be active" in found.words
    assert silent_once(fit_orders(MbgNbd, many)[0], many) is None
    assert silent_once(fit_orders(BgNbd, many)[0], many.take(many.frequency > 0)) is None


def test_cohorts_that_order_differently_are_found(many: Histories) -> None:
    # Everyone who joined late orders nothing at all.
    late = many.T_days < 300
    x, recency = np.where(late, 0.0, many.frequency), np.where(late, 0.0, many.recency_days)
    mixed = Histories(x, recency, many.T_days, many.weight)
    finding = cohort_mix(BgNbd(0.6, 20.0, 0.8, 2.5), mixed)
    assert finding is not None
    assert finding.name == "cohort_mix"
    assert "joined latest placed 0.00 repeat orders" in finding.words
