"""How long lifetime value models take to fit, beside lifetimes on the same customers: `make bench`. Does not gate."""

import warnings
from typing import Any

import numpy as np
import pytest

from models.clv.bgnbd import BgNbd
from models.clv.histories import Histories
from models.clv.mbgnbd import MbgNbd
from models.clv.orders import OrderModel
from models.clv.pareto import ParetoNbd

MILLION, FEWER = 1_000_000, 100_000
PEERS: dict[type[OrderModel], str] = {BgNbd: "BetaGeoFitter", MbgNbd: "ModifiedBetaGeoFitter"}


def histories(customers: int) -> Histories:
    """Purchase histories over two years, in whole days, drawn from BG/NBD."""
    generator = np.random.default_rng(0)
    age = generator.integers(30, 730, customers).astype(np.float64)
    rate, dropout = generator.gamma(0.6, 1 / 40, customers), generator.beta(0.8, 2.5, customers)
    count, last = np.zeros(customers), np.zeros(customers)
    clock, active = np.zeros(customers), np.ones(customers, dtype=bool)
    while active.any():
        clock += generator.exponential(1.0, customers) / np.maximum(rate, 1e-300)
        active &= clock <= age
        count, last = count + active, np.where(active, clock, last)
        active &= generator.random(customers) > dropout
    days = np.maximum(np.ceil(last), (count > 0).astype(np.float64))
    return Histories(count, np.minimum(days, age), age, np.ones(customers))


@pytest.fixture(scope="module")
def million() -> Histories:
    return histories(MILLION)


@pytest.mark.parametrize("model", PEERS)
@pytest.mark.benchmark(group="fit to 1,000,000 customers, time in days")
def test_fit(benchmark: Any, million: Histories, model: type[OrderModel]) -> None:
    _, determined = benchmark.pedantic(model.estimate, (million,), rounds=2)
    assert determined


@pytest.mark.parametrize("model", PEERS)
@pytest.mark.benchmark(group="fit to 1,000,000 customers, time in days")
def test_fit_with_lifetimes(benchmark: Any, million: Histories, model: type[OrderModel]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        fitter = getattr(lifetimes, PEERS[model])()
        benchmark.pedantic(fitter.fit, (million.frequency, million.recency_days, million.T_days), rounds=1)


@pytest.mark.benchmark(group="fit Pareto/NBD to 100,000 customers, time in days")
def test_fit_pareto(benchmark: Any) -> None:
    _, determined = benchmark.pedantic(ParetoNbd.estimate, (histories(FEWER),), rounds=2)
    assert determined
