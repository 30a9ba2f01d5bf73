"""Customers to value, and time measured, alike in all benchmarks of lifetime value."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest


class Timed(NamedTuple):
    """What a call gave, and what it took: seconds by the clock, and of the processors (all threads)."""

    result: Any
    seconds: float
    cpu: float


def timed(call: Callable[[], Any], rounds: int = 1) -> Timed:
    """The quickest of some rounds."""
    rounds_taken = []
    for _ in range(rounds):
        begun, worked = time.perf_counter(), time.process_time()
        result = call()
        rounds_taken.append(Timed(result, time.perf_counter() - begun, time.process_time() - worked))
    return min(rounds_taken, key=lambda taken: taken.cpu)


def customer_rows(customers: int) -> pd.DataFrame:
    """Histories over two years in whole days drawn from BG/NBD, spend in cents drawn from Gamma-Gamma."""
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
    days = np.minimum(np.maximum(np.ceil(last), (count > 0).astype(np.float64)), age)
    buys = np.maximum(count, 1)
    value = generator.gamma(6 * buys) / buys * 15 / generator.gamma(4, size=customers)
    cents = np.where(count > 0, np.maximum(np.round(value, 2), 0.01), np.nan)
    return pd.DataFrame({"frequency": count, "recency_days": days, "T_days": age, "monetary_value": cents})


@pytest.fixture(scope="session")
def measure() -> Callable[..., Timed]:
    """`timed`, for benchmarks that cannot import it."""
    return timed


@pytest.fixture(scope="session")
def make_rows() -> Callable[[int], pd.DataFrame]:
    """`customer_rows`, for benchmarks that cannot import it."""
    return customer_rows


@pytest.fixture(scope="session")
def million() -> pd.DataFrame:
    """A million customers."""
    return customer_rows(1_000_000)
